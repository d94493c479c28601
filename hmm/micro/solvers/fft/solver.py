"""The micro solver of voxel cells: conjugate gradients, preconditioned by the FFT inverse of a reference cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.foundation.errors import ConvergenceError
from hmm.foundation.forms import PackedForm
from hmm.micro.solvers.assembled import PREFIX, options_in_force
from hmm.micro.solvers.fft.circulant import CirculantPreconditioner, element_stencil, reference_matrix
from hmm.micro.solvers.fft.kernels import VOID
from hmm.micro.solvers.fft.layout import VoxelGrid, element_matrices
from hmm.micro.solvers.fft.operators import TangentOperator, VoxelOperator

Floats = NDArray[np.float64]


class GridTangent(Protocol):
    """A tangent on a grid, matrix-free, and the homogeneous reference that preconditions it."""

    norm: float

    def update(self) -> None:
        """Update the tangent at the loaded point."""
        ...

    def apply(self, u: Floats, y: Floats) -> None:
        """Y = K u, both in grid order."""
        ...

    def apply_exactly(self, u: Floats) -> Floats:
        """K u in double precision, in grid order."""
        ...

    def derivatives(self) -> tuple[Floats, Floats] | None:
        """L in grid order, shape (m, n_nodes * block), and D; None if they need forms of their own."""
        ...

    def precondition(self, pc: CirculantPreconditioner | None) -> CirculantPreconditioner:
        """The preconditioner of the present tangent; `pc` is the last one, which may be updated."""
        ...


class PhaseTangent:
    """The tangent of a linear cell: one element matrix per phase.

    Parameters
    ----------
    grid
        The grid.
    form
        The tangent's form.
    fields
        Shape (m, nd); nodal values of the affine field of each unit input on a voxel, by corner, then component. None
        if local fields depend on the inputs in another way.
    """

    def __init__(self, grid: VoxelGrid, form: PackedForm, fields: Floats | None = None) -> None:
        self._grid, self._form, self._fields = grid, form, fields
        self.norm = 0.0

    def update(self) -> None:
        """Update the element matrices for the present parameters."""
        self._matrices, self._phase = element_matrices(self._form.form, self._grid)
        self._operator = VoxelOperator(self._grid.shape, self._matrices, self._phase)
        self.norm = self._operator.norm

    def apply(self, u: Floats, y: Floats) -> None:
        """Y = K u, both in grid order."""
        self._operator.apply(u, y)

    def apply_exactly(self, u: Floats) -> Floats:
        """K u in double precision, in grid order."""
        y = np.zeros_like(u)
        self._operator.apply(u, y)
        return y

    def derivatives(self) -> tuple[Floats, Floats] | None:
        """L in grid order, shape (m, n_nodes * block), and D; None if they need forms of their own.

        In an affine field, the nodal forces of equal cells cancel, so only cells that differ from most others count.
        """
        if self._fields is None:
            return None
        forces = self._fields @ self._matrices  # phase, input, dof
        counts = np.bincount(self._phase, minlength=VOID + 1)
        of_kind = np.zeros((VOID + 1, *forces.shape[1:]))
        of_kind[: len(forces)] = forces
        usual = int(np.argmax(counts))
        others = np.flatnonzero(self._phase != usual)
        dofs, kinds = self._grid.dofs(others).ravel(), self._phase[others]
        size = self._grid.size * self._grid.block
        rows = [
            np.bincount(dofs, weights=(of_kind[:, k] - of_kind[usual, k])[kinds].ravel(), minlength=size)
            for k in range(len(self._fields))
        ]
        D = np.tensordot(counts[: len(forces)], forces @ self._fields.T, axes=1)
        return np.array(rows), D

    def precondition(self, pc: CirculantPreconditioner | None) -> CirculantPreconditioner:
        """The reference midway between the extreme phases, which bounds the condition number."""
        stencil = element_stencil(reference_matrix(self._matrices), len(self._grid.shape))
        return CirculantPreconditioner(self._grid.shape, stencil)


class PointTangent:
    """The tangent of a nonlinear cell: moduli at each quadrature point.

    Parameters
    ----------
    grid
        The grid.
    moduli
        Returns the lower triangles of the packed moduli, shape (n_solid, n_points, m (m + 1) / 2), the cells that are
        there in grid order.
    gradient
        Shape (n_points, m, nd); packed strain at the points of a voxel of its nodal values, by corner, then component.
    weights
        Shape (n_points,); quadrature weights times the Jacobian.
    """

    def __init__(self, grid: VoxelGrid, moduli: Callable[[], Floats], gradient: Floats, weights: Floats) -> None:
        self._grid, self._moduli = grid, moduli
        self._operator = TangentOperator(grid.shape, gradient, weights, grid.solid)
        self.norm = 0.0

    def update(self) -> None:
        """Update the moduli at the loaded point."""
        self._tangent = self._moduli()
        self._operator.update(self._tangent)
        self._diagonal = self._operator.diagonal()
        self.norm = float(np.linalg.norm(self._diagonal))

    def apply(self, u: Floats, y: Floats) -> None:
        """Y = K u, both in grid order."""
        self._operator.apply(u, y)

    def apply_exactly(self, u: Floats) -> Floats:
        """K u in double precision, in grid order."""
        return self._operator.apply_exactly(u, self._tangent)

    def derivatives(self) -> tuple[Floats, Floats] | None:
        """None: the forms of the cell are needed."""
        return None

    def precondition(self, pc: CirculantPreconditioner | None) -> CirculantPreconditioner:
        """The mean tangent, scaled by how the diagonal of the present one differs from its own.

        Both over the solid: with the smaller diagonals of nodes at voids, iterations would grow with the resolution.
        """
        mean = self._operator.mean_matrix()
        stencil = element_stencil(mean, len(self._grid.shape))
        if pc is None:
            pc = CirculantPreconditioner(self._grid.shape, stencil)
        else:
            pc.update(stencil)
        reference = self._operator.diagonal_of(mean)
        pc.scale(np.divide(self._diagonal, reference, out=np.ones_like(reference), where=reference != 0))
        return pc


class _Product:
    """Context of the PETSc Mat; not the solver itself, which the Mat would keep alive and whose `destroy` it calls."""

    def __init__(self, tangent: GridTangent) -> None:
        self._tangent = tangent

    def mult(self, _mat: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        """Y = K x."""
        self._tangent.apply(x.getArray(readonly=True), y.getArray())


class GridSolver:
    """Solve with the tangent of a periodic voxel cell, without a matrix.

    Iterations run in grid order on all nodes; the fixed node only determines the translation of the result. At
    nodes inside voids, K and all right-hand sides are zero, and the result has no effect.

    Parameters
    ----------
    grid
        The grid.
    blocks
        Shape (n_blocks,); reduced block of each block of dofs of the space, or -1 for the fixed node.
    tangent
        Where the tangent comes from.
    options
        PETSc options of the KSP, without prefix; the command line takes precedence. Not modified.
    """

    is_iterative = True

    def __init__(
        self, grid: VoxelGrid, blocks: NDArray[np.int32], tangent: GridTangent, options: Mapping[str, object]
    ) -> None:
        self.tangent, self.block = tangent, grid.block
        self._node = np.empty(blocks.max() + 1, dtype=np.int64)
        self._node[blocks[blocks >= 0]] = grid.node[blocks >= 0]
        self._fixed = int(grid.node[blocks < 0][0])
        size = grid.size * grid.block
        self.matrix = PETSc.Mat().createPython((size, size), _Product(tangent), comm=PETSc.COMM_SELF)
        self.matrix.setUp()
        self._options = dict(options)
        self.iterations = 0
        self.forget()

    def destroy(self) -> None:
        """Free the PETSc objects; the solver cannot be used afterwards."""
        for thing in (self.ksp, self.matrix, self._b, self._x):
            thing.destroy()

    def forget(self) -> None:
        """Create a new KSP, since an exception during a solve leaves vectors locked."""
        self._b, self._x = self.matrix.createVecs()
        self.ksp = PETSc.KSP().create(PETSc.COMM_SELF)
        self.ksp.setOptionsPrefix(PREFIX)
        self.ksp.setOperators(self.matrix)
        self.ksp.setType(PETSc.KSP.Type.CG)
        self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        self.ksp.getPC().setType(PETSc.PC.Type.PYTHON)
        with options_in_force(PREFIX, self._options):
            self.ksp.setFromOptions()
        self.rtol = self.ksp.rtol
        self._pc: CirculantPreconditioner | None = None

    @property
    def norm(self) -> float:
        """Size of the tangent."""
        return self.tangent.norm

    def apply(self, u: Floats) -> Floats:
        """K u in double precision, shape (n_unknowns,); a new array."""
        field = np.zeros((self.matrix.size[0] // self.block, self.block))
        field[self._node] = u.reshape(-1, self.block)
        return self.tangent.apply_exactly(field.ravel()).reshape(-1, self.block)[self._node].ravel()

    def update(self) -> None:
        """Update the tangent at the loaded point and its preconditioner."""
        self.tangent.update()
        self._pc = self.tangent.precondition(self._pc)
        self.ksp.getPC().setPythonContext(self._pc)

    def derivatives(self) -> tuple[Floats, Floats, Floats] | None:
        """L, M transposed, shapes (n_unknowns, m), and D, shape (m, m); None if they need forms of their own."""
        known = self.tangent.derivatives()
        if known is None:
            return None
        rows, D = known
        L = np.ascontiguousarray(rows.reshape(len(rows), -1, self.block)[:, self._node]).reshape(len(rows), -1).T
        return L, L, D

    def solve(self, rhs: Floats, rtol: float | None = None) -> Floats:
        """Solution, shape (n_unknowns,), to a relative residual `rtol` (the KSP's own by default); a new array.

        Raises
        ------
        ConvergenceError
            If the iteration does not converge.
        """
        if not rhs.any():
            return np.zeros_like(rhs)
        r = rhs.reshape(-1, self.block)
        b = self._b.getArray().reshape(-1, self.block)
        b[self._node] = r
        b[self._fixed] = -r.sum(axis=0)
        self.ksp.setTolerances(rtol=max(rtol or 0.0, self.rtol))
        self.ksp.solve(self._b, self._x)
        self.iterations += self.ksp.getIterationNumber()
        if self.ksp.getConvergedReason() < 0:
            raise ConvergenceError(
                f"the micro solver did not reach {self.ksp.rtol:g} in {self.ksp.getIterationNumber()} iterations: "
                f"raise -{PREFIX}ksp_max_it, or use solver='direct'"
            )
        x = self._x.getArray(readonly=True).reshape(-1, self.block)
        return (x[self._node] - x[self._fixed]).ravel()

    def solve_columns(self, rhs: PETSc.Mat, solution: PETSc.Mat) -> None:
        """Solve for all columns of the dense matrix `rhs`, into the dense matrix `solution`."""
        columns, out = rhs.getDenseArray(), solution.getDenseArray()
        for k in range(columns.shape[1]):
            out[:, k] = self.solve(np.ascontiguousarray(columns[:, k]))
