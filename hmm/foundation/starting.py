"""Signal handling during the import of `hmm`, which takes seconds; itself without heavy imports."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import stat
import sys
import termios
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU)
"""Signals that ask a program to end."""

LATER = 1.0
"""Seconds by which other ranks wait for the message of the first after a common signal."""

PASSED_ON = 0.1
"""Seconds the launcher gets to pass on what it has read from a rank before the rank aborts."""


def guard_start() -> Callable[[], None]:
    """End with one line at a signal during the imports, like `hmm.errors.run`; returns a function that undoes this.

    Existing handlers, ignored signals and interactive sessions are not changed.
    """
    interactive = hasattr(sys, "ps1") or "ipykernel" in sys.modules
    usual = (signal.SIG_DFL, signal.default_int_handler)
    before: dict[int, Any] = {}
    if not interactive and threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in ENDING if signal.getsignal(number) in usual}
    for number in before:
        signal.signal(number, _end)

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        if not interactive and sys.excepthook is sys.__excepthook__:
            sys.excepthook = _hook

    return put_back


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print an uncaught exception; Ctrl-C ends all ranks, since they would wait for each other."""
    comm = _world()
    if issubclass(kind, KeyboardInterrupt) and comm is not None and comm.size > 1:
        _end(signal.SIGINT, None)
    sys.__excepthook__(kind, error, traceback)


def _world() -> Any:
    """All ranks, or None as long as there is no MPI."""
    return getattr(sys.modules.get("mpi4py.MPI"), "COMM_WORLD", None)


def _end(number: int, frame: FrameType | None) -> None:
    comm = _world()
    first = comm is None or comm.rank == 0
    if not first:
        time.sleep(LATER)
    print(f"stopped by {signal.Signals(number).name}", file=sys.stderr, flush=True)
    abort(comm, 128 + number)


def abort(comm: Any, code: int) -> None:
    """End all ranks immediately, without further messages."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    if comm is not None and comm.size > 1:
        _drain()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MPI adds lines of its own
        comm.Abort(code)
    os._exit(code)


def _drain() -> None:
    """Wait until the launcher has read what this rank printed: it drops what is left in the pipes at an abort."""
    end = time.monotonic() + LATER
    while time.monotonic() < end and any(_unread(number) for number in (1, 2)):
        time.sleep(0.005)
    time.sleep(PASSED_ON)


def _unread(number: int) -> int:
    """Bytes in the pipe behind a file descriptor that its reader has not taken yet; 0 for other files."""
    count = array.array("i", [0])
    try:
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            fcntl.ioctl(number, termios.FIONREAD, count)
    except OSError:  # closed
        pass
    return count[0]
