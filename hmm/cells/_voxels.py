"""Cells of equal voxels: one square or cube for each entry of a label array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mpi4py import MPI

import numpy as np
from dolfinx.mesh import CellType, Mesh, compute_midpoints, create_box, create_rectangle, meshtags
from numpy.typing import ArrayLike, NDArray

from hmm.cells._arrays import mesh_from_arrays
from hmm.cells._checks import check_range
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError


def voxels(
    labels: ArrayLike,
    phases: Mapping[str, int],
    *,
    spacing: float | Sequence[float] | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A cell of equal quadrilaterals or hexahedra, one for each entry of an array of labels.

    Such a cell has a `Cell.grid`, so large problems on it are solved by FFT-preconditioned iterations.

    Parameters
    ----------
    labels
        Integers, shape (nx, ny) or (nx, ny, nz); axis i of the array runs along coordinate i.
    phases
        The label of each phase name.
    spacing
        Edge length of a voxel, one number or one per axis; by default the longest edge of the cell has length 1.
    comm
        Communicator of the cell's mesh.

    Returns
    -------
    Cell
        A box with its lower corner at the origin, phases tagged by their labels.

    Raises
    ------
    InputError
        If the array is not of integers in two or three dimensions, or has labels that belong to no phase.
    """
    array = _checked(labels, phases)
    edges = voxel_edges(spacing, array.shape)
    mesh = _grid(array.shape, edges, comm)
    tdim = mesh.topology.dim
    cell_map = mesh.topology.index_map(tdim)
    cells = np.arange(cell_map.size_local + cell_map.num_ghosts, dtype=np.int32)
    index = np.floor(compute_midpoints(mesh, tdim, cells)[:, :tdim] / edges).astype(int)
    tags = meshtags(mesh, tdim, cells, array[tuple(index.T)].astype(np.int32))
    lattice = np.diag(edges * array.shape)
    return Cell(mesh, tags, dict(phases), lattice, np.zeros(tdim), grid=array.shape)


def porous_voxels(
    labels: NDArray[Any],
    solid: NDArray[np.bool_],
    phases: Mapping[str, int],
    edges: NDArray[np.float64],
    comm: MPI.Comm,
) -> Cell:
    """The cell of the `solid` ones of the voxels of an array of labels, `edges` their edge lengths, as `voxels`."""
    dim = solid.ndim
    voxel = np.argwhere(solid)
    corners = np.indices((2,) * dim).reshape(dim, -1).T[:, ::-1]  # the first axis runs fastest, as in DOLFINx
    nodes = tuple(n + 1 for n in solid.shape)
    everywhere = np.ravel_multi_index(tuple((voxel[:, None] + corners).transpose(2, 0, 1)), nodes)
    used, elements = np.unique(everywhere, return_inverse=True)
    points = np.stack(np.unravel_index(used, nodes), axis=1) * edges
    kind = {2: "quadrilateral", 3: "hexahedron"}[dim]
    elements = elements.reshape(everywhere.shape)
    mesh, tags = mesh_from_arrays(points, elements, labels[solid].astype(np.int32), kind, comm)
    lattice = np.diag(edges * solid.shape)
    return Cell(mesh, tags, dict(phases), lattice, np.zeros(dim), grid=solid.shape, open_faces=True)


def _checked(labels: ArrayLike, phases: Mapping[str, int]) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(f"labels have shape {array.shape}: give an array of two or three dimensions")
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise InputError(f"labels have type {array.dtype} or values that are not integers: give one integer per voxel")
    unknown = sorted(set(np.unique(array).tolist()) - set(phases.values()))
    if unknown:
        raise InputError(f"labels {unknown} belong to no phase: the phases are {dict(phases)}")
    return array.astype(np.int64)


def voxel_edges(spacing: float | Sequence[float] | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Edge lengths of a voxel, one per axis; by default such that the longest edge of the cell has length 1."""
    given = np.asarray(1.0 / max(shape) if spacing is None else spacing, dtype=float)
    if given.shape not in ((), (len(shape),)):
        raise InputError(f"spacing = {spacing} does not fit labels of shape {shape}: give one number, or one per axis")
    edges = np.broadcast_to(given, len(shape))
    for edge in edges:
        check_range("spacing", float(edge), 0.0, float("inf"), "give positive voxel edge lengths")
    return edges.copy()


def _grid(shape: tuple[int, ...], edges: NDArray[np.float64], comm: MPI.Comm) -> Mesh:
    corners: Any = [np.zeros(len(shape)), edges * shape]
    if len(shape) == 2:
        return create_rectangle(comm, corners, list(shape), CellType.quadrilateral)
    return create_box(comm, corners, list(shape), CellType.hexahedron)
