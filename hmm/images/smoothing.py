"""Networks of interfaces made smooth, coarse, and true to the areas of the pixels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import lsqr
from scipy.spatial import cKDTree

from hmm.images.network import Floats, Ints, Network

SMOOTHED, CORRECTED = 0.2, 0.3
"""Largest displacement of a node, in pixels, by smoothing and by correcting areas; crossings on a line are 1 apart."""

SHORT = 16
"""Crossings of an interface that is too short to be smoothed."""


def smoothed(network: Network, steps: int = 20) -> Network:
    """Taubin smoothing: alternating Laplacian steps inwards and slightly larger ones outwards, which keep long waves.

    Interfaces of a few pixels have no long waves and would vanish: they are not smoothed.
    """
    small = [chain for chain in chains(network) if len(chain) <= SHORT]
    smooth = np.ones((len(network.points), 1), dtype=bool)
    if small:
        smooth[np.concatenate(small)] = False
    inner = network.segments[network.sides[:, 1] >= 0]
    ends = network.torus[inner]
    n = int(network.torus.max()) + 1
    degree = np.maximum(np.bincount(ends.ravel(), minlength=n), 1)[:, None]
    may_move = np.ones((n, 1), dtype=bool)
    np.logical_and.at(may_move, network.torus, smooth)
    total = np.zeros((n, 2))
    for step in range(2 * steps):
        d = network.points[inner[:, 1]] - network.points[inner[:, 0]]
        pull = np.zeros((n, 2))
        np.add.at(pull, ends[:, 0], d)
        np.add.at(pull, ends[:, 1], -d)
        wanted = total + (0.5, -0.53)[step % 2] * pull / degree
        change = (_limited(wanted, SMOOTHED) - total) * may_move
        total += change
        network = network.moved(change)
    return network


def _limited(displacement: Floats, farthest: float) -> Floats:
    """Displacements cut off at a length."""
    length = np.linalg.norm(displacement, axis=1)
    return displacement * (farthest / np.maximum(length, farthest))[:, None]


def chains(network: Network) -> list[Ints]:
    """The interfaces as rows of nodes between junctions and boundary points, and closed ones."""
    inner = network.segments[network.sides[:, 1] >= 0]
    neighbours: list[list[int]] = [[] for _ in range(len(network.points))]
    for a, b in inner.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    seen: set[tuple[int, int]] = set()
    ends = [k for k, near in enumerate(neighbours) if near and len(near) != 2]
    rest = [k for k, near in enumerate(neighbours) if len(near) == 2]
    chains = []
    for start in ends + rest:
        for step in neighbours[start] if len(neighbours[start]) != 2 else neighbours[start][:1]:
            if (start, step) in seen or (len(neighbours[start]) == 2 and (step, start) in seen):
                continue
            chain = [start, step]
            while len(neighbours[chain[-1]]) == 2 and chain[-1] != start:
                a, b = neighbours[chain[-1]]
                chain.append(b if a == chain[-2] else a)
            seen.update(pairwise(chain))
            seen.update(pairwise(chain[::-1]))
            chains.append(np.array(chain))
    return chains


def coarsened(network: Network, chains: list[Ints], counts: dict[int, int]) -> tuple[Network, Ints]:
    """Each chain as `counts` segments of equal length; and the chain of each segment, -1 on the boundary."""
    inner = network.sides[:, 1] >= 0
    side_of = {(a, b): (l, r) for (a, b), (l, r) in zip(network.segments.tolist(), network.sides.tolist(), strict=True)}
    side_of |= {(b, a): (r, l) for (a, b), (l, r) in side_of.items()}
    kept = np.unique(np.concatenate([network.segments[~inner].ravel(), *(chain[[0, -1]] for chain in chains)]))
    new = np.full(len(network.points), -1)
    new[kept] = np.arange(len(kept))
    points, segments, sides, of = [network.points[kept]], [new[network.segments[~inner]]], [network.sides[~inner]], []
    n = len(kept)
    for k, chain in enumerate(chains):
        x, count = network.points[chain], counts[k]
        s = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(x, axis=0), axis=1))]
        at = np.linspace(0, s[-1], count + 1)[1:-1]
        points.append(np.stack([np.interp(at, s, x[:, 0]), np.interp(at, s, x[:, 1])], axis=1))
        row = np.r_[new[chain[0]], n + np.arange(count - 1), new[chain[-1]]]
        segments.append(np.stack([row[:-1], row[1:]], axis=1))
        sides.append(np.tile(side_of[int(chain[0]), int(chain[1])], (count, 1)))
        of.append(np.full(count, k))
        n += count - 1
    torus = np.r_[network.torus[kept], network.torus.max() + 1 + np.arange(n - len(kept))]
    free = np.concatenate([network.free[kept], np.ones((n - len(kept), 2), dtype=bool)])
    chain_of = np.concatenate([np.full(int((~inner).sum()), -1), *of])
    coarse = replace(
        network,
        points=np.concatenate(points),
        torus=torus,
        free=free,
        segments=np.concatenate(segments),
        sides=np.concatenate(sides),
    )
    return coarse, chain_of


def with_areas(network: Network) -> Network:
    """The network with the smallest displacement that gives the pieces their areas.

    If pieces are too small for this, the phase in total still has its area.
    """
    n = int(network.torus.max()) + 1
    total = np.zeros((n, 2))
    by_phase = np.unique(network.tags, return_inverse=True)[1].ravel()
    for groups, steps in ((np.arange(len(network.areas)), 5), (by_phase, 20)):
        for _ in range(steps):
            missing = np.bincount(groups, network.areas - network.measured())
            if np.abs(missing).max() < 1e-9 * network.areas.sum():
                break
            step = lsqr(_area_gradient(network, groups, n), missing, atol=1e-12, btol=1e-12, iter_lim=500)[0]
            change = _limited(total + step.reshape(n, 2), CORRECTED) - total
            total += change
            network = network.moved(change)
    return network


def _area_gradient(network: Network, groups: Ints, n: int) -> csr_array:
    """Derivative of the areas of groups of pieces with respect to the n torus nodes, shape (n_groups, 2 n)."""
    a, b = network.segments.T
    d = network.points[b] - network.points[a]
    outward = 0.5 * np.stack([d[:, 1], -d[:, 0]], axis=1)  # to the right: what the piece on the left gains
    rows, columns, values = [], [], []
    for sign, side in ((1.0, 0), (-1.0, 1)):
        inside = network.sides[:, side] >= 0
        for node in (a, b):
            for axis in (0, 1):
                rows.append(groups[network.sides[inside, side]])
                columns.append(2 * network.torus[node[inside]] + axis)
                values.append(sign * (outward[:, axis] * network.free[node, axis])[inside])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return coo_array(entries, shape=(int(groups.max()) + 1, 2 * n)).tocsr()


def crossing(network: Network) -> Ints:
    """Segments that cross another one that is not a neighbour, and repeated segments."""
    p, q = network.points[network.segments[:, 0]], network.points[network.segments[:, 1]]
    reach = float(np.linalg.norm((q - p)[network.sides[:, 1] >= 0], axis=1).max(initial=0.0))
    inner = np.flatnonzero(network.sides[:, 1] >= 0)
    pairs = inner[cKDTree(0.5 * (p + q)[inner]).query_pairs(reach, output_type="ndarray")] if len(inner) else []
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    ends = network.segments[pairs].reshape(-1, 4)
    apart = (ends[:, :2, None] != ends[:, None, 2:]).all(axis=(1, 2))
    i, j = pairs[apart].T

    def turn(a: Floats, b: Floats, c: Floats) -> Floats:
        return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])

    cross = (turn(p[i], q[i], p[j]) * turn(p[i], q[i], q[j]) <= 0) & (
        turn(p[j], q[j], p[i]) * turn(p[j], q[j], q[i]) <= 0
    )
    ordered = np.sort(network.segments, axis=1)
    _, same, count = np.unique(ordered, axis=0, return_inverse=True, return_counts=True)
    return np.unique(np.r_[i[cross], j[cross], np.flatnonzero(count[same.ravel()] > 1)])
