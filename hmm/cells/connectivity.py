"""Connected pieces of a periodically repeated cell, and the lattice directions in which each is unbounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dolfinx.mesh import entities_to_geometry
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hmm.cells.cell import Cell

Edge = tuple[int, int, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Pieces:
    """The connected pieces of a repeated cell; a common vertex connects.

    Attributes
    ----------
    of_cell
        Shape (n_local_cells,); piece of each local cell of the mesh, ghosts included.
    windings
        For each piece an array of shape (k, d): the lattice translations that lead from a point of it to an image of
        that point without leaving the piece.
    """

    of_cell: NDArray[np.int64]
    windings: list[NDArray[np.int64]]

    @property
    def open_directions(self) -> NDArray[np.int64]:
        """Numbers of the lattice directions in which some piece is unbounded."""
        return np.unique(np.nonzero(np.vstack(self.windings))[1])


def pieces(cell: Cell) -> Pieces:
    """The pieces of a cell, opposite faces joined where the mesh matches (collective).

    Notes
    -----
    The pieces inside the cell are joined by the vertices on opposite faces, each such joint a step of one lattice
    vector. A tree of joints places each piece in the repeated medium; a joint that closes a loop gives its winding.
    """
    mesh, dim = cell.mesh, cell.mesh.topology.dim
    mesh.topology.create_connectivity(dim, 0)
    n_cells = mesh.topology.index_map(dim).size_local + mesh.topology.index_map(dim).num_ghosts
    vertices = mesh.topology.connectivity(dim, 0).array.reshape(n_cells, -1)
    numbers = mesh.topology.index_map(0).local_to_global(np.arange(vertices.max(initial=-1) + 1, dtype=np.int32))
    vertices = numbers[vertices]
    everywhere = np.concatenate(cell.comm.allgather(vertices[: mesh.topology.index_map(dim).size_local]))
    size, first = mesh.topology.index_map(0).size_global, np.repeat(everywhere[:, 0], everywhere.shape[1])
    graph = coo_array((np.ones(first.size), (first, everywhere.ravel())), shape=(size, size))
    n_inside, inside = connected_components(graph, directed=False)
    of_inside, windings = _joined(n_inside, _joints(cell, inside))
    return Pieces(of_inside[inside[vertices[:, 0]]], windings)


def _joints(cell: Cell, inside: NDArray[np.int32]) -> set[Edge]:
    """Which pieces inside the cell meet across its faces, and by which lattice translation."""
    mesh = cell.mesh
    n = mesh.topology.index_map(0).size_local
    mesh.topology.create_connectivity(0, mesh.topology.dim)
    mesh.topology.create_connectivity(mesh.topology.dim, 0)
    nodes = entities_to_geometry(mesh, 0, np.arange(n, dtype=np.int32)).ravel()
    s = np.concatenate(cell.comm.allgather(cell.fractional(mesh.geometry.x[nodes])))
    numbers = np.concatenate(cell.comm.allgather(np.arange(n) + mesh.topology.index_map(0).local_range[0]))
    high = np.abs(s - 1) < cell.tolerance
    low = np.flatnonzero((np.abs(s) < cell.tolerance).any(axis=1) & ~high.any(axis=1))
    from_high = np.flatnonzero(high.any(axis=1))
    if not low.size or not from_high.size:
        return set()
    distance, nearest = cKDTree(s[low]).query(np.where(high, 0.0, s)[from_high])
    found = distance < 100 * cell.tolerance
    a, b = inside[numbers[from_high[found]]], inside[numbers[low[nearest[found]]]]
    steps = high[from_high[found]].astype(int).tolist()
    return {(int(i), int(j), tuple(step)) for i, j, step in zip(a, b, steps, strict=True)}


def _joined(n: int, joints: set[Edge]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Piece of each of the `n` pieces inside the cell, and the windings of each piece."""
    dim = len(next(iter(joints))[2]) if joints else 1
    steps: list[list[tuple[int, NDArray[np.int64]]]] = [[] for _ in range(n)]
    for a, b, translation in sorted(joints):
        steps[a].append((b, np.array(translation)))
        steps[b].append((a, -np.array(translation)))
    piece, place = np.full(n, -1), np.zeros((n, dim), dtype=np.int64)
    windings: list[NDArray[np.int64]] = []
    for start in range(n):
        if piece[start] >= 0:
            continue
        piece[start], queue, loops = len(windings), [start], []
        while queue:
            a = queue.pop()
            for b, step in steps[a]:
                if piece[b] < 0:
                    piece[b], place[b] = piece[start], place[a] + step
                    queue.append(b)
                loops.append(place[a] + step - place[b])
        loops = [loop for loop in loops if loop.any()]
        windings.append(np.unique(np.array(loops), axis=0) if loops else np.zeros((0, dim), dtype=np.int64))
    return piece, windings
