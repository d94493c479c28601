"""Convex bodies of random microstructures: positions, distances from a point, overlaps of pairs.

This module contains geometry in NumPy only. All lengths are in the unit of the cell; arrays have one row per body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import pi
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Bodies(Protocol):
    """The interface of n bodies in d dimensions for packing and meshing."""

    @property
    def centres(self) -> Array:
        """Shape (n, d)."""

    @property
    def reach(self) -> Array:
        """Radius of the sphere around the centre that contains each body, shape (n,)."""

    @property
    def extents(self) -> Array:
        """Half edges of the bounding boxes, shape (n, d)."""

    @property
    def tips(self) -> Array:
        """The point of each body farthest along each axis, from its centre, shape (n, axis, d)."""

    @property
    def volumes(self) -> Array:
        """Shape (n,)."""

    @property
    def fineness(self) -> Array:
        """Longest edge that still resolves the surface of each body, shape (n,)."""

    def at(self, centres: Array) -> Self:
        """The same bodies at other places."""

    def select(self, index: NDArray[np.intp]) -> Self:
        """A selection of the bodies, possibly with repetitions."""

    def scaled(self, factor: float) -> Self:
        """Each body scaled about its centre."""

    def grown(self, by: float) -> Self:
        """Each body with a layer of thickness `by` around it."""

    def distances(self, points: Array) -> Array:
        """Signed distances of points, shape (p, d), from all surfaces, shape (p, n); negative inside."""

    def onto(self, points: Array, k: NDArray[np.intp]) -> Array:
        """Points near the surfaces of bodies k, shapes (p, d) and (p,), moved onto them."""

    def scatter(self, n: int, rng: np.random.Generator) -> tuple[Array, float]:
        """About `n` points spread evenly at random over the surface of the first body (d = 3), and its area."""

    def overlaps(self, i: NDArray[np.intp], j: NDArray[np.intp], offset: Array) -> tuple[Array, Array]:
        """Overlap of body i and a body j at the distance `offset`, positive if they overlap, and its gradient."""

    def draw(self, model: Any, k: int) -> int:
        """Draw body k, in the plane or a ball, in the current Gmsh model and return its tag."""


def overlap_measure(bodies: Bodies, shifts: Array) -> float:
    """Largest overlap among bodies and their images under the lattice `shifts`, shape (s, d); negative if none."""
    n = len(bodies.centres)
    i, j, s = (index.ravel() for index in np.indices((n, n, len(shifts))))
    keep = (i != j) | np.any(shifts[s] != 0, axis=1)
    i, j, s = i[keep], j[keep], s[keep]
    return float(bodies.overlaps(i, j, bodies.centres[j] + shifts[s] - bodies.centres[i])[0].max(initial=-np.inf))


@dataclass(frozen=True)
class Rods:
    """Discs and spheres (half length 0), stadiums and sphero-cylinders: all points within `radii` of a segment.

    Attributes
    ----------
    centres
        Shape (n, d).
    radii, halves
        Shape (n,); half the length of the segment, without the round ends.
    axes
        Shape (n, d), unit vectors.
    """

    centres: Array
    radii: Array
    halves: Array
    axes: Array

    @classmethod
    def balls(cls, centres: Array, radii: Array) -> Rods:
        """Discs or spheres."""
        return cls(centres, radii, np.zeros(len(centres)), np.eye(centres.shape[1])[np.zeros(len(centres), dtype=int)])

    @property
    def reach(self) -> Array:
        return self.radii + self.halves

    @property
    def extents(self) -> Array:
        return self.radii[:, None] + self.halves[:, None] * np.abs(self.axes)

    @property
    def tips(self) -> Array:
        along = self.halves[:, None, None] * np.sign(self.axes)[:, :, None] * self.axes[:, None]
        return np.asarray(along + self.radii[:, None, None] * np.eye(self.axes.shape[1]))

    @property
    def volumes(self) -> Array:
        if self.centres.shape[1] == 2:
            return pi * self.radii**2 + 4 * self.halves * self.radii
        return 4 / 3 * pi * self.radii**3 + 2 * self.halves * pi * self.radii**2

    @property
    def fineness(self) -> Array:
        return self.radii / 2

    def at(self, centres: Array) -> Self:
        return replace(self, centres=centres)

    def select(self, index: NDArray[np.intp]) -> Self:
        return replace(
            self,
            centres=self.centres[index],
            radii=self.radii[index],
            halves=self.halves[index],
            axes=self.axes[index],
        )

    def scaled(self, factor: float) -> Self:
        return replace(self, radii=factor * self.radii, halves=factor * self.halves)

    def grown(self, by: float) -> Self:
        return replace(self, radii=self.radii + by)

    def distances(self, points: Array) -> Array:
        away = points[:, None] - self.centres
        along = np.clip(np.einsum("pnd,nd->pn", away, self.axes), -self.halves, self.halves)
        return np.linalg.norm(away - along[..., None] * self.axes, axis=2) - self.radii

    def onto(self, points: Array, k: NDArray[np.intp]) -> Array:
        away = points - self.centres[k]
        along = np.clip(np.einsum("pd,pd->p", away, self.axes[k]), -self.halves[k], self.halves[k])
        middle = self.centres[k] + along[:, None] * self.axes[k]
        out = points - middle
        return np.asarray(middle + self.radii[k, None] * out / np.linalg.norm(out, axis=1)[:, None])

    def scatter(self, n: int, rng: np.random.Generator) -> tuple[Array, float]:
        radius, half, axis = float(self.radii[0]), float(self.halves[0]), self.axes[0]
        out = _directions(n, rng)
        barrel = rng.random(n) < half / (half + radius)
        out[barrel] -= np.outer(out[barrel] @ axis, axis)
        along = np.where(barrel, rng.uniform(-half, half, n), half * np.sign(out @ axis))
        middle = self.centres[0] + np.outer(along, axis)
        return middle + radius * out / np.linalg.norm(out, axis=1)[:, None], 4 * pi * radius * (radius + half)

    def overlaps(self, i: NDArray[np.intp], j: NDArray[np.intp], offset: Array) -> tuple[Array, Array]:
        """From the distance of two segments (Ericson, Real-Time Collision Detection, 2005, section 5.1.9)."""
        u, v, a, b = self.axes[i], self.axes[j], self.halves[i], self.halves[j]
        uv, uw, vw = (np.einsum("nd,nd->n", *pair) for pair in ((u, v), (u, offset), (v, offset)))
        oblique = 1 - uv**2
        s = np.clip(np.divide(uw - uv * vw, oblique, out=np.zeros_like(uw), where=oblique > 1e-12), -a, a)
        t = np.clip(uv * s - vw, -b, b)
        s = np.clip(uw + uv * t, -a, a)
        between = offset + t[:, None] * v - s[:, None] * u
        distance = np.linalg.norm(between, axis=1)
        return self.radii[i] + self.radii[j] - distance, -between / np.maximum(distance, 1e-300)[:, None]

    def draw(self, model: Any, k: int) -> int:
        centre, axis = np.zeros(3), np.zeros(3)
        centre[: self.centres.shape[1]], axis[: self.axes.shape[1]] = self.centres[k], self.axes[k]
        radius, half = float(self.radii[k]), float(self.halves[k])
        if self.centres.shape[1] == 2:
            return _stadium(model, centre, axis, radius, half) if half else model.occ.addDisk(*centre, radius, radius)
        return model.occ.addSphere(*centre, radius)


@dataclass(frozen=True)
class Ellipsoids:
    """Ellipses (d = 2) and ellipsoids (d = 3).

    Attributes
    ----------
    centres, semi_axes
        Shape (n, d).
    rotations
        Shape (n, d, d); column k of a rotation is the direction of semi-axis k.
    """

    centres: Array
    semi_axes: Array
    rotations: Array

    @property
    def reach(self) -> Array:
        return self.semi_axes.max(axis=1)

    @property
    def extents(self) -> Array:
        return np.linalg.norm(self.rotations * self.semi_axes[:, None], axis=2)

    @property
    def tips(self) -> Array:
        return np.asarray(self.matrices / self.extents[:, :, None])

    @property
    def volumes(self) -> Array:
        return (pi if self.centres.shape[1] == 2 else 4 / 3 * pi) * self.semi_axes.prod(axis=1)

    @property
    def fineness(self) -> Array:
        small, large = self.semi_axes.min(axis=1), self.semi_axes.max(axis=1)
        return np.maximum(small**2 / large, small / 3)

    @cached_property
    def matrices(self) -> Array:
        """Shape (n, d, d); the ellipsoid is x . matrix^-1 x <= 1."""
        return np.einsum("nik,nk,njk->nij", self.rotations, self.semi_axes**2, self.rotations)

    def at(self, centres: Array) -> Self:
        return replace(self, centres=centres)

    def select(self, index: NDArray[np.intp]) -> Self:
        return replace(
            self, centres=self.centres[index], semi_axes=self.semi_axes[index], rotations=self.rotations[index]
        )

    def scaled(self, factor: float) -> Self:
        return replace(self, semi_axes=factor * self.semi_axes)

    def grown(self, by: float) -> Self:
        """Semi-axes longer by `by`: the layer has this thickness at their ends and is slightly thinner elsewhere."""
        return replace(self, semi_axes=self.semi_axes + by)

    def distances(self, points: Array) -> Array:
        """To first order near the surface: (f - 1) / |grad f| of f = |x scaled to the unit sphere|."""
        local = np.einsum("pnd,ndk->pnk", points[:, None] - self.centres, self.rotations)
        f = np.linalg.norm(local / self.semi_axes, axis=2)
        slope = np.linalg.norm(local / self.semi_axes**2, axis=2)
        return np.where(f > 1e-12, (f - 1) * f / np.maximum(slope, 1e-300), -self.semi_axes.min(axis=1))

    def onto(self, points: Array, k: NDArray[np.intp]) -> Array:
        """Along the lines to the centre."""
        away = points - self.centres[k]
        local = np.einsum("pd,pdk->pk", away, self.rotations[k]) / self.semi_axes[k]
        return np.asarray(self.centres[k] + away / np.linalg.norm(local, axis=1)[:, None])

    def scatter(self, n: int, rng: np.random.Generator) -> tuple[Array, float]:
        """A uniform sample of the sphere, thinned according to the local stretch."""
        axes = self.semi_axes[0]
        out = _directions(8 * n, rng)
        stretch = axes.prod() * np.linalg.norm(out / axes, axis=1)
        kept = out[rng.random(len(out)) * stretch.sum() < n * stretch]
        return self.centres[0] + kept * axes @ self.rotations[0].T, 4 * pi * float(stretch.mean())

    def overlaps(self, i: NDArray[np.intp], j: NDArray[np.intp], offset: Array) -> tuple[Array, Array]:
        """From the contact function of Perram and Wertheim (J. Comput. Phys. 58, 1985, eq. 3.4).

        Both ellipsoids scaled by mu touch, mu^2 = max over t of t (1 - t) r . ((1 - t) A + t B)^-1 r. The overlap is
        1 - mu times the sum of the mean radii. In the basis that diagonalizes A and B the maximum is that of a sum.
        """
        low = np.linalg.cholesky(self.matrices[i])
        inverse = np.linalg.inv(low)
        values, vectors = np.linalg.eigh(inverse @ self.matrices[j] @ inverse.transpose(0, 2, 1))
        basis = inverse.transpose(0, 2, 1) @ vectors
        y = np.einsum("nd,ndk->nk", offset, basis)
        t = _maximizer(y**2, values)
        weights = y / (1 - t[:, None] + t[:, None] * values)
        mu = np.sqrt(t * (1 - t) * np.einsum("nk,nk->n", y, weights))
        slope = (t * (1 - t) / np.maximum(mu, 1e-300))[:, None] * np.einsum("ndk,nk->nd", basis, weights)
        size = self.semi_axes.prod(axis=1) ** (1 / self.centres.shape[1])
        length = size[i] + size[j]
        return (1 - mu) * length, -slope * length[:, None]

    def draw(self, model: Any, k: int) -> int:
        matrix = np.eye(4)
        matrix[:2, :2] = self.rotations[k] * self.semi_axes[k]
        matrix[:2, 3] = self.centres[k]
        unit = model.occ.addDisk(0, 0, 0, 1, 1)
        model.occ.affineTransform([(2, unit)], matrix.ravel().tolist())
        return int(unit)


def _directions(n: int, rng: np.random.Generator) -> Array:
    """Unit vectors in space, uniform."""
    out = rng.normal(size=(n, 3))
    return np.asarray(out / np.linalg.norm(out, axis=1)[:, None])


def _maximizer(squares: Array, values: Array) -> Array:
    """Where the concave t (1 - t) sum(squares / (1 - t + t values)) is largest on [0, 1], by bisection of its slope."""
    low, high = np.zeros(len(squares)), np.ones(len(squares))
    for _ in range(40):
        t = 0.5 * (low + high)[:, None]
        bottom = 1 - t + t * values
        slope = (squares * ((1 - 2 * t) * bottom - t * (1 - t) * (values - 1)) / bottom**2).sum(axis=1)
        low, high = np.where(slope > 0, t[:, 0], low), np.where(slope > 0, high, t[:, 0])
    return 0.5 * (low + high)


def _stadium(model: Any, centre: Array, axis: Array, radius: float, half: float) -> int:
    """A rectangle between two half discs."""
    side = radius * np.array([-axis[1], axis[0], 0.0])
    ends = [centre - half * axis, centre + half * axis]
    places = [ends[0] + side, ends[0] - side, ends[1] - side, ends[1] + side]
    p = [model.occ.addPoint(*place) for place in places]
    left, right = (model.occ.addPoint(*(end + sign * radius * axis)) for end, sign in zip(ends, (-1, 1), strict=True))
    arcs = [(p[0], left, p[1]), (p[2], right, p[3])]
    first, second = (model.occ.addCircleArc(a, middle, b, center=False) for a, middle, b in arcs)
    loop = [first, model.occ.addLine(p[1], p[2]), second, model.occ.addLine(p[3], p[0])]
    return int(model.occ.addPlaneSurface([model.occ.addCurveLoop(loop)]))
