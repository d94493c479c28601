"""Closed cracks: slits without width, with separate nodes on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from mpi4py import MPI

import numpy as np

from hmm.cells import _generate, _gmsh
from hmm.cells._bodies import Array, Bodies, Ellipsoids, Rods
from hmm.cells._checks import check_choice, check_number, check_range, check_real, check_seed, check_sizes
from hmm.cells._edge_lengths import EdgeLengths
from hmm.cells._orientations import frames, random_directions
from hmm.cells._packing import pack
from hmm.cells._random import FibreOrientation
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError

THICKNESS = 0.1
"""Thickness over radius of the ellipsoid that keeps penny cracks apart."""

TRIES = 4
"""Number of packings to try until a mesh is good."""


def cracks(
    density: float,
    *,
    number: int = 10,
    dim: int = 2,
    orientation: FibreOrientation = "uniform",
    gap: float | None = None,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    phases: str = "matrix",
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """Line cracks in a square or penny-shaped cracks in a cube, as slits with double nodes.

    There is no contact between the sides of a slit, so the cell is valid for loads that open all cracks. Cracks do not
    cross the faces of the cell. For thin voids that do, use `random_ellipsoids` with a small aspect and `void`.

    Parameters
    ----------
    density
        Crack density ``number * a**dim / size**dim`` with the half length (radius) a of the cracks
        (Budiansky and O'Connell 1976), which sets a.
    number
        Number of cracks in the cell.
    dim
        2 or 3.
    orientation
        Distribution of the normals, as in `random_ellipsoids`.
    gap
        Smallest distance between cracks and from the faces, in the unit of `size`; by default 0.4 a.
    mesh_size
        Largest edge length, in the unit of `size`; edges at the tips are a / 4 at most.
    size, seed, comm
        As in `random_fibres`.
    phases
        Name of the only phase.

    Raises
    ------
    InputError
        If an argument is out of range, or the cracks do not fit the cell.
    HMMError
        If Gmsh fails.
    """
    check_choice("dim", dim, (2, 3))
    check_number("number", number)
    check_sizes(mesh_size, size)
    check_seed(seed)
    check_range("density", density, 0.0, 1.0, "give number * (half length / size)^dim")
    if not isinstance(phases, str):
        raise InputError(f"phases = {phases!r}: a cracked cell has one phase, give its name")
    a = (density / number) ** (1 / dim)
    if gap is not None:
        check_real("gap", gap, "give a length in the unit of size")
    free = 0.4 * a if gap is None else gap / size
    if not 0 < free < 1:
        raise InputError(f"gap = {gap} is outside (0, {size:g}): give a positive length less than the cell's")

    def draw(model: Any) -> None:
        rng = np.random.default_rng(seed)
        normals = random_directions(number, orientation, dim, rng)
        flat = _flat(normals, a, rng)
        packings = [pack(flat, free, rng, "cracks", True, ("density", density)) for _ in range(TRIES)]
        slits = [Slits(packing, normals, a, mesh_size / size) for packing in packings]
        _generate.draw_best(model, [partial(slit.draw, phase=phases) for slit in slits])

    return _gmsh.build(draw, comm, np.eye(dim), size)


def _flat(normals: Array, a: float, rng: np.random.Generator) -> Bodies:
    """Bodies that keep cracks apart: segments, or flat ellipsoids around the discs."""
    n, dim = normals.shape
    turned = frames(normals, rng)
    if dim == 2:
        return Rods(np.zeros((n, 2)), np.full(n, 1e-3 * a), np.full(n, a), turned[:, :, 1])
    return Ellipsoids(np.zeros((n, 3)), np.tile([THICKNESS * a, a, a], (n, 1)), turned)


@dataclass(frozen=True)
class Slits:
    """Cracks inside the unit cell, and their mesh parameters.

    Attributes
    ----------
    bodies
        Positions, and distances from a point.
    normals
        Shape (n, d).
    a
        Half length or radius.
    mesh_size
        Largest edge length, per size of the cell.
    """

    bodies: Bodies
    normals: Array
    a: float
    mesh_size: float

    def draw(self, model: Any, phase: str) -> float:
        """Draw and mesh the cell in the current model; the worst radius ratio of the mesh."""
        dim = self.normals.shape[1]
        cell = _gmsh.add_parallelogram(model, np.eye(dim))
        slits = [(dim - 1, self._slit(model, *pair)) for pair in zip(self.bodies.centres, self.normals, strict=True)]
        _, origin = model.occ.fragment([(dim, cell)], slits)
        model.occ.synchronize()
        group = model.addPhysicalGroup(dim - 1, [tag for parts in origin[1:] for _, tag in parts])
        _gmsh.name_phases(model, dim, {phase: [tag for _, tag in origin[0]]})
        _gmsh.set_periodic(model, np.eye(dim))
        _generate.generate(model, EdgeLengths.tabulate(np.eye(dim), self._edge_lengths, self.a / 4))
        _open(model, dim - 1, group)
        return _generate.check_quality(model, dim)

    def _slit(self, model: Any, centre: Array, normal: Array) -> int:
        if len(normal) == 3:
            return int(model.occ.addDisk(*centre, self.a, self.a, zAxis=normal.tolist()))
        along = self.a * np.array([-normal[1], normal[0]])
        return int(model.occ.addLine(*(model.occ.addPoint(*(centre + side * along), 0.0) for side in (-1, 1))))

    def _edge_lengths(self, points: Array) -> Array:
        away = np.abs(self.bodies.distances(points).min(axis=1))
        return np.minimum(self.mesh_size, self.a / 4 + away / 2)


def _open(model: Any, dim: int, group: int) -> None:
    """Double the nodes of a physical group of curves or surfaces, but not those of its boundary (plugin Crack)."""
    import gmsh

    gmsh.plugin.setNumber("Crack", "Dimension", dim)
    gmsh.plugin.setNumber("Crack", "PhysicalGroup", group)
    gmsh.plugin.run("Crack")
    model.removePhysicalGroups([(dim, tag) for _, tag in model.getPhysicalGroups(dim)])
