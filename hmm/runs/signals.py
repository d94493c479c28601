"""Stop in time: signals of the batch system and a limit on the wall time, decided by all ranks together."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mpi4py import MPI

import numpy as np

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
_started = time.monotonic()


class Watch:
    """Whether to stop: because a rank got a signal, or because the next lap would likely end too late.

    Parameters
    ----------
    comm
        All its ranks call `start` and `reason` together.
    limit
        Seconds since `hmm` was imported, or None.

    Attributes
    ----------
    longest
        Seconds of the longest lap so far on this rank.
    """

    def __init__(self, comm: MPI.Comm, limit: float | None) -> None:
        self.comm, self.limit, self.longest = comm, limit, 0.0
        self._signal = 0
        self._lap = time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take note of `SIGNALS` instead of dying of them, while the body runs; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def start(self) -> None:
        """Begin a lap that nothing came before."""
        self._lap = time.monotonic()

    def reason(self, more: bool) -> str:
        """End a lap and say why to stop now, or nothing; the same on all ranks (collective).

        Parameters
        ----------
        more
            Whether another lap would follow.
        """
        now = time.monotonic()
        self.longest = max(self.longest, now - self._lap)
        self._lap = now
        worst = np.array([self._signal, now - _started, self.longest])
        self.comm.Allreduce(MPI.IN_PLACE, worst, op=MPI.MAX)
        number, elapsed, longest = worst
        if number:
            return f"got {signal.Signals(int(number)).name}"
        if more and self.limit is not None and elapsed + longest > self.limit:
            return (
                f"{elapsed:.0f} s have passed, a step takes up to {longest:.3g} s and max_wall_time is {self.limit:g} s"
            )
        return ""

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
