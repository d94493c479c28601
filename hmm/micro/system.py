"""The algebraic system of a cell problem: residual, linearization and condensation."""

from __future__ import annotations

import math
from collections.abc import Callable

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cells.connectivity import pieces
from hmm.foundation.console import warn
from hmm.foundation.environment import require_communicators
from hmm.foundation.errors import ConvergenceError
from hmm.foundation.forms import PackedForm
from hmm.foundation.options import Destroyed
from hmm.micro.accuracy import Tangents
from hmm.micro.cell_forms import CellForms, dense
from hmm.micro.columns import assembled_columns
from hmm.micro.constraints import constrain
from hmm.micro.field_scaling import floating_fields, sizes_of_fields
from hmm.micro.fluctuation import fields_of
from hmm.micro.loaded_cell import LoadedCell
from hmm.micro.protocols import NewtonOptions
from hmm.micro.response import Condensed
from hmm.micro.solvers.choose import SolverChoice, can_fall_back, create_solver, fallback_solver
from hmm.micro.stability import explain
from hmm.micro.symmetry import is_symmetric

Floats = NDArray[np.float64]

EPS = float(np.finfo(float).eps)

FAINTEST = 1e-30
"""A macroscopic input below this is rounding error in any units."""


class CellSystem:
    """The algebraic system of a cell problem (`hmm.micro.protocols.Linearizable`).

    Parameters
    ----------
    forms
        The forms of the problem.
    solver
        The choice of the linear solver.
    newton_options
        Tolerances of the micro Newton method.

    Attributes
    ----------
    loaded
        The constrained cell at the loaded point.
    is_symmetric
        Whether its tangent is symmetric.
    solver
        The linear solver.
    n_factorizations
        Number of factorizations so far.
    """

    def __init__(self, forms: CellForms, solver: SolverChoice, newton_options: NewtonOptions) -> None:
        self.forms, self.problem, self.newton_options = forms, forms.problem, newton_options
        self.loaded, self._stiffness = _constrained(forms)
        self._choice = solver
        reduced = self.loaded.reduced
        self._columns_of = [reduced.create_dense(e.size) for e in self.problem.inputs]
        m = self.n_inputs
        self._rhs, self._solution = reduced.create_dense(m + 1), reduced.create_dense(m + 1)
        self.is_symmetric = is_symmetric(self.loaded)
        self.solver = create_solver(self.loaded, self.is_symmetric, solver)
        self._tangents = Tangents(self.problem, reduced, self.is_symmetric)
        self._factorized_for: list[bytes] | None = None
        self._condensed: Condensed | None = None
        self._tangent = self._mean_moduli = np.zeros(0)
        self._errors: Floats | None = None
        self._has_warned = False
        self.n_factorizations = 0
        self.is_destroyed = False

    # -- the loaded point (see LoadedCell) -------------------------------------------------------------------------

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the cell."""
        return self.problem.cell.comm

    @property
    def n_inputs(self) -> int:
        """Number m of macroscopic components."""
        return self.problem.n_inputs

    @property
    def n_unknowns(self) -> int:
        """Unknowns of this rank."""
        return self.loaded.n_unknowns

    @property
    def n_history(self) -> int:
        """Number of internal variables of this rank."""
        return self.loaded.n_history

    @property
    def reference(self) -> Floats:
        """Packed macroscopic input of the undeformed state, shape (m,)."""
        return self.problem.reference

    @property
    def time_step(self) -> float:
        """Duration of the step."""
        return float(self.problem.dt.value)

    @time_step.setter
    def time_step(self, dt: float) -> None:
        np.copyto(self.problem.dt.value, dt)

    def load_history(self, history: Floats) -> None:
        """Set the internal variables at the start of the step."""
        self.loaded.load_history(history)

    def load(self, z: Floats, E: Floats) -> None:
        """Load the point (z, E), at which everything is evaluated."""
        self.loaded.load(z, E)

    def residual(self) -> Floats:
        """Residual, shape (n_unknowns,), at the loaded point (a view, overwritten by the next call)."""
        return self.loaded.residual()

    def norm(self, residual: Floats) -> float:
        """Norm of a residual over all ranks of the cell."""
        return self.loaded.norm(residual)

    def why_not_a_number(self) -> str:
        """The reason why the residual at the loaded point is not a number (collective)."""
        return self.loaded.why_not_a_number()

    def why_unstable(self) -> str:
        """A possible cause of a failed solve, to be added to its message; or empty (collective)."""
        return explain(self.loaded)

    def force_scale(self) -> float:
        """Reference force of the last residual."""
        return self.loaded.force_scale()

    def response(self) -> Floats:
        """Macroscopic response, shape (m,), at the point of the last residual."""
        return self.loaded.response()

    def updated_history(self) -> Floats:
        """Internal variables at the end of the loaded step."""
        return self.loaded.updated_history()

    # -- the linearized cell ---------------------------------------------------------------------------------------

    def roundoff(self, E: Floats) -> float:
        """Bound on the rounding error of a residual at the packed macroscopic input `E`, shape (m,).

        Nodal forces are differences of terms of the order of stiffness times deformation. At finite strain, these terms
        do not vanish with the stress: the forces of a cell with little strain are close to rounding errors, and its
        relative residual is then never small. The same holds for inputs below `FAINTEST`, such as ahead of a wave.
        """
        return EPS * self._stiffness * max(math.sqrt(E @ E), FAINTEST)

    def linearize(self) -> None:
        """Assemble and factorize the tangent at the loaded point; if the cell is linear, once for its parameters."""
        parameters = self.forms.parameter_values() if self.forms.is_linear else []
        changed = not self.forms.is_linear or parameters != self._factorized_for
        if not self.loaded.reduced.sum(float(changed)):
            return
        self._factorized_for = self._condensed = None
        if not self.n_factorizations:
            require_communicators()  # the solver computes its own now
        self._ask(lambda: self.solver.update())
        if not self._stiffness:
            cell = self.problem.cell
            self._stiffness = self.solver.norm * cell.volume ** (1 / cell.dim)
        self._factorized_for = parameters
        self.n_factorizations += 1

    def forget(self) -> None:
        """Discard what remains of a solve that an exception interrupted; the next `linearize` starts afresh."""
        self._factorized_for = self._condensed = None
        self.solver.forget()

    def correction(self, residual: Floats, rtol: float) -> Floats:
        """``K^-1 R_w``, shape (n_unknowns,), with the linearized cell; iterative solvers stop at `rtol`."""
        return self._ask(lambda: self.solver.solve(residual, rtol))

    def condense(self, residual: Floats | None = None) -> Condensed:
        """Condense the linearized cell: all columns in one multi-right-hand-side solve.

        Parameters
        ----------
        residual
            A residual, shape (n_unknowns,), which is solved together with the columns of the tangent.

        Returns
        -------
        Condensed
            Tangent, sensitivity and correction; new arrays.
        """
        if self.forms.is_linear and self._condensed is not None and residual is None:
            return self._condensed
        m, volume, reduced = self.n_inputs, self.problem.cell.volume, self.loaded.reduced
        L, M, D = self._derivatives()
        rhs = self._rhs.getDenseArray()
        rhs[:, :m] = L
        rhs[:, m] = 0.0 if residual is None else residual
        self._errors = self._ask(lambda: self._solve_columns(rhs, M, D.diagonal()))
        columns = self._solution.getDenseArray()
        blocks = reduced.sum(M.T @ columns)
        self._mean_moduli = D.diagonal() / volume
        self._tangent = tangent = (D - blocks[:, :m]) / volume
        correction = columns[:, m].copy() if residual is not None else None
        drop = blocks[:, m] / volume if residual is not None else None
        condensed = Condensed(tangent, -columns.T[:m], correction, drop)
        if self.forms.is_linear and residual is None:
            self._condensed = condensed
        return condensed

    def verify(self) -> None:
        """Warn, once, or raise if the last condensed tangent is not sufficiently accurate (collective).

        Raises
        ------
        ConvergenceError
            If the relative error of a component exceeds `hmm.micro.accuracy.REFUSED`.
        """
        errors = self._remaining_errors() / self.problem.cell.volume + 4 * EPS * np.abs(self._mean_moduli)
        said = self._tangents.complaint(self._tangent, errors, 16 * EPS * np.abs(self._mean_moduli))
        if said is not None and not self._has_warned:
            warn(said)
        self._has_warned |= said is not None

    def _remaining_errors(self) -> Floats:
        """Errors of the solver in the diagonal of the last ``M^T K^-1 L``, shape (m,)."""
        if self._errors is None:
            m = self.n_inputs
            L, columns = self._rhs.getDenseArray()[:, :m], self._solution.getDenseArray()[:, :m]
            residual = L - np.array([self.solver.apply(column) for column in columns.T]).T
            self._errors = np.abs(self.loaded.reduced.sum((columns * residual).sum(axis=0)))
        return self._errors

    def _solve_columns(self, rhs: Floats, M: Floats, D: Floats) -> Floats | None:
        """Solve for all right-hand sides; return error estimates of an iterative solver, or None."""
        if not self.solver.is_iterative:
            self.solver.solve_columns(self._rhs, self._solution)
            return None
        m, columns = self.n_inputs, self._solution.getDenseArray()
        replaceable = can_fall_back(self.loaded, self._choice, self.solver)
        columns[:, :m], errors = self._tangents.solve_refined(self.solver, rhs[:, :m], M, D, replaceable)
        columns[:, m] = self.solver.solve(rhs[:, m].copy())
        return errors

    def destroy(self) -> None:
        """Free the PETSc objects (collective on the cell's ranks); the system cannot be used afterwards."""
        if self.is_destroyed:
            return
        self.is_destroyed = True
        self.solver.destroy()
        for matrix in (*self._columns_of, self._rhs, self._solution):
            matrix.destroy()
        self.loaded.reduced.destroy()
        self.solver = Destroyed("this RVE")  # type: ignore[assignment]
        self.loaded.reduced = Destroyed("this RVE")  # type: ignore[assignment]

    def _derivatives(self) -> tuple[Floats, Floats, Floats]:
        """The derivatives L, M (its transpose) and D at the linearized point."""
        known = self.solver.derivatives()
        if known is not None:
            return known
        L = self._columns(self.forms.L)
        M = L if self.is_symmetric else self._columns(self.forms.M)
        return L, M, self.loaded.reduced.sum(dense(self.forms.D))

    def _columns(self, forms: list[PackedForm]) -> Floats:
        return assembled_columns(self.loaded.reduced, self._columns_of, forms)

    def _ask[T](self, ask: Callable[[], T]) -> T:
        """The result of the solver or, if it fails and a direct solver is affordable, of the direct solver."""
        try:
            return ask()
        except ConvergenceError as error:
            if not can_fall_back(self.loaded, self._choice, self.solver):
                raise
            self.solver.destroy()
            self.solver = fallback_solver(self.loaded, self.is_symmetric, error)
            self.solver.update()
            return ask()


def _constrained(forms: CellForms) -> tuple[LoadedCell, float]:
    """The cell under its constraint, and its stiffness if that is known already, else 0.

    If there are several fields or fixed degrees of freedom, the floating fields are determined numerically.
    """
    problem = forms.problem
    cell, space, dofs = problem.cell, problem.w.function_space, problem.fixed
    if not problem.is_mixed and not cell.comm.allreduce(dofs.size):
        return LoadedCell(forms, constrain(problem.constraint, cell, space)), 0.0
    fields, driven = fields_of(space), problem.driven
    free = LoadedCell(forms, constrain(problem.constraint, cell, space, driven=driven, pinned=(), fixed_dofs=dofs))
    pinned = floating_fields(free, fields)
    free.reduced.destroy()
    parts = pieces(cell).of_cell if pinned else None
    constraint = constrain(problem.constraint, cell, space, driven=driven, pinned=pinned, fixed_dofs=dofs, pieces=parts)
    loaded = LoadedCell(forms, constraint)
    if not problem.is_mixed:
        return loaded, 0.0
    sizes = sizes_of_fields(loaded, fields)
    loaded.weights = sizes.weights
    loaded.reduced.weigh(sizes.weights)
    loaded.reduced.scale(sizes.scales)
    return loaded, sizes.stiffness
