"""The unit cell: a mesh, named phases and the periodic lattice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh, MeshTags, entities_to_geometry, exterior_facet_indices
from numpy.typing import ArrayLike, NDArray

from hmm.cells.elements import check_mesh
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.forms import compile_form
from hmm.foundation.html import html_table
from hmm.laws import Law
from hmm.laws.rotating import rotated_law


@dataclass(frozen=True, eq=False)
class Cell:
    """A periodic unit cell with named phases.

    Attributes
    ----------
    mesh
        The mesh of the cell without voids; usually on ``MPI.COMM_SELF``, so that each rank solves its own RVEs.
    phase_tags
        Cell tags, one per cell of the mesh.
    phases
        Tag of each phase name.
    lattice
        Shape (d, d); row i is the i-th lattice vector, in the unit of the mesh. The cell is the parallelogram (or
        parallelepiped) these vectors span from `origin`.
    origin
        Shape (d,); the corner of the cell, by default the lower corner of the mesh's bounding box.
    grid
        Voxels along each axis if the mesh is a regular grid of equal quadrilaterals or hexahedra from `origin`, some of
        which may be missing (voids), else None.
    open_faces
        Whether the solid may end at a face of the cell where the opposite face is void: such points remain free.
    fibres
        For each phase of fibres their direction, shape (3,), or the mean of p (x) p over their directions p, shape (3,
        3), as which it is stored. There is a warning if the axis of a law differs.
    rotation
        Rotation of the material axes in each element from those of its phase, a field of shape (3, 3), such as that of
        a yarn that waves; None if there is none. `rotated` applies it to a law.
    degree
        Degree of the fluctuation that the mesh is made for, the default of `hmm.homogenize`.

    Raises
    ------
    InputError
        If a phase has no cells, two phases have one tag, a cell has no phase, no volume or is inverted, two overlap, a
        node is not finite, or the lattice does not fit the mesh.
    """

    mesh: Mesh
    phase_tags: MeshTags
    phases: Mapping[str, int]
    lattice: NDArray[np.float64]
    origin: NDArray[np.float64] | None = None
    grid: tuple[int, ...] | None = None
    open_faces: bool = False
    fibres: Mapping[str, ArrayLike] = field(default_factory=dict)
    rotation: fem.Function | None = None
    degree: int = 1

    def __post_init__(self) -> None:
        dim = self.mesh.geometry.dim
        if self.mesh.topology.dim != dim:
            raise InputError(
                f"the mesh has elements of dimension {self.mesh.topology.dim} in {dim}D: give a solid cell"
            )
        with collectively(self.mesh.comm):
            self._check_elements()
        lattice = np.array(self.lattice, dtype=float)
        if (
            not np.isfinite(lattice).all()
            or lattice.shape != (dim, dim)
            or abs(np.linalg.det(lattice)) < 1e-14 * np.abs(lattice).max() ** dim
        ):
            raise InputError(
                f"lattice {lattice.tolist()} is not {dim} independent vectors of a {dim}D cell: "
                f"give one row of {dim} numbers per lattice vector"
            )
        x = self.mesh.geometry.x[:, :dim]
        low = self._comm_reduce(x.min(axis=0, initial=np.inf), MPI.MIN)
        object.__setattr__(self, "lattice", lattice)
        object.__setattr__(self, "origin", low if self.origin is None else np.array(self.origin, dtype=float))
        self._check_phases()
        self._check_extent(x)
        fibres = {phase: _orientation(phase, given) for phase, given in self.fibres.items() if phase in self.phases}
        object.__setattr__(self, "fibres", fibres)

    @classmethod
    def box(cls, mesh: Mesh, phase_tags: MeshTags, phases: Mapping[str, int]) -> Cell:
        """A cell whose lattice is the bounding box of its `mesh`."""
        x = mesh.geometry.x[:, : mesh.geometry.dim]
        low, high = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        mesh.comm.Allreduce(x.min(axis=0, initial=np.inf), low, MPI.MIN)
        mesh.comm.Allreduce(x.max(axis=0, initial=-np.inf), high, MPI.MAX)
        return cls(mesh, phase_tags, phases, np.diag(high - low), low)

    def rotated[L: Law](self, law: L) -> L:
        """A law in the axes of each element (see `rotation`), if it has axes; `hmm.homogenize` does this itself."""
        return law if self.rotation is None else rotated_law(law, self.rotation)

    @property
    def dim(self) -> int:
        """Geometric dimension d."""
        return self.mesh.geometry.dim

    @property
    def has_whole_grid(self) -> bool:
        """Whether the mesh is a regular grid (see `grid`) of which no voxel is missing."""
        cells = self.mesh.topology.index_map(self.mesh.topology.dim).size_global
        return self.grid is not None and cells == np.prod(self.grid)

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the mesh."""
        return self.mesh.comm

    @cached_property
    def volume(self) -> float:
        """|Y|, the volume spanned by the lattice, voids included, in mesh unit^d."""
        return float(abs(np.linalg.det(self.lattice)))

    @cached_property
    def volume_fractions(self) -> dict[str, float]:
        """Volume fraction of each phase in |Y|; with voids they sum to less than one."""
        dx = self.measure()
        one = fem.Constant(self.mesh, 1.0)
        volumes = {name: fem.assemble_scalar(compile_form(one * dx(tag))) for name, tag in self.phases.items()}
        return {name: float(self.comm.allreduce(value)) / self.volume for name, value in volumes.items()}

    def _repr_html_(self) -> str:
        """The size and the phases as a table, for a notebook (collective)."""
        elements = self.mesh.topology.index_map(self.mesh.topology.dim).size_global
        title = f"Cell in {self.dim}D, {elements} elements"
        rows = [(name, tag, f"{self.volume_fractions[name]:.2%}") for name, tag in self.phases.items()]
        return html_table(title, ["phase", "tag", "volume fraction"], rows)

    def measure(self, **metadata: object) -> ufl.Measure:
        """The volume measure ``dx`` with the phases as subdomains; `metadata` goes to the form compiler."""
        return ufl.Measure("dx", self.mesh, subdomain_data=self.phase_tags, metadata=metadata or None)

    def fractional(self, x: ArrayLike) -> NDArray[np.float64]:
        """Lattice coordinates, shape (n, d), of points of shape (n, >= d): the cell is [0, 1]^d in them."""
        return np.linalg.solve(self.lattice.T, (np.asarray(x, dtype=float)[:, : self.dim] - self.origin).T).T

    @property
    def tolerance(self) -> float:
        """Distance, in lattice coordinates, below which two points are identical."""
        return 1e-8

    def boundary_facets(self) -> NDArray[np.int32]:
        """Local facets on the boundary of the lattice cell (the surfaces of inner voids are not among them)."""
        facets, on_lattice = self._exterior_facets()
        return facets[on_lattice]

    def wall_facets(self) -> NDArray[np.int32]:
        """Local facets where the mesh ends inside the lattice cell: the surfaces of voids, the walls of a fluid."""
        facets, on_lattice = self._exterior_facets()
        return facets[~on_lattice]

    def _exterior_facets(self) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Local facets on the boundary of the mesh, and which of them are on the boundary of the lattice cell."""
        tdim = self.mesh.topology.dim
        self.mesh.topology.create_connectivity(tdim - 1, tdim)
        self.mesh.topology.create_connectivity(tdim - 1, 0)
        self.mesh.topology.create_connectivity(tdim, tdim - 1)
        facets = exterior_facet_indices(self.mesh.topology)
        if facets.size == 0:
            return facets, np.zeros(0, dtype=bool)
        nodes = entities_to_geometry(self.mesh, tdim - 1, facets)
        s = self.fractional(self.mesh.geometry.x[nodes.ravel()]).reshape(*nodes.shape, self.dim)
        low = np.all(np.abs(s) < self.tolerance, axis=1).any(axis=1)
        high = np.all(np.abs(s - 1) < self.tolerance, axis=1).any(axis=1)
        return facets, low | high

    def _comm_reduce(self, values: NDArray[np.float64], op: MPI.Op) -> NDArray[np.float64]:
        result = np.zeros_like(values)
        self.mesh.comm.Allreduce(values, result, op)
        return result

    def _check_elements(self) -> None:
        """Raise an `InputError` if a cell of this rank would be integrated wrongly; grids need no check."""
        geometry = self.mesh.geometry
        if self.grid is None:
            kind, degree = self.mesh.topology.cell_name(), geometry.cmaps[0].degree
            nodes = np.asarray(geometry.dofmaps[0], dtype=np.int64)
            if len(nodes):
                check_mesh("the mesh", geometry.x[:, : geometry.dim], nodes, kind, degree)

    def _check_phases(self) -> None:
        index_map = self.mesh.topology.index_map(self.mesh.topology.dim)
        if self.phase_tags.dim != self.mesh.topology.dim:
            raise InputError(
                f"phase_tags are of dimension {self.phase_tags.dim}, and the cells of the mesh of "
                f"{self.mesh.topology.dim}: give cell tags"
            )
        for name, tag in self.phases.items():
            if same := [other for other, number in self.phases.items() if number == tag and other != name]:
                raise InputError(
                    f"phases {name!r} and {same[0]!r} have the same tag {tag}, so that its cells would count twice: "
                    "give each tag one name"
                )
        owned = self.phase_tags.values[self.phase_tags.indices < index_map.size_local]
        present = set().union(*self.comm.allgather(set(np.unique(owned).tolist())))
        for name, tag in self.phases.items():
            if tag not in present:
                raise InputError(
                    f"phase {name!r} (tag {tag}) has no cells in the mesh, which has the tags {sorted(present)}: "
                    "remove the phase or tag its cells"
                )
        unnamed = sorted(present - set(self.phases.values()))
        total, tagged = self.comm.allreduce(index_map.size_local), self.comm.allreduce(len(owned))
        if unnamed or tagged != total:
            what = f"tags {unnamed} without a name" if unnamed else f"{total - tagged} cells without a tag"
            raise InputError(f"the mesh has {what}: every cell needs a phase, the phases are {dict(self.phases)}")

    def _check_extent(self, x: NDArray[np.float64]) -> None:
        s = self.fractional(x)
        low = self._comm_reduce(s.min(axis=0, initial=np.inf), MPI.MIN)
        high = self._comm_reduce(s.max(axis=0, initial=-np.inf), MPI.MAX)
        low_corner = np.asarray(self.origin).tolist()
        if np.any(low < -1e-6) or np.any(high > 1 + 1e-6):
            raise InputError(
                f"the mesh reaches lattice coordinates {low.round(6).tolist()} to {high.round(6).tolist()}, outside "
                f"[0, 1]: the lattice vectors {self.lattice.tolist()} from {low_corner} do not span the mesh"
            )


def _orientation(phase: str, given: ArrayLike) -> NDArray[np.float64]:
    """The orientation tensor, shape (3, 3) and of trace 1, of the fibres of a phase from it or from a direction."""
    a = np.asarray(given, dtype=float)
    a = np.outer(a, a) if a.shape == (3,) else a
    if a.shape != (3, 3) or not 0 < np.trace(a) < np.inf:
        raise InputError(
            f"fibres of phase {phase!r} = {np.asarray(given).tolist()}: give a direction, shape (3,), or an "
            "orientation tensor, shape (3, 3)"
        )
    return np.asarray(a / np.trace(a))
