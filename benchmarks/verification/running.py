"""Run cases: what they found, whether it passes, and how long it took."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .cases import Case, Row


@dataclass(frozen=True)
class Result:
    """What a case found.

    Attributes
    ----------
    case
        The case.
    rows
        Its numbers; none if it failed to compute.
    mesh
        Its mesh.
    seconds
        CPU time with meshing, without the compilation by the C compiler.
    failure
        Why it has no numbers.
    """

    case: Case
    rows: Sequence[Row]
    mesh: str
    seconds: float
    failure: str = ""

    def passes(self, row: Row) -> bool:
        """Whether the error of a number is within the tolerance (not if it is NaN), or it is not judged."""
        return not row.judged or row.error <= self.case.tolerance

    @property
    def passed(self) -> bool:
        """Whether all numbers are within the tolerance."""
        return not self.failure and all(self.passes(row) for row in self.rows)

    @property
    def worst(self) -> Row | None:
        """The number with the largest error, of those that are judged."""
        judged = [row for row in self.rows if row.judged]
        wrong = [row for row in judged if not self.passes(row)]
        return max(wrong or judged, key=lambda row: row.error, default=None)


def run(case: Case) -> Result:
    """Compute a case; an error of it is a failure and no end of the run."""
    start = time.process_time()
    with _quiet():
        try:
            answer = case.compute()
        except Exception as error:
            failure = f"{type(error).__name__}: {error}".splitlines()[0]
            return Result(case, [], "", time.process_time() - start, failure)
    return Result(case, answer.rows, answer.mesh, time.process_time() - start)


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of hmm: some cells are unusual on purpose."""
    logger = logging.getLogger("hmm")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
