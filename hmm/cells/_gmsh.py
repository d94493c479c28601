"""Gmsh sessions that clean up after themselves, and periodic meshes on any lattice.

A generator writes one function that draws and meshes the cell with ``model.occ`` on rank 0, and hands it to `build`.
The other functions here are the steps such a drawing consists of. Draw at unit size: the tolerances of the geometry
kernel are absolute lengths (1e-7), and `build` scales the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cell import Cell
from hmm.errors import HMMError, InputError
from hmm.meshing import distribute


def build(draw: Callable[[Any], None], comm: MPI.Comm, lattice: NDArray[np.float64], size: float = 1.0) -> Cell:
    """The cell that `draw` meshes on rank 0, distributed over `comm`; collective.

    Parameters
    ----------
    draw
        Called on rank 0 with ``gmsh.model``; leaves there a mesh whose phases are physical groups.
    comm
        Communicator of the cell's mesh.
    lattice
        Shape (d, d), rows the lattice vectors of the drawing, from the origin 0.
    size
        Factor by which mesh and lattice are scaled.

    Raises
    ------
    HMMError
        On every rank, if rank 0 could not draw or mesh the cell.
    """
    dim = len(lattice)
    data = distribute(draw, comm, dim)
    assert data.cell_tags is not None  # model_to_mesh has checked that every element is in a physical group
    data.mesh.geometry.x[:] *= size
    phases = {name: group.tag for name, group in data.physical_groups.items() if group.dim == dim}
    return Cell(data.mesh, data.cell_tags, phases, size * lattice, np.zeros(dim))


def add_parallelogram(model: Any, lattice: NDArray[np.float64]) -> int:
    """Tag of the surface spanned by two lattice vectors, or of the volume spanned by three, from the origin."""
    vectors = np.zeros((len(lattice), 3))
    vectors[:, : len(lattice)] = lattice
    corners = [np.zeros(3), vectors[0], vectors[0] + vectors[1], vectors[1]]
    points = [model.occ.addPoint(*corner) for corner in corners]
    lines = [model.occ.addLine(points[i], points[(i + 1) % 4]) for i in range(4)]
    base = model.occ.addPlaneSurface([model.occ.addCurveLoop(lines)])
    if len(lattice) == 2:
        return base
    return next(tag for dim, tag in model.occ.extrude([(2, base)], *vectors[2]) if dim == 3)


def split(
    model: Any, dim: int, cell: int, inclusions: Sequence[int], void: bool = False
) -> tuple[list[int], list[int]]:
    """Cut a cell along the boundaries of inclusions, which may reach out of it, and drop what is outside.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel; it is synchronized here.
    dim
        Dimension of the cell and the inclusions.
    cell, inclusions
        Their tags; they are replaced by the pieces.
    void
        Drop the pieces inside the inclusions too.

    Returns
    -------
    matrix, inside
        Tags of the pieces of the cell outside and inside the inclusions.
    """
    _, origin = model.occ.fragment([(dim, cell)], [(dim, tag) for tag in inclusions])
    pieces, covered = set(origin[0]), set().union(*origin[1:])
    matrix, inside = sorted(pieces - covered), sorted(pieces & covered)
    model.occ.remove(sorted(covered - pieces) + (inside if void else []), recursive=True)
    model.occ.synchronize()
    return [tag for _, tag in matrix], [] if void else [tag for _, tag in inside]


def name_phases(model: Any, dim: int, phases: Mapping[str, Sequence[int]]) -> None:
    """Make a physical group of dimension `dim`, tagged 1, 2, ..., of the entities of each phase."""
    for group, (name, entities) in enumerate(phases.items(), start=1):
        model.addPhysicalGroup(dim, list(entities), group, name)


def set_periodic(model: Any, lattice: NDArray[np.float64]) -> None:
    """Make the mesh on each face of a cell the translated copy of the mesh on the opposite face.

    An entity lies on a face if its centre of mass does, as nothing reaches out of the cell; its partner is the entity
    whose centre of mass and bounding box are the same after the translation.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel and synchronized.
    lattice
        Shape (d, d), rows the lattice vectors; the cell starts at the origin.

    Raises
    ------
    InputError
        If an entity on a face has no partner: the geometry is not periodic.
    """
    dim = len(lattice)
    tags = [tag for _, tag in model.getEntities(dim - 1)]
    centres = np.array([model.occ.getCenterOfMass(dim - 1, tag) for tag in tags])
    fractional = np.linalg.solve(lattice.T, centres[:, :dim].T).T
    keys = np.hstack([centres, [model.getBoundingBox(dim - 1, tag) for tag in tags]])
    for axis, vector in enumerate(lattice):
        shift = np.zeros(3)
        shift[:dim] = vector
        low, high = (np.flatnonzero(np.abs(fractional[:, axis] - side) < 1e-6) for side in (0, 1))
        partners = _partners(keys[low] + np.tile(shift, 3), keys[high], axis)
        affine = np.eye(4)
        affine[:3, 3] = shift
        for master, image in zip(low, high[partners], strict=True):
            model.mesh.setPeriodic(dim - 1, [tags[image]], [tags[master]], affine.ravel().tolist())


def generate(model: Any, dim: int, size: Callable[[NDArray[np.float64]], float], order: int = 1) -> None:
    """Mesh the model with simplices of geometry degree `order` and of the edge length `size` at a point, shape (3,)."""
    model.mesh.setSizeCallback(lambda d, tag, x, y, z, lc: size(np.array([x, y, z])))
    try:
        model.mesh.generate(dim)
        model.mesh.setOrder(order)
    finally:
        model.mesh.removeSizeCallback()


def volume(model: Any, dim: int, entities: Sequence[int]) -> float:
    """Volume (area if `dim` is 2) of the mesh on some entities, curved elements included."""
    total = 0.0
    for entity in entities:
        for kind in model.mesh.getElementTypes(dim, entity):
            points, weights = model.mesh.getIntegrationPoints(kind, "Gauss4")
            determinants = model.mesh.getJacobians(kind, points, entity)[1]
            total += float((determinants.reshape(-1, len(weights)) @ weights).sum())
    return total


def check_quality(model: Any, dim: int) -> None:
    """Raise an `HMMError` if an element of the mesh is inverted."""
    elements = np.concatenate(model.mesh.getElements(dim)[1])
    worst = float(np.min(model.mesh.getElementQualities(elements, "minSJ")))
    if worst <= 0:
        raise HMMError(f"the mesh has inverted elements (scaled Jacobian {worst:.3g}): take a smaller mesh_size")


def _partners(wanted: NDArray[np.float64], found: NDArray[np.float64], axis: int) -> NDArray[np.intp]:
    """Index of the row of `found` that equals each row of `wanted`, one to one."""
    if len(wanted) != len(found) or len(wanted) == 0:
        raise InputError(
            f"the faces across lattice vector {axis + 1} have {len(wanted)} and {len(found)} entities: "
            "draw the same geometry on opposite faces"
        )
    distances = np.linalg.norm(wanted[:, None] - found[None], axis=2)
    partners = distances.argmin(axis=1)
    worst = distances.min(axis=1).max()
    if worst > 1e-5 or len(set(partners)) < len(partners):
        raise InputError(
            f"a face across lattice vector {axis + 1} differs from the opposite one by {worst:.3g}: "
            "draw the same geometry on opposite faces"
        )
    return partners
