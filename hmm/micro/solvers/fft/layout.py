"""The map between a voxel mesh and the periodic grid, and element matrices of forms on it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.micro.solvers.fft.kernels import VOID

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """The map between a mesh of equal voxels with its first-order space and the periodic grid.

    Voxels may be missing. Nodes at which all are missing belong to no dof.

    Attributes
    ----------
    shape
        Cells, and so nodes, along each lattice direction.
    node
        Shape (n_dofs,); grid node of every block of dofs of the space, periodic images share one.
    cell
        Shape (n_cells,); grid cell of every cell of the mesh.
    corner
        Shape (2^d,); corner of the cell that each local dof of the space belongs to.
    block
        Components per node.
    """

    shape: tuple[int, ...]
    node: NDArray[np.int64]
    cell: NDArray[np.int64]
    corner: NDArray[np.int64]
    block: int

    @classmethod
    def from_space(cls, space: fem.FunctionSpace, lattice: ArrayLike, origin: ArrayLike | None = None) -> VoxelGrid:
        """Find the grid of a first-order Lagrange space on a serial mesh of equal voxels.

        Parameters
        ----------
        space
            Lagrange space of degree 1; scalar or blocked. Voxels of the grid may be missing in its mesh.
        lattice
            Shape (d, d), rows the lattice vectors of the cell.
        origin
            Shape (d,), corner of the cell; the lowest node of the mesh by default.

        Raises
        ------
        InputError
            If the dofs are not nodes of a grid of equal voxels, each cell numbered alike and at its own place.
        """
        lattice = np.asarray(lattice, dtype=float)
        dim = len(lattice)
        x = space.tabulate_dof_coordinates()[:, :dim]
        fraction = np.linalg.solve(lattice.T, (x - (x.min(axis=0) if origin is None else origin)).T).T
        dofs = space.dofmap.list
        if dofs.shape[1] != 2**dim:
            raise InputError(
                f"the space has {dofs.shape[1]} dofs per cell, a voxel of degree 1 has {2**dim}: use degree 1 on "
                "quadrilaterals or hexahedra"
            )
        first = fraction[dofs[0]]
        shape = tuple(int(n) for n in np.rint(1 / np.ptp(first, axis=0)))
        fraction *= shape
        rounded = np.rint(fraction)
        index = rounded.astype(np.int64)
        offset = index[dofs[0]] - index[dofs[0]].min(axis=0)
        lowest = int(np.argmin(offset.sum(axis=1)))
        from_low = index - index.min(axis=0)
        number = np.ravel_multi_index(tuple(from_low.T), tuple(from_low.max(axis=0) + 2))  # periodic images have others
        corners = number[dofs]
        place = _ravel(index[dofs[:, lowest]], shape)
        unlike = np.any(corners - corners[:, :1] != corners[0] - corners[0, 0]) or np.bincount(place).max() > 1
        if np.abs(fraction - rounded).max() > 1e-6 or unlike:
            raise InputError(f"the mesh is not a grid of {shape} equal voxels numbered alike: give a voxel mesh")
        weights = 2 ** np.arange(dim)[::-1]
        return cls(shape, _ravel(index, shape), place, offset @ weights, space.dofmap.index_map_bs)

    @property
    def size(self) -> int:
        """Nodes (and cells) of the grid."""
        return int(np.prod(self.shape))

    @property
    def order(self) -> NDArray[np.int64]:
        """Shape (nd,); local dof of an element of the space for each dof sorted by corner, then component."""
        return (self.block * np.argsort(self.corner)[:, None] + np.arange(self.block)).ravel()

    def dofs(self, cells: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Dofs of some grid cells, in grid order, shape (n, nd), by corner, then component."""
        index = np.array(np.unravel_index(cells, self.shape)).T
        corners = np.array(list(itertools.product((0, 1), repeat=len(self.shape))))
        nodes = _ravel(index[:, None] + corners, self.shape) if len(index) else np.zeros((0, len(corners)), np.int64)
        return (nodes[..., None] * self.block + np.arange(self.block)).reshape(len(index), -1)

    @cached_property
    def solid(self) -> NDArray[np.uint8]:
        """Shape (size,); 1 for the grid cells that the mesh has, else 0."""
        solid = np.zeros(self.size, dtype=np.uint8)
        solid[self.cell] = 1
        return solid

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """Shape (n_cells,); place of every cell of the mesh among them in grid order."""
        return np.cumsum(self.solid, dtype=np.int64)[self.cell] - 1


def _ravel(index: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.ravel_multi_index(tuple(np.moveaxis(index % shape, -1, 0)), shape)


def element_matrices(form: fem.Form, grid: VoxelGrid) -> tuple[Floats, NDArray[np.uint8]]:
    """Element matrices of a bilinear form, one for every distinct set of coefficient values.

    Parameters
    ----------
    form
        Bilinear form of cell integrals (over the mesh or parts of it) whose coefficients are constant in each cell.
    grid
        Grid of the form's space.

    Returns
    -------
    matrices
        Shape (n_phases, nd, nd), nd = 2^d * block; rows and columns by corner, then component.
    phase
        Shape (grid.size,); the matrix of each grid cell, `VOID` where the mesh has none.

    Raises
    ------
    InputError
        If there are more than 255 different matrices.
    """
    packed = [rows for (kind, _), rows in sorted(fem.pack_coefficients(form).items(), key=lambda item: item[0][1])]
    domains = [form._cpp_object.domains(fem.IntegralType.cell, i) for i in range(len(packed))]
    group = np.full((len(grid.cell), len(packed)), -1)  # which coefficient values each integral sees in each cell
    values = []
    for i, (rows, cells) in enumerate(zip(packed, domains, strict=True)):
        rows = rows.reshape(len(cells), -1) if rows.size else np.zeros((len(cells), 1))
        distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
        group[cells, i] = inverse.ravel()
        values.append(distinct)
    kinds, first, inverse = np.unique(group, axis=0, return_index=True, return_inverse=True)
    if len(kinds) > VOID:
        raise InputError(f"{len(kinds)} different element matrices, at most {VOID} are supported: use solver='direct'")
    phase = np.full(grid.size, VOID, dtype=np.uint8)
    phase[grid.cell] = inverse.ravel()
    nd = len(grid.corner) * grid.block
    matrices = np.zeros((len(kinds), nd, nd))
    for k, cell in enumerate(first.tolist()):
        for i in np.flatnonzero(kinds[k] >= 0).tolist():
            matrices[k] += _tabulate(form, i, cell, values[i][kinds[k, i]], nd)
    return matrices[:, grid.order[:, None], grid.order], phase


def _tabulate(form: fem.Form, integral: int, cell: int, coefficients: Floats, nd: int) -> Floats:
    """Call the FFCx kernel of one cell."""
    module: Any = form.module
    ffi, ufcx, geometry = module.ffi, form.ufcx_form, form.mesh.geometry
    x = np.ascontiguousarray(geometry.x[geometry.dofmaps[0][cell]])
    matrix = np.zeros((nd, nd))
    arguments = (matrix, np.ascontiguousarray(coefficients), fem.pack_constants(form), x)
    kernel = ufcx.form_integrals[ufcx.form_integral_offsets[0] + integral].tabulate_tensor_float64
    kernel(*(ffi.from_buffer("double[]", a) for a in arguments), ffi.NULL, ffi.NULL, ffi.NULL)
    return matrix
