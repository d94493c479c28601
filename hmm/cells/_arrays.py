"""Meshes and cells from arrays of points and elements that rank 0 has, and prismatic cells extruded from plane ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from mpi4py import MPI

import basix.ufl
import numpy as np
from dolfinx.mesh import Mesh, MeshTags, create_mesh, meshtags
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hmm.cell import Cell
from hmm.cells._checks import check_elements, check_range
from hmm.errors import InputError


@dataclass(frozen=True)
class Arrays:
    """A whole mesh in NumPy arrays.

    Attributes
    ----------
    kind
        DOLFINx name of the cell type, all straight.
    points
        Shape (n_points, d).
    cells
        Shape (n_cells, nodes of a cell), in the order of DOLFINx.
    tags
        Shape (n_cells,).
    """

    kind: str
    points: NDArray[np.float64]
    cells: NDArray[np.int64]
    tags: NDArray[np.int32]


def mesh_from_arrays(
    points: NDArray[np.float64],
    elements: NDArray[np.int64],
    tags: NDArray[np.int32],
    kind: str,
    comm: MPI.Comm,
    degree: int = 1,
) -> tuple[Mesh, MeshTags]:
    """A mesh distributed over `comm`, and its cell tags (collective).

    Parameters
    ----------
    points
        Shape (n_points, d); used on rank 0.
    elements
        Shape (n_elements, n_nodes), nodes in DOLFINx's order; used on rank 0.
    tags
        Shape (n_elements,); used on rank 0.
    kind
        Name of the cell type: ``"triangle"``, ``"quadrilateral"``, ``"tetrahedron"`` or ``"hexahedron"``.
    comm
        Communicator of the mesh.
    degree
        Geometry degree.
    """
    dim, nodes = comm.bcast((points.shape[1], elements.shape[1]) if comm.rank == 0 else None)
    if comm.rank:
        points, elements = np.zeros((0, dim)), np.zeros((0, nodes), dtype=np.int64)
    element: Any = basix.ufl.element("Lagrange", kind, degree, shape=(dim,))
    mesh = create_mesh(comm, np.ascontiguousarray(elements, dtype=np.int64), element, np.ascontiguousarray(points))
    tags = comm.bcast(tags)
    values = tags[mesh.topology.original_cell_index].astype(np.int32)
    cells = np.arange(len(values), dtype=np.int32)
    return mesh, meshtags(mesh, mesh.topology.dim, cells, values)


def cell_from_arrays(
    arrays: Arrays | None, phases: Mapping[str, int], lattice: NDArray[np.float64], comm: MPI.Comm
) -> Cell:
    """The cell with the mesh that rank 0 holds (None on the others); collective.

    Parameters
    ----------
    arrays
        The whole mesh, on rank 0.
    phases, lattice
        As in `Cell`, on all ranks; the origin is 0.
    comm
        Communicator of the cell's mesh.
    """
    dim = len(lattice)
    nothing = np.zeros((0, dim)), np.zeros((0, 1), dtype=np.int64), np.zeros(0, dtype=np.int32)
    points, cells, tags = nothing if arrays is None else (arrays.points, arrays.cells, arrays.tags)
    kind = comm.bcast(None if arrays is None else arrays.kind)
    mesh, cell_tags = mesh_from_arrays(np.asarray(points, dtype=float), cells, tags, kind, comm)
    return Cell(mesh, cell_tags, phases, lattice, np.zeros(dim))


def extrude(cell: Cell, thickness: float, *, mesh_size: float | None = None, comm: MPI.Comm = MPI.COMM_SELF) -> Cell:
    """A plane cell swept along z, as for unidirectional fibres: layers of prisms, each split into three tetrahedra.

    Parameters
    ----------
    cell
        A cell of straight triangles, whole on this rank.
    thickness
        Height of the new cell, in the unit of the mesh.
    mesh_size
        Largest height of a layer; `thickness`, a single layer, by default. What does not vary along z needs no more.
    comm
        Communicator of the new cell's mesh.

    Raises
    ------
    InputError
        If the cell is not of straight triangles, is distributed or is one element wide, or a length is not positive.
    """
    if cell.dim != 2 or cell.mesh.geometry.cmaps[0].degree != 1 or cell.grid or cell.comm.size > 1:
        raise InputError("the cell to extrude is not of straight triangles on one rank: give a plane cell with order=1")
    check_range("thickness", thickness, 0.0, np.inf, "give a positive height")
    height = thickness if mesh_size is None else mesh_size
    check_range("mesh_size", height, 0.0, np.inf, "give a positive height of the layers")
    layers = ceil(thickness / height - 1e-9)
    check_elements(3.0 * layers * len(cell.phase_tags.values), "mesh_size")
    lattice = np.zeros((3, 3))
    lattice[:2, :2], lattice[2, 2] = cell.lattice, thickness
    arrays = _prisms(cell, thickness, layers) if comm.rank == 0 else None
    return replace(cell_from_arrays(arrays, cell.phases, lattice, comm), fibres=cell.fibres)


def _prisms(cell: Cell, thickness: float, layers: int) -> Arrays:
    """Tetrahedra between copies of a plane mesh.

    The diagonals of a prism's sides follow the order of its vertices, and a vertex and its image have the same rank in
    that order: so neighbours agree, and opposite faces of the cell do too.
    """
    x = cell.mesh.geometry.x[:, :2] - cell.origin
    triangles = np.asarray(cell.mesh.geometry.dofmaps[0], dtype=np.int64)
    order = _periodic_numbers(cell)[triangles]
    if np.any(np.diff(np.sort(order, axis=1)) == 0):
        raise InputError("the cell to extrude is one element wide: take a smaller mesh_size in the plane")
    a, b, c = np.take_along_axis(triangles, np.argsort(order, axis=1), axis=1).T
    n = len(x)
    split = np.stack([[a, b, c, c + n], [a, b, b + n, c + n], [a, a + n, b + n, c + n]])
    tets = split.transpose(2, 0, 1).reshape(-1, 4)
    z = np.linspace(0, thickness, layers + 1)
    points = np.c_[np.tile(x, (layers + 1, 1)), np.repeat(z, n)]
    tags = np.repeat(cell.phase_tags.values, 3)
    stacked = np.concatenate([tets + k * n for k in range(layers)])
    return Arrays("tetrahedron", points, stacked, np.tile(tags, layers))


def _periodic_numbers(cell: Cell) -> NDArray[np.int64]:
    """A number for each node, the same for nodes that are images of each other."""
    s = cell.fractional(cell.mesh.geometry.x)
    s = np.where(np.abs(s - 1) < cell.tolerance, 0.0, s)
    groups = cKDTree(s).query(s, k=min(4, len(s)), distance_upper_bound=100 * cell.tolerance)[1]
    return np.asarray(np.min(groups, axis=1), dtype=np.int64)
