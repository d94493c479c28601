"""Solution of the rows of `Points`: nested Newton iterations, or monolithic with a tangent predictor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import thread_time

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, Failure
from hmm.micro.protocols import Linearizable
from hmm.micro.recovery import (
    ELASTIC_START,
    NOT_FINITE,
    Attempt,
    CellSolution,
    StepStart,
    Substeps,
    failure_of,
    part_of_step,
    solve_step,
)
from hmm.models.points import InitialPoint, Points, TangentSource, Variable
from hmm.models.statistics import Counters

Floats = NDArray[np.float64]


def variables_of(problem: Linearizable) -> dict[str, Variable]:
    """The variables of a point of a cell problem.

    ``z`` are the unknowns, ``history`` the internal variables at the start of the step, ``scale`` the reference
    force of the residuals: the largest nodal forces of the accepted steps and of the last iterate. ``sensitivity`` is
    ``-(K^-1 L)^T`` of the last factorization, the tangent predictor.
    """
    m, n = problem.n_inputs, problem.n_unknowns
    return {
        "z": Variable((n,)),
        "scale": Variable(()),
        "history": Variable((problem.n_history,), "deferred"),
        "sensitivity": Variable((m, n), "guide"),
    }


def initial_point(problem: Linearizable, z: Floats, history: Floats) -> InitialPoint:
    """The undeformed state of a cell problem, linearized."""
    problem.load_history(history)
    problem.load(z, problem.reference)
    problem.residual()
    problem.linearize()
    condensed = problem.condense()
    problem.verify()
    values = {"z": z, "history": history, "sensitivity": condensed.sensitivity}
    return InitialPoint(values, problem.response(), condensed.tangent)


def answer_points(problem: Linearizable, points: Points) -> None:
    """Solve the requested rows one by one, up to the first failure (collective in the ranks of the cell)."""
    problem.time_step = points.dt
    algorithm = ALGORITHMS[points.algorithm]
    for p in points.asked.tolist():
        start = thread_time()
        failure = _agreed(problem, _guarded(algorithm, problem, points, p))
        points.seconds[p] = thread_time() - start
        if failure is not None:
            points.converged[p] = False
            points.failures[p] = failure.reason
            return


def commit(problem: Linearizable, points: Points) -> None:
    """Compute the internal variables at the end of the trial step, for all rows.

    Raises
    ------
    ConvergenceError
        If the update of a row fails.
    """
    history = np.empty_like(points.committed.variables["history"])
    for p in range(points.n if problem.n_history else 0):
        try:
            history[p] = _updated_history(problem, points, p)
        except Exception as error:
            failure = failure_of(problem, error)
            raise ConvergenceError(f"internal variables of point {p} could not be updated: {failure}") from None
    bad = np.flatnonzero(~np.isfinite(history).all(axis=1))
    if bad.size:
        raise ConvergenceError(f"point {bad[0]}: an updated internal variable is not a number")
    points.deferred["history"] = history


def monolithic(problem: Linearizable, points: Points, p: int) -> Failure | None:
    """One iteration of the monolithic Newton method for the macro field and all fluctuations, with condensation.

    The last sensitivity predicts the fluctuation, ``w += X dE``. If the residual is then below its tolerance, and the
    response agrees with the last tangent, no factorization is needed. Otherwise the result of one Newton step is
    condensed into the response, ``Sigma - M d / |Y|`` with ``d = K^-1 R_w``, and the fluctuation changes by ``-d`` for
    the next iterate. (In a homogeneous cell the residual is always zero, for any tangent.) A fluctuation that returns
    to zero keeps rounding errors, so the last input also enters the tolerance.

    After an exception or a non-finite result, a point restarts from its committed state and is solved as in `nested`,
    as is a point in substeps; other points continue.
    Source: Lange, Huetter, Kiefer, *Comput. Methods Appl. Mech. Engrg.* 382 (2021) 113886.

    Parameters
    ----------
    problem
        The cell problem.
    points
        Its points; row `p` is modified.
    p
        The row.

    Returns
    -------
    Failure or None
        The reason why the point has no answer.
    """
    if p not in points.notes:
        failure = _guarded(_joint_step, problem, points, p)
        if failure is None:
            return None
        points.restart(p)
    points.count.recoveries += 1
    return nested(problem, points, p)


def nested(problem: Linearizable, points: Points, p: int) -> Failure | None:
    """Solve the cell problem of a point until convergence, starting from the tangent predictor.

    Parameters and result are those of `monolithic`; for the recovery strategies see `hmm.micro.recovery`.
    """
    E, count = points.E[p], points.count
    factorized, substeps = problem.n_factorizations, points.notes.get(p)
    guess = points.trial.variables["z"][p] + (E - points.trial.E[p]) @ points.guides["sensitivity"][p]
    solution = solve_step(problem, step_start(points, p), E, guess, substeps.ends if substeps else ())
    count.factorizations += problem.n_factorizations - factorized
    count_attempts(count, solution.attempts, problem.n_inputs)
    if solution.solved is not None:
        unmoved = len(solution.attempts) == 1 and len(solution.attempts[0].norms) == 1
        keep_tangent = unmoved and points.tangent_source[p] == TangentSource.UNDEFORMED
        _accept(points, p, solution.solved, solution.substeps, keep_tangent)
    return solution.failure


def count_attempts(count: Counters, attempts: Sequence[Attempt], n_inputs: int) -> None:
    """Add the Newton solves of a step, for `n_inputs` macroscopic components, to counters; without factorizations."""
    for attempt in attempts:
        count.residuals += attempt.residuals
        count.right_hand_sides += max(len(attempt.norms) - 1, 0) + (0 if attempt.failure else n_inputs)
        count.line_searches += attempt.halvings
        count.substeps += attempt.end - attempt.start < 1.0
        count.elastic_starts += attempt.strategy == ELASTIC_START


Algorithm = Callable[[Linearizable, Points, int], Failure | None]

ALGORITHMS: dict[str, Algorithm] = {"monolithic": monolithic, "nested": nested}


def step_start(points: Points, p: int) -> StepStart:
    """The start of the step of a row: its committed state."""
    state = points.committed.variables
    elastic = points.start.values["sensitivity"]
    return StepStart(state["z"][p], points.committed.E[p], state["history"][p], float(state["scale"][p]), elastic)


def _joint_step(problem: Linearizable, points: Points, p: int) -> Failure | None:
    """The monolithic iteration; after a failure the trial state of the row is invalid."""
    trial, E = points.trial, points.E[p]
    z, response, tangent = trial.variables["z"][p], trial.response[p], points.tangent[p]
    dE = E - trial.E[p]
    z += dE @ points.guides["sensitivity"][p]
    trial.E[p] = E
    problem.load_history(points.committed.variables["history"][p])
    problem.load(z, E)
    residual = problem.residual()
    points.count.residuals += 1
    norm, scale = problem.norm(residual), problem.force_scale()
    change = tangent @ dE
    predicted = response + change
    response[:] = problem.response()
    if not np.isfinite(norm):
        return Failure(problem.why_not_a_number())
    trial.variables["scale"][p] = scale = max(points.committed.variables["scale"][p], scale)
    rtol, rounding = problem.newton_options.rtol, max(problem.roundoff(E), problem.roundoff(E - dE))
    points.converged[p] = norm <= max(rtol * scale, rounding)
    miss = _length(response - predicted)
    size = _length(response) + _length(change)
    is_current = points.tangent_source[p] != TangentSource.DROPPED
    if points.converged[p] and miss <= rtol * size and is_current:
        return None
    factorized = problem.n_factorizations
    problem.linearize()
    condensed = problem.condense(residual)
    points.count.factorizations += problem.n_factorizations - factorized
    points.count.right_hand_sides += problem.n_inputs + 1
    z -= condensed.correction
    response -= condensed.drop
    points.guides["sensitivity"][p], tangent[:] = condensed.sensitivity, condensed.tangent
    points.tangent_source[p] = TangentSource.ANSWER
    finite = all(np.isfinite(a).all() for a in (z, response, condensed.tangent, condensed.sensitivity))
    return None if finite else NOT_FINITE


def _length(x: Floats) -> float:
    """Euclidean norm of a few numbers; `np.linalg.norm` takes several times as long for them."""
    return math.sqrt(x @ x)


def _accept(points: Points, p: int, solved: CellSolution, substeps: Substeps | None, keep_tangent: bool) -> None:
    """Make a converged solution the trial state of a row."""
    trial = points.trial
    trial.variables["z"][p], trial.E[p], trial.response[p] = solved.z, points.E[p], solved.response
    if not keep_tangent:
        points.guides["sensitivity"][p], points.tangent[p] = solved.condensed.sensitivity, solved.condensed.tangent
        points.tangent_source[p] = TangentSource.ANSWER
    trial.variables["scale"][p] = max(points.committed.variables["scale"][p], solved.scale)
    points.converged[p] = True
    points.notes.pop(p, None)
    if substeps is not None:
        points.notes[p] = substeps


def _updated_history(problem: Linearizable, points: Points, p: int) -> Floats:
    substeps = points.notes.get(p)
    problem.load_history(points.committed.variables["history"][p] if substeps is None else substeps.history)
    problem.load(points.trial.variables["z"][p], points.trial.E[p])
    with part_of_step(problem, 1.0 if substeps is None else substeps.last):
        return problem.updated_history()


def _guarded(algorithm: Algorithm, problem: Linearizable, points: Points, p: int) -> Failure | None:
    """The result of an algorithm, with exceptions converted to failures, since other ranks may wait."""
    try:
        return algorithm(problem, points, p)
    except Exception as error:
        return failure_of(problem, error)


def _agreed(problem: Linearizable, failure: Failure | None) -> Failure | None:
    """The first failure on any rank of the cell, or None (collective in the ranks of the cell)."""
    if problem.comm.size == 1:
        return failure
    return next((f for f in problem.comm.allgather(failure) if f is not None), None)
