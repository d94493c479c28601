"""Voxel cells of level sets: minimal surfaces, strut lattices, checkerboards.

The surface of such a cell is stepped, but its volume fraction is accurate to one voxel: the threshold of the level set
is a quantile of its values at the centres of the voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import ceil, pi

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cells._checks import check_choice, check_elements, check_number, check_range, check_sizes
from hmm.cells._voxels import porous_voxels, voxels
from hmm.cells.cell import Cell
from hmm.cells.pieces import pieces_of_mask
from hmm.foundation.errors import InputError

type LevelSet = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SURFACES: dict[str, LevelSet] = {
    "gyroid": lambda x: (np.sin(x) * np.cos(np.roll(x, -1, axis=0))).sum(axis=0),
    "schwarz_p": lambda x: np.cos(x).sum(axis=0),
    "diamond": lambda x: (
        np.sin(x).prod(axis=0) + sum(np.sin(x[i]) * np.cos(x[(i + 1) % 3]) * np.cos(x[(i + 2) % 3]) for i in range(3))
    ),
}
"""Approximations of minimal surfaces, f(x) = 0 with the period 2 pi (von Schnering and Nesper, Z. Phys. B 83, 1991)."""

STRUTS: dict[str, list[tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "cubic": [((0.5, 0.5, 0.5), tuple(0.5 + end)) for end in np.eye(3)],
    "bcc": [((0.5, 0.5, 0.5), corner) for corner in product((0.0, 1.0), repeat=3)],
    "octet": [
        (tuple(a), tuple(b))
        for a, b in product(np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]), repeat=2)
        for b in b + np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))
        if abs(np.linalg.norm(a - b) - 0.5**0.5) < 1e-9 and tuple(a) < tuple(b)
    ],
}
"""Axes of the struts of each lattice in the unit cell; periodic images complete the lattice."""


def tpms(
    volume_fraction: float,
    *,
    surface: str = "gyroid",
    kind: str = "sheet",
    mesh_size: float = 1 / 32,
    size: float = 1.0,
    phases: tuple[str, str] = ("matrix", "solid"),
    void: bool = False,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A triply periodic minimal surface as a voxel cell: a sheet around it, or one of the two sides.

    Parameters
    ----------
    volume_fraction
        Fraction of the sheet or of the solid side, accurate up to voxels of equal value.
    surface
        ``"gyroid"``, ``"schwarz_p"`` or ``"diamond"``, one period.
    kind
        ``"sheet"`` (small absolute value of f) or ``"solid"`` (f small).
    mesh_size
        Largest edge length of a voxel, in the unit of `size`.
    size
        Edge length of the cell.
    phases
        Names of the remaining part and of the solid.
    void
        Mesh the solid only.
    comm
        Communicator of the cell's mesh.

    Raises
    ------
    InputError
        If an argument is out of range, or the solid is not connected and `void` is true.
    """
    check_choice("surface", surface, SURFACES)
    check_choice("kind", kind, ("sheet", "solid"))
    x = _centres(mesh_size, 3, size)
    f = SURFACES[surface](2 * pi * x)
    return _cell(np.abs(f) if kind == "sheet" else f, volume_fraction, size, phases, void, comm)


def lattice(
    volume_fraction: float,
    *,
    struts: str = "octet",
    mesh_size: float = 1 / 32,
    size: float = 1.0,
    phases: tuple[str, str] = ("matrix", "strut"),
    void: bool = False,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A lattice of round struts as a voxel cell.

    Parameters
    ----------
    volume_fraction
        Fraction of the struts, which determines their radius, accurate up to voxels of equal distance.
    struts
        ``"cubic"``, ``"bcc"`` (half diagonals of the cube) or ``"octet"`` (neighbours of the face-centred lattice).
    mesh_size, size, phases, void, comm
        As in `tpms`.

    Raises
    ------
    InputError
        As in `tpms`.
    """
    check_choice("struts", struts, STRUTS)
    centres = _centres(mesh_size, 3, size)
    x = centres.reshape(3, -1)
    distance = np.full(x.shape[1], np.inf)
    for a, b in STRUTS[struts]:
        for shift in product((-1.0, 0.0, 1.0), repeat=3):
            distance = np.minimum(distance, _from_segment(x, np.add(a, shift), np.add(b, shift)))
    field = np.round(distance.reshape(centres.shape[1:]), 12)
    return _cell(field, volume_fraction, size, phases, void, comm)


def checkerboard(
    blocks: int = 2,
    *,
    dim: int = 2,
    mesh_size: float = 1 / 16,
    size: float = 1.0,
    phases: tuple[str, str] = ("white", "black"),
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A board of alternating squares (cubes) of two phases, which voxels resolve exactly.

    Parameters
    ----------
    blocks
        Blocks along each edge of the cell; an even number, so that the board is periodic.
    dim
        2 or 3.
    mesh_size
        Largest edge length of a voxel, in the unit of `size`.
    size
        Edge length of the cell.
    phases
        Names of the block at the origin and of its neighbours.
    comm
        Communicator of the cell's mesh.

    Raises
    ------
    InputError
        If an argument is out of range.
    """
    check_choice("dim", dim, (2, 3))
    check_number("blocks", blocks, 2)
    check_sizes(mesh_size, size)
    _check_names(phases)
    if blocks % 2:
        raise InputError(f"blocks = {blocks} is odd, so the board is not periodic: give an even number")
    voxels_per_block = ceil(size / blocks / mesh_size - 1e-9)
    n = blocks * voxels_per_block
    check_elements(float(n) ** dim, "mesh_size")
    labels = (np.indices((n,) * dim) // voxels_per_block).sum(axis=0) % 2
    return voxels(labels, dict(zip(phases, range(2), strict=True)), spacing=size / n, comm=comm)


def _centres(mesh_size: float, dim: int, size: float) -> NDArray[np.float64]:
    """Centres of the voxels of the unit cell, shape (d, n, ..., n), after checking the arguments."""
    check_sizes(mesh_size, size)
    n = ceil(size / mesh_size - 1e-9)
    check_elements(float(n) ** dim, "mesh_size")
    return (np.indices((n,) * dim) + 0.5) / n


def below_quantile(field: NDArray[np.float64], volume_fraction: float) -> NDArray[np.bool_]:
    """Where a field is below the threshold that gives the nearest fraction; equal values stay together."""
    check_range("volume_fraction", volume_fraction, 0.0, 1.0, "give the fraction of the solid")
    values, counts = np.unique(np.round(field, 10), return_counts=True)
    fractions = np.cumsum(counts) / field.size
    inside = np.asarray(np.round(field, 10) <= values[np.abs(fractions - volume_fraction).argmin()])
    if inside.all() or abs(inside.mean() - volume_fraction) > 0.5 * min(volume_fraction, 1 - volume_fraction):
        raise InputError(
            f"volume_fraction = {volume_fraction:g} cannot be met, the nearest is {inside.mean():.3g}: "
            "take a smaller mesh_size"
        )
    return inside


def _cell(
    field: NDArray[np.float64],
    volume_fraction: float,
    size: float,
    phases: tuple[str, str],
    void: bool,
    comm: MPI.Comm,
) -> Cell:
    """The cell whose second phase is where the field is small."""
    _check_names(phases)
    solid = below_quantile(field, volume_fraction)
    if not void:
        return voxels(solid, {phases[0]: 0, phases[1]: 1}, spacing=size / len(field), comm=comm)
    _check_connected(solid, volume_fraction)
    return porous_voxels(solid, solid, {phases[1]: 1}, np.full(solid.ndim, size / len(field)), comm)


def _check_connected(solid: NDArray[np.bool_], volume_fraction: float) -> None:
    """Raise `InputError` if a solid in a void is not one connected piece."""
    _, pieces = pieces_of_mask(solid)
    if len(pieces) > 1 or pieces[0].rank < solid.ndim - 1:
        what = f"falls into {len(pieces)} pieces" if len(pieces) > 1 else "floats"
        raise InputError(
            f"void = True, but the solid of volume_fraction = {volume_fraction:g} {what}: take a smaller mesh_size or "
            "a larger volume_fraction, or omit void and give the matrix a soft law"
        )


def _check_names(phases: tuple[str, str]) -> None:
    if isinstance(phases, str) or len(phases) != 2 or len(set(phases)) != 2:
        raise InputError(f"phases = {phases!r} are not two different names: give two names")


def _from_segment(x: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances of points, shape (3, p), from the segment between two points."""
    along = np.clip((b - a) @ (x - a[:, None]) / ((b - a) @ (b - a)), 0, 1)
    return np.asarray(np.linalg.norm(x - a[:, None] - np.outer(b - a, along), axis=0))
