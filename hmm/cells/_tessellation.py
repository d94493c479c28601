"""Laguerre tessellations of the periodic unit cell: grains as polytopes that share corners, edges and faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import HalfspaceIntersection, cKDTree

from hmm.cells import _generate, _gmsh
from hmm.cells._bodies import Array
from hmm.cells._edge_lengths import EdgeLengths
from hmm.cells._packing import free_places, neighbours


@dataclass(frozen=True)
class Tessellation:
    """The pieces of all grains in the unit cell, as polygons (polyhedra) that share corners, edges and faces.

    Attributes
    ----------
    sites
        Shape (n, d).
    corners
        Shape (n_corners, d).
    pieces
        For each piece the grain and its faces: each a loop of corners in order (in 2D an edge, two corners).
    """

    sites: Array
    corners: Array
    pieces: Sequence[tuple[int, Sequence[tuple[int, ...]]]]

    @classmethod
    def of(cls, sites: Array, weights: Array) -> Tessellation:
        """The Laguerre tessellation of periodic sites, cut by the faces of the cell."""
        dim = sites.shape[1]
        found = []
        for grain, (planes, corners) in enumerate(_free_cells(sites, weights)):
            for shift in neighbours(dim):
                if np.all((corners + shift).max(axis=0) > 0) and np.all((corners + shift).min(axis=0) < 1):
                    part = _clipped(np.c_[planes[:, :-1], planes[:, -1] - planes[:, :-1] @ shift])
                    if part is not None:
                        found.append((grain, *part))
        points = np.concatenate([corners for _, corners, _ in found])
        number, corners, _ = _merged(points)
        start, pieces = 0, []
        for grain, own, faces in found:
            loops = [_loop([int(number[start + i]) for i in face]) for face in faces]
            pieces.append((grain, [loop for loop in loops if len(loop) >= dim]))
            start += len(own)
        return cls(sites, corners, pieces)

    @property
    def lengths(self) -> Array:
        """Lengths of all edges."""
        ends = np.array(sorted(self._edges()))
        return np.asarray(np.linalg.norm(self.corners[ends[:, 0]] - self.corners[ends[:, 1]], axis=1))

    def draw(self, model: Any, mesh_size: float) -> float:
        """Draw and mesh the cell in the current model; the worst radius ratio of the mesh."""
        dim = self.corners.shape[1]
        points = [model.occ.addPoint(*np.r_[x, np.zeros(3 - dim)]) for x in self.corners]
        lines = {edge: model.occ.addLine(points[edge[0]], points[edge[1]]) for edge in sorted(self._edges())}
        groups: dict[str, list[int]] = {f"grain_{k}": [] for k in range(len(self.sites))}
        surfaces: dict[frozenset[int], int] = {}
        for grain, faces in self.pieces:
            if dim == 2:
                middles = np.array([self.corners[list(face)].mean(axis=0) for face in faces])
                around = np.argsort(np.arctan2(*(middles - middles.mean(axis=0)).T))
                loop = model.occ.addCurveLoop([lines[_edge(*faces[k])] for k in around])
                groups[f"grain_{grain}"].append(model.occ.addPlaneSurface([loop]))
                continue
            shell = [self._surface(model, face, lines, surfaces) for face in faces]
            groups[f"grain_{grain}"].append(model.occ.addVolume([model.occ.addSurfaceLoop(shell, sewing=False)]))
        model.occ.synchronize()
        _gmsh.name_phases(model, dim, groups)
        _gmsh.set_periodic(model, np.eye(dim))
        lengths = self.lengths
        sizes = EdgeLengths.tabulate(np.eye(dim), self._sizes(mesh_size), min(mesh_size, float(lengths.min())))
        _generate.generate(model, sizes)
        return _generate.check_quality(model, dim)

    def _surface(
        self, model: Any, face: tuple[int, ...], lines: dict[tuple[int, int], int], known: dict[frozenset[int], int]
    ) -> int:
        """The plane surface of a face, drawn once for both its grains."""
        key = frozenset(face)
        if key not in known:
            loop = [lines[_edge(a, b)] for a, b in zip(face, face[1:] + face[:1], strict=True)]
            known[key] = model.occ.addPlaneSurface([model.occ.addCurveLoop(loop)])
        return known[key]

    def _sizes(self, mesh_size: float) -> Callable[[Array], Array]:
        """Edge length of the mesh: that of short edges near them, growing by half the distance."""
        ends = np.array(sorted(self._edges()))
        a, b = self.corners[ends[:, 0]], self.corners[ends[:, 1]]
        lengths = np.linalg.norm(b - a, axis=1)
        short = lengths < mesh_size
        middles = cKDTree(0.5 * (a + b)[short]) if short.any() else None

        def sizes(points: Array) -> Array:
            if middles is None:
                return np.full(len(points), mesh_size)
            distance, nearest = middles.query(points, k=min(8, int(short.sum())))
            distance, nearest = np.atleast_2d(distance.T).T, np.atleast_2d(nearest.T).T
            wanted = lengths[short][nearest] + 0.5 * distance
            return np.asarray(np.minimum(mesh_size, wanted.min(axis=1)))

        return sizes

    def _edges(self) -> set[tuple[int, int]]:
        if self.corners.shape[1] == 2:
            return {_edge(*face) for _, faces in self.pieces for face in faces}
        return {
            _edge(a, b)
            for _, faces in self.pieces
            for face in faces
            for a, b in zip(face, face[1:] + face[:1], strict=True)
        }


def _edge(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _loop(numbers: list[int]) -> tuple[int, ...]:
    """The loop without corners that were merged with the preceding one."""
    return tuple(number for k, number in enumerate(numbers) if number != numbers[k - 1] or len(set(numbers)) == 1)


def _free_cells(sites: Array, weights: Array) -> list[tuple[Array, Array]]:
    """Planes (unit normal, minus offset) and corners of each complete Laguerre cell; each contains its site."""
    dim = sites.shape[1]
    shifts = neighbours(dim)
    copies, power = (sites[:, None] + shifts).reshape(-1, dim), np.repeat(weights, len(shifts))
    cells = []
    for site, weight in zip(sites, weights, strict=True):
        others = np.any(copies != site, axis=1)
        normals = copies[others] - site
        length = np.linalg.norm(normals, axis=1)
        offset = 0.5 * (length**2 + weight - power[others])
        planes = np.c_[normals, -(normals @ site + offset)] / length[:, None]
        corners = HalfspaceIntersection(planes, site).intersections
        on = np.abs(planes[:, :-1] @ corners.T + planes[:, -1:]) < 1e-8
        cells.append((planes[on.any(axis=1)], corners))
    return cells


def placed(sites: Array, weights: Array, count: int = 4, tries: int = 5) -> list[Array]:
    """Sites moved together so that no corner of a grain is close to a face of the unit cell, the best `count` ways."""
    dim = sites.shape[1]
    corners = np.concatenate([corners for _, corners in _free_cells(sites, weights)])
    options = [free_places(corners[:, k], np.zeros(len(corners)), tries) for k in range(dim)]
    ranked = sorted(product(*options), key=lambda choice: -min(width for _, width in choice))
    return [(sites - [place for place, _ in choice]) % 1.0 for choice in ranked[:count]]


def _clipped(planes: Array) -> tuple[Array, list[list[int]]] | None:
    """Corners and faces of the part inside the unit cell of what is below all planes, or None if there is none."""
    dim = planes.shape[1] - 1
    box = np.vstack([np.c_[-np.eye(dim), np.zeros(dim)], np.c_[np.eye(dim), -np.ones(dim)]])
    planes = np.vstack([box, planes])
    # The largest ball inside all planes, which have unit normals: maximize r with normal . x + r <= offset.
    widened = np.c_[planes[:, :-1], np.ones(len(planes))]
    inner = linprog(np.r_[np.zeros(dim), -1.0], widened, -planes[:, -1], bounds=[(None, None)] * dim + [(0, None)])
    if not inner.success or inner.x[-1] < 1e-7:
        return None
    hull = HalfspaceIntersection(planes, inner.x[:-1])
    corners = hull.intersections[np.all(np.isfinite(hull.intersections), axis=1)]
    corners = corners[_merged(corners)[2]]
    on = np.abs(planes[:, :-1] @ corners.T + planes[:, -1:]) < 1e-8
    faces = [
        _ordered(corners, np.flatnonzero(row), plane[:-1])
        for row, plane in zip(on, planes, strict=True)
        if row.sum() >= dim
    ]
    return corners, faces


def _merged(points: Array) -> tuple[NDArray[np.intp], Array, NDArray[np.intp]]:
    """Number of each point after merging equal ones, the points that are left, and which ones these are."""
    pairs = cKDTree(points).query_pairs(1e-7, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(points),) * 2)
    _, number = connected_components(graph, directed=False)
    _, first = np.unique(number, return_index=True)
    snapped = np.where(np.abs(points - np.round(points)) < 1e-9, np.round(points), points)
    return number, snapped[first], first


def _ordered(corners: Array, index: NDArray[np.intp], normal: Array) -> list[int]:
    """Corners of a plane face in the order they are met going around it."""
    if len(normal) == 2:
        return [int(i) for i in index]
    x = corners[index] - corners[index].mean(axis=0)
    first = x[np.argmax(np.linalg.norm(x, axis=1))]
    angle = np.arctan2(x @ np.cross(normal, first), x @ first)
    return [int(i) for i in index[np.argsort(angle)]]
