"""The linear solver of a microproblem: one factorization, any number of right-hand sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.errors import ConvergenceError, InputError

PREFIX = "hmm_micro_"
"""Prefix of the micro solver's PETSc options on the command line."""


def default_options(symmetric: bool, well_scaled: bool) -> dict[str, object]:
    """PETSc options of the default micro solver, MUMPS.

    Parameters
    ----------
    symmetric
        Whether the tangent is symmetric: LDL^T then, LU otherwise.
    well_scaled
        Whether all unknowns are of one kind, so that the matrix needs no scaling before factorization.
    """
    options: dict[str, object] = {
        "ksp_type": "preonly",
        "pc_type": "cholesky" if symmetric else "lu",
        "pc_factor_mat_solver_type": "mumps",
        "mat_mumps_icntl_7": 5,  # METIS: 10 % less time than the automatic choice on cells of 2,000 dofs
    }
    if well_scaled:
        options["mat_mumps_icntl_8"] = 0  # no scaling: another 12 %
    return options


def is_direct(options: Mapping[str, object]) -> bool:
    """Whether `options`, or those of the command line, ask for MUMPS' LDL^T, which needs one triangle only."""
    wanted = {"pc_type": "cholesky", "pc_factor_mat_solver_type": "mumps"}
    return all(PETSc.Options().getString(PREFIX + k, str(options.get(k, ""))) == v for k, v in wanted.items())


class MicroSolver:
    """A PETSc KSP on the reduced tangent.

    Parameters
    ----------
    matrix
        The tangent; its sparsity pattern must not change.
    symmetric
        Whether it is symmetric.
    options
        PETSc options of the KSP, without prefix (see `default_options`); those of the command line win. Not modified.
    """

    def __init__(self, matrix: PETSc.Mat, symmetric: bool, options: Mapping[str, object]) -> None:
        self.matrix = matrix
        self.symmetric = symmetric
        matrix.setOption(PETSc.Mat.Option.SYMMETRIC, symmetric)
        self.ksp = PETSc.KSP().create(matrix.comm)
        self.ksp.setOperators(matrix)
        self.ksp.setOptionsPrefix(PREFIX)
        self._options = dict(options)
        check_packages(PREFIX, self._options)
        self._is_set_up = False
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
            self._set_up()
        except PETSc.Error as error:
            self._forget()
            why = str(error).splitlines()[-1]
            raise ConvergenceError(f"the micro tangent could not be factorized ({why})") from None
        if self.ksp.getPC().getFailedReason():
            self._forget()
            raise ConvergenceError(
                "the micro tangent is singular: a phase without stiffness, or a loose part of the cell"
            )

    def _forget(self) -> None:
        """Drop a factorization that failed: MUMPS would refuse every later one."""
        self.ksp.reset()
        self._is_set_up = False

    def _set_up(self) -> None:
        if self._is_set_up:
            self.ksp.setUp()
            return
        with options_in_force(PREFIX, self._options):
            self.ksp.setFromOptions()
            self.ksp.setUp()
        self._is_set_up = True

    def solve(self, rhs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Solution, shape (n_owned,), for one right-hand side; the result is a copy."""
        self._rhs.array_w[:] = rhs
        self.ksp.solve(self._rhs, self._solution)
        return self._solution.array_r.copy()

    def solve_columns(self, rhs: PETSc.Mat, solution: PETSc.Mat) -> None:
        """Solve for all columns of the dense matrix `rhs` at once, into the dense matrix `solution`."""
        self.ksp.matSolve(rhs, solution)


SOLVER_PACKAGES = ("mumps", "superlu_dist", "superlu", "umfpack", "cholmod", "klu", "mkl_pardiso", "strumpack")
PRECONDITIONER_PACKAGES = ("hypre", "ml")


def check_packages(prefix: str, options: Mapping[str, object]) -> None:
    """Raise `InputError` if an option asks for a package that this PETSc is built without.

    Parameters
    ----------
    prefix
        Prefix of the solver; options of the global database that start with it are checked too.
    options
        Options without prefix.
    """
    database = PETSc.Options()
    for key, packages in (("pc_factor_mat_solver_type", SOLVER_PACKAGES), ("pc_type", PRECONDITIONER_PACKAGES)):
        name = str(database.getString(prefix + key, str(options.get(key, ""))))
        if name in packages and not PETSc.Sys.hasExternalPackage(name):
            there = [p for p in packages if PETSc.Sys.hasExternalPackage(p)]
            raise InputError(
                f"option {prefix}{key} asks for {name!r}, which this PETSc is built without: "
                f"choose one of {', '.join([*there, 'petsc' if packages is SOLVER_PACKAGES else 'gamg'])}"
            )


@contextmanager
def options_in_force(prefix: str, options: Mapping[str, object]) -> Iterator[None]:
    """Hold PETSc `options` (without `prefix`) in the global database for the time of the block, then restore it.

    PETSc reads some options only when a solver is set up for the first time. Options of the same prefix that are
    already there, as from the command line, win.
    """
    database = PETSc.Options()
    mine = {prefix + key: value for key, value in options.items() if not database.hasName(prefix + key)}
    for key, value in mine.items():
        database.setValue(key, value)
    try:
        yield
    finally:
        for key in mine:
            database.delValue(key)
