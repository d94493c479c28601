"""One HDF5 file with tables keyed by numbers that no rank owns, sealed by a checksum and replaced in one instant.

The first 512 bytes, which HDF5 leaves to the user, are text: what the file is, its length and the SHA-256 of the rest.
HDF5 is asked only about files whose checksum is right, so that a damaged file can neither be read nor crash it.
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
    """Write a file in place of the old one, which stays whole until that moment (collective).

    Rank 0 writes; the others send it their rows in blocks of bounded size. A symbolic link stays one: what it points to
    is written.

    Raises
    ------
    InputError
        On all ranks, if the file cannot be written, or another run is at it; nothing is left of it and the old one is
        untouched.
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
    """Check that a file is whole, byte by byte, and read its note (collective).

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
        A file that `read_header` found whole.
    name
        Name of the table.
    keys
        Shape (n,); the keys.
    like
        Arrays of shape (n, ...) with the names, row shapes and types that are expected.

    Yields
    ------
    rows, values
        Positions in `keys`, and the arrays of these rows.

    Raises
    ------
    InputError
        If the table is not as `write` writes it (see `hmm.foundation.hdf5.own_dataset`).
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
    """A binary file that keeps the first error instead of raising it: HDF5 crashes when it cannot flush what it has."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                rest = memoryview(data).cast("B")
                while rest:  # an unbuffered file may take a part only
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
    """Rank 0's share of `write`. Whatever fails, it takes what the others send: they would wait."""
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
    """Raise `InputError` if there is something at the path that is no file."""
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
    """Turn an error of the operating system into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(
            f"cannot write {path} ({reason}): make room or give another file; what was there before is untouched"
        ) from None


# -- reading -----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    h5py = require_h5py()
    try:
        file = h5py.File(path, "r", locking=False)  # a sealed file never changes
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"rank {MPI.COMM_WORLD.rank} cannot read {path} ({reason}): put it where all ranks see it"
        ) from None
    with file:
        yield file


def _note_of(path: Path, file: Any) -> dict[str, Any]:
    """What is in a file beside the tables."""
    try:
        note = json.loads(bytes(own_dataset(path, file, "note", np.zeros(0, np.uint8))[()]))
    except (ValueError, RecursionError):
        note = None
    if not isinstance(note, dict) or not note.keys() >= {"identity", "versions", "scale", "note"}:
        raise foreign(path, "note")
    return note


def _rows(data: Any, keys: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of a dataset with increasing keys: one request for each run of neighbours."""
    values = np.empty((keys.size, *data.shape[1:]), dtype)
    cuts = np.r_[0, np.flatnonzero(np.diff(keys) != 1) + 1, keys.size]
    for begin, end in pairwise(cuts.tolist()):
        if end > begin:
            values[begin:end] = data[keys[begin] : keys[begin] + (end - begin)]
    return values
