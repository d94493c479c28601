"""Plane honeycombs with straight walls of uniform thickness."""

from __future__ import annotations

from math import sqrt
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cells import _generate, _gmsh
from hmm.cells._checks import check_choice, check_order, check_range, check_sizes
from hmm.cells._edge_lengths import EdgeLengths
from hmm.cells._packing import neighbours
from hmm.cells._round import LATTICES
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError

_ROWS = np.arange(6) * np.pi / 3 + np.pi / 6
_UP = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, sqrt(3) / 2]])

HOLES: dict[str, tuple[str, list[NDArray[np.float64]]]] = {
    "hexagonal": ("hexagonal", [np.c_[np.cos(_ROWS), np.sin(_ROWS)] / sqrt(3)]),
    "square": ("square", [np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])]),
    "triangular": ("hexagonal", [_UP, np.array([1.5, sqrt(3) / 2]) - _UP]),
}
"""Lattice of each honeycomb, and its holes at zero wall thickness: together they tile the plane."""


def honeycomb(
    volume_fraction: float,
    *,
    shape: str = "hexagonal",
    mesh_size: float = 0.05,
    size: float = 1.0,
    phases: tuple[str, str] = ("wall", "core"),
    void: bool = True,
    order: int = 1,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """The primitive cell of a plane honeycomb.

    Parameters
    ----------
    volume_fraction
        Fraction of the walls, the relative density.
    shape
        Of the holes: ``"hexagonal"``, ``"square"`` or ``"triangular"``.
    mesh_size
        Largest edge length, in the unit of `size`; edges are no longer than half the wall's thickness.
    size
        Length of the lattice vectors: the distance of opposite walls of hexagons and squares, the side of triangles.
    phases
        Names of the walls and of the filling of the holes.
    void
        Do not mesh the holes.
    order
        Geometry degree of the triangles.
    comm
        Communicator of the cell's mesh; rank 0 meshes.

    Raises
    ------
    InputError
        If an argument is out of range.
    HMMError
        If Gmsh fails.
    """
    check_choice("shape", shape, HOLES)
    check_range("volume_fraction", volume_fraction, 0.0, 1.0, "give the fraction of the walls")
    check_sizes(mesh_size, size)
    check_order(order)
    if isinstance(phases, str) or len(phases) != 2 or len(set(phases)) != 2:
        raise InputError(f"phases = {phases!r} are not two different names: give (wall, core)")
    name, tiles = HOLES[shape]
    lattice = LATTICES[name]
    # Scaling a regular tile about its centre moves each side by the same distance, half the thickness of a wall.
    scale = sqrt(1 - volume_fraction)
    holes = [tile.mean(axis=0) + scale * (tile - tile.mean(axis=0)) for tile in tiles]
    apothem = float(np.linalg.norm(tiles[0][:2].mean(axis=0) - tiles[0].mean(axis=0)))
    edge = min(mesh_size / size, (1 - scale) * apothem)

    def draw(model: Any) -> float:
        sizes = EdgeLengths.tabulate(
            lattice, lambda x: np.full(len(x), edge), 1.0
        )  # raises an error for walls that are too thin
        families = [[piece for hole in holes for piece in _wrapped(model, hole, lattice)]]
        pieces = _gmsh.split(model, 2, _gmsh.add_parallelogram(model, lattice), families, void)
        _gmsh.name_phases(model, 2, dict(zip(phases, pieces, strict=False)))
        _gmsh.set_periodic(model, lattice)
        _generate.generate(model, sizes, order)
        return _generate.check_quality(model, 2)

    return _gmsh.build(lambda model: _generate.draw_best(model, [draw]), comm, lattice, size)


def _wrapped(model: Any, corners: NDArray[np.float64], lattice: NDArray[np.float64]) -> list[int]:
    """The pieces of a polygon in the unit cell."""
    points = [model.occ.addPoint(*corner, 0.0) for corner in corners]
    lines = [model.occ.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
    polygon = model.occ.addPlaneSurface([model.occ.addCurveLoop(lines)])
    s = (corners @ np.linalg.inv(lattice))[:, None] - neighbours(2)
    touched = np.all((s.max(axis=0) > 1e-9) & (s.min(axis=0) < 1 - 1e-9), axis=1)
    return _gmsh.wrap(model, polygon, lattice, neighbours(2)[touched])
