"""Meshes of Gmsh files with all their named physical groups, as macro meshes need them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dolfinx.cpp.io import perm_gmsh
from dolfinx.mesh import CellType
from numpy.typing import NDArray

from hmm.cells.elements import check_mesh
from hmm.foundation.errors import InputError
from hmm.images.meshes import CUBIC, DIMENSION, KINDS, solid_blocks
from hmm.images.msh import MeshFile, dimension, read_msh

BELOW = {
    "vertex": ("point", 0),
    "line": ("interval", 1),
    "line3": ("interval", 2),
    "line4": ("interval", 3),
    **KINDS,
    **CUBIC,
}
"""Types of elements of groups, with DOLFINx's name and the geometry degree."""


@dataclass(frozen=True, eq=False)
class GroupedMesh:
    """The mesh of a file.

    Attributes
    ----------
    points
        Shape (n, d).
    elements
        Shape (n_elements, n_nodes), in DOLFINx's order.
    kind, degree
        Name of the cell type, and degree of the geometry.
    groups
        For each name the dimension of its entities and their nodes, shape (n_entities, n_nodes), in DOLFINx's order.
    """

    points: NDArray[np.float64]
    elements: NDArray[np.int64]
    kind: str
    degree: int
    groups: dict[str, tuple[int, NDArray[np.int64]]]


def read_groups(path: Path) -> GroupedMesh:
    """The mesh and all named physical groups of a Gmsh file.

    Raises
    ------
    InputError
        If it is no mesh, has elements of several types, or no group has a name.
    """
    mesh = read_msh(path)
    kinds = KINDS | CUBIC
    kind, blocks = solid_blocks(path, mesh, kinds)
    shape, degree = kinds[kind]
    nodes = np.concatenate([_ordered(mesh, k) for k in blocks])
    dim = DIMENSION[shape]
    used, elements = np.unique(nodes, return_inverse=True)
    if dim == 2 and len(used) and np.ptp(mesh.points[used, 2]) > 1e-12 * np.ptp(mesh.points[used]):
        raise InputError(f"{path} has {kind} elements in space: a macro mesh is plane, or made of solid elements")
    elements = elements.reshape(nodes.shape)
    check_mesh(str(path), mesh.points[used, :dim], elements, shape, degree)
    groups = {name: _group(path, mesh, name, used) for name in mesh.cell_sets}
    if not groups:
        raise InputError(f"{path} has no named physical group: name those with supports, loads and materials")
    return GroupedMesh(mesh.points[used, :dim], elements, shape, degree, groups)


def _ordered(mesh: MeshFile, block: int) -> NDArray[np.int64]:
    """Nodes of a block of elements in DOLFINx's order."""
    nodes = np.asarray(mesh.cells[block].data, dtype=np.int64)
    return nodes[:, perm_gmsh(getattr(CellType, BELOW[mesh.cells[block].type][0]), nodes.shape[1])]


def _group(path: Path, mesh: MeshFile, name: str, used: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """Dimension and nodes of the entities of a set, nodes counted among those in use."""
    filled = [k for k, rows in enumerate(mesh.cell_sets[name]) if len(rows)]
    kinds = {mesh.cells[k].type for k in filled}
    if len(kinds) != 1 or not kinds <= BELOW.keys():
        raise InputError(
            f"{path}: group {name!r} has elements {', '.join(sorted(kinds))}: give it elements of one type"
        )
    nodes = np.concatenate([_ordered(mesh, k)[mesh.cell_sets[name][k]] for k in filled])
    at = np.minimum(np.searchsorted(used, nodes), len(used) - 1)
    if np.any(used[at] != nodes):
        raise InputError(f"{path}: group {name!r} has nodes that are in no element of the body: remove it, or mesh it")
    return dimension(next(iter(kinds))), at
