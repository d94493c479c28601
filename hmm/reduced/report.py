"""What a reduced model can do, as training measured it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hmm.foundation.html import html_table

WORST = 3.0
"""A tolerance is met when the median error is at most the tolerance, and the worst one this many times as large."""

TRAINING_SET, MODES, CUBATURE = "the training set", "the modes", "the cubature"
"""What may limit a model."""


@dataclass(frozen=True)
class TrainingReport:
    """What training made and measured.

    Attributes
    ----------
    modes, points
        Modes of the fluctuation, and cubature points.
    unknowns, quadrature_points
        Those of the RVE.
    paths, offered
        Training paths that were solved, and those that were given.
    blind
        Blind paths on which errors were measured.
    training
        Largest error of the response on the training paths.
    median, worst
        Error of the response on the blind paths: of each path the largest deviation of a step, relative to the path's
        largest response; NaN without blind paths.
    speed_up
        CPU time of a step of the RVE over that of a step of the reduced model in a batch, on the blind paths.
    bytes, full_bytes
        Memory of an integration point, and of one with the RVE.
    ranges
        Name, smallest and largest value of each packed input on the training paths.
    tolerance
        The tolerance asked for, or 0.
    limit
        What limits a model that does not meet its tolerance: ``"the training set"``, ``"the modes"`` or
        ``"the cubature"``.
    failures
        Paths that were not followed to their end, and why.
    """

    modes: int
    points: int
    unknowns: int
    quadrature_points: int
    paths: int
    offered: int
    blind: int
    training: float
    median: float
    worst: float
    speed_up: float
    bytes: int
    full_bytes: int
    ranges: tuple[tuple[str, float, float], ...]
    tolerance: float = 0.0
    limit: str = ""
    failures: tuple[str, ...] = ()

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> TrainingReport:
        """A report from its values as JSON keeps them, with lists in place of tuples."""
        ranges = tuple((str(name), float(low), float(high)) for name, low, high in values["ranges"])
        return cls(**{**values, "ranges": ranges, "failures": tuple(values["failures"])})

    @property
    def failed(self) -> int:
        """Number of paths that were not followed to their end."""
        return len(self.failures)

    @property
    def is_met(self) -> bool:
        """Whether a tolerance was asked for and is met on the blind paths."""
        return self.median <= self.tolerance and self.worst <= WORST * self.tolerance

    def __str__(self) -> str:
        rows = [self._size(), self._errors(), self._cost(), self._training()]
        if self.tolerance:
            asked = f"the tolerance of {self.tolerance:.3g} is"
            rows.append(f"{asked} met" if self.is_met else f"{asked} not met, and {self.limit} limits the model")
        if self.failures:
            count = "1 path was" if self.failed == 1 else f"{self.failed} paths were"
            rows.append(f"{count} used up to the last step that converged: {'; '.join(self.failures)}")
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        """The report as a table, for a notebook."""
        return html_table("Reduced model", [""], [[line] for line in str(self).split("\n")])

    def _size(self) -> str:
        return (
            f"{self.modes} modes for {self.unknowns} unknowns, {self.points} cubature points for "
            f"{self.quadrature_points} quadrature points"
        )

    def _errors(self) -> str:
        known = f"largest error on the training paths {self.training:.2%}"
        if not self.blind:
            return f"{known}; no blind paths, so that the error on others is not known"
        return f"blind error {self.median:.2%} median, {self.worst:.2%} worst on {self.blind} paths; {known}"

    def _cost(self) -> str:
        memory = f"{self.bytes} bytes for each integration point, {self.bytes / self.full_bytes:.1%} of the RVE's"
        return f"{self.speed_up:.0f} times faster than the RVE; {memory}" if self.blind else memory

    def _training(self) -> str:
        ranges = ", ".join(f"{name} {low:.3g} to {high:.3g}" for name, low, high in self.ranges)
        return f"trained on {self.paths} of {self.offered} paths, with {ranges}"
