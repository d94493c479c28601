"""Linear solvers with assembled matrices: one factorization, any number of right-hand sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.forms import PackedForm
from hmm.micro.element_sweep import ElementSweep
from hmm.micro.reduced_system import ReducedSystem

PREFIX = "hmm_micro_"
"""Prefix of the micro solver's PETSc options on the command line."""


def direct_options(symmetric: bool, well_scaled: bool) -> dict[str, object]:
    """PETSc options of the direct micro solver, MUMPS.

    Parameters
    ----------
    symmetric
        Whether the tangent is symmetric: LDL^T if so, otherwise LU.
    well_scaled
        Whether all unknowns have the same unit, so that the matrix needs no scaling before factorization.
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


def iterative_options(symmetric: bool) -> dict[str, object]:
    """PETSc options of the iterative micro solver: CG (GMRES if not symmetric) with algebraic multigrid."""
    return {
        "ksp_type": "cg" if symmetric else "gmres",
        "ksp_norm_type": "unpreconditioned",
        "ksp_pc_side": "left" if symmetric else "right",
        "ksp_rtol": 1e-8,
        "ksp_max_it": 2000,
        "pc_type": "gamg",
        "pc_gamg_threshold": 0.02,
        "pc_gamg_esteig_ksp_max_it": 30,  # ten, the default, miss the largest eigenvalue at contrasts of 1e3 or 1e-3
        "mg_levels_ksp_type": "chebyshev",
        "mg_levels_pc_type": "jacobi",
    }


def reuse_options(symmetric: bool) -> dict[str, object]:
    """PETSc options of CG (GMRES if not symmetric), preconditioned by a stored factorization."""
    krylov = {key: value for key, value in iterative_options(symmetric).items() if key.startswith("ksp_")}
    return direct_options(symmetric, well_scaled=True) | krylov


def is_direct(options: Mapping[str, object]) -> bool:
    """Whether `options` or the command line select LDL^T of MUMPS, which needs one triangle only."""
    wanted = {"pc_type": "cholesky", "pc_factor_mat_solver_type": "mumps"}
    return all(PETSc.Options().getString(PREFIX + k, str(options.get(k, ""))) == v for k, v in wanted.items())


class MicroSolver(Protocol):
    """The interface of the linear solver of an RVE."""

    is_iterative: bool

    @property
    def rtol(self) -> float:
        """Relative tolerance of an iterative solver."""
        ...

    def apply(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """K u in double precision, shape (n_owned,), with the tangent of the last `update`; a new array."""
        ...

    @property
    def norm(self) -> float:
        """Norm of the tangent, to estimate rounding errors."""
        ...

    def update(self) -> None:
        """Assemble the tangent at the loaded point and prepare for solves."""
        ...

    def derivatives(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
        """L, M transposed, shapes (n_owned, m), and D, shape (m, m), at that point; None if they need own forms."""
        ...

    def forget(self) -> None:
        """Discard what remains of a solve that an exception interrupted, so that the next `update` starts afresh."""
        ...

    def destroy(self) -> None:
        """Free the PETSc objects (collective); the solver cannot be used afterwards."""
        ...

    def solve(self, rhs: NDArray[np.float64], rtol: float | None = None) -> NDArray[np.float64]:
        """Solution, shape (n_owned,), for one right-hand side; a new array. Direct solvers ignore `rtol`."""
        ...

    def solve_columns(self, rhs: PETSc.Mat, solution: PETSc.Mat) -> None:
        """Solve for all columns of the dense matrix `rhs` at once, into the dense matrix `solution`."""
        ...


class AssembledSolver:
    """A PETSc KSP on the assembled reduced tangent.

    Parameters
    ----------
    reduced
        The reduced system.
    form
        The tangent's form.
    symmetric
        Whether it is symmetric.
    options
        PETSc options of the KSP, without prefix (see `direct_options`). Not modified; the command line takes
        precedence.
    keep_first
        Keep the factorization of the first tangent as a preconditioner for all later ones.
    sweep
        Assembles the tangent instead of its form, or None.

    Attributes
    ----------
    sweep
        As given.
    """

    def __init__(
        self,
        reduced: ReducedSystem,
        form: PackedForm,
        symmetric: bool,
        options: Mapping[str, object],
        keep_first: bool = False,
        sweep: ElementSweep | None = None,
    ) -> None:
        check_packages(PREFIX, options)
        self._reduced, self._form, self.sweep = reduced, form, sweep
        one_triangle = symmetric and is_direct(options) and reduced.comm.size == 1
        self.matrix = reduced.create_matrix(symmetric=one_triangle) if sweep is None else sweep.create_matrix()
        self.matrix.setOption(PETSc.Mat.Option.SYMMETRIC, symmetric)
        self.is_iterative = PETSc.Options().getString(PREFIX + "ksp_type", str(options.get("ksp_type"))) != "preonly"
        self._options = dict(options)
        self._keep_first = keep_first
        self._scales: NDArray[np.float64] | None = None
        self._begin()

    @property
    def norm(self) -> float:
        """Frobenius norm of the tangent."""
        return float(self.matrix.norm())

    @property
    def rtol(self) -> float:
        """Relative tolerance of an iterative solver."""
        return float(self.ksp.rtol)

    def apply(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """K u, shape (n_owned,); a new array."""
        scales = 1.0 if self._scales is None else self._scales
        self._rhs.array_w[:] = u / scales
        self.matrix.mult(self._rhs, self._solution)
        return self._solution.array_r / scales

    def set_near_nullspace(self, vectors: Sequence[PETSc.Vec]) -> None:
        """Set the modes that multigrid must represent, such as rigid motions; they need not be orthonormal."""
        basis: list[PETSc.Vec] = []
        for vector in vectors:
            for done in basis:
                vector.axpy(-vector.dot(done), done)
            if vector.normalize() > 1e-10:
                basis.append(vector)
        self.matrix.setNearNullSpace(PETSc.NullSpace().create(vectors=basis, comm=self.matrix.comm))

    def update(self) -> None:
        """Assemble the tangent at the loaded point and factorize it, or set up its preconditioner."""
        if self.sweep is None:
            self._reduced.assemble(self.matrix, *self._form.packed())
        else:
            self.sweep.assemble(self.matrix)
        self._scales = self._reduced.scales
        if self._scales is not None:
            scales = self.matrix.createVecRight()
            scales.array_w[:] = self._scales
            self.matrix.diagonalScale(scales, scales)
            scales.destroy()
        self.factorize()

    def derivatives(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
        """L, M transposed, shapes (n_owned, m), and D, shape (m, m), at that point; None if they need own forms."""
        return None if self.sweep is None else (self.sweep.L, self.sweep.M, self.sweep.D)

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
            self.forget()
            why = str(error).splitlines()[-1]
            raise ConvergenceError(f"the micro tangent could not be factorized ({why})") from None
        if self.ksp.getPC().getFailedReason():
            self.forget()
            raise ConvergenceError(
                "the micro tangent is singular: a phase without stiffness, or a loose part of the cell"
            )

    def forget(self) -> None:
        """Create a new KSP and vectors.

        MUMPS cannot continue after a failed factorization, nor PETSc after an exception during a solve: vectors stay
        locked and the preconditioner is incomplete.
        """
        self._free_solver()
        self._begin()

    def destroy(self) -> None:
        """Free the PETSc objects (collective); the solver cannot be used afterwards."""
        self._free_solver()
        self.matrix.destroy()

    def _free_solver(self) -> None:
        for thing in (self.ksp, self._rhs, self._solution):
            thing.destroy()

    def _begin(self) -> None:
        self.ksp = PETSc.KSP().create(self.matrix.comm)
        self.ksp.setOperators(self.matrix)
        self.ksp.setOptionsPrefix(PREFIX)
        self._is_set_up = False
        self._rhs, self._solution = self.matrix.createVecLeft(), self.matrix.createVecRight()

    def _set_up(self) -> None:
        if self._is_set_up:
            self.ksp.setUp()
            return
        with options_in_force(PREFIX, self._options):
            self.ksp.setFromOptions()
            self.ksp.setUp()
        self.ksp.getPC().setReusePreconditioner(self._keep_first)
        self._is_set_up = True

    def solve(self, rhs: NDArray[np.float64], rtol: float | None = None) -> NDArray[np.float64]:
        """Solution, shape (n_owned,), to a relative residual `rtol` if iterative; a new array.

        Raises
        ------
        ConvergenceError
            If an iterative solver does not converge.
        """
        scales = 1.0 if self._scales is None else self._scales
        self._rhs.array_w[:] = rhs * scales
        default = self.ksp.rtol
        if rtol is not None:
            self.ksp.setTolerances(rtol=max(rtol, default))
        self.ksp.solve(self._rhs, self._solution)
        self.ksp.setTolerances(rtol=default)
        self._check()
        return self._solution.array_r * scales

    def _check(self) -> None:
        if self.ksp.getConvergedReason() < 0:
            raise ConvergenceError(
                f"the micro solver stopped after {self.ksp.getIterationNumber()} iterations "
                f"(reason {self.ksp.getConvergedReason()}): raise -{PREFIX}ksp_max_it, or use solver='direct'"
            )

    def solve_columns(self, rhs: PETSc.Mat, solution: PETSc.Mat) -> None:
        """Solve for all columns of the dense matrix `rhs`, into the dense matrix `solution`; at once if direct."""
        if self.ksp.getType() == PETSc.KSP.Type.PREONLY:
            with self._scaled(rhs):
                self.ksp.matSolve(rhs, solution)
            self._check()
            if self._scales is not None:
                solution.getDenseArray()[:] *= self._scales[:, None]
            return
        columns, out = rhs.getDenseArray(), solution.getDenseArray()
        for k in range(columns.shape[1]):  # matSolve reports on the last column only
            out[:, k] = self.solve(columns[:, k])

    @contextmanager
    def _scaled(self, rhs: PETSc.Mat) -> Iterator[None]:
        """Scale the rows of the dense matrix `rhs` within the block; exact, since scales are powers of two."""
        if self._scales is None:
            yield
            return
        rhs.getDenseArray()[:] *= self._scales[:, None]
        yield
        rhs.getDenseArray()[:] /= self._scales[:, None]


SOLVER_PACKAGES = ("mumps", "superlu_dist", "superlu", "umfpack", "cholmod", "klu", "mkl_pardiso", "strumpack")
PRECONDITIONER_PACKAGES = ("hypre", "ml")


def check_packages(prefix: str, options: Mapping[str, object]) -> None:
    """Raise `InputError` if an option names a package that this PETSc does not contain.

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
    """Set PETSc `options` (without `prefix`) in the global database within the block, then restore it.

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
