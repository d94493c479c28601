"""How one point is solved when it is hard: line search, substeps, elastic first guess."""

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
    """Where the step of a point starts: its committed state.

    Attributes
    ----------
    z
        Shape (n_unknowns,).
    E
        Shape (m,); packed macroscopic input.
    history
        Shape (n_history,).
    scale
        Nodal forces met on the path so far, to which residuals are compared.
    elastic
        Shape (m, n_unknowns); sensitivity of the undeformed cell, for the elastic first guess.
    """

    z: NDArray[np.float64]
    E: NDArray[np.float64]
    history: NDArray[np.float64]
    scale: float
    elastic: NDArray[np.float64]


@dataclass(frozen=True)
class Substeps:
    """How a point was divided in the present step, and what its last substep starts from.

    Attributes
    ----------
    ends
        Where the substeps end, as fractions of the step; the last is 1.
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
        Evaluations of the residual; those beyond the iterates are halvings of the line search.
    failure
        Why it failed, or None.
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
    """The cell at the end of a solve that succeeded.

    Attributes
    ----------
    z, response
        Shapes (n_unknowns,) and (m,).
    condensed
        The linearized cell.
    scale
        Nodal forces.
    history
        Shape (n_history,); updated internal variables, of a substep that others follow. At the end of the step None.
    """

    z: NDArray[np.float64]
    response: NDArray[np.float64]
    condensed: Condensed
    scale: float
    history: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class StepSolution:
    """What came of a step: the solution at its end, or why there is none.

    Attributes
    ----------
    solved
        The end of the step; None if the point has no solution.
    substeps
        How the step was divided; None if it was not, or if there is no history to remember: then any way there will do.
    attempts
        All Newton solves, in order.
    failure
        Why the point has no solution, or None.
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
    2. Substeps of the macroscopic increment, from the start of the step: the half of it, halved again when it fails and
       doubled after two successes, each from the tangent of the one before. The internal variables in between belong to
       this answer only; those of `start` are not changed.
    3. The same, from the whole step on, each first guess by the stiffness of the undeformed cell. It helps where the
       last tangent is a bad guide, as after a reversal of the load.

    Parameters
    ----------
    rve
        The microproblem.
    start
        The committed state.
    E
        Shape (m,); packed macroscopic input at the end of the step.
    guess
        Shape (n_unknowns,); first guess of the first strategy. Not modified.
    division
        Ends of substeps that served for a near-by `E`: tried first, in place of the first strategy, so that the
        response stays a smooth function of the macroscopic input while the macro problem iterates.

    Returns
    -------
    StepSolution
        Never raises: an exception fails an attempt, and `StepSolution.failure` names the first and the last.

    Notes
    -----
    Each substep is a step of the laws' implicit integration, so that the answer of a divided step is the one of smaller
    load steps, not the one of the whole step. The tangent of a divided step is the one of its last substep, taken with
    the internal variables of its start held: that costs the macro iteration its quadratic rate, never its solution.
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
    """Scale the time step of rate-dependent laws for the time of the block."""
    whole = rve.time_step
    rve.time_step = whole * fraction
    try:
        yield
    finally:
        rve.time_step = whole


def failure_of(rve: Linearizable, error: Exception) -> Failure:
    """Make a cell usable again after an exception, which is returned as a failure in one line.

    Its type is named unless it was raised on purpose by ``hmm``.
    """
    with suppress(Exception):
        rve.forget()
    lines = [line for line in str(error).splitlines() if "() at " not in line] or ["no message"]  # PETSc's call stack
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[-1]}.{kind.__name__}"
    return Failure(lines[-1] if isinstance(error, HMMError) else f"{name}: {lines[-1]}")


class _Path:
    """The step of one point, from its committed state to `E`, and all that is tried on it."""

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
        """The whole step in substeps, the first of the given `size`, or as the `division` says while it holds."""
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
        """What the first attempt met, how far the others went, and whether the cell has lost its stability."""
        first, others = self.attempts[0].failure, self.attempts[1:]
        if not others:
            return Failure(f"{first}{self._explanation()}")
        smallest = min(a.end - a.start for a in others)
        tried = f"{first}; substeps down to {smallest:.3g} of the step failed too, with an elastic first guess also"
        return Failure(tried + self._explanation())

    def _explanation(self) -> str:
        """What the last attempt may have failed of, at its last iterate."""
        last = self.attempts[-1]
        try:
            self.rve.load_history(last.history)
            self.rve.load(last.z, last.E)
            return self.rve.why_unstable()
        except Exception as error:
            failure_of(self.rve, error)
            return ""

    def _sensitivity(self, strategy: str) -> NDArray[np.float64]:
        """Sensitivity for the first guess of the first substep: the committed state's, or the undeformed cell's."""
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
    """The cell as Newton's method has left it, linearized, with its updated history if the step goes on."""
    response, scale = rve.response(), rve.force_scale()
    rve.linearize()
    condensed = rve.condense()
    return CellSolution(z, response, condensed, scale, rve.updated_history() if goes_on else None)


def _is_finite(solved: CellSolution) -> bool:
    condensed, history = solved.condensed, solved.history
    arrays = [solved.z, solved.response, condensed.tangent, condensed.sensitivity]
    return all(np.isfinite(a).all() for a in arrays) and (history is None or bool(np.isfinite(history).all()))
