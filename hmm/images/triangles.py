"""Triangles that conform to a network of interfaces."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hmm.cells.gmsh_session import session
from hmm.foundation.errors import HMMError
from hmm.images.network import Floats, Ints, Network

GROWTH, COARSEST = 0.3, 4.0
"""Growth of the edge length with the distance from an interface, and its largest value per that at interfaces."""


def mesh_network(network: Network, mesh_size: float) -> tuple[Floats, Ints, Ints]:
    """Points, triangles and the piece each triangle is in."""
    network = _fine_border(network, mesh_size)
    inner = network.sides[:, 1] >= 0
    with session("hmm smoothed image") as model:
        geo = model.geo
        nodes = [geo.addPoint(x, y, 0.0) for x, y in network.points.tolist()]
        lines = [geo.addLine(nodes[a], nodes[b]) for a, b in network.segments.tolist()]
        for line in lines:
            geo.mesh.setTransfiniteCurve(line, 2)
        surface = geo.addPlaneSurface([geo.addCurveLoop([lines[k] for k in np.flatnonzero(~inner)])])
        geo.synchronize()
        embedded = [lines[k] for k in np.flatnonzero(inner)]
        if embedded:
            model.mesh.embed(1, embedded, 2, surface)
        _set_size(model, lines, mesh_size)
        model.mesh.generate(2)
        tags, x, _ = model.mesh.getNodes()
        corners = model.mesh.getElementsByType(2)[1].reshape(-1, 3)
    row = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    row[tags] = np.arange(len(tags))
    points, triangles = x.reshape(-1, 3)[:, :2], row[corners]
    return points, triangles, _pieces_of_triangles(network, points, triangles)


def _fine_border(network: Network, mesh_size: float) -> Network:
    """The network with its boundary segments in counterclockwise order and cut to the mesh size."""
    border = network.sides[:, 1] < 0
    counts = np.ones(len(border), dtype=int)
    length = np.linalg.norm(np.diff(network.points[network.segments], axis=1)[:, 0], axis=1)
    counts[border] = np.maximum(1, np.ceil(length[border] / mesh_size - 1e-9)).astype(int)
    n, points = len(network.points), [network.points]
    segments: list[tuple[int, int]] = []
    sides: list[Ints] = []
    for (a, b), side, count in zip(network.segments.tolist(), network.sides, counts.tolist(), strict=True):
        weights = np.arange(1, count)[:, None] / count
        points.append(network.points[a] * (1 - weights) + network.points[b] * weights)
        row = [a, *range(n, n + count - 1), b]
        segments.extend(pairwise(row))
        sides.extend([side] * count)
        n += count - 1
    return replace(
        network, points=np.concatenate(points), segments=np.array(segments), sides=np.array(sides)
    )  # only its points, segments and sides are used from here on


def _set_size(model: Any, lines: list[int], mesh_size: float) -> None:
    """Edges of the mesh size along the lines, growing away from them."""
    import gmsh

    gmsh.option.setNumber("Mesh.Algorithm", 5)  # Delaunay, which does not mind thousands of embedded lines
    field = model.mesh.field
    distance, size = field.add("Distance"), field.add("Threshold")
    field.setNumbers(distance, "CurvesList", lines)
    field.setNumber(distance, "Sampling", 2)
    field.setNumber(size, "InField", distance)
    field.setNumber(size, "SizeMin", mesh_size)
    field.setNumber(size, "SizeMax", COARSEST * mesh_size)
    field.setNumber(size, "DistMin", 0.0)
    field.setNumber(size, "DistMax", (COARSEST - 1) * mesh_size / GROWTH)
    field.setAsBackgroundMesh(size)


def _pieces_of_triangles(network: Network, points: Floats, triangles: Ints) -> Ints:
    """The piece of each triangle: that of the side of a segment which is reached without crossing another segment."""
    distance, node = cKDTree(points).query(network.points)
    n = len(points)
    walls = np.sort(node[network.segments], axis=1)
    wall_keys = walls[:, 0] * n + walls[:, 1]
    edges = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    ordered = np.sort(edges, axis=1)
    keys, owner = ordered[:, 0] * n + ordered[:, 1], np.repeat(np.arange(len(triangles)), 3)
    by_key = np.argsort(keys, kind="stable")
    twins = by_key[np.flatnonzero(np.diff(keys[by_key]) == 0)[:, None] + [0, 1]]
    if distance.max() > 1e-6 or not np.isin(wall_keys, keys).all():
        raise HMMError("gmsh did not preserve the interfaces of the image: change mesh_size")
    open_twins = owner[twins[~np.isin(keys[twins[:, 0]], wall_keys)]]
    graph = coo_array((np.ones(len(open_twins)), open_twins.T), shape=(len(triangles),) * 2)
    n_parts, part = connected_components(graph, directed=False)
    direction = {(a, b): s for (a, b), s in zip(node[network.segments].tolist(), network.sides.tolist(), strict=True)}
    piece_of = np.full(n_parts, -1)
    for k in np.flatnonzero(np.isin(keys, wall_keys)):
        a, b = edges[k].tolist()
        left = direction[a, b][0] if (a, b) in direction else direction[b, a][1]
        piece_of[part[owner[k]]] = left
    if (piece_of < 0).any():
        raise HMMError("the interfaces of the image are not closed: change mesh_size")
    return piece_of[part]
