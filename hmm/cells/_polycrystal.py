"""Periodic polycrystals: Voronoi and Laguerre tessellations with an orientation for each grain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from math import pi
from typing import Any

from mpi4py import MPI

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import HalfspaceIntersection, cKDTree

from hmm.cells import _gmsh
from hmm.cells._bodies import Array, Rods
from hmm.cells._checks import check_choice, check_number, check_seed, check_sizes, check_spread, real_array
from hmm.cells._orientations import random_rotations
from hmm.cells._packing import free_places, neighbours, pack
from hmm.cells._random import lognormal
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError, collectively
from hmm.laws import Anisotropic, Combined, HolzapfelGasserOgden, Law, ThermoElastic

PACKED = {2: 0.6, 3: 0.5}
"""Fraction of the discs or spheres whose centres and radii make a Laguerre tessellation."""

type Texture = ArrayLike | Callable[[int, np.random.Generator], ArrayLike] | None


@dataclass(frozen=True)
class Polycrystal:
    """A periodic cell of grains, what they were made of, and how their crystals lie.

    Attributes
    ----------
    cell
        The unit cell; grain k is the phase ``f"grain_{k}"``.
    orientations
        Shape (n, 3, 3); rotation matrix of each grain, which takes vectors of the crystal frame to the cell's.
    seeds
        Shape (n, d), in the cell, in the unit of the mesh.
    weights
        Shape (n,), in that unit squared: x belongs to the grain k with the least ``|x - seed_k|^2 - weight_k``, images
        of seeds included. Zero for a Voronoi tessellation.
    """

    cell: Cell
    orientations: NDArray[np.float64]
    seeds: NDArray[np.float64]
    weights: NDArray[np.float64]

    def grain_of(self, points: ArrayLike) -> NDArray[np.intp]:
        """Grain of each point, shape (p, d), by the definition of the tessellation."""
        dim, n = self.seeds.shape[1], len(self.seeds)
        shifts = neighbours(dim) @ self.cell.lattice
        sites = (self.seeds[:, None] + shifts).reshape(-1, dim)
        x = np.asarray(points, dtype=float)[:, :dim]
        power = ((x[:, None] - sites) ** 2).sum(axis=2) - np.repeat(self.weights, len(shifts))
        return np.asarray(power.argmin(axis=1) // len(shifts)) % n

    @cached_property
    def rotation(self) -> fem.Function:
        """The `orientations` as a field on the cell, constant in each grain, of shape (3, 3)."""
        mesh, tags = self.cell.mesh, self.cell.phase_tags
        field = fem.Function(fem.functionspace(mesh, ("DG", 0, (3, 3))), name="rotation")
        values = field.x.array.reshape(-1, 9)
        for tag, R in zip(self.cell.phases.values(), self.orientations, strict=True):
            values[tags.find(tag)] = R.ravel()
        return field

    def laws(self, law: Anisotropic) -> dict[str, Law]:
        """A law for each grain: that of the crystal, in the axes of the grain.

        It is one law with the field `rotation`, so that another polycrystal compiles nothing anew.
        """
        if law.rotation is not None:
            raise InputError("the law of the crystal is turned already: give it without a rotation")
        return dict.fromkeys(self.cell.phases, self.turned(law))

    def turned[L: Law](self, law: L) -> L:
        """A law in the axes of each grain, if it has axes and does not say where these are."""
        if isinstance(law, Anisotropic | HolzapfelGasserOgden) and law.rotation is None:
            return replace(law, rotation=self.rotation)
        if isinstance(law, Combined):
            return replace(law, parts=tuple(map(self.turned, law.parts)))
        if isinstance(law, ThermoElastic) and isinstance(law.elastic, Anisotropic):
            return replace(law, elastic=self.turned(law.elastic))
        return law


def voronoi(
    grains: int = 10,
    *,
    dim: int = 3,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    texture: Texture = None,
    seeds: ArrayLike | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Polycrystal:
    """A polycrystal of Voronoi cells around seeds at random (a Poisson-Voronoi tessellation).

    Parameters
    ----------
    grains
        Number of grains.
    dim
        2 (triangles) or 3 (tetrahedra).
    mesh_size
        Largest edge length, in the unit of `size`; it is shorter near short edges of grains.
    size
        Edge length of the cell; it sets the unit of length.
    seed
        Seed of the random numbers: the same seed gives the same grains and orientations.
    texture
        Rotation matrices, shape (grains, 3, 3), or a function ``texture(n, rng)`` that returns them; by default they
        are uniform on SO(3).
    seeds
        Instead of random ones, shape (grains, dim), in the unit of `size`.
    comm
        Communicator of the cell's mesh; rank 0 meshes.

    Raises
    ------
    InputError
        If an argument is out of range or the texture is not of rotations.
    HMMError
        If Gmsh fails.
    """
    _check(grains, dim, mesh_size, size, seed)
    rng = np.random.default_rng(seed)
    sites = rng.random((grains, dim))
    if seeds is not None:
        sites = real_array("seeds", seeds, f"give one row of {dim} numbers for each grain") / size % 1.0
        if sites.shape != (grains, dim):
            raise InputError(
                f"seeds have shape {sites.shape}: give one row of {dim} numbers for each of {grains} grains"
            )
        apart = np.abs((sites[:, None] - sites + 0.5) % 1.0 - 0.5).max(axis=2) + np.eye(grains)
        if apart.min() < 1e-6:
            raise InputError(f"seeds {np.argwhere(apart < 1e-6)[0].tolist()} are at the same place: give each its own")
    return _build(sites, np.zeros(grains), mesh_size, size, rng, texture, comm)


def laguerre(
    grains: int = 10,
    *,
    spread: float = 0.3,
    dim: int = 3,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    texture: Texture = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Polycrystal:
    """A polycrystal of Laguerre cells around the balls of a random packing, which set the sizes of the grains.

    Each grain holds its ball, so none vanishes, and the distribution of sizes is that of the radii
    (Fan, Wu, Zhao and Lu, Comput. Mater. Sci. 29, 2004, 301). With `spread` = 0 the grains are more alike than those
    of `voronoi`.

    Parameters
    ----------
    spread
        Standard deviation of the radii of the balls over their mean; lognormal.

    Notes
    -----
    All other parameters, and what is raised, are those of `voronoi`.
    """
    _check(grains, dim, mesh_size, size, seed)
    check_spread(spread)
    rng = np.random.default_rng(seed)
    relative = lognormal(grains, spread)
    radii = relative * (PACKED[dim] / {2: pi, 3: 4 / 3 * pi}[dim] / (relative**dim).sum()) ** (1 / dim)
    sites = np.zeros((grains, dim))
    with collectively(comm):
        if comm.rank == 0 and grains > 1:
            fit = min(1.0, 0.49 / float(radii.max()))
            sites = pack(Rods.balls(sites, fit * radii), 0.0, rng, "balls").centres
    return _build(comm.bcast(sites), radii**2, mesh_size, size, np.random.default_rng([seed, 1]), texture, comm)


def _check(grains: int, dim: int, mesh_size: float, size: float, seed: int) -> None:
    check_number("grains", grains)
    check_choice("dim", dim, (2, 3))
    check_sizes(mesh_size, size)
    check_seed(seed)


def _build(
    sites: Array,
    weights: Array,
    mesh_size: float,
    size: float,
    rng: np.random.Generator,
    texture: Texture,
    comm: MPI.Comm,
) -> Polycrystal:
    """Orientations, and the mesh of the tessellation, moved so that its corners keep away from the cell's faces."""
    dim = sites.shape[1]
    orientations = _orientations(len(sites), texture, rng)
    moved, used = _placed(sites, weights), list[int]()

    def draw_at(x: Array, model: Any) -> float:
        return Tessellation.of(x, weights).draw(model, mesh_size / size)

    def draw(model: Any) -> None:
        used.append(_gmsh.draw_best(model, [partial(draw_at, x) for x in moved]))

    cell = _gmsh.build(draw, comm, np.eye(dim), size)
    place = comm.bcast(used[0] if used else 0)
    return Polycrystal(cell, orientations, size * moved[place], size**2 * weights)


def _orientations(n: int, texture: Texture, rng: np.random.Generator) -> NDArray[np.float64]:
    if texture is None:
        return random_rotations(n, rng)
    remedy = "give one rotation matrix for each grain"
    R = real_array("texture", texture(n, rng) if callable(texture) else texture, remedy)
    if R.shape != (n, 3, 3):
        raise InputError(f"texture has shape {R.shape}, not {(n, 3, 3)}: {remedy}")
    defect = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2)) + np.abs(np.linalg.det(R) - 1)
    if defect.max() > 1e-6:
        raise InputError(f"texture of grain {int(defect.argmax())} is no rotation (error {defect.max():.2g}): {remedy}")
    return R


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
        sizes = _gmsh.Sizes.tabulate(np.eye(dim), self._sizes(mesh_size), min(mesh_size, float(lengths.min())))
        _gmsh.generate(model, sizes)
        return _gmsh.check_quality(model, dim)

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
    """The loop without corners that were merged with the one before."""
    return tuple(number for k, number in enumerate(numbers) if number != numbers[k - 1] or len(set(numbers)) == 1)


def _free_cells(sites: Array, weights: Array) -> list[tuple[Array, Array]]:
    """Planes (unit normal, minus offset) and corners of each Laguerre cell, whole; each holds its site."""
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


def _placed(sites: Array, weights: Array, count: int = 4, tries: int = 5) -> list[Array]:
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
