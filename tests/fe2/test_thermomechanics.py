"""Thermo-mechanical cells: strain, temperature and its gradient on the mixed field (u, theta)."""

import numpy as np
import pytest
from support.cells_and_rves import TIGHT, relative_error

import hmm
from hmm.laws import ThermoElastic

T0 = 300.0
MATERIALS = {"A": (70e3, 0.33, 23e-6, 200.0, 2.4), "B": (400e3, 0.2, 5e-6, 30.0, 3.1)}
"""Young, Poisson, expansion, conductivity, heat capacity: MPa, 1/K, W/mK, MPa/K."""


def thermal_rve(cell, law):
    w = hmm.fluctuation(cell, degree=(1, 1))
    inputs = [
        hmm.macro_strain(cell, component=0),
        hmm.macro_temperature(cell, reference=T0),
        hmm.macro_gradient(cell, component=1),
    ]
    return hmm.RVE(cell, w, inputs, law=law, newton_options=TIGHT)


def laws():
    return {name: ThermoElastic(*material, reference_temperature=T0) for name, material in MATERIALS.items()}


STRESS, TEMPERATURE, GRADIENT = slice(0, 3), 3, slice(4, 6)


@pytest.mark.mpi
def test_laminate():
    """Table `laminate_linear`: ``sigma = C:eps - beta dT``, Backus and Rosen-Hashin closed forms, layer normal 1."""
    cell = hmm.cells.laminate({"A": 0.6, "B": 0.4}, mesh_size=0.5)
    A = thermal_rve(cell, laws()).solve([0, 0, 0, T0, 0, 0]).tangent
    C = [[149586.96, 59164.992, 0], [59164.992, 237200.5, 0], [0, 0, 2 * 39682.54]]
    assert relative_error(A[STRESS, STRESS], C) < 1e-7
    assert relative_error(A[STRESS, TEMPERATURE], [-4.5465506, -4.2400536, 0.0]) < 1e-7
    assert relative_error(A[TEMPERATURE, STRESS], [4.5465506, 4.2400536, 0.0]) < 1e-7
    assert relative_error(A[GRADIENT, GRADIENT], np.diag([61.22449, 132.0])) < 1e-7
    assert not np.any(A[STRESS, GRADIENT]) and not np.any(A[GRADIENT, STRESS])


@pytest.mark.mpi
def test_free_expansion():
    """A heated laminate without mean stress strains by ``C^-1 beta dT``: stress control of a cell of two fields."""
    cell = hmm.cells.laminate({"A": 0.6, "B": 0.4}, mesh_size=0.5)
    rve = thermal_rve(cell, laws())
    A = rve.solve([0, 0, 0, T0, 0, 0]).tangent
    free = hmm.MixedControl(rve, {"strain 11": 0.0, "strain 22": 0.0, "strain 12": 0.0})
    answer = free.solve({"temperature": T0 + 50.0})
    expected = -np.linalg.solve(A[STRESS, STRESS], A[STRESS, TEMPERATURE]) * 50.0
    strain = answer.inputs[0]
    assert [strain[0, 0], strain[1, 1]] == pytest.approx(expected[:2], rel=1e-9)
    assert np.abs(answer.full.vector[STRESS]).max() < 1e-8
    assert answer.iterations <= 2


def test_levin():
    """Two phases bear one strain e I with equal stress; hence beta* follows from the bulk modulus k* alone.

    Plane strain: ``2 k1 e - beta1 = 2 k2 e - beta2`` and ``beta* = beta1 + 2 (k* - k1) e``. Source: Levin, *Mech.
    Solids* 2 (1967) 58. The argument holds for the discretized cell as well.
    """
    cell = hmm.cells.fibre(0.3, mesh_size=0.2)
    law = dict(zip(("matrix", "fibre"), laws().values(), strict=True))
    A = thermal_rve(cell, law).solve([0, 0, 0, T0, 0, 0]).tangent
    (k1, beta1), (k2, beta2) = (
        (E / (2 * (1 + nu) * (1 - 2 * nu)), E / (1 - 2 * nu) * alpha) for E, nu, alpha, *_ in MATERIALS.values()
    )
    k, beta = (A[0, 0] + 2 * A[0, 1] + A[1, 1]) / 4, -(A[0, 3] + A[1, 3]) / 2
    e = (beta1 - beta2) / (2 * (k1 - k2))
    assert beta == pytest.approx(beta1 + 2 * (k - k1) * e, rel=1e-10)


def test_tangent_of_phases_that_depend_on_temperature():
    """Central differences at a state that is hot, strained and has a gradient; the temperature has no length scale."""
    cell = hmm.cells.laminate({"A": 0.6, "B": 0.4}, mesh_size=0.5)
    soft = ThermoElastic(
        *(lambda T: 70e3 * (1 - (T - T0) / 2000), 0.33, lambda T: 23e-6 * (1 + (T - T0) / 1000)),
        *(lambda T: 200 - 0.1 * (T - T0), 2.4, T0),
    )
    rve = thermal_rve(cell, {"A": soft, "B": laws()["B"]})
    E = np.array([1e-3, -2e-3, 5e-4, T0 + 150, 3.0, 1.0])
    A = rve.solve(E).tangent
    scale = np.array([1e-3, 1e-3, 1e-3, 100.0, 1.0, 1.0])
    start = rve.solve(E).state
    for k, h in enumerate(1e-3 * scale):
        step = h * np.eye(6)[k]
        column = (rve.solve(E + step, start).vector - rve.solve(E - step, start).vector) / (2 * h)
        assert np.abs(A[:, k] - column).max() < 1e-6 * np.abs(A[:, k]).max()
