"""The average of the local work is the work of the averages, for each constraint."""

from dataclasses import replace

import numpy as np
import pytest
from support.cells_and_rves import CONSTRAINTS, conduction_rve, follow, neo_hookean_rve, strain_rve

import hmm
from hmm.checks import hill_mandel_defect

STRAIN = np.array([[3e-3, 1e-3], [1e-3, -1e-3]])
J2 = hmm.laws.J2(70e3, 0.3, yield_stress=100.0, hardening=1000.0)
FIBRE = hmm.laws.Elastic(400e3, 0.2)


@pytest.fixture(scope="module")
def cell():
    return hmm.cells.fibre(0.3, mesh_size=0.2)


@pytest.fixture(scope="module")
def porous():
    return hmm.cells.fibre(0.3, mesh_size=0.2, void=True)


def average_stress(rve):
    """In-plane part of <sigma> over |Y|, shape (2, 2)."""
    sigma = {phase: rve.local_response(phase) for phase in rve.law}
    return np.array([[sum(rve.average(s[i, j], p) for p, s in sigma.items()) for j in range(2)] for i in range(2)])


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("kind", ["elastic", "plastic", "void"])
def test_small_strain(cell, porous, kind, constraint):
    law = {"matrix": J2.elastic if kind == "elastic" else J2}
    rve = strain_rve(porous if kind == "void" else cell, law if kind == "void" else law | {"fibre": FIBRE}, constraint)
    response = follow(rve, [0.5 * STRAIN, STRAIN, 0.2 * STRAIN])[-1]
    assert hill_mandel_defect(rve, response) < 1e-10
    assert average_stress(rve) == pytest.approx(response.stress, rel=1e-11, abs=1e-9)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_average_strain(cell, constraint):
    """<eps> = E in a cell without voids."""
    rve = strain_rve(cell, {"matrix": J2.elastic, "fibre": FIBRE}, constraint)
    rve.solve(STRAIN)
    strain = rve.local()
    mean = [[rve.average(strain[i, j]) for j in range(2)] for i in range(2)]
    assert np.array(mean) == pytest.approx(STRAIN, rel=1e-11)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_finite_strain(cell, constraint):
    rve, _ = neo_hookean_rve(cell, {"matrix": (1.0, 2.0), "fibre": (10.0, 15.0)}, constraint)
    response = rve.solve([[1.2, 0.3], [-0.1, 0.9]])
    assert hill_mandel_defect(rve, response) < 1e-10


def test_conduction(cell):
    rve = conduction_rve(cell, {"matrix": 1.0, "fibre": 10.0})
    assert hill_mandel_defect(rve, rve.solve([1.0, 0.5])) < 1e-10


def test_the_defect_sees_a_cell_out_of_equilibrium(cell):
    """With fluctuations scaled by 1.1 the work is off by a share of the fluctuations' own, not by round-off."""
    rve = strain_rve(cell, {"matrix": J2.elastic, "fibre": FIBRE})
    response = rve.solve(STRAIN)
    rve.load(replace(response.state, z=1.1 * response.state.z), STRAIN)
    assert hill_mandel_defect(rve, response) > 1e-4
