"""Local unknowns in whole cells: the same answers as a closed form, on any number of ranks, in both FE2 algorithms."""

from mpi4py import MPI

import numpy as np
import pytest
from support import references
from support.cells_and_rves import follow, relative_error, strain_rve
from support.macro_tools import ALGORITHMS, held_square, rve_of

import hmm
from hmm.foundation import forms
from hmm.laws import J2, Elastic, Voce

SOLVED = J2(70e3, 0.33, 100.0, Voce(0.0, 1.0, slope=1000.0))
"""Linear hardening that takes the way of local unknowns."""

FIBRE = Elastic(400e3, 0.2)


@pytest.mark.mpi
def test_they_give_what_the_closed_form_gives():
    """Table `laminate_j2` in one step a level; strain along the layer normal is radial, so that this is exact."""
    cell = hmm.cells.laminate({"A": 0.6, "B": 0.4}, mesh_size=1.0)
    rve = strain_rve(cell, {"A": SOLVED, "B": FIBRE})
    responses = follow(rve, [level * np.diag([1.0, 0.0]) for level in references.LAMINATE_J2_LEVELS])
    found = np.array([(r.stress[0, 0], r.stress[1, 1]) for r in responses])
    assert relative_error(found, np.array(references.LAMINATE_J2["e11"])[:, :2]) < 1e-7
    assert rve.system.is_symmetric


def test_their_equations_are_compiled_once():
    def answer():
        strain_rve(hmm.cells.laminate({"A": 1.0}, mesh_size=1.0), {"A": SOLVED}).solve({"11": 1e-3})
        return forms.compilations()

    assert answer() == answer()


@pytest.mark.mpi
def test_a_cell_spread_over_ranks_answers_alike():
    path = [t * np.array([[3e-3, 1e-3], [1e-3, -1e-3]]) for t in (0.3, 1.0, 0.5)]
    answers = []
    for comm in (MPI.COMM_SELF, MPI.COMM_WORLD):
        cell = hmm.cells.fibre(0.3, mesh_size=0.2, comm=comm)
        answers.append(follow(strain_rve(cell, {"matrix": SOLVED, "fibre": FIBRE}), path))
    for alone, together in zip(*answers, strict=True):
        assert relative_error(together.vector, alone.vector) < 1e-9
        assert relative_error(together.tangent, alone.tangent) < 1e-8


@pytest.mark.mpi
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fe2(algorithm):
    """A square in uniform strain, into plasticity: each point answers as its cell does."""
    law = {"matrix": J2(70e3, 0.33, 100.0, Voce(50.0, 100.0)), "fibre": FIBRE}
    cell = hmm.cells.fibre(0.3, mesh_size=0.3)
    problem, hom = held_square(rve_of(cell, law), lambda x: np.stack([5e-3 * x[1], 5e-3 * x[0]]), algorithm)
    problem.solve()
    expected = strain_rve(cell, law).solve(np.array([[0.0, 5e-3], [5e-3, 0.0]])).stress
    sigma = hom.stress.x.array.reshape(-1, 2, 2)[: hom.n_points]
    assert np.allclose(sigma, expected, rtol=1e-7, atol=1e-5)
