"""A global order of the unknowns and internal variables of a cell, independent of the number of ranks.

Unknowns are ordered by their first occurrence in the cells of the input mesh, internal variables by phase and cell.
Multipliers and free components come last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.mesh import Mesh
from numpy.typing import NDArray

from hmm.foundation.blocks import Blocks
from hmm.micro.constraints import Constraint
from hmm.micro.history import History


def places_of_unknowns(space: fem.FunctionSpace, constraint: Constraint, n_unknowns: int) -> NDArray[np.int64]:
    """Global position of each of the `n_unknowns` unknowns of this rank (collective).

    Parameters
    ----------
    space
        The space of the fluctuation.
    constraint
        Its constraint.
    n_unknowns
        Number of unknowns of this rank: those of `w` and, on the last rank, multipliers and free components.
    """
    dofmap, comm = space.dofmap, space.mesh.comm
    cells = _original_cells(space.mesh)
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
    further = n_unknowns - own.size  # multipliers and free components
    return np.concatenate([own.ravel(), blocks.size * constraint.block_size + np.arange(further)])


def _first_visits(blocks: NDArray[np.integer], visited: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The reduced blocks that occur, sorted, and the first occurrence of each."""
    order = np.lexsort((visited, blocks))
    order = order[blocks[order] >= 0]
    found, index = np.unique(blocks[order], return_index=True)
    return found, visited[order[index]]


def places_of_history(mesh: Mesh, histories: Iterable[History]) -> NDArray[np.int64]:
    """Global position of each internal variable of this rank (collective)."""
    original, comm, own = _original_cells(mesh), mesh.comm, list(histories)
    blocks = Blocks({str(k): comm.allreduce(history.size) for k, history in enumerate(own)})
    places = [np.zeros(0, dtype=np.int64)]
    for history, block in zip(own, blocks.values(), strict=True):
        mine = original[history.cells]
        everyones = np.sort(np.concatenate(comm.allgather(mine)))
        per_cell = (block.stop - block.start) // max(everyones.size, 1)
        first = block.start + np.searchsorted(everyones, mine) * per_cell
        places.append((first[:, None] + np.arange(per_cell)).ravel())
    return np.concatenate(places)


def _original_cells(mesh: Mesh) -> NDArray[np.int64]:
    """Number of each owned cell in the input mesh."""
    topology = mesh.topology
    n = topology.index_map(topology.dim).size_local
    return np.asarray(topology.original_cell_index, dtype=np.int64)[:n]
