"""What one solve of a macro problem took."""

from __future__ import annotations

from dataclasses import dataclass

from hmm.models.statistics import Counters


@dataclass(frozen=True)
class StepStats:
    """What one macro solve took.

    Attributes
    ----------
    iterations
        Macro Newton iterations.
    residuals
        Norm of the macro residual at each of them, relative to the reactions.
    micro
        Micro operations, summed over ranks.
    algorithm
        The algorithm that found the solution.
    fallbacks
        Attempts that failed before (see `MacroProblem.attempts`).
    """

    iterations: int
    residuals: tuple[float, ...]
    micro: Counters
    algorithm: str
    fallbacks: int = 0

    def trouble(self) -> str:
        """What the recovery strategies did in this step, in words; empty if it was not needed."""
        names = ("substeps", "elastic_starts", "recoveries", "rejections")
        counts = {"fallbacks": self.fallbacks, **{name: getattr(self.micro, name) for name in names}}
        return ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in counts.items() if n)
