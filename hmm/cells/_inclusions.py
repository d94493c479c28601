"""A periodic cell of a matrix and inclusions of any kind of body, conforming, with Gmsh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hmm.cells import _generate, _gmsh, _shells
from hmm.cells._bodies import Array, Bodies
from hmm.cells._checks import check_order
from hmm.cells._edge_lengths import EdgeLengths
from hmm.cells._packing import images, neighbours
from hmm.cells._surfaces import Surface, triangulate
from hmm.foundation.errors import InputError

INTERFACE = "interface"
"""Name of the phase between matrix and inclusions."""

CORRECTIONS = 3
"""Largest number of corrections of the sizes of inclusions, until the change is less than `FITS`."""

FITS = 3e-4
"""See `CORRECTIONS`."""


@dataclass(frozen=True)
class Inclusions:
    """Bodies on a lattice, and the mesh parameters of their cell.

    Attributes
    ----------
    lattice
        Shape (d, d), rows the lattice vectors; the cell starts at the origin and has edges of order one.
    bodies
        The inclusions with centres in the cell or on its boundary; their images are found here. They must not touch
        each other or their images.
    mesh_size
        Largest edge length, in the unit of the lattice.
    phases
        Names of the matrix and of the inclusions.
    void
        Do not mesh the inclusions.
    interface
        Thickness of a layer around the inclusions, the phase ``"interface"``; 0 for none.
    order
        Geometry degree.
    match_fraction
        Scale each inclusion so that its mesh has the requested volume; only for discs and spheres through whose centre
        each intersecting face of the cell passes, because the nodes move radially.
    wanted
        Volume of the inclusions in the mesh. All inclusions are scaled for this, with layers of the same thickness;
        without it they are not scaled.
    most
        Largest factor of this scaling.

    Raises
    ------
    InputError
        If `phases` are not two names, `order` is neither 1 nor 2, the interface layers touch each other or the gap is
        too small for `match_fraction`.
    """

    lattice: Array
    bodies: Bodies
    mesh_size: float
    phases: tuple[str, str] = ("matrix", "inclusion")
    void: bool = False
    interface: float = 0.0
    order: int = 1
    match_fraction: bool = False
    wanted: float | None = None
    most: float = 1.0

    def __post_init__(self) -> None:
        check_order(self.order)
        no_names = isinstance(self.phases, str) or not all(isinstance(name, str) for name in self.phases)
        if no_names or len(set(self.phases) | {INTERFACE}) != 3 or len(self.phases) != 2:
            raise InputError(
                f"phases = {self.phases!r} are not two different names other than {INTERFACE!r}: "
                "give (matrix name, inclusion name)"
            )
        growth = self._shortest**2 / (8 * float(self.bodies.reach.max()))
        if self.match_fraction and growth > self.half_gap / 2:
            raise InputError(
                f"the gap between inclusions, {2 * self.half_gap:.3g} of the cell, leaves no room for chords of the "
                f"requested fraction: use a volume_fraction, radius or interface that leaves {4 * growth:.2g}, or "
                "match_fraction=False"
            )

    @cached_property
    def half_gap(self) -> float:
        """Half the smallest distance between the bounding spheres of two bodies or their layers."""
        copies, centres = images(self.bodies, self.lattice), self.bodies.centres
        apart = np.linalg.norm(centres[:, None] - copies.centres, axis=2)
        gaps = apart - self.bodies.reach[:, None] - copies.reach
        return float(gaps[apart > 1e-9].min()) / 2 - self.interface

    def draw(self, model: Any) -> float:
        """Draw and mesh the cell in the current model; the worst radius ratio of the mesh."""
        dim = len(self.lattice)
        shortest = min(self.mesh_size, float(self._on_surface.min()), max(2 * self.half_gap, self._shortest))
        sizes = EdgeLengths.tabulate(self.lattice, self.edge_lengths, shortest)
        pieces = self._mesh_fitted(model, sizes)
        if self.match_fraction:
            self._match(model, pieces)
        return _generate.check_quality(model, dim)

    def families(self, scale: float = 1.0) -> list[Bodies]:
        """The inclusions with their layers, if any, and the inclusions, scaled."""
        bodies = self.bodies.scaled(scale)
        return [bodies.grown(self.interface), bodies] if self.interface else [bodies]

    def _mesh_fitted(self, model: Any, sizes: EdgeLengths) -> list[list[int]]:
        """Mesh the cell with bodies scaled to the requested volume in the mesh; the pieces in each phase.

        The straight edges reduce nearly equal sizes by the same share, so a few corrections suffice. In 3D the surface
        triangles give the volumes before there are tetrahedra.
        """
        scale = 1.0
        for left in reversed(range(CORRECTIONS + 1)):
            families, surfaces, pieces = self.families(scale), list[Surface](), list[list[int]]()
            if self.by_triangles:
                surfaces = [surface for bodies in families for surface in triangulate(bodies, sizes.at)]
            else:
                pieces = self._mesh(model, families, surfaces, sizes)
            better = self._corrected(scale, model, surfaces, pieces)
            if not left or abs(better / scale - 1) < FITS:
                break
            scale = better
            if pieces:
                _generate.empty(model)
        return pieces or self._mesh(model, families, surfaces, sizes)

    def _mesh(
        self, model: Any, families: Sequence[Bodies], surfaces: Sequence[Surface], sizes: EdgeLengths
    ) -> list[list[int]]:
        """Draw and mesh the cell; the tags of its pieces in each phase."""
        curve = None
        if self.by_triangles:
            pieces, curve = self._regions(model, families, surfaces, sizes)
        else:
            pieces = self.divide(model, families)
        names = [self.phases[0], *([INTERFACE] if self.interface else []), *([] if self.void else [self.phases[1]])]
        _gmsh.name_phases(model, len(self.lattice), dict(zip(names, pieces, strict=True)))
        if curve is None:
            _gmsh.set_periodic(model, self.lattice)
        _generate.generate(model, sizes, self.order)
        if curve is not None and self.order == 2:
            curve()
        return pieces

    def _corrected(
        self, scale: float, model: Any, surfaces: Sequence[Surface], pieces: Sequence[Sequence[int]]
    ) -> float:
        """Factor on the bodies for the requested volume, if any, from a mesh of them or of their surfaces."""
        if self.wanted is None:
            return scale
        n, dim = 2 if self.interface else 1, len(self.lattice)
        if self.by_triangles:
            meshed = sum(surface.volume for surface in surfaces[-len(self.bodies.centres) :])
        else:
            outside = sum(_generate.volume(model, dim, piece) for piece in pieces[:n])
            meshed = abs(float(np.linalg.det(self.lattice))) - outside
        return min(scale * float(self.wanted / meshed) ** (1 / dim), self.most)

    def divide(self, model: Any, families: Sequence[Bodies] | None = None) -> list[list[int]]:
        """Draw the pieces of the cell: matrix, interface if there is one, inclusions unless void."""
        wrapped = [
            [piece for k in range(len(body.centres)) for piece in self._wrapped(model, body, k)]
            for body in families or self.families()
        ]
        cell = _gmsh.add_parallelogram(model, self.lattice)
        return _gmsh.split(model, len(self.lattice), cell, wrapped, self.void)

    @property
    def by_triangles(self) -> bool:
        """Whether the surfaces are triangulated beforehand, not drawn with the geometry kernel of Gmsh."""
        return len(self.lattice) == 3 and not self.match_fraction

    def _regions(
        self, model: Any, families: Sequence[Bodies], surfaces: Sequence[Surface], sizes: EdgeLengths
    ) -> tuple[list[list[int]], Callable[[], None]]:
        """The volumes of each phase, bounded by triangles, and the function that curves these."""
        volumes, curve = _shells.draw_shells(model, families, surfaces, sizes)
        if self.void:
            model.geo.remove([(3, tag) for tag in volumes.pop()])
            model.geo.synchronize()
        return volumes, curve

    def _wrapped(self, model: Any, bodies: Bodies, k: int) -> list[int]:
        """Pieces of body k in the cell."""
        inverse = np.linalg.inv(self.lattice)
        shifts = neighbours(len(self.lattice))
        s = bodies.centres[k] @ inverse - shifts
        reach = bodies.reach[k] * np.linalg.norm(inverse, axis=0) * (1 + 1e-9)
        return _gmsh.wrap(
            model, bodies.draw(model, k), self.lattice, shifts[np.all((s > -reach) & (s < 1 + reach), axis=1)]
        )

    def edge_lengths(self, points: Array) -> Array:
        """Edge lengths at points of shape (p, d).

        At most the distance between the two nearest inclusions, and about half the radius on the surface of one (less
        with a thin interface), growing by half the distance from it. An inclusion whose volume is matched grows by
        about (edge length)^2 / (8 radius), which must stay below half of the half gap.
        """
        bodies, on_surface = self._near(points)
        distances = bodies.distances(points)
        rows = np.arange(len(points))
        nearest, second = np.argpartition(distances, 1, axis=1)[:, :2].T
        between = np.maximum(distances[rows, nearest], 0.0) + distances[rows, second] - 2 * self.interface
        away = np.abs(distances[rows, nearest])
        if self.interface:
            away = np.minimum(away, np.abs(distances[rows, nearest] - self.interface))
        return np.minimum(np.minimum(self.mesh_size, np.maximum(between, 0.0)), on_surface[nearest] + away / 2).clip(
            min=self._shortest
        )

    def _near(self, points: Array) -> tuple[Bodies, Array]:
        """The bodies, two at least, that may set the edge length somewhere in the box around points, and theirs."""
        centres = self._copies.centres
        away = np.linalg.norm(centres - np.clip(centres, points.min(axis=0), points.max(axis=0)), axis=1)
        away -= self._copies.reach + self.interface + 2 * self.mesh_size
        near = np.flatnonzero(away <= max(0.0, np.partition(away, 1)[1])) if len(away) > 1 else np.zeros(1, dtype=int)
        return self._copies.select(near), self._on_surface[near]

    @cached_property
    def _copies(self) -> Bodies:
        """The bodies and those images whose surfaces may be near to the cell."""
        copies = images(self.bodies, self.lattice)
        inverse = np.linalg.inv(self.lattice)
        reach = (copies.reach[:, None] + max(self.mesh_size, self.half_gap) + self.interface) * np.linalg.norm(
            inverse, axis=0
        )
        s = copies.centres @ inverse
        near = np.all((s > -reach) & (s < 1 + reach), axis=1)
        return copies.select(np.flatnonzero(near)) if near.sum() > 1 else copies

    @cached_property
    def _shortest(self) -> float:
        """Where surfaces nearly touch, no edge is shorter than a twentieth of those that resolve the smallest body."""
        return min(0.05 * float(self.bodies.fineness.min()), self.mesh_size)

    @cached_property
    def _on_surface(self) -> Array:
        fine = self._copies.fineness
        if self.match_fraction:
            fine = np.minimum(fine, 2 * np.sqrt(self._copies.reach * self.half_gap))
        return np.minimum(fine, 4 * self.interface) if self.interface else fine

    def _match(self, model: Any, pieces: list[list[int]]) -> None:
        """Move the nodes of each ball radially so that the meshed volumes, with and without layer, are exact."""
        dim, n = len(self.lattice), len(pieces)
        cell = abs(float(np.linalg.det(self.lattice)))
        matrix = _generate.volume(model, dim, pieces[0])
        layer = _generate.volume(model, dim, pieces[1]) if self.interface and n > 1 else 0.0
        outer = self._ratio(self.bodies.grown(self.interface), cell - matrix)
        inner = self._ratio(self.bodies, cell - matrix - layer) if self.interface else outer
        tags, coordinates, _ = model.mesh.getNodes()
        x = coordinates.reshape(-1, 3)[:, :dim]
        for centre, radius in zip(self._copies.centres, self._copies.reach, strict=True):
            distance = np.linalg.norm(x - centre, axis=1)
            inside = distance <= (radius + self.interface) * (1 + 1e-6)
            depth = (distance[inside] - radius) / self.interface if self.interface else np.zeros(inside.sum())
            scale = inner + (outer - inner) * np.clip(depth, 0, 1)
            x[inside] = centre + scale[:, None] * (x[inside] - centre)
        for tag, point in zip(tags, coordinates.reshape(-1, 3), strict=True):
            model.mesh.setNode(tag, point, [])

    def _ratio(self, bodies: Bodies, meshed: float) -> float:
        return float((bodies.volumes.sum() / meshed) ** (1 / len(self.lattice)))
