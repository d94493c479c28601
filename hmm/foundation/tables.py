"""Tables on disk."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from mpi4py import MPI

from hmm.foundation.errors import collectively, writing
from hmm.foundation.files import require_writable


def write_csv(path: str | Path, comm: MPI.Comm, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table as comma-separated values from rank 0 (collective).

    Parameters
    ----------
    path
        The file; its directory is created if necessary.
    comm
        The communicator.
    columns
        Titles, with units.
    rows
        One sequence of values for each row; numbers are written with all their digits.

    Raises
    ------
    InputError
        On all ranks, if the path cannot be written to.
    """
    path = Path(path)
    with collectively(comm):
        if comm.rank == 0:
            require_writable(path.parent)
            with writing(path), path.open("w", newline="") as file:
                csv.writer(file).writerows([columns, *rows])
    return path
