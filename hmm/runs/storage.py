"""One HDF5 file with tables of keyed rows, protected by a checksum and replaced by renaming.

The first 512 bytes, which HDF5 leaves to the user, are text: the type of the file, its length and the SHA-256 of the
rest. HDF5 opens only files with a valid checksum, so that a damaged file cannot crash it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import regular_file
from hmm.foundation.hdf5 import foreign, own_dataset, require_h5py
from hmm.foundation.locking import holds, sole
from hmm.runs.blocks import (
    Arrays,
    RowTable,
    TableBlocks,
    bytes_per_row,
    collect_rows,
    cut_into_blocks,
    rows_per_block,
    send_rows,
)
from hmm.runs.sealing import SEAL, require_whole, seal_file, synchronize_directory


def write(path: Path, comm: MPI.Comm, note: Mapping[str, object], tables: list[RowTable]) -> None:
    """Write a new file that replaces the old one when it is complete (collective).

    Rank 0 writes; the others send their rows in blocks of bounded size. A symbolic link is kept; its target is written.

    Raises
    ------
    InputError
        On all ranks, if the file cannot be written or is in use by another run; the old file is then unchanged.
    """
    path = Path(comm.bcast(os.path.realpath(path) if comm.rank == 0 else None))
    plan = cut_into_blocks(comm, tables)
    with collectively(comm):
        if comm.rank == 0:
            _require_place(path)
            _require_space(path, sum(blocks.rows * blocks.table.row_bytes for blocks in plan))
    held = comm.bcast(holds(path))
    with nullcontext() if held else sole(path, "checkpoint file", comm):
        _write(path, comm, note, plan)


def _write(path: Path, comm: MPI.Comm, note: Mapping[str, object], plan: list[TableBlocks]) -> None:
    part = path.with_name(path.name + ".part")
    with _discarded_on_failure(comm, part), collectively(comm):
        if comm.rank == 0:
            _receive_all(path, part, comm, note, plan)
        else:
            for blocks in plan:
                send_rows(comm, blocks)
    with _discarded_on_failure(comm, part), collectively(comm):
        if comm.rank == 0:
            with one_line(path):
                seal_file(part)
                os.replace(part, path)
                synchronize_directory(path.parent)


def read_header(path: Path, comm: MPI.Comm) -> dict[str, Any]:
    """Verify the checksum of a file, and read its note (collective).

    Raises
    ------
    InputError
        On all ranks, if it is not a checkpoint, or is damaged.
    """
    note: dict[str, Any] = {}
    with collectively(comm):
        if comm.rank == 0:
            require_whole(path)
            with _opened(path) as file:
                note = _note_of(path, file)
    return dict(comm.bcast(note))


def read(path: Path, name: str, keys: NDArray[np.int64], like: Arrays) -> Iterator[tuple[NDArray[np.intp], Arrays]]:
    """Read the rows with given keys, block by block.

    Parameters
    ----------
    path
        A file that `read_header` has verified.
    name
        Name of the table.
    keys
        Shape (n,); the keys.
    like
        Arrays of shape (n, ...) with the expected names, row shapes and types.

    Yields
    ------
    rows, values
        Positions in `keys`, and the arrays of these rows.

    Raises
    ------
    InputError
        If the table was not written by `write` (see `hmm.foundation.hdf5.own_dataset`).
    """
    order = np.argsort(keys)
    step = rows_per_block(bytes_per_row(like))
    with _opened(path) as file:
        if not keys.size:
            return
        data = {k: own_dataset(path, file, f"{name}/{k}", a) for k, a in like.items()}
        if any(len(rows) <= keys.max() for rows in data.values()):
            raise foreign(path, name)
        for start in range(0, order.size, step):
            rows = order[start : start + step]
            yield rows, {k: _rows(data[k], keys[rows], a.dtype) for k, a in like.items()}


# -- writing -----------------------------------------------------------------------------------------------------------


class _Guarded:
    """A binary file that stores the first error instead of raising it: HDF5 crashes if it cannot flush its data."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                rest = memoryview(data).cast("B")
                while rest:  # an unbuffered file may write a part only
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        if self.error is None:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _receive_all(path: Path, part: Path, comm: MPI.Comm, note: Mapping[str, object], plan: list[TableBlocks]) -> None:
    """The part of `write` on rank 0. It receives all messages even after a failure, since the others would wait."""
    error: Exception | None = None
    guard = file = None
    try:
        h5py = require_h5py()
        with one_line(path):
            guard = _Guarded(open(part, "w+b", buffering=0))  # noqa: SIM115, closed below
        file = h5py.File(guard, "w", userblock_size=SEAL)
        text = np.frombuffer(json.dumps(note).encode(), np.uint8)
        file.create_dataset("note", data=text)
    except Exception as caught:
        error = caught
    for blocks in plan:
        for start, values in collect_rows(comm, blocks):
            if error is None and guard is not None and guard.error is None:
                try:
                    _put(file, blocks, start, values)
                except Exception as caught:
                    error = caught
    if file is not None:
        file.close()
    if guard is not None:
        guard.close()
        error = error or guard.error
    with one_line(path):
        if error is not None:
            raise error


def _put(file: Any, blocks: TableBlocks, start: int, values: Arrays) -> None:
    for name, block in values.items():
        where = f"{blocks.table.name}/{name}"
        data = file.require_dataset(where, (blocks.rows, *block.shape[1:]), block.dtype, exact=True)
        data[start : start + len(block)] = block


def _require_place(path: Path) -> None:
    """Raise `InputError` if the path exists and is not a file."""
    if path.exists():
        regular_file(path, "checkpoint file", "give the path of a file")


def _require_space(path: Path, size: int) -> None:
    with one_line(path):
        free = shutil.disk_usage(path.parent).free
    if free < size:
        raise InputError(
            f"cannot write {path}: it needs {size / 1e6:.1f} MB and {path.parent} has {free / 1e6:.1f} MB left; make "
            "room or give another file"
        )


@contextmanager
def _discarded_on_failure(comm: MPI.Comm, part: Path) -> Iterator[None]:
    """Remove the unfinished file if the body fails on rank 0."""
    try:
        yield
    except BaseException:
        if comm.rank == 0:
            part.unlink(missing_ok=True)
        raise


@contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Convert an error of the operating system to an `InputError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(
            f"cannot write {path} ({reason}): free disk space or give another file; the old file is unchanged"
        ) from None


# -- reading -----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    h5py = require_h5py()
    try:
        file = h5py.File(path, "r", locking=False)  # a complete file never changes
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"rank {MPI.COMM_WORLD.rank} cannot read {path} ({reason}): put it where all ranks can read it"
        ) from None
    with file:
        yield file


def _note_of(path: Path, file: Any) -> dict[str, Any]:
    """The header of a file."""
    try:
        note = json.loads(bytes(own_dataset(path, file, "note", np.zeros(0, np.uint8))[()]))
    except (ValueError, RecursionError):
        note = None
    if not isinstance(note, dict) or not note.keys() >= {"identity", "versions", "scale", "note"}:
        raise foreign(path, "note")
    return note


def _rows(data: Any, keys: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of a dataset with increasing keys, with one request per contiguous range."""
    values = np.empty((keys.size, *data.shape[1:]), dtype)
    cuts = np.r_[0, np.flatnonzero(np.diff(keys) != 1) + 1, keys.size]
    for begin, end in pairwise(cuts.tolist()):
        if end > begin:
            values[begin:end] = data[keys[begin] : keys[begin] + (end - begin)]
    return values
