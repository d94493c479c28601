"""Connected pieces of a phase, also across the faces of a periodic image, and the axes along which they percolate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Piece:
    """Voxels of a phase that share faces.

    Attributes
    ----------
    size
        Number of voxels.
    voxel
        Indices of one of them.
    axes
        The axes along which the piece percolates: in a periodic image it connects to its own image; else it reaches
        from one face to the opposite one.
    rank
        Number of independent directions of percolation.
    """

    size: int
    voxel: tuple[int, ...]
    axes: tuple[int, ...]
    rank: int

    def __str__(self) -> str:
        return f"{self.size} voxel{'s' if self.size > 1 else ''} at {self.voxel}"


def label_pieces(mask: Mask, periodic: bool = True) -> tuple[NDArray[np.int32], int]:
    """Number the pieces of a mask from 1, and 0 outside, and count them."""
    inside, n = ndimage.label(mask)
    if not periodic or n == 0:
        return inside.astype(np.int32), n
    a, b, _ = _seams(inside)
    graph = coo_array((np.ones(len(a)), (a - 1, b - 1)), shape=(n, n))
    n_pieces, number = connected_components(graph, directed=False)
    return np.concatenate([[0], number + 1]).astype(np.int32)[inside], int(n_pieces)


def pieces_of_mask(mask: Mask, periodic: bool = True) -> tuple[NDArray[np.int32], list[Piece]]:
    """The pieces of a mask, largest first.

    Voxels are connected if they share a face; a common edge or corner is a hinge, not a connection.

    Parameters
    ----------
    mask
        Shape (nx, ny) or (nx, ny, nz).
    periodic
        Whether the image is periodic, so that pieces continue across its faces.

    Returns
    -------
    numbers, pieces
        The number of each voxel's piece, from 1 and in the order of the list, 0 outside; and the pieces.
    """
    numbers, n = label_pieces(mask, periodic)
    if n == 0:
        return numbers, []
    sizes = np.bincount(numbers.ravel(), minlength=n + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    rename = np.zeros(n + 1, dtype=np.int32)
    rename[order + 1] = np.arange(1, n + 1)
    numbers = rename[numbers]
    _, first = np.unique(numbers, return_index=True)
    starts = np.stack(np.unravel_index(first[-n:], mask.shape), axis=1).tolist()
    directions = _windings(mask, numbers, n) if periodic else _crossings(numbers, n)
    return numbers, [
        Piece(int(sizes[k]), tuple(start), tuple(np.flatnonzero(d.any(axis=0)).tolist()), int(np.linalg.matrix_rank(d)))
        for k, start, d in zip(order.tolist(), starts, directions, strict=True)
    ]


def _seams(inside: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Numbers that meet across each pair of opposite faces, the high side first, and the axis; without repetitions."""
    pairs = []
    for axis in range(inside.ndim):
        high, low = np.take(inside, -1, axis).ravel(), np.take(inside, 0, axis).ravel()
        met = np.unique(np.stack([high, low], axis=1)[(high > 0) & (low > 0)], axis=0)
        pairs.append(np.column_stack([met, np.full(len(met), axis)]))
    a, b, axes = np.concatenate(pairs).astype(np.int64).T
    return a, b, axes


def _windings(mask: Mask, numbers: NDArray[np.int32], n: int) -> list[NDArray[np.int64]]:
    """For each piece, the windings of its closed paths around the torus, shape (n_paths, d).

    The parts of a piece inside the image are nodes of a graph, seams its edges. A walk gives each part the period it is
    in; a seam that then leads to another period closes a path around the torus.
    """
    inside, n_parts = ndimage.label(mask)
    a, b, axes = _seams(inside)
    neighbours: list[list[tuple[int, int, int]]] = [[] for _ in range(n_parts + 1)]
    for high, low, axis in zip(a.tolist(), b.tolist(), axes.tolist(), strict=True):
        neighbours[high].append((low, axis, 1))
        neighbours[low].append((high, axis, -1))
    piece_of = np.zeros(n_parts + 1, dtype=int)
    piece_of[inside.ravel()] = numbers.ravel()
    period: dict[int, NDArray[np.int64]] = {}
    found: list[set[tuple[int, ...]]] = [set() for _ in range(n + 1)]
    for root in range(1, n_parts + 1):
        if root in period:
            continue
        period[root], stack = np.zeros(mask.ndim, dtype=np.int64), [root]
        while stack:
            part = stack.pop()
            for other, axis, sign in neighbours[part]:
                there = period[part].copy()
                there[axis] += sign
                if other not in period:
                    period[other] = there
                    stack.append(other)
                elif (there != period[other]).any():
                    found[piece_of[part]].add(tuple((there - period[other]).tolist()))
    return [np.array(sorted(f), dtype=np.int64).reshape(-1, mask.ndim) for f in found[1:]]


def _crossings(numbers: NDArray[np.int32], n: int) -> list[NDArray[np.int64]]:
    """For each piece, the unit vectors of the axes it crosses from face to face."""
    dim = numbers.ndim
    crossed = np.zeros((n + 1, dim), dtype=bool)
    for axis in range(dim):
        crossed[np.intersect1d(np.take(numbers, 0, axis), np.take(numbers, -1, axis)), axis] = True
    return [np.eye(dim, dtype=np.int64)[row] for row in crossed[1:]]
