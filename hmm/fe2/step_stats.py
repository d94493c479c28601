"""Statistics of one solve of a macro problem."""

from __future__ import annotations

from dataclasses import dataclass

from hmm.models.statistics import Counters


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
    """

    iterations: int
    residuals: tuple[float, ...]
    micro: Counters
    algorithm: str
    fallbacks: int = 0

    def trouble(self) -> str:
        """A summary of the recovery strategies in this step; empty if none was needed."""
        names = ("substeps", "elastic_starts", "recoveries", "rejections")
        counts = {"fallbacks": self.fallbacks, **{name: getattr(self.micro, name) for name in names}}
        return ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in counts.items() if n)
