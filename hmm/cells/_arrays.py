"""Meshes from arrays of points and elements that rank 0 has."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

import basix.ufl
import numpy as np
from dolfinx.mesh import Mesh, MeshTags, create_mesh, meshtags
from numpy.typing import NDArray


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
