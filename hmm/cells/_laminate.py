"""Laminates, meshed by boxes split into simplices, without a mesh generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from mpi4py import MPI

import numpy as np
from dolfinx.mesh import GhostMode, Mesh, MeshTags, compute_midpoints, create_box, create_rectangle, meshtags
from numpy.typing import NDArray

from hmm.cells._checks import check_elements, check_range, check_sizes
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError


def laminate(
    fractions: Mapping[str, float] | Sequence[tuple[str, float]],
    *,
    normal: int = 0,
    dim: int = 2,
    size: float = 1.0,
    mesh_size: float = 0.25,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A stack of flat layers in a square or cube.

    The exact strain is constant in each layer, so first-order elements on this mesh solve the linear problem exactly.

    Parameters
    ----------
    fractions
        Volume fraction of each layer by phase name, stacked from the origin in the order given; they sum to 1. A
        sequence of pairs may name a phase repeatedly: ``[("A", 0.3), ("B", 0.4), ("A", 0.3)]``.
    normal
        Stacking axis of the layers (0, 1 or 2).
    dim
        2 (triangles) or 3 (tetrahedra).
    size
        Edge length of the cell; it sets the unit of length.
    mesh_size
        Largest edge length along an axis, in the unit of `size`; each layer has at least one row of elements.
    comm
        Communicator of the cell's mesh.

    Returns
    -------
    Cell
        With the lattice ``size * I`` and the origin 0. Phases are tagged 1, 2, ... in order of first appearance.

    Raises
    ------
    InputError
        If an argument is out of range or the fractions do not sum to 1.
    """
    layers = _checked(fractions, normal, dim)
    check_sizes(mesh_size, size)
    thickness = np.array([fraction for _, fraction in layers])
    rows = np.ceil(thickness * size / mesh_size - 1e-9).astype(int).clip(min=1)
    across = ceil(size / mesh_size - 1e-9)
    check_elements({2: 2.0, 3: 6.0}[dim] * across ** (dim - 1) * float(rows.sum()), "mesh_size")
    tops = np.r_[0.0, np.cumsum(thickness)] / thickness.sum()
    mesh = _grid(comm, dim, normal, across, int(rows.sum()))
    row = mesh.geometry.x[:, normal] * rows.sum()
    mesh.geometry.x[:, normal] = np.interp(row.round(), np.r_[0, np.cumsum(rows)], tops)
    phases = {name: tag for tag, name in enumerate(dict.fromkeys(name for name, _ in layers), start=1)}
    tags = _tags(mesh, normal, tops, np.array([phases[name] for name, _ in layers], dtype=np.int32))
    mesh.geometry.x[:] *= size
    return Cell(mesh, tags, phases, size * np.eye(dim), np.zeros(dim))


def _checked(
    fractions: Mapping[str, float] | Sequence[tuple[str, float]], normal: int, dim: int
) -> list[tuple[str, float]]:
    """The layers as pairs, after checking them and the axes."""
    if dim not in (2, 3):
        raise InputError(f"dim = {dim!r} is not a dimension of a laminate: choose 2 or 3")
    if normal not in range(dim):
        raise InputError(f"normal = {normal!r} is not an axis of a {dim}D cell: choose from {list(range(dim))}")
    try:
        layers = (
            list(fractions.items()) if isinstance(fractions, Mapping) else [(name, part) for name, part in fractions]
        )
    except (TypeError, ValueError):
        raise InputError(f"fractions = {fractions!r} are not layers: give pairs of a name and a fraction") from None
    for name, fraction in layers:
        check_range(
            f"fraction of layer {name!r}", fraction, 0.0, 1.0, "give positive fractions that sum to 1", closed=True
        )
    total = sum(fraction for _, fraction in layers)
    if abs(total - 1.0) > 1e-9:
        raise InputError(f"the layer fractions {layers} sum to {total:.12g}: give fractions that sum to 1")
    return layers


def _grid(comm: MPI.Comm, dim: int, normal: int, across: int, along: int) -> Mesh:
    """The unit square or cube with `along` divisions on the axis `normal` and `across` on the others."""
    divisions = [across] * dim
    divisions[normal] = along
    create = create_rectangle if dim == 2 else create_box
    return create(comm, [np.zeros(dim), np.ones(dim)], divisions, ghost_mode=GhostMode.none)


def _tags(mesh: Mesh, normal: int, tops: NDArray[np.float64], layer_tags: NDArray[np.int32]) -> MeshTags:
    """Cell tags of a mesh whose layers end at the coordinates `tops` of the axis `normal`."""
    index_map = mesh.topology.index_map(mesh.topology.dim)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    middle = compute_midpoints(mesh, mesh.topology.dim, cells)[:, normal]
    return meshtags(mesh, mesh.topology.dim, cells, layer_tags[np.searchsorted(tops, middle) - 1])
