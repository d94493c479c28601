"""Triangles on the surfaces of convex bodies, cut along the faces of the unit cells that they intersect.

Boolean operations of a CAD kernel leave vertices and short edges where the seams and poles of its parametrizations meet
the faces of the cell. This module avoids both: curves on the faces are found by bisection, points on a surface are not
close to them, and their triangulation is made Delaunay by flips (Lawson), which keeps the curves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import ceil, floor, pi

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from hmm.cells._bodies import Array, Bodies
from hmm.cells._slivers import Indices
from hmm.foundation.errors import HMMError

SAMPLES = 720
"""Points of the polygon that represents a curve before it is divided."""

AWAY = 0.65
"""Smallest distance of points on a surface from its curves, per length of the segments there."""

APART = 0.66
"""Smallest distance between points on a surface, per edge length; the points are random."""

CROWD = 16
"""Random points per edge length squared, from which they are chosen."""


@dataclass(frozen=True)
class Surface:
    """The complete triangulated surface of one body; no triangle crosses a face of a cell.

    Attributes
    ----------
    points
        Shape (n, 3).
    triangles
        Shape (t, 3), oriented outwards.
    segments, axes
        Shapes (s, 2) and (s,); edges on the faces of cells, and the axis across each.
    """

    points: Array
    triangles: Indices
    segments: Indices
    axes: Indices

    @property
    def volume(self) -> float:
        """The volume that the triangles enclose."""
        return float(np.linalg.det(self.points[self.triangles] - self.points[0]).sum()) / 6


@dataclass
class Curves:
    """Where the surface of one body meets the planes on which a coordinate is an integer.

    Attributes
    ----------
    body
        A single one.
    lengths
        Edge length at points of shape (p, 3).
    points
        On the curves.
    segments
        Pairs of indices into `points`.
    axes
        Across the plane of each segment.
    corners
        By line (axis, level, axis, level) where two planes meet, the two points in which it meets the surface.
    """

    body: Bodies
    lengths: Callable[[Array], Array]
    points: list[Array] = field(default_factory=list)
    segments: list[tuple[int, int]] = field(default_factory=list)
    axes: list[int] = field(default_factory=list)
    corners: dict[tuple[int, int, int, int], list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Bodies, lengths: Callable[[Array], Array]) -> Curves:
        """All curves of a body."""
        curves = cls(body, lengths)
        centre, extent = body.centres[0], body.extents[0]
        planes = [
            (a, m) for a in range(3) for m in range(ceil(centre[a] - extent[a]), floor(centre[a] + extent[a]) + 1)
        ]
        polygons = {plane: curves._polygon(*plane) for plane in planes}
        for (a, m), (b, n) in combinations(planes, 2):
            if a != b:
                curves._add_corners(a, m, b, n, polygons[a, m])
        for plane, polygon in polygons.items():
            curves._divide(*plane, polygon)
        return curves

    def _polygon(self, axis: int, level: int) -> Array:
        return on_rays(
            self.body, section_middle(self.body, axis, level), _rays(axis, np.arange(SAMPLES) * 2 * pi / SAMPLES)
        )

    def _add_corners(self, a: int, m: int, b: int, n: int, polygon: Array) -> None:
        """The ends of the chord that a line cuts out of the body."""
        side = polygon[:, b] > n
        crossing = np.flatnonzero(side != np.roll(side, -1))
        if len(crossing) != 2:
            return
        start, end = polygon[crossing], np.roll(polygon, -1, axis=0)[crossing]
        t = (n - start[:, b]) / (end[:, b] - start[:, b])
        middle = (start + t[:, None] * (end - start)).mean(axis=0)
        middle[[a, b]] = m, n
        along = np.eye(3)[3 - a - b]
        self.corners[a, m, b, n] = [len(self.points), len(self.points) + 1]
        self.points += list(on_rays(self.body, middle, np.stack([along, -along])))

    def _divide(self, axis: int, level: int, polygon: Array) -> None:
        """Points on the curve of one plane, from corner to corner."""
        closed = np.vstack([polygon, polygon[:1]])
        steps = np.linalg.norm(np.diff(closed, axis=0), axis=1) / self.lengths(0.5 * (closed[1:] + closed[:-1]))
        turn = 2 * pi / SAMPLES
        angles, weight = turn * np.arange(2 * SAMPLES + 1), np.r_[0.0, np.cumsum(np.tile(steps, 2))]
        middle = section_middle(self.body, axis, level)
        on_it = [i for key, pair in self.corners.items() if (axis, level) in (key[:2], key[2:]) for i in pair]
        at = {i: _angle(axis, self.points[i] - middle) for i in on_it}
        stops = sorted(on_it, key=at.__getitem__)
        for k, first in enumerate(stops or [-1]):
            last = stops[(k + 1) % len(stops)] if stops else -1
            low = at.get(first, 0.0)
            high = at.get(last, 0.0) + (2 * pi if not stops or k == len(stops) - 1 else 0.0)
            bounds = np.interp([low, high], angles, weight)
            n = max(round(float(bounds[1] - bounds[0])), 1 if stops else 5)
            between = np.interp(np.linspace(bounds[0], bounds[1], n + 1)[1 if stops else 0 : -1], weight, angles)
            new = list(range(len(self.points), len(self.points) + len(between)))
            self.points += list(on_rays(self.body, middle, _rays(axis, between)))
            chain = [first, *new, last] if stops else [*new, new[0]]
            self.segments += list(pairwise(chain))
            self.axes += [axis] * (len(chain) - 1)


def section_middle(body: Bodies, axis: int, level: float) -> Array:
    """A point of the plane across an axis that is inside a body: between the points of this farthest along the axis."""
    tip = body.tips[0, axis]
    middle = body.centres[0] + (level - body.centres[0, axis]) / tip[axis] * tip
    middle[axis] = level
    return np.asarray(middle)


def on_rays(body: Bodies, start: Array, rays: Array) -> Array:
    """Where rays from a point inside a body, shape (p, 3), meet its surface."""
    low, high = np.zeros(len(rays)), np.full(len(rays), 2.1 * body.reach[0])
    for _ in range(52):
        middle = 0.5 * (low + high)
        inside = body.distances(start + middle[:, None] * rays)[:, 0] <= 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.asarray(start + low[:, None] * rays)


def _rays(axis: int, angles: Array) -> Array:
    u, v = np.delete(np.eye(3), axis, axis=0)
    return np.outer(np.cos(angles), u) + np.outer(np.sin(angles), v)


def _angle(axis: int, away: Array) -> float:
    x, y = np.delete(away, axis)
    return float(np.arctan2(y, x) % (2 * pi))


def triangulate(bodies: Bodies, lengths: Callable[[Array], Array]) -> list[Surface]:
    """The surface of each body, with triangles of the given edge lengths.

    Parameters
    ----------
    bodies
        Convex, in three dimensions.
    lengths
        Edge length at points of shape (p, 3).

    Raises
    ------
    HMMError
        If a curve is too short for the edge length.
    """
    points, triangles, fixed, axes, owner, n = [], [], [], [], [], 0
    for k in range(len(bodies.centres)):
        curves = Curves.of(bodies.select(np.array([k])), lengths)
        x, segments = _spread(curves, np.random.default_rng(k))
        points.append(x)
        triangles.append(n + _hull(x - bodies.centres[k]))
        fixed.append(n + segments)
        axes.append(np.array(curves.axes, dtype=np.intp))
        owner.append(np.full(len(x), k))
        n += len(x)
    mesh = _Flips(
        bodies, np.concatenate(points), np.concatenate(triangles), np.concatenate(fixed), np.concatenate(owner)
    )
    mesh.improve()
    of = mesh.owner[mesh.triangles[:, 0]]
    starts = np.cumsum([0, *map(len, points)])
    return [
        Surface(mesh.x[a:b], mesh.triangles[of == k] - a, segments - a, across)
        for k, (a, b, segments, across) in enumerate(zip(starts, starts[1:], fixed, axes, strict=False))
    ]


def _spread(curves: Curves, rng: np.random.Generator) -> tuple[Array, Indices]:
    """The points on the curves, then others with the required distances; and the segments."""
    cloud = _candidates(curves, rng)
    on, ends = np.reshape(curves.points, (-1, 3)), np.reshape(np.array(curves.segments, dtype=np.intp), (-1, 2))
    if len(ends):
        start, end = on[ends[:, 0]], on[ends[:, 1]]
        dense = np.concatenate([start + t * (end - start) for t in (0.0, 0.25, 0.5, 0.75)])
        length = np.tile(np.linalg.norm(end - start, axis=1), 4)
        distance, nearest = cKDTree(dense).query(cloud)
        cloud = cloud[distance > AWAY * length[nearest]]
    free = np.ones(len(cloud), dtype=bool)
    chosen = []
    for k, near in enumerate(cKDTree(cloud).query_ball_point(cloud, APART * curves.lengths(cloud))):
        if free[k]:
            chosen.append(k)
            free[near] = False
    return np.vstack([on, cloud[chosen]]), ends


def _candidates(curves: Curves, rng: np.random.Generator) -> Array:
    """Random points on a body, at least `CROWD` to the square of the edge length, in random order."""
    body = curves.body
    points, area = body.scatter(1000, rng)
    share, done = area / len(points), []
    while len(points):
        coarse = share > curves.lengths(points) ** 2 / CROWD
        done.append(points[~coarse])
        near = np.repeat(points[coarse], 4, axis=0)
        points = body.onto(near + 0.5 * share**0.5 * rng.normal(size=near.shape), np.zeros(len(near), dtype=np.intp))
        share /= 4
    return rng.permutation(np.concatenate(done))


def _hull(local: Array) -> Indices:
    """Triangles between points as seen from the origin: the convex hull of their directions."""
    directions = local / np.linalg.norm(local, axis=1)[:, None]
    triangles = ConvexHull(directions).simplices.astype(np.intp)
    if len(np.unique(triangles)) < len(local):
        raise HMMError("points on an inclusion coincide: change mesh_size or seed")
    inward = np.linalg.det(directions[triangles]) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return triangles


@dataclass
class _Flips:
    """Closed triangulated surfaces, improved by moving points and flipping edges that are not fixed."""

    bodies: Bodies
    x: Array
    triangles: Indices
    fixed: Indices
    owner: Indices

    def improve(self, rounds: int = 6) -> None:
        """Delaunay triangles between points that are smoothed."""
        self.flip()
        missing = ~np.isin(self._code(self.fixed), self._code(_half_edges(self.triangles)))
        if missing.any():
            raise HMMError(f"{missing.sum()} segments on the faces of the cell were lost: change mesh_size or seed")
        for _ in range(rounds):
            self.smooth()
            self.flip()
        corners = self.x[self.triangles]
        if np.any(np.ptp(corners, axis=1) + np.abs(corners[:, 0] - np.round(corners[:, 0])) == 0):
            raise HMMError("a face of the cell almost touches an inclusion: change mesh_size or seed")

    def flip(self, sweeps: int = 400) -> None:
        """Flip edges until the angles opposite to each add up to less than 180 degrees."""
        held = self._code(self.fixed)
        for _ in range(sweeps):
            edges, tri, corner = _pairs_of_halves(self.triangles)
            a, b = edges.T
            c, d = (self.triangles[tri[:, s], corner[:, s]] for s in (0, 1))
            # A chord, between two points of a curve, would lie on the face of the cell.
            excess = self._cotangent(c, a, b) + self._cotangent(d, a, b) - 1e3 * self._chords(a, b)
            wanted = (excess < -1e-4) & ~np.isin(self._code(edges), held)
            new = np.stack([c, d], axis=1)
            wanted &= ~self._chords(c, d) | np.isin(self._code(new), held)
            wanted[wanted] = self._star(c[wanted], d[wanted], a[wanted], b[wanted])
            if not wanted.any():
                return
            score = np.where(wanted, excess, np.inf)
            best = np.full(len(self.triangles), np.inf)
            np.minimum.at(best, tri.ravel(), np.repeat(score, 2))
            chosen = np.flatnonzero(wanted & (score == best[tri[:, 0]]) & (score == best[tri[:, 1]]))
            # Half edge 0 runs from a to b with c on its left: the new edge is c - d.
            self.triangles[tri[chosen, 0]] = np.stack([c, a, d], axis=1)[chosen]
            self.triangles[tri[chosen, 1]] = np.stack([d, b, c], axis=1)[chosen]

    def smooth(self) -> None:
        """Move each free point to the middle of its neighbours, on its surface, if no triangle becomes worse."""
        free = np.ones(len(self.x), dtype=bool)
        free[self.fixed] = False
        halves = _half_edges(self.triangles)
        total, count = np.zeros_like(self.x), np.zeros(len(self.x))
        np.add.at(total, halves[:, 0], self.x[halves[:, 1]])
        np.add.at(count, halves[:, 0], 1.0)
        target = self.bodies.onto(total[free] / count[free, None], self.owner[free])
        before, old = self._worst_at_points(), self.x.copy()
        self.x[free] = target
        for _ in range(10):
            worse = (self._worst_at_points() < np.minimum(before, 0.8)) & np.any(self.x != old, axis=1)
            if not worse.any():
                return
            self.x[worse] = old[worse]
        self.x = old

    def _worst_at_points(self) -> Array:
        found = np.ones(len(self.x))
        np.minimum.at(found, self.triangles.ravel(), np.repeat(shapes(self.x[self.triangles]), 3))
        return found

    def _code(self, edges: Indices) -> Indices:
        return np.asarray(edges.min(axis=1) * len(self.x) + edges.max(axis=1))

    def _chords(self, a: Indices, b: Indices) -> NDArray[np.bool_]:
        """Whether two points are on the same face of a cell."""
        x, y = self.x[a], self.x[b]
        return np.asarray(np.any((x == y) & (x == np.round(x)), axis=1))

    def _cotangent(self, at: Indices, a: Indices, b: Indices) -> Array:
        u, v = self.x[a] - self.x[at], self.x[b] - self.x[at]
        return (u * v).sum(axis=1) / np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-300)

    def _star(self, c: Indices, d: Indices, a: Indices, b: Indices) -> NDArray[np.bool_]:
        """Whether both new triangles are seen from the centre of the body."""
        centre = self.bodies.centres[self.owner[a]]
        pa, pb, pc, pd = (self.x[i] - centre for i in (a, b, c, d))
        first, second = (np.linalg.det(np.stack(t, axis=1)) for t in ((pc, pa, pd), (pd, pb, pc)))
        scale = np.linalg.norm(pa, axis=1) ** 3
        return np.asarray((first > 1e-9 * scale) & (second > 1e-9 * scale))


def shapes(corners: Array) -> Array:
    """4 sqrt(3) area / (sum of squared edges) of triangles, shape (t, 3, d): 1 if regular, 0 if flat."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    squares = (u**2).sum(axis=1) + (v**2).sum(axis=1) + ((u - v) ** 2).sum(axis=1)
    return 2 * np.sqrt(3) * np.linalg.norm(np.cross(u, v), axis=1) / squares


def _half_edges(triangles: Indices) -> Indices:
    """Oriented edges, shape (3 t, 2): edge i of each triangle is opposite to its corner i."""
    return np.stack([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]], axis=1).reshape(-1, 2)


def _pairs_of_halves(triangles: Indices) -> tuple[Indices, Indices, Indices]:
    """Each edge of closed surfaces once, its two triangles, and their corners opposite to it; shape (e, 2) each."""
    halves = _half_edges(triangles)
    code = halves.min(axis=1) * (triangles.max() + 1) + halves.max(axis=1)
    order = np.argsort(code, kind="stable").reshape(-1, 2)
    return halves[order[:, 0]], order // 3, order % 3
