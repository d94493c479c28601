"""Macro meshes with named groups: rectangles and boxes, whose faces have names, and files with physical groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, graph, io, mesh
from dolfinx.mesh import CellType, Mesh, MeshTags
from numpy.typing import NDArray

from hmm.cells._arrays import mesh_from_arrays
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import regular_file
from hmm.foundation.naming import nearest
from hmm.images.groups import GroupedMesh, read_groups

FACES = {2: ("left", "right", "bottom", "top"), 3: ("left", "right", "front", "back", "bottom", "top")}
"""Names of the faces of a rectangle and a box: at the smallest and largest coordinate of each axis in turn."""


@dataclass(frozen=True, eq=False)
class MacroBody:
    """A macro mesh with named groups of its cells, facets, edges and vertices.

    Attributes
    ----------
    mesh
        The mesh.
    groups
        For each name the dimension of its entities and their numbers on this rank.
    """

    mesh: Mesh
    groups: Mapping[str, tuple[int, NDArray[np.int32]]]

    def dofs(self, space: fem.FunctionSpace, group: str) -> NDArray[np.int32]:
        """Degrees of freedom of a space on a group, or on what several groups have in common, ``"a & b"`` (collective).

        Raises
        ------
        InputError
            On all ranks, if there is no such group, or the groups have nothing in common.
        """
        parts = [self._entities(name.strip()) for name in group.split("&")]
        found = [fem.locate_dofs_topological(space, dim, entities) for dim, entities in parts]
        common: NDArray[np.int32] = reduce(np.intersect1d, found).astype(np.int32)
        if not self.mesh.comm.allreduce(common.size):
            raise InputError(f"{group!r} is empty: no point of the mesh is in all of these groups")
        return common

    def condition(self, space: fem.FunctionSpace, group: str, value: fem.Constant) -> fem.DirichletBC:
        """A Dirichlet condition on a group (collective)."""
        return fem.dirichletbc(value, self.dofs(space, group), space)

    def dx(self, group: str | None = None) -> ufl.Measure:
        """The volume measure of a group of cells, or of all."""
        if group is None:
            return ufl.Measure("dx", self.mesh)
        return ufl.Measure("dx", self.mesh, subdomain_data=self._tags(group, self.mesh.topology.dim))(1)

    def ds(self, group: str) -> ufl.Measure:
        """The surface measure of a group of facets."""
        return ufl.Measure("ds", self.mesh, subdomain_data=self._tags(group, self.mesh.topology.dim - 1))(1)

    def cell_tags(self, groups: Sequence[str]) -> MeshTags:
        """The number of its group, from 1, for each cell.

        Raises
        ------
        InputError
            On all ranks, if a cell is in none or in two of the groups.
        """
        dim = self.mesh.topology.dim
        sizes = self.mesh.topology.index_map(dim)
        numbers = np.zeros(sizes.size_local + sizes.num_ghosts, dtype=np.int32)
        with collectively(self.mesh.comm):
            for k, group in enumerate(groups, 1):
                cells = self._of_dim(group, dim)
                if np.any(numbers[cells]):
                    other = groups[int(numbers[cells].max()) - 1]
                    raise InputError(f"groups {other!r} and {group!r} have cells in common: a cell has one material")
                numbers[cells] = k
            if not numbers.all():
                raise InputError(f"{np.sum(numbers == 0)} cells are in none of the groups {', '.join(groups)}")
        return mesh.meshtags(self.mesh, dim, np.arange(numbers.size, dtype=np.int32), numbers)

    def _tags(self, group: str, dim: int) -> MeshTags:
        entities = np.unique(self._of_dim(group, dim))
        return mesh.meshtags(self.mesh, dim, entities, np.ones(entities.size, dtype=np.int32))

    def _of_dim(self, group: str, dim: int) -> NDArray[np.int32]:
        found, entities = self._entities(group)
        if found != dim:
            kinds = {0: "points", self.mesh.topology.dim - 1: "facets", self.mesh.topology.dim: "cells"}
            raise InputError(
                f"group {group!r} has {kinds.get(found, 'edges')}, and {kinds[dim]} are needed: "
                f"the groups of {kinds[dim]} are {', '.join(n for n, (d, _) in self.groups.items() if d == dim)}"
            )
        return entities

    def _entities(self, group: str) -> tuple[int, NDArray[np.int32]]:
        if group not in self.groups:
            raise InputError(
                f"the mesh has no group {group!r}{nearest(group, self.groups)}: the groups are {', '.join(self.groups)}"
            )
        return self.groups[group]


def box_body(
    comm: MPI.Comm,
    size: Sequence[float],
    elements: Sequence[int],
    element: str | None = None,
    origin: Sequence[float] | None = None,
) -> MacroBody:
    """A rectangle or a box (collective).

    Parameters
    ----------
    comm
        The communicator.
    size
        Its sizes along the axes, two or three.
    elements
        Number of elements along each axis.
    element
        ``"triangle"`` (default) or ``"quadrilateral"``; ``"tetrahedron"`` (default) or ``"hexahedron"``.
    origin
        The corner with the smallest coordinates; zero by default.

    Returns
    -------
    MacroBody
        Its faces are `FACES`.
    """
    dim = len(size)
    low = np.zeros(dim) if origin is None else np.array(origin, dtype=float)
    high = low + np.array(size)
    kind = CellType[element or ("triangle" if dim == 2 else "tetrahedron")]
    make = mesh.create_rectangle if dim == 2 else mesh.create_box
    domain = make(comm, [low, high], list(elements), kind)
    domain.topology.create_entities(dim - 1)
    groups = {}
    for k, name in enumerate(FACES[dim]):
        axis, at = k // 2, (low, high)[k % 2][k // 2]
        near = 1e-8 * size[axis] / elements[axis]
        facets = mesh.locate_entities_boundary(domain, dim - 1, lambda x, a=axis, v=at, n=near: np.abs(x[a] - v) < n)
        groups[name] = (dim - 1, facets)
    return MacroBody(domain, groups)


def file_body(comm: MPI.Comm, path: str | Path) -> MacroBody:
    """The mesh of a Gmsh file with its physical groups (collective).

    Raises
    ------
    InputError
        On all ranks, if it cannot be read or no group has a name.
    """
    path = Path(path)
    found: GroupedMesh | None = None
    with collectively(comm):
        if comm.rank == 0:
            found = read_groups(regular_file(path, "mesh file", "give the path of a Gmsh file"))
    nothing = np.zeros((0, 0)), np.zeros((0, 0), dtype=np.int64)
    points, elements = nothing if found is None else (found.points, found.elements)
    kind, degree = comm.bcast(None if found is None else (found.kind, found.degree))
    domain, _ = mesh_from_arrays(points, elements, np.zeros(len(elements), dtype=np.int32), kind, comm, degree)
    names = comm.bcast(None if found is None else {name: dim for name, (dim, _) in found.groups.items()})
    return MacroBody(domain, {name: (dim, _distributed(domain, dim, found, name)) for name, dim in names.items()})


def _distributed(domain: Mesh, dim: int, found: GroupedMesh | None, name: str) -> NDArray[np.int32]:
    """The entities of a group on this rank, from those on rank 0 (collective)."""
    nodes = None if found is None else np.ascontiguousarray(found.groups[name][1])
    width = domain.comm.bcast(None if nodes is None else nodes.shape[1])
    nodes = np.zeros((0, width), dtype=np.int64) if nodes is None else nodes
    domain.topology.create_entities(dim)
    domain.topology.create_connectivity(dim, domain.topology.dim)
    entities, values = io.distribute_entity_data(domain, dim, nodes, np.ones(len(nodes), dtype=np.int32))
    tags = mesh.meshtags_from_entities(domain, dim, graph.adjacencylist(entities), values)
    return np.unique(tags.indices).astype(np.int32)
