"""Statistics of one solve of a macro problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.models.statistics import Counters


@dataclass(frozen=True, eq=False)
class ErrorBar:
    """Estimated error of a reaction; numbers, or arrays of its components.

    Attributes
    ----------
    value
        The signed estimate: what is to be added to the reaction.
    bar
        Half the width of the error bar: reaction plus or minus this. The errors of points that cancel in `value` are
        added here.
    """

    value: float | NDArray[np.float64]
    bar: float | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepError:
    """Errors of an accepted step, as its micro models estimate them.

    Attributes
    ----------
    point
        The largest error of the first response at a point, in its unit (Frobenius norm).
    reactions
        For each Dirichlet condition of the problem, in their order, the error of `hmm.MacroProblem.reaction`.
    """

    point: float
    reactions: tuple[ErrorBar, ...]


@dataclass(frozen=True)
class StepStats:
    """Statistics of one macro solve.

    Attributes
    ----------
    iterations
        Macro Newton iterations.
    residuals
        Relative norm of the macro residual in each iteration.
    micro
        Micro operations, summed over ranks.
    algorithm
        The algorithm that found the solution.
    fallbacks
        Number of failed attempts (see `MacroProblem.attempts`).
    error
        The estimated errors, if a micro model estimates any.
    """

    iterations: int
    residuals: tuple[float, ...]
    micro: Counters
    algorithm: str
    fallbacks: int = 0
    error: StepError | None = None

    def trouble(self) -> str:
        """A summary of the recovery strategies in this step; empty if none was needed."""
        names = ("substeps", "elastic_starts", "recoveries", "rejections")
        counts = {"fallbacks": self.fallbacks, **{name: getattr(self.micro, name) for name in names}}
        return ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in counts.items() if n)
