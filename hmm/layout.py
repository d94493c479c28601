"""State rows of a cell in an order that does not depend on how many ranks share its mesh."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.microproblem import Microproblem

ALONG = {"z": "unknowns", "sensitivity": "unknowns", "history": "history"}
"""Which order the last axis of a state array has; arrays not named are the same on all ranks of a cell."""


def as_rows(array: NDArray[Any]) -> NDArray[Any]:
    """An array of shape (n, ...) as (n, k), also for no rows, where ``reshape(n, -1)`` fails."""
    return array.reshape(len(array), math.prod(array.shape[1:]))


class RowLayout:
    """Where this rank's share of a state row lies in the row of the whole cell.

    Unknowns are ordered by the first place at which they appear when the cells of the mesh's input are visited in turn,
    internal variables by phase and then by cell; what a cell has beside its fields comes last.

    Parameters
    ----------
    problem
        The microproblem.

    Attributes
    ----------
    positions
        For ``unknowns`` and ``history`` the place in the whole row of each number of this rank's share.
    sizes
        Lengths of the whole rows.
    """

    def __init__(self, problem: Microproblem) -> None:
        self.comm: MPI.Comm = problem.cell.comm
        unknowns, history = _places_of_unknowns(problem), _places_of_history(problem)
        self.positions = {"unknowns": unknowns, "history": history}
        self.sizes = {name: int(self.comm.allreduce(p.size)) for name, p in self.positions.items()}

    def whole(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Rows of the whole cell on the first of its ranks, no rows on the others (collective in the cell's ranks).

        They can be indexed along the first axis; a cell on one rank needs no further memory for them.
        """
        return {name: self._whole(name, array) for name, array in arrays.items()}

    def like(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """No rows, of the shapes and types that whole ones have."""
        return {name: np.empty((0, *self._row_shape(name, array)), array.dtype) for name, array in arrays.items()}

    def share(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """This rank's share of rows of the whole cell."""
        return {
            name: array[..., self.positions[ALONG[name]]] if name in ALONG else array for name, array in arrays.items()
        }

    def _row_shape(self, name: str, array: NDArray[Any]) -> tuple[int, ...]:
        shape = array.shape[1:]
        return (*shape[:-1], self.sizes[ALONG[name]]) if name in ALONG else shape

    def _whole(self, name: str, array: NDArray[Any]) -> Any:
        if name not in ALONG:
            return array if self.comm.rank == 0 else array[:0]
        if self.comm.size == 1:
            return _Reordered(array, np.argsort(self.positions[ALONG[name]]))
        parts = self.comm.gather((self.positions[ALONG[name]], array))
        if parts is None:
            return array[:0]
        rows = np.empty((len(array), *self._row_shape(name, array)), array.dtype)
        for positions, part in parts:
            rows[..., positions] = part
        return rows


class _Reordered:
    """An array whose last axis is put into another order where it is looked at."""

    def __init__(self, array: NDArray[Any], order: NDArray[np.int64]) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array, self._order = array, order

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._array[rows][..., self._order]


def _places_of_unknowns(problem: Microproblem) -> NDArray[np.int64]:
    """Place of each owned unknown among all."""
    rve = problem.whole
    constraint, dofmap, comm = rve.reduced.constraint, rve.w.function_space.dofmap, rve.reduced.comm
    cells = _original_cells(problem)
    dofs = np.asarray(dofmap.list)[: cells.size]
    visited = cells[:, None] * dofs.shape[1] + np.arange(dofs.shape[1])
    blocks, first = _first_visits(constraint.blocks[dofs].ravel(), visited.ravel())
    parts = comm.allgather((blocks, first))
    blocks, first = _first_visits(*(np.concatenate(p) for p in zip(*parts, strict=True)))
    places = np.empty(blocks.size, dtype=np.int64)
    places[blocks[np.argsort(first)]] = np.arange(blocks.size)
    counts = comm.allgather(constraint.n_owned)
    start = sum(counts[: comm.rank])
    own = places[start : start + constraint.n_owned, None] * constraint.block_size + np.arange(constraint.block_size)
    further = problem.n_unknowns - own.size  # multipliers and free components, all on the last rank
    return np.concatenate([own.ravel(), blocks.size * constraint.block_size + np.arange(further)])


def _first_visits(blocks: NDArray[np.integer], visited: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The reduced blocks that occur, sorted, and when each is first visited."""
    order = np.lexsort((visited, blocks))
    order = order[blocks[order] >= 0]
    found, index = np.unique(blocks[order], return_index=True)
    return found, visited[order[index]]


def _places_of_history(problem: Microproblem) -> NDArray[np.int64]:
    """Place of each of this rank's internal variables among all."""
    original, comm, start = _original_cells(problem), problem.cell.comm, 0
    places = [np.zeros(0, dtype=np.int64)]
    for history in problem.histories.values():
        mine = original[history.cells]
        everyones = np.sort(np.concatenate(comm.allgather(mine)))
        per_cell = comm.allreduce(history.size) // max(everyones.size, 1)
        first = start + np.searchsorted(everyones, mine) * per_cell
        places.append((first[:, None] + np.arange(per_cell)).ravel())
        start += everyones.size * per_cell
    return np.concatenate(places)


def _original_cells(problem: Microproblem) -> NDArray[np.int64]:
    """Number in the mesh's input of each owned cell."""
    topology = problem.cell.mesh.topology
    n = topology.index_map(topology.dim).size_local
    return np.asarray(topology.original_cell_index, dtype=np.int64)[:n]
