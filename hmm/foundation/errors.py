"""Errors with a remedy, raised on all ranks together."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from mpi4py import MPI

import numpy as np

from hmm.foundation.signals import Interrupted, ending
from hmm.foundation.starting import abort

GRACE = 10.0
"""Seconds after which a failed rank assumes that it failed alone; the others wait for it and must be ended."""


class HMMError(Exception):
    """Base class of the errors of ``hmm``: one line with the name of the input, its value and the remedy."""


class InputError(HMMError, ValueError):
    """An input value is invalid."""


class ConvergenceError(HMMError, RuntimeError):
    """A micro or macro solve did not converge."""


class EnvironmentMismatch(HMMError, ImportError):
    """The installed FEniCSx stack is not supported."""


@dataclass(frozen=True)
class Failure:
    """The reason of a failed solve, if an exception would leave other ranks waiting.

    Attributes
    ----------
    reason
        The reason, in one line.
    """

    reason: str

    def __str__(self) -> str:
        return self.reason


@contextmanager
def collectively(comm: MPI.Comm) -> Iterator[None]:
    """Raise on every rank of `comm` if the body raised an `HMMError` on any of them.

    Use it around code that may fail on some ranks only, so that no rank waits in a later collective call. All ranks
    raise the error of the lowest failing rank. An error of the operating system, such as a full disk, becomes an
    `InputError`. Another exception is raised unchanged on its rank, and as an `HMMError` on the other ranks.

    Parameters
    ----------
    comm
        The communicator whose ranks all enter this block.

    Raises
    ------
    HMMError
        The same error on all ranks.
    """
    error: HMMError | None = None
    unexpected: Exception | None = None
    try:
        yield
    except HMMError as caught:
        error = caught
    except OSError as caught:
        error = InputError(_of_system(caught))
    except Exception as caught:
        unexpected = caught
        error = HMMError(f"rank {comm.rank} failed with {type(caught).__name__}: {caught}")
    first = comm.allreduce(comm.rank if error is not None else comm.size, op=MPI.MIN)
    if first < comm.size:
        everybodys = comm.bcast(error, root=first)
        raise everybodys if unexpected is None else unexpected


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Convert an error of the operating system in the body, which writes `path`, to an `InputError`.

    Raises
    ------
    InputError
        If the body raised an `OSError`: disk full, no permission, or a directory with that name.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({_reason(error)}): free disk space, remove the obstacle or give another path"
        ) from None


def _reason(error: OSError) -> str:
    return error.strerror or str(error).partition("\n")[0] or type(error).__name__


def _of_system(error: OSError) -> str:
    what = f"cannot use {error.filename}" if error.filename is not None else "the operating system refused"
    return f"{what} ({_reason(error)}): free disk space, or give another file or directory"


def run(main: Callable[[], object], comm: MPI.Comm = MPI.COMM_WORLD) -> None:
    """Run the `main` function of a script; end on all ranks together if it fails or is interrupted (collective).

    An `HMMError` is printed as one line without traceback; the exit code is 1. A signal (SIGINT, SIGTERM, SIGHUP,
    SIGXCPU) is also printed as one line; the exit code is 128 plus its number, 130 for Ctrl-C. Any other exception is
    printed with its traceback. A rank that fails alone ends the others after `GRACE` seconds, since they would wait
    for it forever.

    Parameters
    ----------
    main
        The entry point of the script, called without arguments.
    comm
        The ranks that call this; one of them prints the message.
    """
    with ending(comm) as asked:
        try:
            ends = comm.Dup() if comm.size > 1 else comm  # whatever the others are doing on `comm` is not disturbed
            end = _end_of(main)
            if asked.number and end.code:  # a library may have made an error of its own of it
                end = _of_signal(asked.number)
            asked.over.set()
            flush_output()
            first, code = _together(ends, end)
        except Interrupted as again:  # before `main`, or once more after it
            print(again, file=sys.stderr, flush=True)
            abort(comm, 128 + again.number)
        if first is None:
            end.tell(f" (on rank {comm.rank} alone, which ends the others)")
            abort(comm, end.code)
        if end.code == 0 and code:
            sys.exit(code)
        end.leave(first=first == comm.rank)
    if comm.size > 1:
        ends.Free()


def flush_output() -> None:
    """Print what is not yet printed; if nobody reads it any more (``| head``), all that follows goes nowhere."""
    try:
        sys.stdout.flush()
    except (OSError, AttributeError) as error:
        silence_output(error)


def silence_output(error: Exception) -> None:
    """Let standard output go nowhere from now on; say so, unless its reader has simply left."""
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        print(f"standard output takes no more ({_reason(error)}): the rest is not printed", file=sys.stderr, flush=True)
    with suppress(OSError, ValueError, AttributeError):  # there may be none, or none that is a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True, eq=False)
class _End:
    """How `main` ended on this rank: exit code, what to say in one line, or with a traceback."""

    code: int = 0
    line: str = ""
    cause: BaseException | None = None

    @property
    def is_unexpected(self) -> bool:
        """Whether a programmer has to look at it."""
        return self.code != 0 and not self.line and isinstance(self.cause, Exception)

    def tell(self, where: str = "") -> None:
        """Print it to standard error."""
        if self.is_unexpected:
            traceback.print_exception(self.cause)
        elif self.line:
            print(f"{self.line}{where}", file=sys.stderr, flush=True)

    def leave(self, first: bool) -> None:
        """End this rank as `main` did on all; the `first` of them speaks."""
        if first and self.is_unexpected and self.cause is not None:
            raise self.cause
        if first:
            self.tell()
        if isinstance(self.cause, SystemExit) and not self.line:
            raise self.cause
        if self.code or self.cause is not None:
            sys.exit(self.code)


def _end_of(main: Callable[[], object]) -> _End:
    try:
        main()
    except HMMError as error:
        return _End(1, f"error: {error}", error)
    except KeyboardInterrupt:
        return _of_signal(signal.SIGINT)
    except Interrupted as error:
        return _of_signal(error.number)
    except SystemExit as error:
        said = error.code if isinstance(error.code, str) else ""
        return _End(1 if said else int(error.code or 0), said, error)
    except BrokenPipeError as error:
        silence_output(error)
        return _End(141, "", SystemExit(141))
    except Exception as error:
        return _End(1, "", error)
    return _End()


def _of_signal(number: int) -> _End:
    interrupted = Interrupted(number)
    return _End(128 + number, str(interrupted), interrupted)


def _together(ends: MPI.Comm, end: _End) -> tuple[int | None, int]:
    """The rank that speaks and the largest exit code, when all have come to their end; None if they do not come."""
    size, rank = ends.size, ends.rank
    if size == 1:
        return rank, end.code
    order = 0 if end.is_unexpected else 1 if end.code else 2
    found = np.array([order * size + rank, -end.code], dtype=np.int64)
    request = ends.Iallreduce(MPI.IN_PLACE, found, op=MPI.MIN)
    grace = 2.0 if end.code > 128 else GRACE
    latest = time.monotonic() + grace + (rank > 0)
    while not request.Test():
        if end.code and time.monotonic() > latest:
            return None, end.code
        time.sleep(0.01)
    return int(found[0]) % size, -int(found[1])
