"""The reduced algebra of a constrained cell: matrices and vectors that PETSc assembles into directly."""

from __future__ import annotations

from mpi4py import MPI

import numpy as np
from dolfinx import fem
from dolfinx.fem import petsc
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.micro.constraints import Constraint


class ReducedSystem:
    """The map between local degrees of freedom of the fluctuation (and multipliers) and the reduced unknowns.

    A local vector contains the degrees of freedom of this rank, including ghosts, followed by the multipliers. A
    reduced vector contains this rank's share of the unknowns.

    Parameters
    ----------
    comm
        Communicator of the cell.
    constraint
        The constraint.

    Attributes
    ----------
    weights
        Shape (size_owned,); factors of the residuals in their norm, or None for 1. Fields with different units need
        them.
    scales
        Shape (size_owned,); powers of two, factors of the rows and columns of the tangent before factorization, or None
        for 1. Without them, MUMPS may treat pivots of several fields as zero, depending on the units.
    """

    weights: NDArray[np.float64] | None = None
    scales: NDArray[np.float64] | None = None

    def __init__(self, comm: MPI.Comm, constraint: Constraint) -> None:
        self.comm = comm
        self.constraint = constraint
        bs, extra = constraint.block_size, constraint.multipliers.size
        last = comm.rank == comm.size - 1
        self.size_owned = constraint.n_owned * bs + (extra if last else 0)
        self.size_global = comm.allreduce(self.size_owned)
        self.size_fluctuation = constraint.blocks.size * bs
        first_multiplier = (self.size_global - extra) // bs
        blocks = np.r_[constraint.blocks, first_multiplier + np.arange(extra // bs)].astype(PETSc.IntType)
        self.lgmap = PETSc.LGMap().create(blocks, bsize=bs, comm=comm)
        unrolled = np.where(blocks[:, None] < 0, -1, blocks[:, None] * bs + np.arange(bs)).ravel()
        self._serial = comm.size == 1
        self._free = np.flatnonzero(unrolled >= 0)
        self._target = unrolled[self._free]
        self._n_local = unrolled.size
        self._local = np.zeros(unrolled.size)
        if not self._serial:
            self._set_up_scatter()

    def numbers(self) -> NDArray[np.int64]:
        """Number of the unknown of each local degree of freedom of a serial cell, or -1 for fixed ones; a new array."""
        numbers = np.full(self._n_local, -1, dtype=np.int64)
        numbers[self._free] = self._target
        return numbers

    def gather(self, local: NDArray[np.float64], reduced: NDArray[np.float64]) -> None:
        """Sum local values into their reduced unknowns (the transpose of `spread`)."""
        if self._serial:
            reduced[:] = np.bincount(self._target, weights=local[self._free], minlength=self.size_owned)
            return
        self._local[:] = local
        self._global_vec.set(0.0)
        self._scatter.scatter(self._local_vec, self._global_vec, addv=PETSc.InsertMode.ADD)
        reduced[:] = self._global_vec.array_r

    def spread(self, reduced: NDArray[np.float64], local: NDArray[np.float64]) -> None:
        """Write the values of the unknowns to their local degrees of freedom, and 0 to fixed ones."""
        if self._serial:
            local[self._free] = reduced[self._target]
            return
        self._global_vec.array_w[:] = reduced
        self._scatter.scatter(
            self._global_vec, self._local_vec, addv=PETSc.InsertMode.INSERT, mode=PETSc.ScatterMode.REVERSE
        )
        local[self._free] = self._local[self._free]  # `gather` left its own values in fixed degrees of freedom

    def norm(self, residual: NDArray[np.float64]) -> float:
        """Euclidean norm of a reduced residual, weighted."""
        weighted = residual if self.weights is None else self.weights * residual
        return float(np.sqrt(self.sum(weighted @ weighted)))

    def indicator(self, dofs: NDArray[np.int32]) -> NDArray[np.float64]:
        """Reduced vector with 1 in the unknowns of some local `dofs` (ghosts included), else 0; a new array."""
        local = np.zeros(self._n_local)
        local[dofs] = 1.0
        reduced = np.zeros(self.size_owned)
        self.gather(local, reduced)
        return (reduced > 0).astype(float)

    def weigh(self, of_dofs: NDArray[np.float64]) -> None:
        """Set the `weights` from those of the local fluctuation dofs; images have the same. Multipliers have 1."""
        self.weights = self._averaged(of_dofs, 1.0)

    def scale(self, of_dofs: NDArray[np.float64]) -> None:
        """Set the `scales` from those of the local fluctuation dofs; multipliers get what makes their rows near 1."""
        rows = self.constraint.multipliers
        largest = np.abs(rows.matrix * of_dofs[rows.dofs]).max(initial=0.0) if rows.size else 0.0
        largest = self.comm.allreduce(float(largest), MPI.MAX)
        scales = self._averaged(of_dofs, 1 / largest if largest else 1.0)
        self.scales = np.exp2(np.rint(np.log2(scales)))

    def _averaged(self, of_dofs: NDArray[np.float64], of_multipliers: float) -> NDArray[np.float64]:
        """Reduced vector of a value of the local fluctuation dofs, the same for all images, and one for multipliers."""
        local, count = np.ones(self._n_local), np.zeros(self.size_owned)
        self.gather(local, count)
        local[: self.size_fluctuation] = of_dofs
        local[self.size_fluctuation :] = of_multipliers
        total = np.zeros(self.size_owned)
        self.gather(local, total)
        return total / count

    def sum[T: (float, NDArray[np.float64])](self, value: T) -> T:
        """Sum over the ranks of the cell."""
        return value if self._serial else self.comm.allreduce(value)

    def create_matrix(self, symmetric: bool = False) -> PETSc.Mat:
        """An empty square matrix that local values of the fluctuation and the multipliers can be added to.

        Parameters
        ----------
        symmetric
            Keep only the upper triangle: half the time of assembly, but for direct solvers only.
        """
        size = (self.size_owned, self.size_global)
        matrix = PETSc.Mat().create(self.comm)
        matrix.setSizes((size, size), bsize=self.constraint.block_size)
        matrix.setType(PETSc.Mat.Type.SBAIJ if symmetric else PETSc.Mat.Type.AIJ)
        if symmetric:
            matrix.setOption(PETSc.Mat.Option.IGNORE_LOWER_TRIANGULAR, True)
        matrix.setUp()
        matrix.setLGMap(self.lgmap, self.lgmap)
        return matrix

    def create_dense(self, columns: int) -> PETSc.Mat:
        """A dense matrix of `columns` reduced vectors, which takes values of local dofs and one real space."""
        owned_columns = columns if self.comm.rank == 0 else 0
        size = ((self.size_owned, self.size_global), (owned_columns, columns))
        matrix = PETSc.Mat().createDense(size, comm=self.comm)
        matrix.setBlockSizes(self.constraint.block_size, columns)
        matrix.setUp()
        column_map = PETSc.LGMap().create(np.zeros(1, dtype=PETSc.IntType), bsize=columns, comm=self.comm)
        matrix.setLGMap(self.lgmap, column_map)
        column_map.destroy()  # the matrix keeps it
        return matrix

    def assemble(self, matrix: PETSc.Mat, form: fem.Form, constants: object, coefficients: object) -> None:
        """Assemble a bilinear form of the fluctuation, and the multiplier rows, into `matrix`."""
        matrix.zeroEntries()
        petsc.assemble_matrix(matrix, form, constants=constants, coeffs=coefficients)
        rows = self.constraint.multipliers
        if rows.size and matrix.size[0] == matrix.size[1]:
            multipliers = (self.size_fluctuation + np.arange(rows.size)).astype(PETSc.IntType)
            matrix.setValuesLocal(multipliers, rows.dofs, rows.matrix, addv=PETSc.InsertMode.ADD)
            matrix.setValuesLocal(rows.dofs, multipliers, rows.matrix.T.copy(), addv=PETSc.InsertMode.ADD)
        matrix.assemble()

    def add_multipliers(self, local: NDArray[np.float64], residual: NDArray[np.float64]) -> None:
        """Add ``B^T lambda`` and ``B w`` of a local vector to a local `residual`."""
        rows = self.constraint.multipliers
        if rows.size:
            n = self.size_fluctuation
            residual[rows.dofs] += rows.matrix.T @ local[n:]
            residual[n:] += rows.matrix @ local[rows.dofs]

    def destroy(self) -> None:
        """Free the PETSc objects (collective)."""
        self.lgmap.destroy()
        if not self._serial:
            for thing in (self._scatter, self._global_vec, self._local_vec):
                thing.destroy()

    def _set_up_scatter(self) -> None:
        self._local_vec = PETSc.Vec().createWithArray(self._local, comm=PETSc.COMM_SELF)
        self._global_vec = PETSc.Vec().createMPI((self.size_owned, self.size_global), comm=self.comm)
        from_local = PETSc.IS().createGeneral(self._free.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        to_global = PETSc.IS().createGeneral(self._target.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
        self._scatter = PETSc.Scatter().create(self._local_vec, from_local, self._global_vec, to_global)
