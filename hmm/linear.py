"""The linear solver of a microproblem: one factorization, any number of right-hand sides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.errors import ConvergenceError


class MicroSolver:
    """A PETSc KSP on the reduced tangent; by default a direct solve (MUMPS).

    Parameters
    ----------
    matrix
        The tangent; its sparsity pattern must not change.
    symmetric
        Whether it is symmetric: LDL^T then, LU otherwise.
    options
        PETSc options of the KSP, without prefix; they override the defaults. Not modified.
    """

    def __init__(self, matrix: PETSc.Mat, symmetric: bool, options: Mapping[str, object] | None = None) -> None:
        self.matrix = matrix
        self.symmetric = symmetric
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, symmetric)
        self.ksp = PETSc.KSP().create(matrix.comm)
        self.ksp.setOperators(matrix)
        defaults = {
            "ksp_type": "preonly",
            "pc_type": "cholesky" if symmetric else "lu",
            "pc_factor_mat_solver_type": "mumps",
        }
        configure(self.ksp, "hmm_micro_", {**defaults, **(options or {})})
        self._rhs = matrix.createVecLeft()
        self._solution = matrix.createVecRight()

    def factorize(self) -> None:
        """Prepare for solves with the current values of the matrix.

        Raises
        ------
        ConvergenceError
            If the factorization fails.
        """
        self.ksp.setOperators(self.matrix)
        try:
            self.ksp.setUp()
        except PETSc.Error as error:
            raise ConvergenceError(f"the micro tangent could not be factorized ({error})") from None
        if self.ksp.getPC().getFailedReason():
            raise ConvergenceError("the micro tangent is singular: a phase without stiffness, or a loose part of the cell")

    def solve(self, rhs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solution, shape (n_owned,), for one right-hand side; the result is a copy."""
        self._rhs.array_w[:] = rhs
        self.ksp.solve(self._rhs, self._solution)
        return self._solution.array_r.copy()

    def solve_columns(self, rhs: PETSc.Mat, solution: PETSc.Mat) -> None:
        """Solve for all columns of the dense matrix `rhs` at once, into the dense matrix `solution`."""
        self.ksp.matSolve(rhs, solution)


def configure(solver: PETSc.KSP | PETSc.SNES, prefix: str, options: Mapping[str, object]) -> None:
    """Set PETSc `options` on one solver only, leaving the global options as they were.

    Options of the same `prefix` given on the command line, or set by the user, win.
    """
    solver.setOptionsPrefix(prefix)
    database = PETSc.Options()
    mine = {prefix + key: value for key, value in options.items() if not database.hasName(prefix + key)}
    for key, value in mine.items():
        database.setValue(key, value)
    try:
        solver.setFromOptions()
    finally:
        for key in mine:
            database.delValue(key)
