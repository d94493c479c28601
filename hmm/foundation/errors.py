"""Errors a user can act on, raised on every rank together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mpi4py import MPI


class HMMError(Exception):
    """Base of all errors raised on purpose by ``hmm``: one line naming the thing, its value and the remedy."""


class InputError(HMMError, ValueError):
    """A value given by the user that cannot be used."""


class ConvergenceError(HMMError, RuntimeError):
    """A micro or macro solve that did not converge."""


class EnvironmentMismatch(HMMError, ImportError):
    """The installed FEniCSx stack is not one ``hmm`` can run on."""


@dataclass(frozen=True)
class Failure:
    """Why something could not be solved, where raising an error would leave other ranks waiting.

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

    Use it around what only some ranks do or can fail: nobody is left waiting in a later collective call. The lowest
    failing rank's error is the one everybody sees. Another exception is raised as it is where it occurred, and named in
    an `HMMError` on the other ranks.

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
    except Exception as caught:
        unexpected = caught
        error = HMMError(f"rank {comm.rank} failed with {type(caught).__name__}: {caught}")
    first = comm.allreduce(comm.rank if error is not None else comm.size, op=MPI.MIN)
    if first < comm.size:
        everybodys = comm.bcast(error, root=first)
        raise everybodys if unexpected is None else unexpected


def run(main: Callable[[], object], comm: MPI.Comm = MPI.COMM_WORLD) -> None:
    """Run a script's `main` and turn an `HMMError` into one line and exit code 1, without a traceback.

    Parameters
    ----------
    main
        The script's entry point, called without arguments.
    comm
        Rank 0 of this communicator prints the line.
    """
    try:
        main()
    except HMMError as error:
        if comm.rank == 0:
            print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
