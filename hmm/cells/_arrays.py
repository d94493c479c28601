"""Meshes and cells from arrays of points and elements on rank 0, and cells extruded from plane cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from mpi4py import MPI

import basix
import basix.ufl
import numpy as np
from dolfinx.mesh import Mesh, MeshTags, create_mesh, meshtags
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from hmm.cells._checks import check_elements, check_range
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError


@dataclass(frozen=True)
class Arrays:
    """A complete mesh in NumPy arrays.

    Attributes
    ----------
    kind
        DOLFINx name of the cell type.
    points
        Shape (n_points, d).
    cells
        Shape (n_cells, nodes of a cell), in the order of DOLFINx.
    tags
        Shape (n_cells,).
    degree
        Geometry degree.
    """

    kind: str
    points: NDArray[np.float64]
    cells: NDArray[np.int64]
    tags: NDArray[np.int32]
    degree: int = 1


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
    equispaced = basix.LagrangeVariant.equispaced  # as in files, where the degree is 3
    element: Any = basix.ufl.element("Lagrange", kind, degree, equispaced, shape=(dim,))
    mesh = create_mesh(comm, np.ascontiguousarray(elements, dtype=np.int64), element, np.ascontiguousarray(points))
    tags = comm.bcast(tags)
    values = tags[mesh.topology.original_cell_index].astype(np.int32)
    cells = np.arange(len(values), dtype=np.int32)
    return mesh, meshtags(mesh, mesh.topology.dim, cells, values)


def cell_from_arrays(
    arrays: Arrays | None, phases: Mapping[str, int], lattice: NDArray[np.float64], comm: MPI.Comm
) -> Cell:
    """The cell with the mesh on rank 0 (None on the others); collective.

    Parameters
    ----------
    arrays
        The complete mesh, on rank 0.
    phases, lattice
        As in `Cell`, on all ranks; the origin is 0.
    comm
        Communicator of the cell's mesh.
    """
    dim = len(lattice)
    nothing = np.zeros((0, dim)), np.zeros((0, 1), dtype=np.int64), np.zeros(0, dtype=np.int32)
    points, cells, tags = nothing if arrays is None else (arrays.points, arrays.cells, arrays.tags)
    kind, degree = comm.bcast(None if arrays is None else (arrays.kind, arrays.degree))
    mesh, cell_tags = mesh_from_arrays(np.asarray(points, dtype=float), cells, tags, kind, comm, degree)
    return Cell(mesh, cell_tags, phases, lattice, np.zeros(dim))


def extrude(cell: Cell, thickness: float, *, mesh_size: float | None = None, comm: MPI.Comm = MPI.COMM_SELF) -> Cell:
    """A plane cell extruded along z, as for unidirectional fibres: layers of prisms, each split into three tetrahedra.

    Parameters
    ----------
    cell
        A cell of triangles, entirely on this rank; curved triangles (``order=2``) give curved tetrahedra.
    thickness
        Height of the new cell, in the unit of the mesh.
    mesh_size
        Largest height of a layer; `thickness`, a single layer, by default. This is sufficient if nothing varies along
        z.
    comm
        Communicator of the new cell's mesh.

    Raises
    ------
    InputError
        If the cell is not of triangles of order 1 or 2, is distributed or is one element wide, or a length is not
        positive.
    """
    kind, degree = cell.mesh.topology.cell_name(), cell.mesh.geometry.cmaps[0].degree
    if cell.dim != 2 or kind != "triangle" or degree > 2 or cell.comm.size > 1:
        raise InputError(
            f"the cell to extrude has {kind} elements of order {degree} on {cell.comm.size} ranks: give a plane "
            "cell of triangles of order 1 or 2 on one rank"
        )
    check_range("thickness", thickness, 0.0, np.inf, "give a positive height")
    height = thickness if mesh_size is None else mesh_size
    check_range("mesh_size", height, 0.0, np.inf, "give a positive height of the layers")
    layers = ceil(thickness / height - 1e-9)
    check_elements(3.0 * layers * len(cell.phase_tags.values), "mesh_size")
    lattice = np.zeros((3, 3))
    lattice[:2, :2], lattice[2, 2] = cell.lattice, thickness
    arrays = _prisms(cell, thickness, layers) if comm.rank == 0 else None
    return replace(cell_from_arrays(arrays, cell.phases, lattice, comm), fibres=cell.fibres, degree=cell.degree)


def _prisms(cell: Cell, thickness: float, layers: int) -> Arrays:
    """Tetrahedra between copies of a plane mesh.

    The diagonals of a prism's sides follow the order of its vertices, and a vertex and its image have the same rank in
    that order. Therefore neighbouring prisms match, and so do opposite faces of the cell. Node i on level k is i + k n;
    a curved mesh has a level in the middle of each layer too.
    """
    degree = cell.mesh.geometry.cmaps[0].degree
    x = cell.mesh.geometry.x[:, :2] - cell.origin
    nodes = np.asarray(cell.mesh.geometry.dofmaps[0], dtype=np.int64)
    triangles = nodes[:, :3]
    order = _periodic_numbers(cell)[triangles]
    if np.any(np.diff(np.sort(order, axis=1)) == 0):
        raise InputError("the cell to extrude is one element wide: use a smaller mesh_size in the plane")
    corners = np.argsort(order, axis=1)
    tets = np.concatenate([_tetrahedra(nodes, corners, split, len(x)) for split in SPLIT], axis=1)
    tets = tets.reshape(3 * len(nodes), -1)
    levels = np.linspace(0, thickness, degree * layers + 1)
    points = np.c_[np.tile(x, (len(levels), 1)), np.repeat(levels, len(x))]
    stacked = np.concatenate([tets + k * degree * len(x) for k in range(layers)])
    tags = np.tile(np.repeat(cell.phase_tags.values, 3), layers)
    return Arrays("tetrahedron", points, stacked, tags, degree)


SPLIT = (
    ((0, 0), (1, 0), (2, 0), (2, 1)),
    ((0, 0), (1, 0), (1, 1), (2, 1)),
    ((0, 0), (0, 1), (1, 1), (2, 1)),
)
"""The tetrahedra of a prism: for each vertex the corner of the triangle in its order, and 1 if it is on the top."""


def _tetrahedra(
    nodes: NDArray[np.int64], corners: NDArray[np.int64], split: tuple[tuple[int, int], ...], n: int
) -> NDArray[np.int64]:
    """One tetrahedron of each prism, in DOLFINx's order: vertices, then the middles of edges of a curved mesh."""
    rows = np.arange(len(nodes))
    if nodes.shape[1] == 3:
        return np.stack([nodes[rows, corners[:, c]] + up * n for c, up in split], axis=1)
    found = [nodes[rows, corners[:, c]] + 2 * up * n for c, up in split]
    for i, j in basix.topology(basix.CellType.tetrahedron)[1]:
        (a, low), (b, high) = split[i], split[j]
        one, other = corners[:, a], corners[:, b]
        middle = one if a == b else 6 - one - other  # the edge of a triangle has the number of the opposite vertex
        found.append(nodes[rows, middle] + (low + high) * n)
    return np.stack(found, axis=1)


def _periodic_numbers(cell: Cell) -> NDArray[np.int64]:
    """A number for each node, the same for nodes that are images of each other."""
    s = cell.fractional(cell.mesh.geometry.x)
    s = np.where(np.abs(s - 1) < cell.tolerance, 0.0, s)
    groups = cKDTree(s).query(s, k=min(4, len(s)), distance_upper_bound=100 * cell.tolerance)[1]
    return np.asarray(np.min(groups, axis=1), dtype=np.int64)
