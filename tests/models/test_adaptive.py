"""Adaptive models: representatives answer for similar points, within a tolerance in the unit of stress."""

from mpi4py import MPI

import numpy as np
import pytest
from support.function_models import j2_model
from support.macro_tools import beam, composite, held_square

import hmm

TARGETS = [-0.02, -0.04, -0.06]


def answered(model, points, E):
    points.ask(np.array(E), 0.0, "nested")
    points.converged[points.asked] = False
    hmm.models.asking.answer(model, points)
    assert not points.failures


def accepted(model, points, E):
    """The points after an accepted step to the inputs `E`."""
    answered(model, points, E)
    model.commit(points)
    points.accept()


@pytest.mark.parametrize("algorithm", ["monolithic", "nested"])
def test_one_solve_is_enough_for_points_that_are_alike(algorithm):
    """A homogeneous strain far beyond yield: one representative, and the result of the full model."""

    def sheared(x):
        return 0.01 * np.stack([x[1], x[0]])

    rve = composite()
    adaptive, own = held_square(hmm.Adaptive(rve, 1.0), sheared, algorithm)
    full, others = held_square(rve, sheared, algorithm)
    adaptive.solve()
    full.solve()
    assert own.observe("active").sum() == 1
    assert own.observe("estimated_error").max() == 0
    assert own.stress.x.array == pytest.approx(others.stress.x.array, rel=1e-9)
    assert 0 < own.count.factorizations * own.n_points <= others.count.factorizations


@pytest.mark.mpi
def test_beam_within_the_tolerance_and_newton_still_converges():
    """Bending far beyond yield (about 115 MPa) and a little back."""
    path = [*TARGETS, -0.058, -0.056]
    full, adaptive = beam(j2_model(), cells=(8, 2)), beam(hmm.Adaptive(j2_model(), 2.0), cells=(8, 2))
    expected, found = full.reactions(path), adaptive.reactions(path)
    assert found == pytest.approx(expected, rel=5e-3, abs=5e-3 * np.abs(expected).max())
    for own, other in zip(adaptive.problem.stats, full.problem.stats, strict=True):
        assert own.iterations <= other.iterations + 2
    assert adaptive.hom.observe("estimated_error").max() <= 2.0
    assert adaptive.problem.stats[-1].micro.followed > 0


@pytest.mark.mpi
def test_a_small_tolerance_leaves_only_a_small_error():
    full, adaptive = beam(j2_model()), beam(hmm.Adaptive(j2_model(), 1e-3))
    assert adaptive.reactions(TARGETS) == pytest.approx(full.reactions(TARGETS), rel=1e-5)


def test_a_point_that_is_solved_again_has_its_own_history():
    """A point follows for two steps; when it is solved again, it answers as its own path says."""
    model = hmm.Adaptive(j2_model(), 1e3)
    points = hmm.models.points_of(model, 9)
    steps = [np.outer(np.linspace(-1.0, 1.0, 9), [e, 0.0, 0.0]) for e in (4e-3, 8e-3)]
    for E in steps:
        accepted(model, points, E)
    row = int(np.flatnonzero(points.committed.variables["steps behind"] == 2)[0])
    last = steps[-1].copy()
    last[row, 1] = 2e-3
    model.tolerance = 1e-6
    accepted(model, points, last)
    assert points.committed.variables["steps behind"][row] == 0
    assert points.count.activations >= 1
    state = None
    for E in [steps[0][row], steps[1][row], last[row]]:
        answer = j2_model().solve(E, state)
        state = answer.state
    assert points.committed.response[row] == pytest.approx(answer.vector, rel=1e-12)


def test_a_full_memory_makes_a_point_be_solved():
    model = hmm.Adaptive(j2_model(), 1e3, memory=2)
    points = hmm.models.points_of(model, 6)
    directions = np.linspace(-1.0, 1.0, 6)
    for k in range(1, 8):
        accepted(model, points, np.outer(directions, [1e-3 * k, 0.0, 0.0]))
        assert points.committed.variables["steps behind"].max() <= 2
    assert points.count.activations > 0


@pytest.mark.mpi
def test_a_run_goes_on_from_a_checkpoint(tmp_path):
    """The steps after a restart are those of the uninterrupted run."""
    folder = MPI.COMM_WORLD.bcast(tmp_path)

    def run(path, last):
        body, reactions = beam(hmm.Adaptive(j2_model(), 2.0)), []
        for step in hmm.steps(body.problem, body.load, -0.06, 4, checkpoint=path):
            if step.number > last:
                break
            reactions.append(body.problem.reaction(body.drive))
        return reactions

    whole = run(folder / "whole.h5", 4)
    assert run(folder / "run.h5", 2) == pytest.approx(whole[:2], rel=1e-10)
    assert run(folder / "run.h5", 4) == pytest.approx(whole[2:], rel=1e-10)


@pytest.mark.mpi
def test_points_may_move_between_ranks():
    """Balance takes the rows of an adaptive model along; the reactions stay within the tolerance."""
    path = [*TARGETS, -0.07]
    moved = beam(hmm.Adaptive(j2_model(), 1.0), cells=(8, 2), ensemble="balanced").reactions(path)
    assert moved == pytest.approx(beam(j2_model(), cells=(8, 2)).reactions(path), rel=5e-3)


def test_it_composes_with_mixed_control():
    answer = hmm.plane_stress(hmm.Adaptive(j2_model(out_of_plane=True), 1.0)).solve({"11": 4e-3})
    expected = hmm.plane_stress(j2_model(out_of_plane=True)).solve({"11": 4e-3})
    assert answer.vector == pytest.approx(expected.vector, rel=1e-9)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan, np.inf, "small"])
def test_the_tolerance_must_be_positive(tolerance):
    with pytest.raises(hmm.InputError, match="tolerance"):
        hmm.Adaptive(j2_model(), tolerance)


def test_mistakes():
    with pytest.raises(hmm.InputError, match="model"):
        hmm.Adaptive("an RVE", 1.0)
    with pytest.raises(hmm.InputError, match="memory"):
        hmm.Adaptive(j2_model(), 1.0, memory=0)
    with pytest.raises(hmm.InputError, match="has a variable"):
        hmm.Adaptive(hmm.Adaptive(j2_model(), 1.0), 1.0)
