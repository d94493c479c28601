"""Matrix-free tangents on the periodic grid; contexts of a PETSc Mat of type python."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.micro.solvers.fft.kernels import VOID, aligned, kernel

Floats = NDArray[np.float64]

CHUNK = 4096
"""Cells that `TangentOperator.apply_exactly` takes at once, for the memory of their moduli."""


class VoxelOperator:
    """Matrix-free K on the periodic grid, one element matrix per phase; context of a PETSc Mat of type python.

    Parameters
    ----------
    shape
        Cells along each axis, two or three axes.
    matrices
        Shape (n_phases, nd, nd), nd = 2^d * block; copied.
    phase
        Shape (n_cells,); matrix of each cell in grid order, or `VOID`.
    """

    def __init__(self, shape: Sequence[int], matrices: Floats, phase: NDArray[np.uint8]) -> None:
        self.shape, dim = tuple(shape), len(shape)
        self.block = matrices.shape[1] // 2**dim
        self._kernel = kernel(self.block, dim)
        self._n = np.array(shape, dtype=np.int32)
        self._phase = np.ascontiguousarray(phase, dtype=np.uint8).ravel()
        counts = np.bincount(self._phase[self._phase != VOID], minlength=len(matrices))
        self.norm = float(np.sqrt(counts @ (matrices**2).sum(axis=(1, 2))))
        width = -matrices.shape[1] % 8
        self._columns = aligned(np.pad(matrices.transpose(0, 2, 1), ((0, 0), (0, 0), (0, width))))

    def apply(self, u: Floats, y: Floats) -> None:
        """Y = K u, both in grid order, contiguous."""
        c = self._kernel.ffi.from_buffer
        self._kernel.lib.apply(
            c("int[]", self._n),
            c("uint8_t[]", self._phase),
            c("double[]", self._columns),
            c("double[]", u),
            c("double[]", y, require_writable=True),
        )

    def mult(self, _mat: Any, x: Any, y: Any) -> None:
        """Y = K x (PETSc)."""
        self.apply(x.getArray(readonly=True), y.getArray())


class TangentOperator:
    """Matrix-free K = sum over points B^T C B, C varying from point to point; context of a PETSc Mat of type python.

    Parameters
    ----------
    shape
        Cells along each axis.
    gradient
        Shape (n_points, n_s, nd); B at the quadrature points of one cell: n_s strains (gradients, ...) of nd dofs
        sorted by corner, then component.
    weights
        Shape (n_points,); quadrature weights times the volume ratio of the map to the cell.
    solid
        Shape (n_cells,); nonzero for the cells in grid order that are there. All by default.

    Notes
    -----
    C is symmetric and kept in single precision: a relative error of 6e-8 of a Newton matrix costs no iteration.
    """

    def __init__(
        self, shape: Sequence[int], gradient: Floats, weights: Floats, solid: NDArray[np.uint8] | None = None
    ) -> None:
        self.shape, dim = tuple(shape), len(shape)
        points, self._n_s, nd = gradient.shape
        self.block = nd // 2**dim
        self._b = np.zeros((-(-points // 8) * 8, self._n_s, nd))
        self._b[:points] = gradient * np.sqrt(weights)[:, None, None]
        self._b[np.abs(self._b) < 1e-14 * np.abs(self._b).max()] = 0
        by_corner = self._b.reshape(len(self._b), self._n_s, -1, self.block)
        pairs = [(i, s) for i in range(self.block) for s in range(self._n_s) if np.any(by_corner[:, s, :, i])]
        self._kernel = kernel(self.block, dim, self._n_s, len(self._b) // 8, tuple(pairs))
        self._n = np.array(shape, dtype=np.int32)
        table = np.stack([by_corner[:, s, :, i] for i, s in pairs])  # pair, point, corner
        table = table.reshape(len(pairs), -1, 8, 2**dim).transpose(1, 3, 0, 2)  # vector of points, corner, pair, lane
        self._table = aligned(np.ascontiguousarray(table))
        self._tril = np.tril_indices(self._n_s)
        self._solid = np.ones(int(np.prod(shape)), dtype=np.uint8) if solid is None else np.array(solid, dtype=np.uint8)
        n = np.count_nonzero(self._solid)
        self._c = aligned(np.zeros((n, len(self._b) // 8, len(self._tril[0]), 8), dtype=np.float32))

    def update(self, tangent: Floats) -> None:
        """Take C, shape (n_solid, n_points, n_s (n_s + 1) / 2), lower triangle by rows, solid cells in grid order."""
        for v in range(self._c.shape[1]):
            part = tangent[:, 8 * v : 8 * v + 8]
            self._c[:, v, :, : part.shape[1]] = part.transpose(0, 2, 1)

    def apply(self, u: Floats, y: Floats) -> None:
        """Y = K u, both in grid order, contiguous."""
        c = self._kernel.ffi.from_buffer
        self._kernel.lib.apply_tangent(
            c("int[]", self._n),
            c("uint8_t[]", self._solid),
            c("double[]", self._table),
            c("float[]", self._c),
            c("double[]", u),
            c("double[]", y, require_writable=True),
        )

    def apply_exactly(self, u: Floats, tangent: Floats) -> Floats:
        """K u in grid order, in double precision and without compiled loops.

        Parameters
        ----------
        u
            Shape (n_nodes * block,).
        tangent
            C, as `update` takes it.
        """
        dim, points = len(self.shape), tangent.shape[1]
        axes, field = tuple(range(dim)), u.reshape(*self.shape, self.block)
        corners = [np.roll(field, [-k for k in c], axes) for c in itertools.product((0, 1), repeat=dim)]
        solid = self._solid > 0
        nodal = np.stack(corners, axis=-2).reshape(len(solid), -1)[solid]
        gradient = self._b[:points]
        local = np.zeros((len(solid), nodal.shape[1]))
        forces = np.empty_like(nodal)
        for start in range(0, len(nodal), CHUNK):
            part = slice(start, start + CHUNK)
            full = np.empty((*tangent[part].shape[:2], self._n_s, self._n_s))
            full[:, :, *self._tril] = full[:, :, *self._tril[::-1]] = tangent[part]
            strain = np.tensordot(nodal[part], gradient, axes=(1, 2))  # cell, point, strain
            stress = np.matmul(full, strain[..., None])[..., 0]
            forces[part] = np.tensordot(stress, gradient, axes=((1, 2), (0, 1)))
        local[solid] = forces
        return self._at_nodes(local)

    def mult(self, _mat: Any, x: Any, y: Any) -> None:
        """Y = K x (PETSc)."""
        self.apply(x.getArray(readonly=True), y.getArray())

    def diagonal(self) -> Floats:
        """Diagonal of K in grid order; 0 at nodes without a solid cell."""
        rows, cols = self._tril
        twice = np.where(rows == cols, 1.0, 2.0)
        weight = self._b[:, rows] * self._b[:, cols] * twice[:, None]
        weight = weight.reshape(-1, 8, *weight.shape[1:]).transpose(0, 2, 1, 3)  # as C is kept: points run fastest
        weight = weight.reshape(-1, weight.shape[-1]).astype(np.float32)
        local = np.zeros((len(self._solid), weight.shape[1]), dtype=np.float32)
        local[self._solid > 0] = self._c.reshape(len(self._c), -1) @ weight
        return self._at_nodes(local)

    def diagonal_of(self, matrix: Floats) -> Floats:
        """The diagonal that K would have with the same element `matrix` in all solid cells."""
        return self._at_nodes(np.outer(self._solid > 0, matrix.diagonal()))

    def _at_nodes(self, local: NDArray[np.floating[Any]]) -> Floats:
        """Sum of what each cell adds to its corners, shape (n_cells, nd), in grid order."""
        local = local.reshape(*self.shape, -1, self.block)
        corners = itertools.product((0, 1), repeat=len(self.shape))
        total = np.zeros((*self.shape, self.block))
        for k, c in enumerate(corners):
            total += np.roll(local[..., k, :], c, tuple(range(len(self.shape))))
        return total.ravel()

    def mean_matrix(self) -> Floats:
        """Element matrix of the mean tangent of each point of the solid, the reference for the preconditioner."""
        mean = self._c.mean(axis=0, dtype=float).transpose(0, 2, 1).reshape(len(self._b), -1)
        full = np.zeros((len(self._b), self._n_s, self._n_s))
        full[:, *self._tril] = mean
        full[:, *self._tril[::-1]] = mean
        return np.einsum("qsi,qst,qtj->ij", self._b, full, self._b, optimize=True)
