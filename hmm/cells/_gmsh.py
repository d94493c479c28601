"""Drawings of cells in Gmsh that are periodic on any lattice.

A generator writes one function that draws and meshes the cell with ``model.occ`` on rank 0, and hands it to `build`.
The other functions here are the steps such a drawing consists of; `hmm.cells._generate` meshes it. Draw at unit size:
the tolerances of the geometry kernel are absolute lengths (1e-7), and `build` scales the mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cells._checks import KERNEL
from hmm.cells.cell import Cell
from hmm.cells.gmsh_session import distribute
from hmm.foundation.errors import HMMError


def build(draw: Callable[[Any], object], comm: MPI.Comm, lattice: NDArray[np.float64], size: float = 1.0) -> Cell:
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


def wrap(model: Any, body: int, lattice: NDArray[np.float64], shifts: NDArray[np.float64]) -> list[int]:
    """Cut a body that crosses the faces of the cell, and move each piece back into the cell.

    The pieces on both sides of a face have the same edges and vertices on it, up to the translation. A mesh generator
    needs this to match opposite faces.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel.
    body
        Tag; it is replaced by the pieces.
    lattice
        Shape (d, d), rows the lattice vectors; the cell starts at the origin.
    shifts
        Shape (n, d), the lattice coordinates of the cells that the body may intersect.

    Returns
    -------
    list of int
        Tags of the pieces.
    """
    dim = len(lattice)
    if not np.any(shifts):
        return [body]
    boxes = []
    for shift in shifts @ lattice:
        boxes.append((dim, add_parallelogram(model, lattice)))
        model.occ.translate(boxes[-1:], *np.r_[shift, np.zeros(3 - dim)])
    _, origin = model.occ.fragment([(dim, body)], boxes)
    pieces = set(origin[0])
    moved = []
    for shift, parts in zip(shifts @ lattice, origin[1:], strict=True):
        inside = sorted(pieces & set(parts))
        if inside:
            copies = model.occ.copy(inside)
            model.occ.translate(copies, *np.r_[-shift, np.zeros(3 - dim)])
            moved += [tag for _, tag in copies]
    model.occ.remove(sorted(pieces.union(*origin[1:])), recursive=True)
    return moved


def split(model: Any, dim: int, cell: int, families: Sequence[Sequence[int]], void: bool = False) -> list[list[int]]:
    """Cut a cell along the boundaries of bodies, which may cross its faces, and remove the parts outside.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel; it is synchronized here.
    dim
        Dimension of the cell and the bodies.
    cell, families
        Their tags, the bodies' by family; they are replaced by the pieces.
    void
        Remove the pieces inside the bodies of the last family too.

    Returns
    -------
    list of list of int
        Tags of the pieces of the cell in no body, and in each family; a piece belongs to the last family it is in.
        Without the last family if that is `void`.
    """
    bodies = [(dim, tag) for family in families for tag in family]
    _, origin = model.occ.fragment([(dim, cell)], bodies)
    pieces, covered = set(origin[0]), set().union(*origin[1:])
    groups, start = [pieces - covered], 1
    for family in families:
        group = pieces & set().union(*origin[start : start + len(family)])
        groups = [*(earlier - group for earlier in groups), group]
        start += len(family)
    dropped = sorted(groups.pop()) if void else []
    model.occ.remove(sorted(covered - pieces) + dropped, recursive=True)
    model.occ.synchronize()
    return [sorted(tag for _, tag in group) for group in groups]


def name_phases(model: Any, dim: int, phases: Mapping[str, Sequence[int]]) -> None:
    """Make a physical group of dimension `dim`, tagged 1, 2, ..., of the entities of each phase.

    Raises
    ------
    HMMError
        If a phase has no entities: its pieces are smaller than the tolerance of the geometry kernel.
    """
    if lost := [name for name, entities in phases.items() if len(entities) == 0]:
        raise HMMError(
            f"the phase {lost[0]!r} is lost in the tolerance of the geometry kernel: make it "
            f"thicker or larger, above {KERNEL:g} of the cell"
        )
    for group, (name, entities) in enumerate(phases.items(), start=1):
        model.addPhysicalGroup(dim, list(entities), group, name)


def set_periodic(model: Any, lattice: NDArray[np.float64]) -> None:
    """Make the mesh on each face of a cell the translated copy of the mesh on the opposite face.

    An entity lies on a face if its centre of mass does, because no entity crosses a face; its partner is the entity
    with as many vertices around the same middle after the translation: discs and the rings around them have different
    numbers. Centres of mass and sizes, which the kernel integrates only to a percent if there are splines, decide
    between those.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel and synchronized.
    lattice
        Shape (d, d), rows the lattice vectors; the cell starts at the origin.

    Raises
    ------
    HMMError
        If an entity on a face has no partner: the geometry is not periodic.
    """
    dim = len(lattice)
    tags = [tag for _, tag in model.getEntities(dim - 1)]
    centres = np.array([model.occ.getCenterOfMass(dim - 1, tag) for tag in tags])
    fractional = np.linalg.solve(lattice.T, centres[:, :dim].T).T
    sizes = [[model.occ.getMass(dim - 1, tag)] for tag in tags]
    keys = np.c_[[_vertices(model, dim - 1, tag) for tag in tags], 1e-2 * centres, 1e-2 * np.array(sizes)]
    for axis, vector in enumerate(lattice):
        shift = np.zeros(3)
        shift[:dim] = vector
        low, high = (np.flatnonzero(np.abs(fractional[:, axis] - side) < 1e-6) for side in (0, 1))
        partners = _partners(keys[low] + np.r_[shift, 0.0, 1e-2 * shift, 0.0], keys[high], axis)
        affine = np.eye(4)
        affine[:3, 3] = shift
        for master, image in zip(low, high[partners], strict=True):
            model.mesh.setPeriodic(dim - 1, [tags[image]], [tags[master]], affine.ravel().tolist())


def _vertices(model: Any, dim: int, tag: int) -> NDArray[np.float64]:
    """Mean of the vertices of a curve or surface, and their number; shape (4,)."""
    vertices = sorted({vertex for _, vertex in model.getBoundary([(dim, tag)], combined=False, recursive=True)})
    return np.r_[np.mean([model.getValue(0, vertex, []) for vertex in vertices], axis=0), len(vertices)]


def _partners(wanted: NDArray[np.float64], found: NDArray[np.float64], axis: int) -> NDArray[np.intp]:
    """Index of the row of `found` that equals each row of `wanted`, one to one."""
    if len(wanted) != len(found) or len(wanted) == 0:
        raise HMMError(
            f"the faces across lattice vector {axis + 1} have {len(wanted)} and {len(found)} entities: "
            "draw the same geometry on opposite faces"
        )
    distances = np.linalg.norm(wanted[:, None] - found[None], axis=2)
    partners = distances.argmin(axis=1)
    worst = distances.min(axis=1).max()
    if worst > 1e-3:
        raise HMMError(
            f"a face across lattice vector {axis + 1} differs from the opposite one by {worst:.3g}: "
            "draw the same geometry on opposite faces"
        )
    if alike := len(partners) - len(set(partners)):
        raise HMMError(
            f"{alike} of the {len(found)} entities of a face across lattice vector {axis + 1} are like others "
            "(vertices, centre of mass, size): draw the geometry without nearly equal pieces"
        )
    return partners
