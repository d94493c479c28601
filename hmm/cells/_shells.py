"""The unit cube divided by the surfaces of bodies into regions, all of triangles, and tetrahedra between them.

The pieces of a body's surface are moved into the cell with their nodes, and each face of the cell is meshed once for
both sides, so opposite faces are equal. Gmsh fills the regions between its discrete entities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hmm.cells import _generate
from hmm.cells._bodies import Array, Bodies
from hmm.cells._edge_lengths import EdgeLengths
from hmm.cells._packing import images
from hmm.cells._slivers import Indices
from hmm.cells._surfaces import Surface, on_rays, section_middle
from hmm.foundation.errors import HMMError


def draw_shells(
    model: Any, families: Sequence[Bodies], surfaces: Sequence[Surface], sizes: EdgeLengths
) -> tuple[list[list[int]], Callable[[], None]]:
    """Draw the regions of the unit cube in the current model, bounded by triangles.

    Parameters
    ----------
    model
        The current Gmsh model, empty.
    families
        Bodies with centres in the cell, each family inside the one before, body by body.
    surfaces
        Of all bodies of all families, triangulated.
    sizes
        Wanted edge lengths.

    Returns
    -------
    list of list of int
        Tags of the volumes outside of all bodies, and in each family but not in the next one.
    callable
        Moves the nodes in the middle of edges, if the mesh has any, onto the bodies.

    Raises
    ------
    HMMError
        If surfaces intersect at this edge length.
    """
    soup = Soup.of(surfaces, *_faces(model, surfaces, sizes))
    tags = soup.add_surfaces(model)
    return soup.add_volumes(model, families, tags), lambda: soup.curve(model, families, tags)


def _faces(model: Any, surfaces: Sequence[Surface], sizes: EdgeLengths) -> tuple[list[Array], list[Indices]]:
    """Points, shape (n, 3), and triangles of the three faces through the origin."""
    rims = [_rim(surfaces, axis, sizes) for axis in range(3)]
    meshes = [_face(model, axis, rims, _segments(surfaces, axis), sizes) for axis in range(3)]
    return [x for x, _ in meshes], [t for _, t in meshes]


def _rim(surfaces: Sequence[Surface], axis: int, sizes: EdgeLengths) -> Array:
    """Coordinates of the nodes on the cell's edge along an axis, from 0 to 1: surfaces meet it, more between these."""
    others = [k for k in range(3) if k != axis]
    met = [s.points[np.all(s.points[:, others] == np.round(s.points[:, others]), axis=1), axis] % 1.0 for s in surfaces]
    stops = np.unique(np.r_[0.0, 1.0, np.concatenate(met)])
    parts = [np.zeros(1)]
    for low, high in pairwise(stops):
        samples = np.linspace(low, high, 33)
        x = np.zeros((32, 3))
        x[:, axis] = 0.5 * (samples[1:] + samples[:-1])
        weight = np.r_[0.0, np.cumsum((high - low) / 32 / sizes.at(x))]
        parts.append(np.interp(np.linspace(0, weight[-1], max(round(float(weight[-1])), 1) + 1)[1:-1], weight, samples))
        parts.append(np.array([high]))
    return np.concatenate(parts)


def _segments(surfaces: Sequence[Surface], axis: int) -> Array:
    """Ends of the segments on a face, shape (s, 2, 3), moved into the cell."""
    found = [s.points[s.segments[s.axes == axis]] for s in surfaces]
    ends = np.concatenate(found)
    cell = np.floor(ends.mean(axis=1))
    cell[:, axis] = ends[:, 0, axis]
    return ends - cell[:, None]


def _face(model: Any, axis: int, rims: Sequence[Array], segments: Array, sizes: EdgeLengths) -> tuple[Array, Indices]:
    """Mesh the face of the cell across an axis with the segments as edges."""
    rim = _around(axis, rims)
    x = np.vstack([rim, segments.reshape(-1, 3)])
    number, first = merged(x)
    with _generate.scratch(model):
        geo = model.geo
        points = [geo.addPoint(*x[k]) for k in first]
        line = lambda a, b: geo.addLine(points[number[a]], points[number[b]])  # noqa: E731
        loop = [line(k, (k + 1) % len(rim)) for k in range(len(rim))]
        inner = [line(len(rim) + 2 * k, len(rim) + 2 * k + 1) for k in range(len(segments))]
        face = geo.addPlaneSurface([geo.addCurveLoop(loop)])
        geo.synchronize()
        for tag in loop + inner:
            model.mesh.setTransfiniteCurve(tag, 2)
        if inner:
            model.mesh.embed(1, inner, 2, face)
        _generate.run_mesher(model, 2, sizes)
        tags, coordinates, _ = model.mesh.getNodes()
        nodes = model.mesh.getElements(2)[2][0]
    place = np.zeros(int(tags.max()) + 1, dtype=np.intp)
    place[tags.astype(int)] = np.arange(len(tags))
    return coordinates.reshape(-1, 3), place[nodes.astype(int)].reshape(-1, 3)


def _around(axis: int, rims: Sequence[Array]) -> Array:
    """The nodes on the four edges of the face at the origin, in order."""
    a, b = (k for k in range(3) if k != axis)
    sides = []
    for along, across, start in ((a, b, 0), (b, a, 1), (a, b, 1), (b, a, 0)):
        s = rims[along] if start == (along == b) else rims[along][::-1]
        side = np.zeros((len(s) - 1, 3))
        side[:, along], side[:, across] = s[:-1], start
        sides.append(side)
    return np.vstack(sides)


def merged(points: Array, tolerance: float = 1e-8) -> tuple[Indices, Indices]:
    """Number of each point after merging equal ones, and the index of the first of each number."""
    pairs = cKDTree(points).query_pairs(tolerance, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(points),) * 2)
    number = connected_components(graph, directed=False)[1]
    return number, np.unique(number, return_index=True)[1]


@dataclass(frozen=True)
class Soup:
    """All triangles in and around the cell, with common nodes.

    Attributes
    ----------
    points
        Shape (n, 3).
    triangles
        Shape (t, 3). Those of bodies are oriented outwards.
    sheet
        Shape (t,); number of the surface, then, after these, of the six faces of the cell.
    cells
        Shape (t, 3); lattice coordinates of the cell each was moved from.
    n_surfaces
        How many surfaces there are.
    """

    points: Array
    triangles: Indices
    sheet: Indices
    cells: Array
    n_surfaces: int

    @classmethod
    def of(cls, surfaces: Sequence[Surface], face_points: Sequence[Array], faces: Sequence[Indices]) -> Soup:
        """Move the pieces of surfaces into the cell, put each face on both sides, and join the nodes."""
        points, triangles, sheet, cells, n = [], [], [], [], 0
        for k, surface in enumerate(surfaces):
            cell = np.floor(surface.points[surface.triangles].mean(axis=1))
            code = (cell + 2) @ np.array([1, 8, 64]) * len(surface.points)
            keys, new = np.unique(code[:, None].astype(np.intp) + surface.triangles, return_inverse=True)
            shift = np.zeros((len(keys), 3))
            shift[new.reshape(-1, 3)] = cell[:, None]
            points.append(surface.points[keys % len(surface.points)] - shift)
            triangles.append(n + new.reshape(-1, 3))
            sheet.append(np.full(len(cell), k))
            cells.append(cell)
            n += len(keys)
        for axis, (x, t) in enumerate(zip(face_points, faces, strict=True)):
            for side in (0, 1):
                points.append(x + side * np.eye(3)[axis])
                triangles.append(n + t)
                sheet.append(np.full(len(t), len(surfaces) + 2 * axis + side))
                cells.append(np.zeros((len(t), 3)))
                n += len(x)
        x = np.vstack(points)
        if x.min() < -1e-9 or x.max() > 1 + 1e-9:
            raise HMMError("a triangle crosses a face of the cell: change mesh_size or seed")
        number, first = merged(x)
        corners = number[np.concatenate(triangles)]
        return cls(x[first], corners, np.concatenate(sheet), np.concatenate(cells), len(surfaces))

    @cached_property
    def _sides(self) -> tuple[Indices, Indices, Indices]:
        """Half edges sorted by edge: their triangles, where each edge starts, and how many it has."""
        order = np.argsort(self._unsorted_codes, kind="stable")
        _, start, count = np.unique(self._codes, return_index=True, return_counts=True)
        return order // 3, start, count

    @cached_property
    def _codes(self) -> Indices:
        """A number for the edge of each half edge, sorted."""
        return np.sort(self._unsorted_codes)

    @cached_property
    def _unsorted_codes(self) -> Indices:
        t = self.triangles
        ends = np.stack([t[:, [1, 2]], t[:, [2, 0]], t[:, [0, 1]]], axis=1).reshape(-1, 2)
        return np.asarray(ends.min(axis=1) * len(self.points) + ends.max(axis=1))

    @cached_property
    def patches(self) -> Indices:
        """Patch of each triangle: connected parts of a sheet between the curves."""
        tri, start, count = self._sides
        if count.min() < 2 or count.max() > 3:
            raise HMMError("the surfaces in the cell do not fit together: change mesh_size, gap or seed")
        pairs = np.stack([tri[start[count == 2]], tri[start[count == 2] + 1]])
        same = self.sheet[pairs[0]] == self.sheet[pairs[1]]
        return _components(pairs[:, same], len(self.triangles))

    def add_volumes(self, model: Any, families: Sequence[Bodies], surfaces: list[int]) -> list[list[int]]:
        """Add the volumes between the surfaces of patches to a model, by family."""
        patch_sheet = np.zeros(self.patches.max() + 1, dtype=np.intp)
        patch_sheet[self.patches] = self.sheet
        face = self._face_families(families, patch_sheet)
        # A patch of a face bounds one region, on its node 2 p; one of a body two, outside on 2 p and inside on 2 p + 1.
        family = np.where(patch_sheet < self.n_surfaces, patch_sheet // len(families[0].centres), face)
        side_family = np.stack([family, family + (patch_sheet < self.n_surfaces)], axis=1).ravel()
        shell = self._shells(side_family)
        regions = self._regions(shell, side_family, patch_sheet)
        volumes: list[list[int]] = [[] for _ in range(len(families) + 1)]
        for kind, shells in regions:
            loops = []
            for s in shells:
                members = sorted({side // 2 for side in np.flatnonzero(shell == s)})
                loops.append(model.geo.addSurfaceLoop([surfaces[p] for p in members]))
            volumes[kind].append(model.geo.addVolume(loops))
        model.geo.synchronize()
        return volumes

    def _face_families(self, families: Sequence[Bodies], patch_sheet: Indices) -> Indices:
        """How many families hold each patch of a face, by the middle of its largest triangle."""
        corners = self.points[self.triangles]
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        found = np.zeros(len(patch_sheet), dtype=np.intp)
        order = np.argsort(areas, kind="stable")
        largest = np.zeros(len(patch_sheet), dtype=np.intp)
        largest[self.patches[order]] = order
        on_face = np.flatnonzero(patch_sheet >= self.n_surfaces)
        middles = corners[largest[on_face]].mean(axis=1)
        for bodies in families:
            found[on_face] += images(bodies).distances(middles).min(axis=1) < 0
        return found

    def _shells(self, side_family: Indices) -> Indices:
        """Connected boundaries of regions: number of each side of each patch; -1 for sides that bound nothing."""
        tri, start, count = self._sides
        links = []
        two = start[count == 2]
        a, b = self.patches[tri[two]], self.patches[tri[two + 1]]
        links.append(np.stack([2 * a, 2 * b])[:, (a != b)])
        if np.any(side_family[links[0][0]] != side_family[links[0][1]]):
            raise HMMError("a surface meets an edge of the cell between its nodes: change mesh_size or seed")
        three = start[count == 3]
        trio = np.sort(np.stack([self.patches[tri[three + k]] for k in range(3)]), axis=0)
        body = trio[0]  # patches of bodies come first, as sheets are in that order
        for face in trio[1:]:
            inside = side_family[2 * face] - side_family[2 * body]
            if np.any((inside < 0) | (inside > 1)):
                raise HMMError("surfaces of inclusions intersect on a face of the cell: change mesh_size, gap or seed")
            links.append(np.stack([2 * face, 2 * body + inside]))
        return _components(np.hstack(links), len(side_family))

    def _regions(self, shell: Indices, side_family: Indices, patch_sheet: Indices) -> list[tuple[int, list[int]]]:
        """Family and shells of each region: one around it, others around its holes."""
        outer: list[tuple[int, int, Indices]] = []
        holes: list[tuple[int, int, Indices]] = []
        corners = self.points[self.triangles]
        for s in np.unique(shell[self._bounding(patch_sheet)]):
            sides = np.flatnonzero(shell == s)
            whole = len(sides) == 1 and patch_sheet[sides[0] // 2] < self.n_surfaces and sides[0] % 2 == 0
            (holes if whole else outer).append((int(side_family[sides[0]]), int(s), sides))
        regions = {s: (family, [s]) for family, s, _ in outer}
        for family, s, sides in holes:
            point = corners[self.patches == sides[0] // 2][0, 0]
            near = [(q, other) for kind, q, other in outer if kind == family]
            if len(near) > 1:
                near = [(q, other) for q, other in near if self._holds(other, patch_sheet, point)]
            if len(near) != 1:
                raise HMMError("surfaces of inclusions intersect: change mesh_size, gap or seed")
            regions[near[0][0]][1].append(s)
        return list(regions.values())

    def _bounding(self, patch_sheet: Indices) -> NDArray[np.bool_]:
        """The sides of patches that bound regions: not the outside of faces."""
        bounding = np.ones((len(patch_sheet), 2), dtype=bool)
        bounding[patch_sheet >= self.n_surfaces, 1] = False
        return bounding.ravel()

    def _holds(self, sides: Indices, patch_sheet: Indices, point: Array) -> bool:
        """Whether a point lies inside a closed shell, by the solid angle (van Oosterom and Strackee 1983)."""
        total = 0.0
        for side in sides:
            corners = self.points[self.triangles[self.patches == side // 2]] - point
            a, b, c = corners.transpose(1, 0, 2)
            if patch_sheet[side // 2] >= self.n_surfaces:
                axis, end = divmod(int(patch_sheet[side // 2]) - self.n_surfaces, 2)
                normal = np.cross(b[0] - a[0], c[0] - a[0])[axis]
                sign = 1.0 if (normal > 0) == (end == 1) else -1.0
            else:
                sign = 1.0 if side % 2 else -1.0
            la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
            top = np.einsum("ti,ti->t", a, np.cross(b, c))
            bottom = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
            total += sign * float(2 * np.arctan2(top, bottom).sum())
        return total > 2 * pi

    def add_surfaces(self, model: Any) -> list[int]:
        """Add discrete surfaces of the patches to a model."""
        added = np.zeros(len(self.points), dtype=bool)
        tags = []
        order = np.argsort(self.patches, kind="stable")
        bounds = np.cumsum(np.r_[0, np.bincount(self.patches)])
        for p in range(len(bounds) - 1):
            triangles = self.triangles[order[bounds[p] : bounds[p + 1]]]
            tag = model.addDiscreteEntity(2)
            nodes = np.unique(triangles)
            new = nodes[~added[nodes]]
            added[new] = True
            model.mesh.addNodes(2, tag, (new + 1).tolist(), self.points[new].ravel().tolist())
            model.mesh.addElementsByType(tag, 2, [], (triangles + 1).ravel().tolist())
            tags.append(tag)
        return tags

    def curve(self, model: Any, families: Sequence[Bodies], surfaces: list[int]) -> None:
        """Move the middle nodes of second-order triangles onto the bodies, those on a face of the cell along it."""
        first = np.unique(self.patches, return_index=True)[1]
        n = len(families[0].centres)
        tags, x, _ = model.mesh.getNodes()
        number = np.zeros(int(tags.max()) + 1, dtype=np.intp)  # Gmsh has renumbered the nodes
        number[tags.astype(int)] = cKDTree(self.points).query(x.reshape(-1, 3))[1]
        middles, ends, curved = [], [], []
        for p in np.flatnonzero(self.sheet[first] < self.n_surfaces):
            body = families[self.sheet[first[p]] // n].select(np.array([self.sheet[first[p]] % n]))
            nodes = model.mesh.getElementsByType(9, surfaces[p])[1].reshape(-1, 6).astype(int)
            tag, at = np.unique(nodes[:, 3:], return_index=True)
            middles.append(tag)
            ends.append(number[np.stack([nodes[:, [0, 1, 2]], nodes[:, [1, 2, 0]]], axis=2).reshape(-1, 2)[at]])
            curved.append(self._on_body(body.at(body.centres - self.cells[first[p]]), ends[-1]))
        straight = self.points[np.concatenate(ends)].mean(axis=1)
        copies = merged(straight - np.floor(straight + 1e-8))[0]
        _generate.bend(model, np.concatenate(middles), straight, np.concatenate(curved), copies)

    def _on_body(self, body: Bodies, ends: Indices) -> Array:
        """The middles of edges, moved onto a body."""
        _, start, count = self._sides
        curves = self._codes[start[count == 3]]
        x = self.points[ends].mean(axis=1)
        on_face = np.isin(ends.min(axis=1) * len(self.points) + ends.max(axis=1), curves)
        new = body.onto(x, np.zeros(len(x), dtype=np.intp))
        for k in np.flatnonzero(on_face):
            a, b = np.round(self.points[ends[k]], 9)
            axis = int(np.flatnonzero((a == b) & ((a == 0) | (a == 1)))[0])
            middle = section_middle(body, axis, a[axis])
            ray = (x[k] - middle) / np.linalg.norm(x[k] - middle)
            new[k] = on_rays(body, middle, ray[None])[0]
            new[k, axis] = a[axis]
        return new


def _components(pairs: Indices, n: int) -> Indices:
    graph = coo_matrix((np.ones(pairs.shape[1]), pairs), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1].astype(np.intp))
