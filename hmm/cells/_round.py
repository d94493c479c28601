"""Periodic arrays of equal discs and spheres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import pi, sqrt
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cell import Cell
from hmm.cells import _gmsh
from hmm.cells._checks import check_order, check_range, check_sizes
from hmm.errors import InputError

LATTICES = {"square": np.eye(2), "hexagonal": np.array([[1.0, 0.0], [0.5, sqrt(3) / 2]])}
"""Lattice of each fibre array, rows the lattice vectors, for the centre distance 1."""

CENTRED_UP_TO = 0.38
"""Largest radius, per centre distance, of a fibre drawn at the centre of the hexagonal cell.

A centred disc would cross the sides of the rhombus from sqrt(3)/4 = 0.433 on, in slivers no mesh likes; around the
lattice points it never does.
"""


def fibre(
    volume_fraction: float | None = None,
    *,
    radius: float | None = None,
    array: str = "square",
    mesh_size: float = 0.05,
    size: float = 1.0,
    phases: tuple[str, str] = ("matrix", "fibre"),
    void: bool = False,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """The primitive cell of a square or hexagonal array of round fibres, in the plane across them.

    Parameters
    ----------
    volume_fraction
        Fraction of the fibres (of the holes, if `void`), in (0, pi/4) for the square array and in (0, pi/(2 sqrt 3))
        for the hexagonal one. Give either this or `radius`.
    radius
        Fibre radius in (0, size/2), in the unit of `size`.
    array
        ``"square"``, or ``"hexagonal"`` with the rhombic cell spanned by (1, 0) and (1/2, sqrt(3)/2) times `size`.
    mesh_size
        Largest edge length, in the unit of `size`; edges on and between fibres are shorter where it needs them.
    size
        Centre distance of neighbouring fibres; it sets the unit of length.
    phases
        Names of the matrix and of the fibres.
    void
        Leave the fibres out: no mesh there. |Y| still counts them.
    order
        Geometry degree of the triangles: 1 (straight) or 2 (curved, six nodes).
    match_fraction
        Scale the meshed fibre radially so that its area is the wanted one; else its nodes lie on the true circle.
    comm
        Communicator of the cell's mesh; rank 0 meshes.

    Returns
    -------
    Cell
        With origin 0 and a single fibre at the centre; thick hexagonal fibres (radius > 0.38 `size`, volume fraction
        > 0.524) sit on the corners of the cell instead, which is the same microstructure.

    Raises
    ------
    InputError
        If an argument is out of range.
    HMMError
        If Gmsh fails.
    """
    if array not in LATTICES:
        raise InputError(f"array = {array!r} is not a fibre array: choose from {sorted(LATTICES)}")
    check_sizes(mesh_size, size)
    lattice = LATTICES[array]
    unit_radius = _unit_radius(volume_fraction, radius, size, lattice, f"fibres in a {array} array")
    cornered = array == "hexagonal" and unit_radius > CENTRED_UP_TO
    centre = np.zeros(2) if cornered else lattice.sum(axis=0) / 2
    drawing = RoundInclusions(
        lattice, centre[None], np.array([unit_radius]), mesh_size / size, phases, void, order, match_fraction
    )
    return _gmsh.build(drawing.draw, comm, lattice, size)


def sphere(
    volume_fraction: float | None = None,
    *,
    radius: float | None = None,
    mesh_size: float = 0.1,
    size: float = 1.0,
    phases: tuple[str, str] = ("matrix", "inclusion"),
    void: bool = False,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """The cubic cell of a simple cubic array of spheres.

    Parameters
    ----------
    volume_fraction
        Fraction of the spheres (of the pores, if `void`), in (0, pi/6). Give either this or `radius`.
    radius
        Sphere radius in (0, size/2), in the unit of `size`.
    mesh_size
        Largest edge length, in the unit of `size`; edges on and between spheres are shorter where it needs them.
    size
        Edge length of the cell; it sets the unit of length.
    phases
        Names of the matrix and of the spheres.
    void
        Leave the spheres out: no mesh there. |Y| still counts them.
    order
        Geometry degree of the tetrahedra: 1 (straight) or 2 (curved, ten nodes).
    match_fraction
        Scale the meshed sphere radially so that its volume is the wanted one; else its nodes lie on the true sphere.
    comm
        Communicator of the cell's mesh; rank 0 meshes.

    Returns
    -------
    Cell
        With origin 0 and the sphere at the centre.

    Raises
    ------
    InputError
        If an argument is out of range.
    HMMError
        If Gmsh fails.
    """
    check_sizes(mesh_size, size)
    lattice = np.eye(3)
    unit_radius = _unit_radius(volume_fraction, radius, size, lattice, "spheres in a cubic array")
    drawing = RoundInclusions(
        lattice, np.full((1, 3), 0.5), np.array([unit_radius]), mesh_size / size, phases, void, order, match_fraction
    )
    return _gmsh.build(drawing.draw, comm, lattice, size)


@dataclass(frozen=True)
class RoundInclusions:
    """Discs or spheres repeated on a lattice, and how to mesh a cell of them.

    Attributes
    ----------
    lattice
        Shape (d, d), rows the lattice vectors; the cell starts at the origin and has edges of order one.
    centres
        Shape (n, d), one per inclusion, inside the cell or on its boundary; their images are found here.
    radii
        Shape (n,), in the unit of the lattice; inclusions must not touch each other or their images.
    mesh_size
        Largest edge length, in the unit of the lattice.
    phases, void, order
        As in `fibre`.
    match_fraction
        As in `fibre`; only where each face of the cell that cuts an inclusion goes through its centre, for the nodes
        move away from that.

    Raises
    ------
    InputError
        If `phases` are not two names or `order` is neither 1 nor 2.
    """

    lattice: NDArray[np.float64]
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    mesh_size: float
    phases: tuple[str, str] = ("matrix", "inclusion")
    void: bool = False
    order: int = 1
    match_fraction: bool = True

    def __post_init__(self) -> None:
        check_order(self.order)
        if len(set(self.phases)) != 2 or isinstance(self.phases, str):
            raise InputError(
                f"phases = {self.phases!r} are not two different names: give (matrix name, inclusion name)"
            )

    @cached_property
    def images(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centres, shape (n * 3^d, d), and radii of the inclusions of this cell and of its neighbours."""
        shifts = np.array(list(product((-1, 0, 1), repeat=len(self.lattice)))) @ self.lattice
        centres = (self.centres[:, None] + shifts).reshape(-1, len(self.lattice))
        return centres, np.repeat(self.radii, len(shifts))

    @cached_property
    def half_gap(self) -> float:
        """Half the smallest distance between two inclusions."""
        centres, radii = self.images
        gaps = np.linalg.norm(self.centres[:, None] - centres, axis=2) - self.radii[:, None] - radii
        return float(gaps[gaps > -1.999 * self.radii[:, None]].min()) / 2

    def draw(self, model: Any) -> None:
        """Draw and mesh the cell in the current model."""
        dim = len(self.lattice)
        cell = _gmsh.add_parallelogram(model, self.lattice)
        matrix, inside = _gmsh.split(model, dim, cell, self._bodies(model), self.void)
        _gmsh.name_phases(model, dim, dict(zip(self.phases, [matrix] if self.void else [matrix, inside], strict=False)))
        _gmsh.set_periodic(model, self.lattice)
        _gmsh.generate(model, dim, self.edge_length, self.order)
        if self.match_fraction:
            self._match(model, matrix)
        _gmsh.check_quality(model, dim)

    def edge_length(self, x: NDArray[np.float64]) -> float:
        """Wanted edge length at a point of shape (3,).

        At most the distance between the two nearest inclusions, and half the radius on the surface of one, growing by
        half the distance from it. An inclusion whose volume is matched grows by about (edge length)^2 / (8 radius),
        which must stay below half of the half gap.
        """
        centres, radii = self.images
        distances = np.sqrt(((centres - x[: len(self.lattice)]) ** 2).sum(axis=1)) - radii
        nearest, second = np.argpartition(distances, 1)[:2]
        radius = radii[nearest]
        on_surface = min(radius / 2, 2 * sqrt(radius * self.half_gap) if self.match_fraction else radius)
        between = max(distances[nearest], 0.0) + distances[second]
        return float(min(self.mesh_size, between, on_surface + abs(distances[nearest]) / 2))

    def _bodies(self, model: Any) -> list[int]:
        """Tags of the discs or spheres that reach into the cell."""
        centres, radii = self.images
        heights = 1 / np.linalg.norm(np.linalg.inv(self.lattice), axis=0)
        fractional = centres @ np.linalg.inv(self.lattice)
        reach = radii[:, None] / heights
        touching = np.all((fractional > -reach) & (fractional < 1 + reach), axis=1)
        bodies = zip(centres[touching], radii[touching], strict=True)
        if len(self.lattice) == 2:
            return [model.occ.addDisk(*centre, 0.0, radius, radius) for centre, radius in bodies]
        return [model.occ.addSphere(*centre, radius) for centre, radius in bodies]

    def _match(self, model: Any, matrix: list[int]) -> None:
        """Scale the nodes of each inclusion about its centre so that the meshed volume is the true one."""
        dim = len(self.lattice)
        wanted = _ball(dim) * float((self.radii**dim).sum())
        meshed = abs(np.linalg.det(self.lattice)) - _gmsh.volume(model, dim, matrix)
        tags, coordinates, _ = model.mesh.getNodes()
        x = coordinates.reshape(-1, 3)[:, :dim]
        for centre, radius in zip(*self.images, strict=True):
            inside = np.linalg.norm(x - centre, axis=1) <= radius * (1 + 1e-6)
            x[inside] = centre + (wanted / meshed) ** (1 / dim) * (x[inside] - centre)
        for tag, point in zip(tags, coordinates.reshape(-1, 3), strict=True):
            model.mesh.setNode(tag, point, [])


def _ball(dim: int) -> float:
    """Volume of the unit ball (area of the unit disc if `dim` is 2)."""
    return {2: pi, 3: 4 * pi / 3}[dim]


def _unit_radius(
    volume_fraction: float | None, radius: float | None, size: float, lattice: NDArray[np.float64], what: str
) -> float:
    """Radius per centre distance of one inclusion per lattice cell, from its fraction or its radius."""
    dim, cell = len(lattice), abs(float(np.linalg.det(lattice)))
    if radius is not None and volume_fraction is None:
        check_range("radius", radius, 0.0, size / 2, f"{what} touch at size/2, give a smaller positive radius")
        return radius / size
    if volume_fraction is None or radius is not None:
        raise InputError(f"volume_fraction = {volume_fraction} and radius = {radius}: give exactly one for {what}")
    limit = _ball(dim) * 0.5**dim / cell
    name = {2: "pi/4" if cell == 1 else "pi/(2 sqrt 3)", 3: "pi/6"}[dim]
    check_range("volume_fraction", volume_fraction, 0.0, limit, f"{what} touch at {name}, give a smaller positive one")
    return float((volume_fraction * cell / _ball(dim)) ** (1 / dim))
