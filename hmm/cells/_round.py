"""Periodic arrays of equal discs and spheres."""

from __future__ import annotations

from dataclasses import replace
from math import pi, sqrt

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cells import _generate, _gmsh
from hmm.cells._bodies import Rods
from hmm.cells._checks import check_choice, check_interface, check_range, check_sizes
from hmm.cells._inclusions import Inclusions
from hmm.cells._orientations import ACROSS
from hmm.cells._packing import images
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError

LATTICES = {"square": np.eye(2), "hexagonal": np.array([[1.0, 0.0], [0.5, sqrt(3) / 2]])}
"""Lattice of each fibre array, rows the lattice vectors, for the centre distance 1."""

SPHERES = {
    "sc": np.array([[0.5, 0.5, 0.5]]),
    "bcc": np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    "fcc": np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]),
}
"""Centres of the spheres of each cubic array; faces of the cell cut spheres through their centres only."""

CENTRED_UP_TO = 0.38
"""Largest radius, per centre distance, of a fibre drawn at the centre of the hexagonal cell.

A centred disc would cross the sides of the rhombus above sqrt(3)/4 = 0.433, with slivers in the mesh; a disc around the
lattice points never does.
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
    interface: float = 0.0,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """The primitive cell of a square or hexagonal array of round fibres, in the transverse plane.

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
        Largest edge length, in the unit of `size`; edges on and between fibres are shorter where necessary.
    size
        Centre distance of neighbouring fibres; it sets the unit of length.
    phases
        Names of the matrix and of the fibres.
    void
        Do not mesh the fibres; |Y| still includes them.
    interface
        Thickness of a layer around each, the phase ``"interface"``, in the unit of `size`; 0 for none.
    order
        Geometry degree of the triangles: 1 (straight) or 2 (curved, six nodes).
    match_fraction
        Scale the meshed fibre radially to the requested area; else its nodes lie on the exact circle.
    comm
        Communicator of the cell's mesh; rank 0 meshes.

    Returns
    -------
    Cell
        With origin 0 and a single fibre at the centre; thick hexagonal fibres (radius > 0.38 `size`, volume fraction >
        0.524) are at the corners of the cell instead, which is the same microstructure.

    Raises
    ------
    InputError
        If an argument is out of range.
    HMMError
        If Gmsh fails.
    """
    check_choice("array", array, LATTICES)
    check_sizes(mesh_size, size)
    lattice = LATTICES[array]
    unit_radius = _unit_radius(volume_fraction, radius, size, lattice, f"fibres in a {array} array")
    cornered = array == "hexagonal" and unit_radius > CENTRED_UP_TO
    centre = np.zeros(2) if cornered else lattice.sum(axis=0) / 2
    bodies = Rods.balls(centre[None], np.array([unit_radius]))
    layer = _unit_interface(interface, size, unit_radius, lattice, centre[None])
    drawing = Inclusions(lattice, bodies, mesh_size / size, phases, void, layer, order, match_fraction)
    cell = _gmsh.build(lambda model: _generate.draw_best(model, [drawing.draw]), comm, lattice, size)
    return replace(cell, fibres={phases[1]: ACROSS})


def sphere(
    volume_fraction: float | None = None,
    *,
    radius: float | None = None,
    array: str = "sc",
    mesh_size: float = 0.1,
    size: float = 1.0,
    phases: tuple[str, str] = ("matrix", "inclusion"),
    void: bool = False,
    interface: float = 0.0,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """The cubic cell of a simple, body-centred or face-centred cubic array of spheres.

    Parameters
    ----------
    volume_fraction
        Fraction of the spheres (of the pores, if `void`), in (0, pi/6), (0, pi sqrt(3)/8) and (0, pi sqrt(2)/6) for
        the three arrays. Give either this or `radius`.
    radius
        Sphere radius, in the unit of `size`, in (0, size/2), (0, sqrt(3)/4 size) and (0, sqrt(2)/4 size).
    array
        ``"sc"`` (one sphere a cell), ``"bcc"`` (two) or ``"fcc"`` (four).
    mesh_size
        Largest edge length, in the unit of `size`; edges on and between spheres are shorter where necessary.
    size
        Edge length of the cell; it sets the unit of length.
    phases
        Names of the matrix and of the spheres.
    void
        Do not mesh the spheres; |Y| still includes them.
    interface
        Thickness of a layer around each, the phase ``"interface"``, in the unit of `size`; 0 for none.
    order
        Geometry degree of the tetrahedra: 1 (straight) or 2 (curved, ten nodes).
    match_fraction
        Scale the meshed sphere radially to the requested volume; else its nodes lie on the exact sphere.
    comm
        Communicator of the cell's mesh; rank 0 meshes.

    Returns
    -------
    Cell
        With origin 0; the sphere of the simple cubic array is at the centre; the other arrays have one sphere at the
        corner.

    Raises
    ------
    InputError
        If an argument is out of range.
    HMMError
        If Gmsh fails.
    """
    check_choice("array", array, SPHERES)
    check_sizes(mesh_size, size)
    centres = SPHERES[array]
    radius = _unit_radius(volume_fraction, radius, size, np.eye(3), f"spheres in a {array} array", centres)
    drawing = Inclusions(
        np.eye(3),
        Rods.balls(centres, np.full(len(centres), radius)),
        mesh_size / size,
        phases,
        void,
        _unit_interface(interface, size, radius, np.eye(3), centres),
        order,
        match_fraction,
    )
    return _gmsh.build(lambda model: _generate.draw_best(model, [drawing.draw]), comm, drawing.lattice, size)


def _ball(dim: int) -> float:
    """Volume of the unit ball (area of the unit disc if `dim` is 2)."""
    return {2: pi, 3: 4 * pi / 3}[dim]


def _unit_radius(
    volume_fraction: float | None,
    radius: float | None,
    size: float,
    lattice: NDArray[np.float64],
    what: str,
    centres: NDArray[np.float64] | None = None,
) -> float:
    """Radius per `size` of equal inclusions, from their fraction or their radius."""
    dim, cell, n = len(lattice), abs(float(np.linalg.det(lattice))), 1 if centres is None else len(centres)
    limit = _touching(lattice, np.zeros((1, dim)) if centres is None else centres)
    if radius is not None and volume_fraction is None:
        remedy = f"{what} touch at {2 * limit:.4g} size/2, give a smaller positive radius"
        check_range("radius", radius, 0.0, limit * size, remedy)
        return radius / size
    if volume_fraction is None or radius is not None:
        raise InputError(f"volume_fraction = {volume_fraction} and radius = {radius}: give exactly one for {what}")
    name = {(2, 1.0): "pi/4", (3, 1.0): "pi/6", (3, 2.0): "pi sqrt(3)/8", (3, 4.0): "pi sqrt(2)/6"}.get(
        (dim, round(n / cell, 2)), "pi/(2 sqrt 3)"
    )
    densest = n * _ball(dim) * limit**dim / cell
    check_range(
        "volume_fraction", volume_fraction, 0.0, densest, f"{what} touch at {name}, give a smaller positive one"
    )
    return float((volume_fraction * cell / n / _ball(dim)) ** (1 / dim))


def _touching(lattice: NDArray[np.float64], centres: NDArray[np.float64]) -> float:
    """Radius at which equal inclusions touch."""
    copies = images(Rods.balls(centres, np.zeros(len(centres))), lattice).centres
    distances = np.linalg.norm(copies - centres[:1], axis=1)
    return float(distances[distances > 1e-9].min()) / 2


def _unit_interface(
    interface: float, size: float, radius: float, lattice: NDArray[np.float64], centres: NDArray[np.float64]
) -> float:
    """Thickness of the interface per `size`; raises an error if the layers touch."""
    free = _touching(lattice, centres) - radius
    if interface != 0:
        check_range("interface", interface, 0.0, free * size, "the layers touch, give 0 or a smaller thickness")
        n, dim = centres.shape
        check_interface(interface, size, dim, n * dim * _ball(dim) * radius ** (dim - 1))
    return interface / size
