"""The rows of all ranks of `Points.comm`, when a model has to compare points of different ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray


def gathered(comm: MPI.Comm, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The rows of all ranks, in the order of the ranks, on each of them (collective)."""
    if comm.size == 1:
        return list(arrays)
    parts = comm.allgather(tuple(arrays))
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def fetched(
    comm: MPI.Comm, arrays: Sequence[NDArray[Any]], rank: NDArray[np.intp], row: NDArray[np.intp]
) -> list[NDArray[Any]]:
    """Copies of some rows, which may be on other ranks (collective).

    Parameters
    ----------
    comm
        The communicator.
    arrays
        This rank's rows.
    rank, row
        Shapes (n,); where the rows are.

    Returns
    -------
    list of ndarray
        The n rows of each array. Each row is sent once to each rank that asks for it.
    """
    if comm.size == 1:
        return [array[row] for array in arrays]
    wanted, place = np.unique(np.column_stack([rank, row]), axis=0, return_inverse=True)
    requests = comm.alltoall([wanted[wanted[:, 0] == r, 1] for r in range(comm.size)])
    answers = comm.alltoall([[array[rows] for array in arrays] for rows in requests])
    return [np.concatenate(parts)[place.ravel()] for parts in zip(*answers, strict=True)]


def anywhere(comm: MPI.Comm, condition: object) -> bool:
    """Whether a condition holds on any rank (collective)."""
    return bool(comm.allreduce(bool(condition), op=MPI.LOR))
