"""Trial and committed points of many rows of one RVE: nothing leaks between steps or between points."""

import numpy as np
import pytest
from support.asking import accept, ask, converge
from support.macro_tools import composite

from hmm.micro.algorithms import ALGORITHMS
from hmm.models import points_of
from hmm.models.points import TangentSource

PATH_A = [np.array([2e-3, 0.0, 0.0]), np.array([4e-3, 0.0, 1e-3]), np.array([1e-3, 0.0, 0.0])]
PATH_B = [np.array([0.0, -1e-3, 2e-3]), np.array([0.0, -1e-4, 0.0]), np.array([0.0, 2e-3, 0.0])]


@pytest.fixture(scope="module")
def rve():
    return composite()


def reference(rve, path):
    """Responses of one cell along a path, by `RVE.solve`, and its history at the end."""
    state, responses = None, []
    for E in path:
        answer = rve.solve(E, state)
        state = answer.state
        responses.append(answer.vector)
    return responses, state.history


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_points_are_independent(rve, algorithm):
    """Two points on different paths, a third one idle, each as if it were alone."""
    points = points_of(rve, 3)
    undeformed = points.committed.variables["history"][1].copy()
    for step in range(3):
        for p, path in ((0, PATH_A), (2, PATH_B)):
            converge(rve, points, p, path[step], algorithm)
        accept(rve, points)
    for p, path in ((0, PATH_A), (2, PATH_B)):
        responses, history = reference(rve, path)
        assert np.allclose(points.trial.response[p], responses[-1], rtol=1e-9, atol=1e-7)
        assert np.allclose(points.committed.variables["history"][p], history, rtol=0, atol=1e-11)
        assert np.abs(history).max() > 1e-4, "the path must be plastic"
    assert np.array_equal(points.committed.variables["history"][1], undeformed)
    assert not points.trial.variables["z"][1].any() and not points.trial.response[1].any()


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_history_changes_at_commit_only(rve, algorithm):
    points = points_of(rve, 1)
    converge(rve, points, 0, PATH_A[0], algorithm)
    assert not points.committed.variables["history"].any()
    converge(rve, points, 0, PATH_A[1], algorithm)  # an iterate of the same step, not a further step
    converge(rve, points, 0, PATH_A[0], algorithm)
    accept(rve, points)
    _, history = reference(rve, PATH_A[:1])
    assert np.allclose(points.committed.variables["history"][0], history, rtol=0, atol=1e-11)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_revert_restores_the_committed_state(rve, algorithm):
    points = points_of(rve, 2)
    for p, path in enumerate((PATH_A, PATH_B)):
        converge(rve, points, p, path[0], algorithm)
    accept(rve, points)
    before = {name: values.copy() for name, values in committed_and_trial(points).items()}
    converge(rve, points, 0, PATH_A[1], algorithm)
    ask(rve, points, {1: PATH_B[1]}, algorithm)  # left in the middle of an iteration
    points.revert()
    for name, values in committed_and_trial(points).items():
        assert np.array_equal(values, before[name]), name
    assert not points.converged.any() and not points.guides["sensitivity"].any()
    assert (points.tangent_source == TangentSource.DROPPED).all()
    answer = converge(rve, points, 0, PATH_A[1], algorithm)
    assert np.allclose(answer, reference(rve, PATH_A[:2])[0][-1], rtol=1e-9, atol=1e-7)


def committed_and_trial(points):
    arrays = {}
    for when, snapshot in (("committed", points.committed), ("trial", points.trial)):
        own = {"E": snapshot.E, "response": snapshot.response, **snapshot.variables}
        arrays |= {f"{when} {name}": values for name, values in own.items()}
    return arrays


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_revert_survives_a_poisoned_point(rve, algorithm):
    """A failed step may leave anything in the trial rows, even NaN in the tangent predictor."""
    points = points_of(rve, 1)
    converge(rve, points, 0, PATH_A[0], algorithm)
    accept(rve, points)
    trial = points.trial
    for values in (trial.E, trial.response, *trial.variables.values(), *points.guides.values(), points.tangent):
        values[:] = np.nan
    points.revert()
    converge(rve, points, 0, PATH_A[0], algorithm)  # as a macro solve does, first of all at the accepted field
    answer = converge(rve, points, 0, PATH_A[1], algorithm)
    assert np.allclose(answer, reference(rve, PATH_A[:2])[0][-1], rtol=1e-9, atol=1e-7)
    assert np.isfinite(points.tangent).all()


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_condensed_tangent_is_the_one_of_the_cell(rve, algorithm):
    points = points_of(rve, 1)
    converge(rve, points, 0, PATH_A[0], algorithm)
    accept(rve, points)
    converge(rve, points, 0, PATH_A[1], algorithm)
    solved = rve.solve(PATH_A[0])
    tangent = rve.solve(PATH_A[1], solved.state).tangent
    tolerance = 1e-9 if algorithm == "nested" else 1e-3  # monolithic keeps the tangent of the last factorization
    assert np.allclose(points.tangent[0], tangent, rtol=0, atol=tolerance * np.abs(tangent).max())


def test_nothing_is_done_twice(rve):
    """A converged point asked again for the same input answers without work; a commit makes it look again."""
    points = points_of(rve, 1)
    converge(rve, points, 0, PATH_A[0])
    before = points.count.copy()
    ask(rve, points, {0: PATH_A[0]}, "monolithic")
    count = points.count - before
    assert (count.solves, count.skipped, count.residuals) == (1, 1, 0)
    accept(rve, points)
    ask(rve, points, {0: PATH_A[0]}, "monolithic")
    count = points.count - before
    assert (count.skipped, count.residuals) == (1, 1)


def test_rows_that_are_moved_keep_all_they_remember(rve):
    """Rows leave, others arrive, and all are sorted: the next answers are those of points that stayed."""
    points, other = points_of(rve, 2), points_of(rve, 1)
    for p, path in enumerate((PATH_A, PATH_B)):
        converge(rve, points, p, path[0])
    converge(rve, other, 0, PATH_B[2])
    for each in (points, other):
        accept(rve, each)
    arriving = iter([*other.persistent().values(), other.keys])
    points.exchange(np.array([0]), lambda _: next(arriving), np.array([1, 0]))  # row 1 stays, and comes last
    assert np.array_equal(points.committed.E, [PATH_B[2], PATH_B[0]])
    for p, path in enumerate((PATH_B[2:], PATH_B[:1])):
        assert np.allclose(points.committed.variables["history"][p], reference(rve, path)[1], rtol=0, atol=1e-11)
    answer = converge(rve, points, 1, PATH_B[1])
    assert np.allclose(answer, reference(rve, PATH_B[:2])[0][-1], rtol=1e-9, atol=1e-7)


def test_a_restored_row_is_the_saved_one(rve):
    points = points_of(rve, 1)
    converge(rve, points, 0, PATH_A[0])
    accept(rve, points)
    saved = points.values_at(0)
    again = points_of(rve, 3)
    again.restore({name: values[None] for name, values in saved.items()}, np.array([2]))
    assert not again.committed.variables["history"][:2].any()
    answers = [converge(rve, points, 0, PATH_A[1]), converge(rve, again, 2, PATH_A[1])]
    assert np.array_equal(*answers)


def test_an_input_that_is_not_a_number_is_not_asked(rve):
    points = points_of(rve, 2)
    points.ask(np.array([[np.nan, 0.0, 0.0], PATH_A[0]]), 0.0, "nested")
    assert points.failures == {0: "the macro input is not a number"}
    assert points.asked.tolist() == [1]
