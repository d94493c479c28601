"""Boundary conditions of the cell: a map from each degree of freedom of `w` to a reduced one, or -1 if it is zero.

Three choices are standard, and their stiffnesses are ordered (Huet 1990; Mesarovic and Padbidri 2005):

- ``minimal``: only ``<w (x) n> = 0`` is required (uniform traction, SUBC), the lower bound;
- ``periodic``: the fluctuation is equal on opposite faces;
- ``dirichlet``: ``w = 0`` on the boundary (linear displacement, KUBC), the upper bound.

If `w` has several fields, ``minimal`` and ``dirichlet`` constrain those that a macroscopic input acts on; others, such
as a pressure, are free. ``periodic`` constrains all continuous fields. Discontinuous fields are always free.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, la
from dolfinx.mesh import meshtags
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import block_diag
from scipy.spatial import cKDTree

from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_form
from hmm.foundation.options import choice
from hmm.micro.fluctuation import Field, fields_of


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Rows of a linear constraint ``B w = 0``, enforced by Lagrange multipliers.

    Attributes
    ----------
    dofs
        Local degrees of freedom of `w` (unrolled) that occur.
    matrix
        Shape (n_multipliers, len(dofs)); this rank's contribution, to be summed over ranks.
    """

    dofs: NDArray[np.int32]
    matrix: NDArray[np.float64]

    @property
    def size(self) -> int:
        """Number of multipliers."""
        return self.matrix.shape[0]

    def joined(self, other: Multipliers) -> Multipliers:
        """The rows of both."""
        return Multipliers(np.r_[self.dofs, other.dofs], block_diag(self.matrix, other.matrix))


def _no_multipliers() -> Multipliers:
    return Multipliers(np.zeros(0, np.int32), np.zeros((0, 0)))


@dataclass(frozen=True, eq=False)
class Constraint:
    """The map from degrees of freedom of the fluctuation to the reduced system.

    Attributes
    ----------
    name
        ``"periodic"``, ``"dirichlet"`` or ``"minimal"``.
    blocks
        Shape (n_local_blocks,); global reduced block of each local block (including ghosts), or -1.
    block_size
        Components per block.
    n_owned
        Number of reduced blocks that this rank owns (without multipliers).
    multipliers
        Further linear constraints, if any.
    """

    name: str
    blocks: NDArray[np.int32]
    block_size: int
    n_owned: int
    multipliers: Multipliers = field(default_factory=_no_multipliers)


def constrain(
    name: str,
    cell: Cell,
    space: fem.FunctionSpace,
    *,
    driven: Collection[int] | None = None,
    pinned: Collection[int] | None = None,
    fixed_dofs: ArrayLike = (),
    pieces: NDArray[np.int64] | None = None,
) -> Constraint:
    """The constraint of a given name for fluctuations in `space`.

    Parameters
    ----------
    name
        ``"periodic"``, ``"dirichlet"`` or ``"minimal"``.
    cell
        The unit cell.
    space
        Lagrange space of the fluctuation on ``cell.mesh``, or a mixed space of Lagrange and discontinuous ones.
    driven
        Fields of a mixed space that a macroscopic input acts on; by default all.
    pinned
        Fields that are determined only up to a constant, so that one point is fixed (``periodic`` and ``minimal``); by
        default the driven fields.
    fixed_dofs
        Local degrees of freedom (unrolled, including ghosts) that are zero, such as those on walls.
    pieces
        Piece of each local cell (see `hmm.cells.connectivity`), if one point of each piece is to be fixed.

    Raises
    ------
    InputError
        For an unknown name, if the mesh has no matching faces for ``periodic``, or if `fixed_dofs` has some but not all
        components of a point of a space that is not mixed.
    """
    choice("constraint", name, CONSTRAINTS)
    fields = fields_of(space)
    driven = range(len(fields)) if driven is None else driven
    pinned = driven if pinned is None else pinned
    masters, multipliers = _own(space), _no_multipliers()
    for f in fields:
        rows = masters[f.blocks[: f.n_owned]]
        if f.continuous:
            multipliers = multipliers.joined(CONSTRAINTS[name](cell, f, rows, f.number in driven))
        if f.continuous and f.number in pinned and name != "dirichlet":
            _pin(cell, f, rows, pieces)
        masters[f.blocks[: f.n_owned]] = rows
    _fix(space, masters, np.unique(np.asarray(fixed_dofs, dtype=np.int32)))
    blocks, n_owned = _number(space, masters)
    return Constraint(name, blocks, space.dofmap.index_map_bs, n_owned, multipliers)


def _fix(space: fem.FunctionSpace, masters: NDArray[np.int64], dofs: NDArray[np.int32]) -> None:
    """Fix the blocks of some local `dofs` together with their periodic images."""
    size = space.dofmap.index_map_bs
    blocks, counts = np.unique(dofs // size, return_counts=True)
    comm = space.mesh.comm
    if partial := comm.allreduce(int((counts < size).sum())):
        raise InputError(
            f"fixed_dofs has some but not all of the {size} components of {partial} points: fix all of them, or make w "
            "of several fields, hmm.fluctuation(cell, degree=(...), shape=(...))"
        )
    mine = masters[blocks[blocks < masters.size]]
    everywhere = np.unique(np.concatenate(comm.allgather(mine)))
    masters[np.isin(masters, everywhere)] = -1


def _number(space: fem.FunctionSpace, masters: NDArray[np.int64]) -> tuple[NDArray[np.int32], int]:
    """Reduced numbers from `masters`: for each owned block the global block it follows, itself, or -1."""
    index_map, comm = space.dofmap.index_map, space.mesh.comm
    first, n_local = index_map.local_range[0], index_map.size_local
    kept = masters == first + np.arange(n_local)
    n_owned = int(kept.sum())
    offset = comm.scan(n_owned) - n_owned
    reduced = np.full(n_local, -1, dtype=np.int64)
    reduced[kept] = offset + np.arange(n_owned)
    follows = (masters >= 0) & ~kept
    wanted = np.unique(np.concatenate(comm.allgather(masters[follows])))
    mine = wanted[(wanted >= first) & (wanted < first + n_local)]
    answers = comm.allgather(np.stack([mine, reduced[mine - first]]))
    known = np.concatenate(answers, axis=1)
    known = known[:, np.argsort(known[0])]
    reduced[follows] = known[1, np.searchsorted(known[0], masters[follows])]
    everywhere = la.vector(index_map, 1, dtype=np.float64)
    everywhere.array[:n_local] = reduced
    everywhere.scatter_forward()
    return everywhere.array.astype(np.int32), n_owned


def _own(space: fem.FunctionSpace) -> NDArray[np.int64]:
    """Each owned block as its own master."""
    first, last = space.dofmap.index_map.local_range
    return np.arange(first, last, dtype=np.int64)


def _owned_coordinates(cell: Cell, f: Field) -> NDArray[np.float64]:
    return cell.fractional(f.space.tabulate_dof_coordinates()[: f.n_owned])


def _pin(cell: Cell, f: Field, rows: NDArray[np.int64], pieces: NDArray[np.int64] | None = None) -> None:
    """Fix the point of a field nearest to the origin of the cell, and its images, against rigid translation.

    With the piece of each local cell given, fix one point of each piece.
    """
    distance = np.linalg.norm(_owned_coordinates(cell, f), axis=1)
    if pieces is None:
        _pin_nearest(cell, rows, distance)
        return
    piece = np.zeros(int(f.space.dofmap.list.max(initial=-1)) + 1, dtype=np.int64)
    piece[f.space.dofmap.list.ravel()] = np.repeat(pieces, f.space.dofmap.list.shape[1])
    for k in range(cell.comm.allreduce(int(pieces.max(initial=0)), op=MPI.MAX) + 1):
        _pin_nearest(cell, rows, np.where(piece[: f.n_owned] == k, distance, np.inf))


def _pin_nearest(cell: Cell, rows: NDArray[np.int64], distance: NDArray[np.float64]) -> None:
    """Fix the point with the smallest `distance` on all ranks, and its images."""
    best = int(np.argmin(distance)) if distance.size else -1
    value = float(distance[best]) if best >= 0 else np.inf
    _, rank = cell.comm.allreduce((value, cell.comm.rank), op=MPI.MINLOC)
    pinned = cell.comm.bcast(rows[best].copy() if cell.comm.rank == rank else None, root=rank)
    rows[(rows == pinned).all(axis=1)] = -1


def _dirichlet(cell: Cell, f: Field, rows: NDArray[np.int64], driven: bool) -> Multipliers:
    if driven:
        fixed = fem.locate_dofs_topological(f.space, cell.mesh.topology.dim - 1, cell.boundary_facets())
        rows[fixed[fixed < f.n_owned]] = -1
    return _no_multipliers()


def _periodic(cell: Cell, f: Field, rows: NDArray[np.int64], driven: bool) -> Multipliers:
    s = _owned_coordinates(cell, f)
    on_boundary = np.flatnonzero(((np.abs(s) < cell.tolerance) | (np.abs(s - 1) < cell.tolerance)).any(axis=1))
    all_s = np.concatenate(cell.comm.allgather(s[on_boundary]))
    all_rows = np.concatenate(cell.comm.allgather(rows[on_boundary]))
    image_of = _match_faces(cell, all_s)
    counts = cell.comm.allgather(on_boundary.size)
    start = sum(counts[: cell.comm.rank])
    rows[on_boundary] = all_rows[image_of[start : start + on_boundary.size]]
    return _no_multipliers()


def _match_faces(cell: Cell, s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the master of each boundary point, given by its lattice coordinates, shape (n, d)."""
    high = np.abs(s - 1) < cell.tolerance
    if cell.open_faces:
        return _match_where_solid(np.where(high, 0.0, s), cell.tolerance)
    master = np.flatnonzero(~high.any(axis=1))
    image_of = np.arange(len(s))
    for axis in range(cell.dim):
        _check_faces(cell, s, axis)
    followers = np.flatnonzero(high.any(axis=1))
    distance, nearest = cKDTree(s[master]).query(np.where(high, 0.0, s)[followers])
    if np.any(distance > 100 * cell.tolerance):
        worst = int(np.argmax(distance))
        raise InputError(
            f"the cell's corners or edges do not repeat: the point with lattice coordinates "
            f"{s[followers][worst].round(6).tolist()} has no image (nearest at {distance[worst]:.3g})"
        )
    image_of[followers] = master[nearest]
    return image_of


def _match_where_solid(wrapped: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """Index of the first among points that are images of each other; a point without images is its own master."""
    return np.array([min(images) for images in cKDTree(wrapped).query_ball_point(wrapped, tolerance)], dtype=np.int64)


def _check_faces(cell: Cell, s: NDArray[np.float64], axis: int) -> None:
    """Raise `InputError` unless the points of the two faces across `axis` are images of each other."""
    others = [i for i in range(cell.dim) if i != axis]
    low = s[np.abs(s[:, axis]) < cell.tolerance][:, others]
    high = s[np.abs(s[:, axis] - 1) < cell.tolerance][:, others]
    faces = f"faces {'xyz'[axis]} = 0 and {'xyz'[axis]} = 1 (lattice coordinates)"
    remedy = "mesh the cell with periodic faces (Gmsh: setPeriodic), or use constraint='dirichlet' or 'minimal'"
    if len(low) == 0 and len(high) == 0:
        return  # the mesh does not reach these faces
    if len(low) == 0 or len(high) == 0:
        raise InputError(f"constraint 'periodic': no mesh on one of the {faces}: {remedy}")
    gaps = np.r_[cKDTree(high).query(low)[0], cKDTree(low).query(high)[0]]
    if gaps.max() > 100 * cell.tolerance:
        raise InputError(
            f"constraint 'periodic': {faces} do not match, {len(low)} against {len(high)} points, "
            f"largest gap {gaps.max():.3g} of the cell: {remedy}"
        )


def _minimal(cell: Cell, f: Field, rows: NDArray[np.int64], driven: bool) -> Multipliers:
    if not driven:
        return _no_multipliers()
    facets = np.sort(cell.boundary_facets())
    tags = meshtags(cell.mesh, cell.mesh.topology.dim - 1, facets, np.ones(facets.size, dtype=np.int32))
    ds = ufl.Measure("ds", cell.mesh, subdomain_data=tags)(1)
    v, n = f.of(ufl.TestFunction(f.parent)), ufl.FacetNormal(cell.mesh)
    components = [v[i] for i in range(v.ufl_shape[0])] if v.ufl_shape else [v]
    matrix = np.array([_row(c * n[j] * ds) for c in components for j in range(cell.dim)])
    dofs = np.flatnonzero(np.abs(matrix).max(axis=0) > 0).astype(np.int32)
    return Multipliers(dofs, np.ascontiguousarray(matrix[:, dofs]))


def _row(form: ufl.Form) -> NDArray[np.float64]:
    """This rank's part of an assembled linear form, on local degrees of freedom (including ghosts)."""
    return fem.assemble_vector(compile_form(form)).array.copy()


CONSTRAINTS: dict[str, Callable[[Cell, Field, NDArray[np.int64], bool], Multipliers]] = {
    "periodic": _periodic,
    "dirichlet": _dirichlet,
    "minimal": _minimal,
}
"""Each modifies in place the masters of the owned points of a field, shape (n_points, k): global blocks."""
