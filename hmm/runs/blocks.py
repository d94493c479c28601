"""Transfer of tables in blocks from all ranks to the rank that writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError

MAX_BLOCKS = 30_000
"""Maximum number of blocks of all tables: each has its own MPI tag, of which at least 32767 exist."""

BLOCK = 32 << 20
"""Maximum size in bytes of the rows that one rank stores or receives at a time."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class RowTable:
    """Rows of several arrays, distributed over the ranks; together they have each key 0, 1, 2, ... once.

    Attributes
    ----------
    name
        Name of the HDF5 group.
    keys
        Shape (n,); the keys of this rank's rows, in the order of the rows.
    arrays
        Each of shape (n, ...).
    """

    name: str
    keys: NDArray[np.int64]
    arrays: Arrays

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return bytes_per_row(self.arrays)


@dataclass(frozen=True, eq=False)
class TableBlocks:
    """The blocks of a table: rows of all ranks, rows of a block, MPI tag of the first block."""

    table: RowTable
    rows: int
    step: int
    first_tag: int


def cut_into_blocks(comm: MPI.Comm, tables: list[RowTable]) -> list[TableBlocks]:
    """The blocks of the tables: bounded in size, and few enough that each has an MPI tag (collective)."""
    plan: list[TableBlocks] = []
    first, most = 0, max(1, MAX_BLOCKS // len(tables))
    for table in tables:
        rows = _size(comm, table)
        step = max(rows_per_block(table.row_bytes), -(-rows // most))
        plan.append(TableBlocks(table, rows, step, first))
        first += -(-rows // step)
    return plan


def _size(comm: MPI.Comm, table: RowTable) -> int:
    """Rows of all ranks, whose keys must be 0, 1, 2, ... (collective)."""
    rows = comm.allreduce(table.keys.size)
    last = comm.allreduce(int(table.keys.max(initial=-1)), op=MPI.MAX)
    first = comm.allreduce(int(table.keys.min(initial=rows)), op=MPI.MIN)
    if rows and ((first, last) != (0, rows - 1) or comm.allreduce(int(table.keys.sum())) != rows * (rows - 1) // 2):
        raise InputError(
            f"the {rows} rows of {table.name} have the keys {first} to {last}, not each number once: the macro mesh "
            "does not number its cells (a submesh?); create it as a separate mesh to use checkpoints"
        )
    return int(rows)


def rows_per_block(row_bytes: int) -> int:
    """Number of rows of a given size in a block, at least one."""
    return max(1, BLOCK // max(row_bytes, 1))


def bytes_per_row(arrays: Arrays) -> int:
    """Size in bytes of one row of all arrays."""
    return sum(a.dtype.itemsize * int(np.prod(a.shape[1:], dtype=np.int64)) for a in arrays.values())


def collect_rows(comm: MPI.Comm, blocks: TableBlocks) -> Iterator[tuple[int, Arrays]]:
    """The complete table in the order of its keys, in blocks of this rank's rows and those of the others."""
    own = _parts(blocks)
    upcoming = next(own, None)
    for number, start in enumerate(range(0, blocks.rows, blocks.step)):
        count = min(blocks.step, blocks.rows - start)
        values = {k: np.empty((count, *a.shape[1:]), a.dtype) for k, a in blocks.table.arrays.items()}
        while count:
            if upcoming is not None and upcoming[0] == number:
                (_, keys, arrays), upcoming = upcoming, next(own, None)
            else:
                keys, arrays = comm.recv(source=MPI.ANY_SOURCE, tag=blocks.first_tag + number)
            for name, array in arrays.items():
                values[name][keys - start] = array
            count -= len(keys)
        yield start, values


def send_rows(comm: MPI.Comm, blocks: TableBlocks) -> None:
    """Send this rank's rows; synchronous sends wait until rank 0 is ready for the block."""
    for number, keys, arrays in _parts(blocks):
        comm.ssend((keys, arrays), dest=0, tag=blocks.first_tag + number)


def _parts(blocks: TableBlocks) -> Iterator[tuple[int, NDArray[np.int64], dict[str, NDArray[Any]]]]:
    """This rank's rows by block: number of the block, keys, arrays."""
    table = blocks.table
    order = np.argsort(table.keys)
    block = table.keys[order] // blocks.step
    for piece in np.split(order, np.flatnonzero(np.diff(block)) + 1) if order.size else []:
        keys = table.keys[piece]
        yield int(keys[0] // blocks.step), keys, {k: a[piece] for k, a in table.arrays.items()}
