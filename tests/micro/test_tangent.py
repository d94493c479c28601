"""The condensed tangent against central differences of the response, and its dependence on the parameters.

Central differences of width h err by h^2 times a third derivative and by round-off over h. Measured, relative to the
largest entry: plastic 3e-11, neo-Hookean 3e-10, elastic 5e-16. A quadrature point that yields between E - h and E + h
would spoil that: the states are ones where none does.
"""

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support.cells_and_rves import CONSTRAINTS, central_differences, follow, neo_hookean_rve, relative_error, strain_rve

import hmm

FIBRE = hmm.laws.Elastic(400e3, 0.2)
J2 = hmm.laws.J2(70e3, 0.3, yield_stress=100.0, hardening=1000.0)
STRAIN = np.array([[3e-3, 1e-3], [1e-3, -1e-3]])
NEOHOOKE = {"matrix": (1.0, 2.0), "fibre": (10.0, 15.0)}
F = [[1.2, 0.3], [-0.1, 0.9]]


@pytest.fixture(scope="module")
def cell():
    return hmm.cells.fibre(0.3, mesh_size=0.2)


@pytest.fixture(scope="module", params=CONSTRAINTS)
def j2_rve(request, cell):
    return strain_rve(cell, {"matrix": J2, "fibre": FIBRE}, request.param)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_elastic(cell, constraint):
    rve = strain_rve(cell, {"matrix": J2.elastic, "fibre": FIBRE}, constraint)
    tangent = rve.solve(STRAIN).tangent
    assert rve.forms.is_linear
    assert relative_error(tangent, central_differences(rve, STRAIN, None, 1e-3)) < 1e-11  # no truncation error
    assert relative_error(tangent, tangent.T) < 1e-12


def plastic_fraction(rve, old, new):
    """Share of the matrix's quadrature points that yield in a step."""
    view = rve.histories["matrix"].view
    return float(np.mean(view(new.history, "p") > view(old.history, "p")))


@pytest.mark.parametrize(
    ("path", "yielding"),
    [
        pytest.param([0.3, 0.6], (0.2, 1.0), id="loading"),
        pytest.param([0.6, 0.55], (0.0, 0.0), id="unloading"),
        pytest.param([0.6, 0.3, 0.7], (0.2, 1.0), id="reloading"),
        pytest.param([0.6, -0.3], (0.2, 1.0), id="reversed"),
    ],
)
def test_plastic(j2_rve, path, yielding):
    """The last step of each path starts from the history of those before."""
    *before, last = [level * STRAIN for level in path]
    old = follow(j2_rve, before)[-1].state
    response = j2_rve.solve(last, old)
    low, high = yielding
    assert low <= plastic_fraction(j2_rve, old, response.state) <= high
    assert relative_error(response.tangent, central_differences(j2_rve, last, old, 1e-8)) < 1e-8


def test_unloading_is_elastic_and_loading_is_not(cell, j2_rve):
    elastic = strain_rve(cell, {"matrix": J2.elastic, "fibre": FIBRE}, j2_rve.system.loaded.reduced.constraint.name)
    stiffness = elastic.solve(STRAIN).tangent
    loading, unloading = follow(j2_rve, [0.6 * STRAIN, 0.55 * STRAIN])
    assert relative_error(unloading.tangent, stiffness) < 1e-12
    assert np.linalg.eigvalsh(stiffness - loading.tangent)[-1] > 0.1 * np.abs(stiffness).max()


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_neo_hookean(cell, constraint):
    rve, _ = neo_hookean_rve(cell, NEOHOOKE, constraint)
    state = follow(rve, [np.eye(2) + t * (np.array(F) - np.eye(2)) for t in (0.5, 1.0)])[-1].state
    tangent = rve.solve(F, state).tangent
    assert relative_error(tangent, central_differences(rve, F, state, 1e-5)) < 1e-8
    assert relative_error(tangent, tangent.T) < 1e-12  # the energy is a potential of P


@pytest.mark.parametrize("degree", [2])
def test_neo_hookean_second_order(degree):
    cell = hmm.cells.fibre(0.3, mesh_size=0.25, order=2)
    rve, _ = neo_hookean_rve(cell, NEOHOOKE, degree=degree, quadrature_degree=4)
    tangent = rve.solve(F).tangent
    assert relative_error(tangent, central_differences(rve, F, None, 1e-5)) < 1e-8


def test_parameters_reach_the_tangent(cell):
    """Twice every modulus is twice the tangent; another hardening modulus changes it by the amount differences see."""
    stiffer = strain_rve(cell, {"matrix": hmm.laws.Elastic(140e3, 0.3), "fibre": hmm.laws.Elastic(800e3, 0.2)})
    soft = strain_rve(cell, {"matrix": J2.elastic, "fibre": FIBRE})
    assert relative_error(stiffer.solve(STRAIN).tangent, 2 * soft.solve(STRAIN).tangent) < 1e-12
    harder = strain_rve(cell, {"matrix": hmm.laws.J2(70e3, 0.3, 100.0, 20e3), "fibre": FIBRE})
    reference = strain_rve(cell, {"matrix": J2, "fibre": FIBRE})
    tangent, other = harder.solve(0.6 * STRAIN).tangent, reference.solve(0.6 * STRAIN).tangent
    assert relative_error(tangent, other) > 0.02
    assert relative_error(tangent, central_differences(harder, 0.6 * STRAIN, None, 1e-8)) < 1e-8


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_constants_reach_a_linear_cell(cell, constraint):
    """A linear cell is factorized once, and again when a Constant or a coefficient of its energy has changed."""
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    stiff = fem.Constant(cell.mesh, 1.0)
    field = fem.Function(fem.functionspace(cell.mesh, ("DG", 0)))
    field.x.array[:] = 2.0
    eps = E.local(w)
    density = field * ufl.inner(eps, eps) / 2
    energy = density * cell.measure()(cell.phases["matrix"]) + stiff * density * cell.measure()(cell.phases["fibre"])
    rve = hmm.RVE(cell, w, E, energy=energy, constraint=constraint)
    assert rve.forms.is_linear
    uniform = rve.solve(STRAIN)
    assert relative_error(uniform.tangent, 2 * np.eye(3)) < 1e-12  # sigma = 2 eps everywhere
    stiff.value = 5.0
    reinforced = rve.solve(STRAIN)
    assert relative_error(reinforced.tangent @ rve.pack(STRAIN), reinforced.vector) < 1e-12
    assert relative_error(reinforced.tangent, central_differences(rve, STRAIN, None, 1e-3)) < 1e-11
    assert np.linalg.eigvalsh(reinforced.tangent)[0] > 2.6  # Reuss: 2 / (0.7 + 0.3 / 5) = 2.63
    field.x.array[:] = 4.0
    assert relative_error(rve.solve(STRAIN).tangent, 2 * reinforced.tangent) < 1e-12
    assert rve.n_factorizations == 3


def test_constants_reach_a_nonlinear_cell(cell):
    """`neo_hookean_rve` holds the moduli in Constants: twice all of them is twice the stress and the tangent."""
    parameters = {phase: tuple(fem.Constant(cell.mesh, v) for v in values) for phase, values in NEOHOOKE.items()}
    rve, _ = neo_hookean_rve(cell, parameters)
    once = rve.solve(F)
    for modulus in (m for pair in parameters.values() for m in pair):
        modulus.value *= 2
    twice = rve.solve(F)
    assert relative_error(twice.vector, 2 * once.vector) < 1e-12
    assert relative_error(twice.tangent, 2 * once.tangent) < 1e-12
