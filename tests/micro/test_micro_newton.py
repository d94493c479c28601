"""Newton's method on the cell converges quadratically: the assembled tangent is that of the assembled residual."""

import numpy as np
import pytest
from support.cells_and_rves import CONSTRAINTS, neo_hookean_rve, strain_rve
from support.newton_norms import assert_quadratic, solve

import hmm

STRAIN = np.array([[3e-3, 1e-3], [1e-3, -1e-3]])
J2 = hmm.laws.J2(70e3, 0.3, yield_stress=100.0, hardening=1000.0)
FIBRE = hmm.laws.Elastic(400e3, 0.2)


@pytest.fixture(scope="module")
def cell():
    return hmm.cells.fibre(0.3, mesh_size=0.15)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_plastic(cell, constraint):
    rve = strain_rve(cell, {"matrix": J2, "fibre": FIBRE}, constraint)
    assert_quadratic(solve(rve, STRAIN), 20)


@pytest.mark.parametrize("strain", [0.5, 3.0])
def test_porous_plastic_in_one_step(strain):
    """A full first Newton step overshoots and would cycle for ever: it takes halvings."""
    rve = strain_rve(hmm.cells.fibre(0.3, mesh_size=0.2, void=True), {"matrix": J2})
    assert len(solve(rve, strain * STRAIN)) <= 12


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_neo_hookean(cell, constraint):
    rve, _ = neo_hookean_rve(cell, {"matrix": (1.0, 2.0), "fibre": (10.0, 15.0)}, constraint)
    assert_quadratic(solve(rve, [[1.2, 0.3], [-0.1, 0.9]]), 20)


def test_a_linear_cell_takes_one_iteration(cell):
    rve = strain_rve(cell, {"matrix": hmm.laws.Elastic(70e3, 0.3), "fibre": hmm.laws.Elastic(400e3, 0.2)})
    assert len(solve(rve, STRAIN)) == 2
    rve.solve(2 * STRAIN)
    assert rve.n_factorizations == 1


def test_what_cannot_converge_says_so(cell):
    rve, _ = neo_hookean_rve(cell, {"matrix": (1.0, 2.0), "fibre": (10.0, 15.0)})
    with pytest.raises(hmm.ConvergenceError, match=r"for E = \[\[-0\.5, 0\.0\], .* not a number; use smaller steps"):
        rve.solve([[-0.5, 0.0], [0.0, 1.0]])  # turned inside out: ln J of a negative number
    assert np.all(np.isfinite(rve.solve([[1.1, 0.0], [0.0, 1.0]]).vector))  # and the RVE is still usable
