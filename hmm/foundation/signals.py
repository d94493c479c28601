"""Controlled stop after signals or at a limit of the wall time, decided by all ranks together."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from mpi4py import MPI

import numpy as np

from hmm.foundation.starting import ENDING, abort

SIGNALS = (*ENDING, signal.SIGUSR1)
"""Signals that stop a run after writing its checkpoint."""

PATIENCE = 5.0
"""Seconds until a signal ends a program whose main thread is blocked by another rank or a mesher."""

_started = time.monotonic()


class Interrupted(SystemExit):
    """Raised in the main thread by a signal; the exit code is 128 plus its number, as in shells."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


class Ending:
    """The received signal, and whether the program has ended since."""

    def __init__(self) -> None:
        self.number = 0
        self.taken, self.over = threading.Event(), threading.Event()

    def take(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.number = number
        self.taken.set()
        raise Interrupted(number)


@contextmanager
def ending(comm: MPI.Comm) -> Iterator[Ending]:
    """Raise `Interrupted` at one of the signals `ENDING` while the body runs.

    All ranks of `comm` are ended if the main thread does not react in `PATIENCE` seconds, or is not ``over`` in twice
    that time because the exception was caught.
    """
    end = Ending()

    def watch(source: int) -> None:
        for (number,) in iter(lambda: os.read(source, 1), b""):
            if number not in ENDING or signal.getsignal(number) != end.take:
                continue
            if not (end.taken.wait(PATIENCE + (comm.rank > 0)) and end.over.wait(2 * PATIENCE)):
                print(Interrupted(number), file=sys.stderr, flush=True)
                abort(comm, 128 + number)

    with _handled(ENDING, end.take) as handled:
        if not handled:
            yield end
            return
        source, sink = os.pipe()
        os.set_blocking(sink, False)
        before = signal.set_wakeup_fd(sink, warn_on_full_buffer=False)
        thread = threading.Thread(target=watch, args=(source,), daemon=True)
        thread.start()
        try:
            yield end
        finally:
            end.over.set()
            signal.set_wakeup_fd(before)
            os.close(sink)
            thread.join(1.0)
            os.close(source)


def restore_handlers() -> None:
    """Restore the signal handlers that libraries replace: PETSc prints long messages, and Gmsh exits.

    A closed pipe is again an error of the write, as usual in Python.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (*SIGNALS, signal.SIGPIPE):
            handler = signal.getsignal(number)
            if callable(handler) or handler is signal.SIG_IGN or (handler is not None and number in ENDING):
                signal.signal(number, handler)  # the default of SIGUSR1 is not: MPI may have use for it


@contextmanager
def _handled(signals: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[bool]:
    """Handle signals in the body, except ignored ones (nohup); in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {number: signal.getsignal(number) for number in signals}
    heeded = {number: found for number, found in before.items() if found is not signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, handler)
    try:
        yield True
    finally:
        for number, found in heeded.items():
            signal.signal(number, signal.SIG_DFL if found is None else found)


class Watch:
    """Decides whether to stop, after a signal or if the next lap would exceed the time limit.

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
    code
        Exit code for the `reason`: 130 after SIGINT, otherwise 0.
    """

    def __init__(self, comm: MPI.Comm, limit: float | None) -> None:
        self.comm, self.limit, self.longest, self.code = comm, limit, 0.0, 0
        self._signal = 0
        self._lap = self._noted = time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record `SIGNALS` while the body runs instead of exiting; in the main thread only."""
        with _handled(SIGNALS, self._note):
            yield

    def start(self) -> None:
        """Begin the first lap."""
        self._lap = time.monotonic()

    def reason(self, more: bool) -> str:
        """End a lap and return the reason to stop, or empty; the same on all ranks (collective).

        Parameters
        ----------
        more
            Whether another lap follows.
        """
        now = time.monotonic()
        self.longest = max(self.longest, now - self._lap)
        self._lap = now
        worst = np.array([self._signal, now - _started, self.longest, self._signal == signal.SIGINT])
        self.comm.Allreduce(MPI.IN_PLACE, worst, op=MPI.MAX)
        number, elapsed, longest, by_user = worst
        if number:
            self.code = 128 + signal.SIGINT if by_user else 0
            return f"got {'SIGINT' if by_user else signal.Signals(int(number)).name}"
        if more and self.limit is not None and elapsed + longest > self.limit:
            return (
                f"{elapsed:.0f} s have passed, a step takes up to {longest:.3g} s and max_wall_time is {self.limit:g} s"
            )
        return ""

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Record the first signal; a second Ctrl-C, at least one second later, stops immediately."""
        now = time.monotonic()
        if number == self._signal == signal.SIGINT and now > self._noted + 1.0:
            raise Interrupted(number)
        if not self._signal:
            self._signal, self._noted = number, now
