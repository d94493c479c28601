"""Counts of what micro models did."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Counters:
    """Micro operations.

    Attributes
    ----------
    solves
        Points asked for a response.
    skipped
        Points that answered without any work, because nothing had changed.
    residuals
        Evaluations of a micro residual.
    factorizations
        Factorizations of a micro tangent.
    right_hand_sides
        Right-hand sides solved for.
    line_searches
        Halvings of a micro Newton step.
    substeps
        Micro solves over a part of the step, of points that failed in one go (see `hmm.micro.recovery`).
    elastic_starts
        Micro solves from an elastic first guess.
    recoveries
        Points whose joint Newton step failed, and which were converged on their own.
    rejections
        Points without an answer in the end: their macro iterate is rejected on all ranks.
    evaluations
        Points at which a user's function or a law was evaluated, those for difference quotients included.
    differences
        Points whose tangent was found by difference quotients or updates of an earlier one.
    restarts
        Worker processes that were started again.
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

    def __add__(self, other: Counters) -> Counters:
        return Counters(**{k: v + getattr(other, k) for k, v in asdict(self).items()})

    def __sub__(self, other: Counters) -> Counters:
        return Counters(**{k: v - getattr(other, k) for k, v in asdict(self).items()})

    def add(self, other: Counters) -> None:
        """Count what another has counted."""
        vars(self).update(vars(self + other))

    def copy(self) -> Counters:
        """A copy that no longer counts."""
        return Counters(**asdict(self))
