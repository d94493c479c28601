"""Counters of micro operations."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Counters:
    """Micro operations.

    Attributes
    ----------
    solves
        Evaluations of points.
    skipped
        Evaluations without work, because nothing had changed.
    residuals
        Evaluations of a micro residual.
    factorizations
        Factorizations of a micro tangent.
    right_hand_sides
        Solutions of the linearized problem, one for each right-hand side.
    line_searches
        Halvings of a micro Newton step.
    substeps
        Micro solves for a part of the step (see `hmm.micro.recovery`).
    elastic_starts
        Micro solves from a first guess with the initial tangent.
    recoveries
        Points whose monolithic step failed, and which were then solved on their own until convergence.
    rejections
        Points without an answer; the macro iterate is then rejected on all ranks.
    evaluations
        Evaluations of a user's function or a law, including those for difference quotients.
    differences
        Tangents from difference quotients or Broyden updates.
    restarts
        Restarts of worker processes.
    followed
        Points answered from a representative, corrected to first order (see `hmm.Adaptive`).
    """

    solves: int = 0
    skipped: int = 0
    residuals: int = 0
    factorizations: int = 0
    right_hand_sides: int = 0
    line_searches: int = 0
    substeps: int = 0
    elastic_starts: int = 0
    recoveries: int = 0
    rejections: int = 0
    evaluations: int = 0
    differences: int = 0
    restarts: int = 0
    followed: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(**{k: v + getattr(other, k) for k, v in asdict(self).items()})

    def __sub__(self, other: Counters) -> Counters:
        return Counters(**{k: v - getattr(other, k) for k, v in asdict(self).items()})

    def add(self, other: Counters) -> None:
        """Add the counts of another object."""
        vars(self).update(vars(self + other))

    def copy(self) -> Counters:
        """A copy of the present counts."""
        return Counters(**asdict(self))
