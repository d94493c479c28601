"""Recovery strategies for a point that does not converge: line search, substeps, elastic start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import Failure, HMMError
from hmm.micro.newton import newton
from hmm.micro.protocols import Linearizable
from hmm.micro.response import Condensed

LINE_SEARCH, SUBSTEPS, ELASTIC_START = "line search", "substeps", "elastic start"
"""The recovery strategies, in the order in which they are tried."""

NOT_FINITE = Failure("the micro response or its tangent is not a number")


@dataclass(frozen=True)
class StepStart:
    """The start of the step of a point: its committed state.

    Attributes
    ----------
    z
        Shape (n_unknowns,).
    E
        Shape (m,); packed macroscopic input.
    history
        Shape (n_history,).
    scale
        Reference force of the residuals from the path so far.
    elastic
        Shape (m, n_unknowns); sensitivity of the undeformed cell, for the elastic start.
    """

    z: NDArray[np.float64]
    E: NDArray[np.float64]
    history: NDArray[np.float64]
    scale: float
    elastic: NDArray[np.float64]


@dataclass(frozen=True)
class Substeps:
    """The substeps of a point in the present step, and the start of the last one.

    Attributes
    ----------
    ends
        Ends of the substeps as fractions of the step; the last is 1.
    history
        Shape (n_history,); internal variables at the start of the last substep.
    """

    ends: tuple[float, ...]
    history: NDArray[np.float64]

    @property
    def last(self) -> float:
        """The last substep as a fraction of the step."""
        return self.ends[-1] - (0.0, *self.ends)[-2]


@dataclass(frozen=True)
class Attempt:
    """One Newton solve of a step.

    Attributes
    ----------
    strategy
        ``"line search"``, ``"substeps"`` or ``"elastic start"``.
    start, end
        The part of the step, as fractions.
    norms
        Residual norm at each iterate, empty after an exception.
    residuals
        Number of residual evaluations, including those of the line search.
    failure
        The reason of a failure, or None.
    E, z, history
        Shapes (m,), (n_unknowns,) and (n_history,); the macroscopic input, the last iterate and the internal variables
        it started with.
    """

    strategy: str
    start: float
    end: float
    norms: tuple[float, ...]
    residuals: int
    failure: Failure | None
    E: NDArray[np.float64]
    z: NDArray[np.float64]
    history: NDArray[np.float64]

    @property
    def halvings(self) -> int:
        """Halvings of the line search."""
        return self.residuals - len(self.norms)


@dataclass(frozen=True)
class CellSolution:
    """The cell at the end of a successful solve.

    Attributes
    ----------
    z, response
        Shapes (n_unknowns,) and (m,).
    condensed
        The linearized cell.
    scale
        Nodal forces.
    history
        Shape (n_history,); updated internal variables at the end of a substep, or None at the end of the step.
    """

    z: NDArray[np.float64]
    response: NDArray[np.float64]
    condensed: Condensed
    scale: float
    history: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class StepSolution:
    """The result of a step: the solution at its end, or the reason why there is none.

    Attributes
    ----------
    solved
        The end of the step; None if the point has no solution.
    substeps
        The substeps; None if there were none, or if there are no internal variables, so that the path does not matter.
    attempts
        All Newton solves, in order.
    failure
        The reason why the point has no solution, or None.
    """

    solved: CellSolution | None
    substeps: Substeps | None
    attempts: tuple[Attempt, ...]
    failure: Failure | None = None


def solve_step(
    rve: Linearizable,
    start: StepStart,
    E: NDArray[np.float64],
    guess: NDArray[np.float64],
    division: tuple[float, ...] = (),
) -> StepSolution:
    """Solve a cell for a macroscopic input by the first strategy that succeeds.

    1. Newton's method with line search from `guess`.
    2. Substeps of the macroscopic increment from the start of the step. The first is half the step; a substep is halved
       when it fails, and doubled after two successes. The first guess uses the tangent of the previous substep. The
       internal variables of `start` are not changed.
    3. The same, beginning with the full step, with first guesses from the initial tangent. This helps after a load
       reversal, where the last tangent is a bad predictor.

    Parameters
    ----------
    rve
        The cell problem.
    start
        The committed state.
    E
        Shape (m,); packed macroscopic input at the end of the step.
    guess
        Shape (n_unknowns,); first guess of the first strategy. Not modified.
    division
        Ends of substeps that succeeded for a similar `E`. They replace the first strategy, so that the response remains
        a smooth function of the macroscopic input during the macro iterations.

    Returns
    -------
    StepSolution
        Never raises: an exception is the failure of an attempt. `StepSolution.failure` gives the reason of the first
        failure and the smallest substep.

    Notes
    -----
    Laws are integrated implicitly over each substep, so that the response is that of smaller load steps, not of one
    step. The tangent is that of the last substep, with its initial internal variables kept constant. This reduces the
    convergence rate of the macro iteration but does not change its solution.
    """
    path = _Path(rve, start, E)
    if division:
        solved = path.divided(SUBSTEPS, 0.5, division)
    else:
        solved = path.attempt(LINE_SEARCH, 0.0, 1.0, replace(start, z=guess))
    if solved is None and rve.newton_options.max_cuts:
        solved = path.divided(SUBSTEPS, 0.5) or path.divided(ELASTIC_START, 1.0)
    return StepSolution(solved, path.substeps, tuple(path.attempts), None if solved else path.failure())


@contextmanager
def part_of_step(rve: Linearizable, fraction: float) -> Iterator[None]:
    """Scale the time step of rate-dependent laws within the block."""
    duration = rve.time_step
    rve.time_step = duration * fraction
    try:
        yield
    finally:
        rve.time_step = duration


def failure_of(rve: Linearizable, error: Exception) -> Failure:
    """Reset a cell after an exception, and return the exception as a failure in one line.

    The message contains the type of the exception unless it is an error of ``hmm``.
    """
    with suppress(Exception):
        rve.forget()
    lines = [line for line in str(error).splitlines() if "() at " not in line] or ["no message"]  # PETSc's call stack
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[-1]}.{kind.__name__}"
    return Failure(lines[-1] if isinstance(error, HMMError) else f"{name}: {lines[-1]}")


class _Path:
    """The step of one point from its committed state to `E`, with all attempts."""

    def __init__(self, rve: Linearizable, start: StepStart, E: NDArray[np.float64]) -> None:
        self.rve, self.start, self.E = rve, start, E
        self.attempts: list[Attempt] = []
        self.substeps: Substeps | None = None

    def at(self, fraction: float) -> NDArray[np.float64]:
        """The macroscopic input at a fraction of the step."""
        return self.E if fraction == 1.0 else self.start.E + fraction * (self.E - self.start.E)

    def attempt(self, strategy: str, a: float, b: float, here: StepStart) -> CellSolution | None:
        """Newton's method for the part of the step from `a` to `b`; `here` has the history and the first guess."""
        rve, E, z = self.rve, self.at(b), here.z.copy()
        norms: tuple[float, ...] = ()
        residuals, solved = 0, None
        try:
            with part_of_step(rve, b - a):
                rve.load_history(here.history)
                result = newton(rve, z, E, rve.newton_options, here.scale)
                norms, residuals, failure = result.norms, result.residuals, result.failure
                if failure is None:
                    solved = _solved(rve, z, b < 1.0)
        except Exception as error:
            failure = failure_of(rve, error)
        if solved is not None and not _is_finite(solved):
            solved, failure = None, NOT_FINITE
        self.attempts.append(Attempt(strategy, a, b, norms, residuals, failure, E, z, here.history))
        return solved

    def divided(self, strategy: str, size: float, division: tuple[float, ...] = ()) -> CellSolution | None:
        """The full step in substeps, the first of the given `size`; or those of `division` as long as they succeed."""
        here, sensitivity = self.start, self._sensitivity(strategy)
        ends: list[float] = []
        in_a_row = 0
        while True:
            a = ends[-1] if ends else 0.0
            b = division[len(ends)] if division else min(a + size, 1.0)
            guess = here.z + (self.at(b) - here.E) @ sensitivity
            solved = self.attempt(strategy, a, b, replace(here, z=guess))
            if solved is None:
                size, in_a_row, division = (b - a) / 2, 0, ()
                if size < 0.5**self.rve.newton_options.max_cuts:
                    return None
            elif solved.history is None:
                self.substeps = Substeps((*ends, b), here.history) if ends and self.rve.n_history else None
                return solved
            else:
                here = replace(here, z=solved.z, E=self.at(b), history=solved.history)
                sensitivity = sensitivity if strategy == ELASTIC_START else solved.condensed.sensitivity
                ends.append(b)
                in_a_row = (in_a_row + 1) % 2
                size = size if in_a_row else 2 * size

    def failure(self) -> Failure | None:
        """The reason of the first failure, the smallest substep, and a possible loss of stability."""
        first, others = self.attempts[0].failure, self.attempts[1:]
        if not others:
            return Failure(f"{first}{self._explanation()}")
        smallest = min(a.end - a.start for a in others)
        tried = f"{first}; substeps down to {smallest:.3g} of the step failed too, with an elastic first guess also"
        return Failure(tried + self._explanation())

    def _explanation(self) -> str:
        """A possible cause of the last failure, at its last iterate."""
        last = self.attempts[-1]
        try:
            self.rve.load_history(last.history)
            self.rve.load(last.z, last.E)
            return self.rve.why_unstable()
        except Exception as error:
            failure_of(self.rve, error)
            return ""

    def _sensitivity(self, strategy: str) -> NDArray[np.float64]:
        """Sensitivity for the first guess of the first substep, of the committed state or of the undeformed cell."""
        rve, start = self.rve, self.start
        if strategy == ELASTIC_START:
            return start.elastic
        try:
            rve.load_history(start.history)
            rve.load(start.z, start.E)
            rve.linearize()
            sensitivity = rve.condense().sensitivity
        except Exception as error:
            failure_of(rve, error)
            return start.elastic
        return sensitivity if np.isfinite(sensitivity).all() else start.elastic


def _solved(rve: Linearizable, z: NDArray[np.float64], goes_on: bool) -> CellSolution:
    """The linearized solution of Newton's method, with updated history if the step continues."""
    response, scale = rve.response(), rve.force_scale()
    rve.linearize()
    condensed = rve.condense()
    return CellSolution(z, response, condensed, scale, rve.updated_history() if goes_on else None)


def _is_finite(solved: CellSolution) -> bool:
    condensed, history = solved.condensed, solved.history
    arrays = [solved.z, solved.response, condensed.tangent, condensed.sensitivity]
    return all(np.isfinite(a).all() for a in arrays) and (history is None or bool(np.isfinite(history).all()))
