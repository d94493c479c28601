"""Replacement of flat tetrahedra by better ones inside a region: the last step of meshing.

Mesh generators leave slivers where four points of a curved surface are nearly on a circle. Such an element and some of
its neighbours are removed, and the cavity is filled with tetrahedra from its boundary to one point, new or already
there (the star of a vertex, an edge or an element in turn; Klingner and Shewchuk, Int. Meshing Roundtable 16, 2007).
The surfaces of regions and of the cell do not change, so the mesh remains conforming and periodic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]
type Indices = NDArray[np.intp]

FACETS = np.array([[1, 3, 2], [0, 2, 3], [0, 3, 1], [0, 1, 2]])
"""Facet i is opposite to vertex i; a positive tetrahedron is on the side from which they are clockwise."""

GIVE_UP = 12
"""Number of elements that cannot be improved after which the remaining, less flat ones are left."""


def radius_ratios(a: Array, b: Array, c: Array, d: Array) -> Array:
    """3 inradius / circumradius of tetrahedra with corners of shape (..., 3), with the sign of their volume."""
    u, v, w = b - a, c - a, d - a
    vw, wu, uv = np.cross(v, w), np.cross(w, u), np.cross(u, v)
    volume = (u * vw).sum(-1)  # six times that
    areas = sum(np.linalg.norm(n, axis=-1) for n in (vw, wu, uv, vw + wu + uv))  # twice that
    squares = ((s * s).sum(-1)[..., None] for s in (u, v, w))
    around = np.linalg.norm(sum(s * n for s, n in zip(squares, (vw, wu, uv), strict=True)), axis=-1)
    return np.asarray(6 * volume * np.abs(volume) / np.maximum(areas * around, 1e-300))


@dataclass
class Tetrahedra:
    """A mesh that is improved in place.

    Attributes
    ----------
    x
        Points, shape (n, 3); new ones are appended.
    tets
        Shape (t, 4), of positive volume.
    region
        Shape (t,).
    held
        Shape (f, 3); fixed facets with the same region on both sides.
    """

    x: Array
    tets: Indices
    region: Indices
    held: Indices

    def quality(self) -> Array:
        """Radius ratio of each element."""
        return radius_ratios(*self.x[self.tets].transpose(1, 0, 2))

    def repair(self, wanted: float, passes: int = 6) -> None:
        """Replace elements with a radius ratio below `wanted` if this improves the worst of them."""
        rng, hopeless = np.random.default_rng(0), set[tuple[int, ...]]()
        for _ in range(passes):
            ratios = self.quality()
            low = np.flatnonzero(ratios < wanted)
            bad = [int(t) for t in low[np.argsort(ratios[low])] if tuple(self.tets[t]) not in hopeless]
            if not self._replace(bad, ratios, hopeless, rng):
                return

    def _replace(self, bad: list[int], ratios: Array, hopeless: set[tuple[int, ...]], rng: np.random.Generator) -> int:
        """Replace each remaining bad element by better ones; the number of replacements."""
        held = self._codes(self.held)
        order = np.argsort(self.tets.ravel(), kind="stable") // 4
        starts = np.searchsorted(np.sort(self.tets.ravel()), np.arange(len(self.x) + 1))
        gone, points, new, regions = np.zeros(len(self.tets), dtype=bool), [], [], []
        for t in bad:
            if gone[t]:
                continue
            if len(hopeless) >= GIVE_UP:
                break
            around = [order[starts[v] : starts[v + 1]] for v in self.tets[t]]
            best, found = max(1.2 * ratios[t], 1e-3), None
            for cavity in self._cavities(t, around):
                if gone[cavity].any():
                    continue
                shell, inner = self._facets(cavity)
                if np.isin(self._codes(inner), held).any():
                    continue
                score, apex = self._best_apex(shell, rng)
                if score > best and score > ratios[cavity].min():
                    best, found = score, (cavity, shell, apex)
            if found is None:
                hopeless.add(tuple(self.tets[t]))
                continue
            cavity, shell, apex = found
            if not np.isscalar(apex):
                points.append(apex)
                apex = len(self.x) + len(points) - 1
            shell = shell[np.all(shell != apex, axis=1)]
            gone[cavity] = True
            new.append(np.c_[shell, np.full(len(shell), apex)])
            regions.append(np.full(len(shell), self.region[t]))
        if new:
            self.x = np.vstack([self.x, *[p[None] for p in points]])
            self.tets = np.vstack([self.tets[~gone], *new])
            self.region = np.concatenate([self.region[~gone], *regions])
        return len(new)

    def _cavities(self, t: int, around: list[Indices]) -> Iterator[Indices]:
        """Elements of the region around each edge and vertex of an element, and next to it."""
        mine = [star[self.region[star] == self.region[t]] for star in around]
        rings = [np.intersect1d(mine[a], mine[b]) for a, b in combinations(range(4), 2)]
        yield from rings
        together, count = np.unique(np.concatenate(mine), return_counts=True)
        yield together[count >= 3]
        yield together[count >= 2]
        for ring in rings:
            yield np.union1d(ring, together[count >= 3])
        yield from mine

    def _codes(self, facets: Indices) -> Indices:
        """The same number for the same facet."""
        a, b, c = np.sort(facets, axis=1).T
        return np.asarray((a * len(self.x) + b) * len(self.x) + c)

    def _facets(self, cavity: Indices) -> tuple[Indices, Indices]:
        """The facets around a cavity, outwards, and those inside."""
        facets = self.tets[cavity][:, FACETS].reshape(-1, 3)
        _, first, count = np.unique(self._codes(facets), return_index=True, return_counts=True)
        return facets[first[count == 1]], facets[first[count == 2]]

    def _best_apex(self, shell: Indices, rng: np.random.Generator) -> tuple[float, Array | int]:
        """The point that makes the worst new element best: a vertex of the boundary, or a new one near the middle."""
        a, b, c = (self.x[shell[:, k]] for k in range(3))
        vertices = np.unique(shell)
        ratios = radius_ratios(a, b, c, self.x[vertices][:, None])
        ratios[np.any(shell[None] == vertices[:, None, None], axis=2)] = 1.0
        scores = ratios.min(axis=1)
        k = int(scores.argmax())
        best, apex = float(scores[k]), int(vertices[k])
        middle, spread = self.x[vertices].mean(axis=0), self.x[vertices].std(axis=0).max()
        top = -1.0
        for _ in range(7):
            tries = np.vstack([middle, middle + spread * rng.normal(size=(40, 3))])
            scores = radius_ratios(a, b, c, tries[:, None]).min(axis=1)
            k = int(scores.argmax())
            top, middle, spread = float(scores[k]), tries[k], 0.55 * spread
        return (top, middle) if top > best else (best, apex)
