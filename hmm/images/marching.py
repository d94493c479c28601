"""Marching squares on a label image with several phases."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hmm.cells.pieces import label_pieces
from hmm.images.labels import Labels
from hmm.images.network import Floats, Ints, Network


def marched(tags: Labels, periodic: bool) -> Network:
    """The network of marching squares on the dual grid."""
    mode: Any = "wrap" if periodic else "edge"
    pad = (0, 1) if periodic else (1, 1)
    dual = np.pad(tags, [pad, pad], mode=mode)
    lines = [np.arange(n + 1.0) if periodic else np.r_[0.0, np.arange(n) + 0.5, n] for n in tags.shape]
    piece = np.pad(_all_pieces(tags, periodic), [pad, pad], mode=mode)
    starts, ends, sides, joined, centres = _squares(dual, piece)
    n_pieces = int(piece.max()) + 1
    n_merged, merged = connected_components(coo_array((np.ones(len(joined)), joined.T), shape=(n_pieces,) * 2), False)
    border, border_sides = _border(dual, piece)
    segments = np.concatenate([np.stack([starts, ends], axis=1), border])
    all_sides = merged[np.concatenate([sides, np.stack([border_sides, border_sides], axis=1)])]
    all_sides[len(sides) :, 1] = -1
    used, numbered = np.unique(segments, return_inverse=True)
    points = _positions(used, dual.shape, lines, centres)
    areas = np.bincount(merged[piece[pad[0] :, pad[0] :][: tags.shape[0], : tags.shape[1]]].ravel()).astype(float)
    tag_of = np.zeros(n_merged, dtype=np.int32)
    tag_of[merged[piece]] = dual
    on_line = [np.isin(points[:, axis], [lines[axis][0], lines[axis][-1]]) for axis in (0, 1)]
    free = ~np.stack(on_line, axis=1)
    wrapped = np.mod(points, tags.shape) if periodic else points
    _, torus = np.unique(np.round(wrapped * 4).astype(int), axis=0, return_inverse=True)
    return Network(points, torus.ravel(), free, numbered.reshape(-1, 2), all_sides, areas, tag_of)


def _all_pieces(tags: Labels, periodic: bool) -> Ints:
    """A number, from 0, for each connected piece of each phase."""
    numbers, start = np.zeros(tags.shape, dtype=np.int64), 0
    for tag in np.unique(tags):
        own, n = label_pieces(tags == tag, periodic)
        numbers[own > 0] = own[own > 0] - 1 + start
        start += n
    return numbers


def _squares(dual: Labels, piece: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Segments of all dual squares: start, end, pieces (left, right); pairs of pieces joined; squares with a junction.

    A node is numbered 4 s + k, with s the dual node at the lower left: k = 0 on the edge to its right, 1 on the edge
    above it, 2 in the middle of the square, 3 at the dual node.
    """
    nx, ny = dual.shape
    s = np.arange(nx * ny).reshape(nx, ny)[:-1, :-1].ravel()
    corner = np.stack([s, s + ny, s + ny + 1, s + 1], axis=1)
    crossing = np.stack([4 * s, 4 * (s + ny) + 1, 4 * (s + 1), 4 * s + 1], axis=1)
    label, of = dual.ravel()[corner], piece.ravel()[corner]
    differs = label != np.roll(label, -1, axis=1)
    n = differs.sum(axis=1)
    out: list[tuple[Ints, Ints, Ints, Ints]] = []

    def cut(rows: Ints, a: Any, b: Any) -> None:
        out.append((crossing[rows, a], crossing[rows, b], of[rows, a], of[rows, (a + 1) % 4]))

    two = np.flatnonzero(n == 2)
    first = np.argmax(differs[two], axis=1)
    cut(two, first, 3 - np.argmax(differs[two, ::-1], axis=1))
    even, odd = label[:, 0] == label[:, 2], label[:, 1] == label[:, 3]
    four = n == 4
    join_even = np.flatnonzero(four & even & (~odd | (label[:, 0] < label[:, 1])))
    join_odd = np.flatnonzero(four & odd & (~even | (label[:, 1] < label[:, 0])))
    for rows, k in ((join_even, 0), (join_odd, 1)):
        for a in (k, k + 2):
            cut(rows, a, (a + 1) % 4)
    joined = np.concatenate([of[join_even][:, [0, 2]], of[join_odd][:, [1, 3]]])
    star = (n == 3) | (four & ~even & ~odd)
    for a in range(4):
        rows = np.flatnonzero(star & differs[:, a])
        out.append((4 * s[rows] + 2, crossing[rows, a], of[rows, (a + 1) % 4], of[rows, a]))
    starts, ends, left, right = (np.concatenate(parts) for parts in zip(*out, strict=True))
    return starts, ends, np.stack([left, right], axis=1), joined, s[star]


def _border(dual: Labels, piece: Ints) -> tuple[Ints, Ints]:
    """Segments of the cell's boundary, counterclockwise, and the piece inside each."""
    nx, ny = dual.shape
    number = np.arange(nx * ny).reshape(nx, ny)
    loop = [number[:-1, 0], number[-1, :-1], number[:0:-1, -1], number[0, :0:-1]]
    nodes = np.concatenate(loop)
    following = np.roll(nodes, -1)
    low = np.minimum(nodes, following)
    crossing = 4 * low + (np.abs(nodes - following) == 1)
    differ = dual.ravel()[nodes] != dual.ravel()[following]
    is_corner = np.zeros(len(nodes), dtype=bool)
    is_corner[np.cumsum([0, *(len(part) for part in loop[:-1])])] = True
    stops = np.sort(np.concatenate([np.flatnonzero(is_corner) * 2, np.flatnonzero(differ) * 2 + 1]))
    names = np.where(stops % 2 == 0, 4 * nodes[stops // 2] + 3, crossing[stops // 2])
    after = nodes[((stops + 1) // 2) % len(nodes)]  # the dual node at or after the stop is inside the segment
    return np.stack([names, np.roll(names, -1)], axis=1), piece.ravel()[after]


def _positions(names: Ints, shape: tuple[int, ...], lines: list[Floats], centres: Ints) -> Floats:
    """Coordinates of nodes numbered as in `_squares`."""
    i, j = np.divmod(names // 4, shape[1])
    kind = names % 4
    middle = [0.5 * (line + np.r_[line[1:], line[-1]]) for line in lines]
    x = np.where((kind == 0) | (kind == 2), middle[0][i], lines[0][i])
    y = np.where((kind == 1) | (kind == 2), middle[1][j], lines[1][j])
    return np.stack([x, y], axis=1)
