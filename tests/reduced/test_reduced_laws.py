"""Reduced models of laws with rates, at finite strain, of several inputs and in 3D."""

import numpy as np
import pytest
import ufl
from support.cells_and_rves import relative_error

import hmm
from hmm import reduced
from hmm.laws import J2, Elastic, Fourier, GeneralizedMaxwell, NeoHooke, Perzyna


def fibre_cell():
    return hmm.cells.fibre(volume_fraction=0.3, mesh_size=0.25)


def assert_good(rve, size, worst, dt=0.0, steps=8, n=6, **options):
    """Train on walks, and compare blind ones; the tangent of the last point is the derivative."""
    paths = reduced.random_walks(rve.inputs, size, n, steps, seed=1, dt=dt)
    blind = reduced.random_walks(rve.inputs, 0.9 * np.asarray(size), 3, steps, seed=9, dt=dt)
    model = reduced.train(rve, paths, blind=blind, **options)
    assert model.report.worst < worst, model.report
    E = rve.reference + 0.5 * np.asarray(size) * np.linspace(1, -0.5, rve.n_inputs)
    state = model.solve(E / 2 + rve.reference / 2, dt=dt).state
    check = hmm.checks.tangent(model, E, state, dt=dt, tolerance=1e-6, step=1e-6)
    assert check, check
    return model


def test_viscoplastic():
    """An implicit law with its own unknown, and a viscoelastic fibre."""
    cell = fibre_cell()
    laws = {
        "matrix": J2(70e3, 0.3, 100.0, 1000.0, rate=Perzyna(50.0, 3.0, 1e-3)),
        "fibre": GeneralizedMaxwell(200e3, 0.2, ((100e3, 5.0),)),
    }
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell), law=laws)
    model = assert_good(rve, 0.01, 0.03, dt=1.0)
    assert model.has_rates
    with pytest.raises(hmm.InputError, match="no duration"):
        reduced.train(rve, [np.zeros((2, 3))])


def test_finite_strain():
    cell = fibre_cell()
    laws = {"matrix": NeoHooke(10.0, 0.3), "fibre": NeoHooke(100.0, 0.3)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_deformation_gradient(cell), law=laws)
    model = assert_good(rve, 0.15, 0.02)
    answer, full = model.solve(rve.reference), rve.solve(rve.reference)
    assert relative_error(answer.tangent, full.tangent) < 1e-8


def test_several_inputs():
    """A strain, and an eigenstrain that grows over the cell."""
    cell = fibre_cell()
    grows = hmm.macro_input(
        cell, hmm.tensors.general(), "swelling", field="strain", contribution=lambda a, x: -a * x[0] * ufl.Identity(2)
    )
    laws = {"matrix": J2(70e3, 0.3, 100.0, 1000.0), "fibre": Elastic(400e3, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), [hmm.macro_strain(cell), grows], law=laws)
    model = assert_good(rve, [0.01, 0.01, 0.01, 0.004], 0.04, n=12)
    E = np.array([1e-5, 0.0, 2e-5, 3e-5])
    assert relative_error(model.solve(E).vector, rve.solve(E).vector) < 1e-10


def test_heat():
    """Conduction, all of it linear: modes alone, no cubature points."""
    cell = fibre_cell()
    laws = {"matrix": Fourier(1.0), "fibre": Fourier(10.0)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1, shape=()), hmm.macro_gradient(cell), law=laws)
    model = reduced.train(rve, [np.eye(2)])
    assert (model.report.modes, model.report.points) == (2, 0)
    assert relative_error(model.solve([3.0, 1.0]).tangent, rve.solve([3.0, 1.0]).tangent) < 1e-10


def test_three_dimensions():
    cell = hmm.cells.sphere(volume_fraction=0.2, mesh_size=0.45)
    rve = hmm.RVE(
        cell,
        hmm.fluctuation(cell, 1),
        hmm.macro_strain(cell),
        law={"matrix": J2(70e3, 0.3, 100.0, 1000.0), "inclusion": Elastic(400e3, 0.2)},
    )
    assert_good(rve, 0.01, 0.1, n=10)


@pytest.mark.parametrize("constraint", ["minimal", "dirichlet"])
def test_constraints(constraint):
    cell = fibre_cell()
    laws = {"matrix": J2(70e3, 0.3, 100.0, 1000.0), "fibre": Elastic(400e3, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=laws, constraint=constraint)
    assert_good(rve, 0.01, 0.04)
