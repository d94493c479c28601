"""Trial and committed states of many points: nothing leaks between steps or between points."""

import numpy as np
import pytest
from support.macro_tools import composite

from hmm.micro.algorithms import ALGORITHMS, Counters
from hmm.micro.point_states import MicroState

PATH_A = [np.array([2e-3, 0.0, 0.0]), np.array([4e-3, 0.0, 1e-3]), np.array([1e-3, 0.0, 0.0])]
PATH_B = [np.array([0.0, -1e-3, 2e-3]), np.array([0.0, -1e-4, 0.0]), np.array([0.0, 2e-3, 0.0])]


@pytest.fixture(scope="module")
def rve():
    return composite()


def converge(rve, states, p, E, algorithm="nested"):
    """Answer until the micro residual is below its tolerance."""
    for _ in range(30):
        assert ALGORITHMS[algorithm](rve, states, p, E, Counters()) == ""
        if states.converged[p] and np.array_equal(states.trial.E[p], E):
            return states.trial.response[p].copy()
    raise AssertionError("did not settle")


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
    states = MicroState(rve, 3)
    virgin = states.committed.variables["history"][1].copy()
    for step in range(3):
        for p, path in ((0, PATH_A), (2, PATH_B)):
            converge(rve, states, p, path[step], algorithm)
        states.commit(rve)
    for p, path in ((0, PATH_A), (2, PATH_B)):
        responses, history = reference(rve, path)
        assert np.allclose(states.trial.response[p], responses[-1], rtol=1e-9, atol=1e-7)
        assert np.allclose(states.committed.variables["history"][p], history, rtol=0, atol=1e-11)
        assert np.abs(history).max() > 1e-4, "the path must be plastic"
    assert np.array_equal(states.committed.variables["history"][1], virgin)
    assert not states.trial.variables["z"][1].any() and not states.trial.response[1].any()


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_history_changes_at_commit_only(rve, algorithm):
    states = MicroState(rve, 1)
    converge(rve, states, 0, PATH_A[0], algorithm)
    assert not states.committed.variables["history"].any()
    converge(rve, states, 0, PATH_A[1], algorithm)  # an iterate of the same step, not a further step
    converge(rve, states, 0, PATH_A[0], algorithm)
    states.commit(rve)
    _, history = reference(rve, PATH_A[:1])
    assert np.allclose(states.committed.variables["history"][0], history, rtol=0, atol=1e-11)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_revert_restores_the_committed_state(rve, algorithm):
    states = MicroState(rve, 2)
    for p, path in enumerate((PATH_A, PATH_B)):
        converge(rve, states, p, path[0], algorithm)
    states.commit(rve)
    names = ("z", "E", "history", "response", "scale")
    before = {name: getattr(states, name).copy() for name in names}
    converge(rve, states, 0, PATH_A[1], algorithm)
    ALGORITHMS[algorithm](rve, states, 1, PATH_B[1], Counters())  # left in the middle of an iteration
    states.revert()
    for name in names:
        assert np.array_equal(getattr(states, name), before[name]), name
    assert not states.converged.any()
    answer = converge(rve, states, 0, PATH_A[1], algorithm)
    assert np.allclose(answer, reference(rve, PATH_A[:2])[0][-1], rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_revert_survives_a_poisoned_point(rve, algorithm):
    """A failed step may leave anything in the trial rows, even NaN in the tangent predictor."""
    states = MicroState(rve, 1)
    converge(rve, states, 0, PATH_A[0], algorithm)
    states.commit(rve)
    for name in ("z", "E", "sensitivity", "tangent", "response", "scale"):
        getattr(states, name)[:] = np.nan
    states.revert()
    converge(rve, states, 0, PATH_A[0], algorithm)  # as a macro solve does, first of all at the accepted field
    answer = converge(rve, states, 0, PATH_A[1], algorithm)
    assert np.allclose(answer, reference(rve, PATH_A[:2])[0][-1], rtol=1e-9, atol=1e-7)
    assert np.isfinite(states.tangent).all()


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_condensed_tangent_is_the_one_of_the_cell(rve, algorithm):
    states = MicroState(rve, 1)
    converge(rve, states, 0, PATH_A[0], algorithm)
    states.commit(rve)
    converge(rve, states, 0, PATH_A[1], algorithm)
    solved = rve.solve(PATH_A[0])
    tangent = rve.solve(PATH_A[1], solved.state).tangent
    tolerance = 1e-9 if algorithm == "nested" else 1e-3  # monolithic keeps the tangent of the last factorization
    assert np.allclose(states.tangent[0], tangent, rtol=0, atol=tolerance * np.abs(tangent).max())


def test_nothing_is_done_twice(rve):
    """A settled point asked again for the same input answers without work; a commit makes it look again."""
    states, count = MicroState(rve, 1), Counters()
    converge(rve, states, 0, PATH_A[0])
    ALGORITHMS["monolithic"](rve, states, 0, PATH_A[0], count)
    assert (count.solves, count.skipped, count.residuals) == (1, 1, 0)
    states.commit(rve)
    ALGORITHMS["monolithic"](rve, states, 0, PATH_A[0], count)
    assert (count.skipped, count.residuals) == (1, 1)
