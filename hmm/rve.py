"""The microproblem on a unit cell: ``R(w, E) = 0``, its macroscopic response and its condensed tangent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import cycle

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm import tensors
from hmm._environment import require_communicators
from hmm.accuracy import solve_refined
from hmm.advice import LockingWatch, warn_of_axes
from hmm.cell import Cell
from hmm.connectivity import pieces
from hmm.constraints import CONSTRAINTS, Constraint, constrain
from hmm.errors import ConvergenceError, InputError, collectively
from hmm.fields import MacroInput, Operator, fields_of, is_mixed, pack_inputs, split_vector
from hmm.forms import (
    PackedForm,
    compile_expression,
    compile_form,
    default_quadrature_degree,
    depends_on,
    owned_cells,
    warn_of_few_points,
)
from hmm.history import History
from hmm.laws.base import Law, Local, State, responses
from hmm.local import LocalProblem, local_problem
from hmm.microproblem import solve_point
from hmm.newton import NewtonOptions
from hmm.options import Destroyed, choice, dictionary, instance, is_real
from hmm.options import quadrature_degree as check_degree
from hmm.reduced import ReducedSystem
from hmm.response import Condensed, PointState, Response
from hmm.solvers import SOLVERS, create_solver, fall_back
from hmm.virgin import floating_fields, sizes_of_fields

Errors = NDArray[np.float64] | None

NOT_A_NUMBER = "the micro residual is not a number"


class RVE:
    """A unit cell with fields, laws and a constraint: forms compiled once, solved for any number of points.

    Parameters
    ----------
    cell
        The unit cell.
    w
        The fluctuation field, or several of them (see `hmm.fluctuation`).
    E
        The macroscopic input (see `hmm.macro_strain`), or several of them.
    law
        A law for each phase name. Exactly one of `law` and `energy` is given.
    energy
        A UFL energy ``Pi(w, E)``, integrated over the cell with ``cell.measure()``.
    constraint
        ``"periodic"``, ``"dirichlet"`` or ``"minimal"`` (see `hmm.constraints`).
    micro
        Local fields without a macroscopic counterpart that laws may ask for, by name: an operator on `w` each, such as
        ``{"pressure": hmm.component(1)}``. A law's response to one is the conjugate in its virtual work; it need not
        answer all.
    held
        Dofs of `w` that are held at zero besides, as from `hmm.held_on_walls`.
    quadrature_degree
        Polynomial degree of the quadrature rule; by default enough for the linear stiffness; less gives a warning.
    newton_options
        Tolerances of the micro Newton method.
    solver
        ``"direct"``, ``"reuse"``, ``"iterative"`` or ``"auto"``, which chooses by cost (see `hmm.solvers`).
    petsc_options
        PETSc options of the micro linear solver, without prefix; also settable as ``-hmm_micro_...``.
    dt
        Duration of the step in a user's own `energy`; laws are given one (see `time_step`).

    Attributes
    ----------
    held
        Dofs of `w` held at zero.
    forms
        The residual ``R_w`` and, for each macro input, ``R_E``.
    variables
        Functions in them that a point's state and macroscopic input are loaded into.
    parameters
        Constants and Functions in them that the user may change between two solves.

    Notes
    -----
    With ``K = dR_w/dw``, ``L = dR_w/dE``, ``M = dR_E/dw`` and ``D = dR_E/dE``, the response is
    ``Sigma = R_E / |Y|`` and its consistent tangent the Schur complement ``A = (D - M K^-1 L) / |Y|``, where
    ``M = L^T`` if the problem has a potential (Miehe and Koch 2002; Kouznetsova et al. 2001).

    Raises
    ------
    InputError
        For a law of an unknown phase, a phase without law, or a mesh that does not fit the constraint.
    """

    def __init__(
        self,
        cell: Cell,
        w: fem.Function,
        E: MacroInput | Sequence[MacroInput],
        law: Mapping[str, Law] | None = None,
        *,
        energy: ufl.Form | None = None,
        constraint: str = "periodic",
        micro: Mapping[str, Operator] | None = None,
        held: ArrayLike = (),
        quadrature_degree: int | None = None,
        newton_options: NewtonOptions | None = None,
        solver: str = "auto",
        petsc_options: Mapping[str, object] | None = None,
        dt: fem.Constant | None = None,
    ) -> None:
        instance("cell", cell, Cell, "make one with hmm.Cell or hmm.cells")
        with collectively(cell.comm):
            require_communicators()
        self.cell, self.w = cell, w
        self._dt = fem.Constant(cell.mesh, 0.0) if dt is None else dt
        self.inputs = tuple(E) if isinstance(E, Sequence) else (E,)
        _check_arguments(self, energy, newton_options, constraint, solver)
        micro, law = dictionary("micro", micro, "operators by name"), law and dictionary("law", law, "laws by phase")
        self.petsc_options = dictionary("petsc_options", petsc_options, "PETSc options by name")
        self.constraint, self.solver_choice = constraint, solver
        self.newton_options = newton_options or NewtonOptions()
        self.quadrature_degree = enough = default_quadrature_degree(w.function_space)
        if quadrature_degree is not None:
            self.quadrature_degree = check_degree("quadrature_degree", quadrature_degree)
            warn_of_few_points(cell.mesh, "quadrature_degree", self.quadrature_degree, enough)
        if (law is None) == (energy is None):
            raise InputError("RVE needs either law={phase name: law} or energy=UFL form, not both and not neither")
        self.law = dict(law) if law is not None else {}
        _check_names(self.inputs, micro)
        self.micro = {name: op for e in self.inputs for name, op in e.micro.items()} | micro
        self.is_mixed = is_mixed(w.function_space)
        _check_components(w, self.inputs)
        self.driven = {e.component or 0 for e in self.inputs if e.operator is not None}
        self.histories: dict[str, History] = {}
        self.local_problems: dict[str, LocalProblem] = {}
        self._phase_forms: dict[str, list[list[PackedForm]]] = {}
        if law is not None:
            _check_phases(cell, law)
            _check_fields(self)
            R_w, R_E = self._residual_of_laws()
        else:
            R_w, R_E = self._residual_of_energy(energy)
        self._has_potential = energy is not None
        self._factorized_for: list[bytes] | None = None
        self._stiffness = 0.0
        self._condensed: Condensed | None = None
        self._destroyed = False
        self._condensing_errors: Errors = None
        self.has_warned = False
        self.n_factorizations = 0
        self._locking = LockingWatch(self)
        self._compile(R_w, R_E)
        self._constrain(constraint, held)
        self._allocate(solver, petsc_options)
        warn_of_axes(self)
        self._locking.begin()

    # -- sizes and states ------------------------------------------------------------------------------------------

    @property
    def whole(self) -> RVE:
        """This RVE: all its macroscopic components are given (compare `hmm.MixedControl`)."""
        return self

    @property
    def control(self) -> str:
        """Empty: all macroscopic inputs are given (see `hmm.MixedControl`)."""
        return ""

    @property
    def n_inputs(self) -> int:
        """Total number m of macroscopic components."""
        return sum(e.size for e in self.inputs)

    @property
    def n_unknowns(self) -> int:
        """Reduced unknowns of this rank."""
        return self.reduced.size_owned

    @property
    def n_history(self) -> int:
        """Internal variables of this rank."""
        return sum(h.size for h in self.histories.values())

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """Packed macroscopic input of the undeformed state, shape (m,)."""
        return np.concatenate([e.reference for e in self.inputs])

    def initial_state(self) -> PointState:
        """The virgin state: no fluctuation, internal variables zero."""
        return PointState(np.zeros(self.n_unknowns), np.zeros(self.n_history))

    @property
    def time_step(self) -> float:
        """Duration of the step, in the unit of time of the laws' parameters; laws without rates do not ask for it."""
        return float(self._dt.value)

    @time_step.setter
    def time_step(self, dt: float) -> None:
        if not (is_real(dt) and 0 <= dt < float("inf")):
            raise InputError(f"time step {dt} must be zero or more, and finite")
        np.copyto(self._dt.value, dt)

    # -- for users -------------------------------------------------------------------------------------------------

    def solve(
        self,
        E: ArrayLike | Mapping[str, float],
        state: PointState | None = None,
        tangent: bool = True,
        dt: float | None = None,
    ) -> Response:
        """Solve the cell for a macroscopic input.

        Parameters
        ----------
        E
            The macroscopic input at the end of the step: its tensor, the packed vector of all inputs, shape (m,), or
            components by label, such as ``{"11": 1e-3}``; the others are then those of the undeformed state.
        state
            State at the start of the step; virgin by default. Not modified.
        tangent
            Whether to compute the consistent tangent; without it, the response's is filled with NaN.
        dt
            Duration of the step, for laws with rates; by default what `time_step` is.

        Returns
        -------
        Response
            Response, consistent tangent and the new state. The fields of the step stay in `w` and the macro input's
            function until the next solve.

        Raises
        ------
        InputError
            If the shape or a label of `E` is not the macro input's.
        ConvergenceError
            If Newton's method does not converge.
        """
        if dt is not None:
            self.time_step = dt
        return solve_point(self, self.pack(E), self.initial_state() if state is None else state, tangent)

    def pack(self, E: ArrayLike | Mapping[str, float]) -> NDArray[np.float64]:
        """Packed macroscopic input, shape (m,), of a tensor (single input), a packed vector or components by label."""
        return pack_inputs(self.inputs, E)

    def split(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Packed responses, shape (..., m), as one tensor per macro input."""
        return split_vector(self.inputs, vector)

    def check_time_step(self) -> None:
        """Raise `InputError` if the laws ask for the duration of the step and it was not given."""
        if self.has_rates and not self._dt.value:
            raise InputError("a law depends on time, and the step has no duration: give dt=, or set time_step")

    def local(self) -> ufl.core.expr.Expr:
        """The local field ``E + D w`` of the first macro input, as UFL; laws get it embedded in 3D."""
        return self.inputs[0].local(self.w)

    def at(self, phase: str) -> Local:
        """What the law of a phase is given: local fields, old internal variables, time step and solved unknowns."""
        if phase in self.local_problems:
            return self.local_problems[phase].at
        history = self.histories.get(phase)
        fields = {e.name: e.local_3d(self.w) for e in self.inputs}
        fields |= {name: tensors.embed(operator(self.w)) for name, operator in self.micro.items()}
        return Local(fields, history.old if history else {}, self._dt)

    def average(self, expression: ufl.core.expr.Expr, phase: str | None = None) -> float:
        """Volume average over |Y| (voids counted) of a scalar UFL expression at the loaded state.

        Parameters
        ----------
        expression
            A scalar expression on the cell's mesh.
        phase
            Integrate over this phase only (still divided by |Y|).
        """
        dx = self.measure
        if phase is not None:
            choice("phase", phase, self.cell.phases)
        form = expression * (dx if phase is None else dx(self.cell.phases[phase]))
        value = fem.assemble_scalar(compile_form(form))
        return float(self.cell.comm.allreduce(value)) / self.cell.volume

    def local_response(self, phase: str, field: str | None = None) -> ufl.core.expr.Expr:
        """Local response of a phase at the loaded state, as UFL: a stress has shape (3, 3).

        Parameters
        ----------
        phase
            Name of the phase.
        field
            Name of the macro input it is conjugate to; the first one by default.
        """
        choice("phase", phase, self.law)
        answers = responses(self.law[phase], self.at(phase))
        return answers[choice("response", field or self.inputs[0].name, answers)]

    def phase_tangents(self, phases: Iterable[str] | None = None) -> dict[str, NDArray[np.float64]]:
        """Packed tangent of each phase's own law in the undeformed state, shape (m, m), averaged over it (collective).

        Of all `phases`, or of some. The RVE is left loaded with that state. Their mean over |Y| is the Voigt bound.
        """
        self.load_history(np.zeros(self.n_history))
        self.load(np.zeros(self.n_unknowns), self.reference)
        return self.tangents_of(self.cell.phases if phases is None else phases)

    def tangents_of(self, phases: Iterable[str]) -> dict[str, NDArray[np.float64]]:
        """Packed tangent of some phases' own laws at the loaded point, shape (m, m), averaged over each; collective."""
        tangents = {}
        for phase in phases:
            forms = self._phase_forms.get(phase) or self._form_of_phase(phase)
            if phase in self.histories:
                self._phase_forms[phase] = forms  # it will be asked for again
            total = self.reduced.sum(_block(forms))
            tangents[phase] = total / (self.cell.volume_fractions[phase] * self.cell.volume)
        return tangents

    def _form_of_phase(self, phase: str) -> list[list[PackedForm]]:
        """The blocks of ``D`` over one phase only."""
        tag = self.cell.phases[phase]
        nowhere = dict.fromkeys(self.cell.phases.values(), np.zeros(0, dtype=np.int32))
        owned = owned_cells(self.cell.mesh)
        cells = np.intersect1d(self.cell.phase_tags.find(tag), owned).astype(np.int32)
        return [[form.restricted(nowhere | {tag: cells}) for form in row] for row in self._form_D]

    def why_not_a_number(self) -> str:
        """Why the residual at the loaded point is not a number, for errors."""
        failed = {phase: int(self.reduced.sum(problem.n_failed)) for phase, problem in self.local_problems.items()}
        where = ", ".join(f"{n} of phase {phase!r}" for phase, n in failed.items() if n)
        return f"the local equations of a law were not solved at points: {where}" if where else NOT_A_NUMBER

    # -- the loaded point ------------------------------------------------------------------------------------------

    def load_history(self, history: NDArray[np.float64]) -> None:
        """Make the internal variables, shape (n_history,), those at the start of the step."""
        start = 0
        for h in self.histories.values():
            h.load(history[start : start + h.size])
            start += h.size

    def load(self, z: NDArray[np.float64], E: NDArray[np.float64]) -> None:
        """Make (z, E), shapes (n_unknowns,) and (m,), the point at which everything is evaluated."""
        self.reduced.spread(z, self._local)
        self.w.x.array[:] = self._local[: self.reduced.size_fluctuation]
        start = 0
        for e in self.inputs:
            e.function.x.array[:] = E[start : start + e.size]
            start += e.size
        for problem in self.local_problems.values():
            problem.solve()

    def residual(self) -> NDArray[np.float64]:
        """Reduced residual ``R_w``, shape (n_unknowns,), at the loaded point (a view, overwritten by the next call)."""
        n = self.reduced.size_fluctuation
        self.nodal_forces[:] = 0.0
        self._R_w.assemble(self.nodal_forces)
        self._local_residual[:n] = self.nodal_forces
        self._local_residual[n:] = 0.0
        self.reduced.add_multipliers(self._local, self._local_residual)
        self.reduced.gather(self._local_residual, self._residual)
        return self._residual

    def norm(self, residual: NDArray[np.float64]) -> float:
        """Euclidean norm of a residual over all ranks of the cell."""
        return self.reduced.norm(residual)

    def residual_weight(self, e: MacroInput) -> float:
        """What `norm` multiplies the residuals of the field with that a macro input acts on; 1 with a single field."""
        if self._weights is None or e.component is None:
            return 1.0
        dofs = fields_of(self.w.function_space)[e.component].dofs
        return float(self.cell.comm.allreduce(float(self._weights[dofs].max(initial=0.0)), MPI.MAX))

    def force_scale(self) -> float:
        """Norm of the nodal forces before opposite faces or multipliers cancel them: the scale of the last residual."""
        forces = self.nodal_forces if self._weights is None else self._weights * self.nodal_forces
        return float(np.sqrt(self.reduced.sum(forces @ forces)))

    def roundoff(self, E: NDArray[np.float64]) -> float:
        """Bound on what rounding leaves in a residual at the packed macroscopic input `E`, shape (m,).

        Nodal forces are differences of terms as large as stiffness times deformation. At finite strain these do not
        vanish with the stress: a hardly strained cell has forces near rounding, and no residual is small beside them.
        """
        return float(np.finfo(float).eps * self._stiffness * np.linalg.norm(E))

    def response(self) -> NDArray[np.float64]:
        """Macroscopic response ``Sigma = R_E / |Y|``, shape (m,), at the point of the last `residual`; a new array.

        With laws, ``R_E`` is the sum of nodal forces times position (Kouznetsova et al. 2001, eq. 19), which are at
        hand; with a general energy it is assembled.
        """
        if self._affine is not None:
            return self.reduced.sum(self._affine @ self.nodal_forces) / self.cell.volume
        vector, start = np.zeros(self.n_inputs), 0
        for e, form in zip(self.inputs, self._R_E, strict=True):
            form.assemble(vector[start : start + e.size])
            start += e.size
        return self.reduced.sum(vector) / self.cell.volume

    def linearize(self) -> None:
        """Assemble and factorize the tangent at the loaded point; if the cell is linear, once for its parameters."""
        parameters = self._parameter_values() if self.is_linear else []
        if self.is_linear and not self.reduced.sum(float(parameters != self._factorized_for)):
            return
        self._factorized_for = self._condensed = None
        if not self.n_factorizations:
            require_communicators()  # the solver takes its own now
        self._asked(lambda: self.solver.update())
        if not self._stiffness:
            self._stiffness = self.solver.norm * self.cell.volume ** (1 / self.cell.dim)
        self._factorized_for = parameters
        self.n_factorizations += 1

    def forget(self) -> None:
        """Drop what is left of a solve that an exception ended; the next `linearize` begins anew."""
        self._factorized_for = self._condensed = None
        self.solver.forget()

    def correction(self, residual: NDArray[np.float64], rtol: float) -> NDArray[np.float64]:
        """``K^-1 R_w``, shape (n_unknowns,), with the linearized cell; iterative solvers stop at `rtol`."""
        return self._asked(lambda: self.solver.solve(residual, rtol))

    def _asked[T](self, ask: Callable[[], T]) -> T:
        """What the solver answers; if it fails where a direct one was not asked for only for its cost, that one's."""
        try:
            return ask()
        except ConvergenceError as error:
            if not fall_back(self, error):
                raise
            return ask()

    def destroy(self) -> None:
        """Free the PETSc objects (collective on the cell's ranks); the RVE cannot be used afterwards.

        Needed only for cells on several ranks: PETSc cannot free their objects when Python drops them, rank by rank.
        """
        if self._destroyed:
            return
        self.solver.destroy()
        for matrix in (*self._columns_of, self._rhs, self._solution):
            matrix.destroy()
        self.reduced.destroy()
        self._destroyed = True
        for name in ("solver", "reduced"):
            setattr(self, name, Destroyed("this RVE"))

    def check_usable(self) -> None:
        """Raise `InputError` if the RVE was destroyed."""
        if self._destroyed:
            raise InputError("this RVE was destroyed and cannot be used any more: make a new one")

    def condense(self, residual: NDArray[np.float64] | None = None) -> Condensed:
        """Condense the linearized cell: all columns in one multi-right-hand-side solve.

        Parameters
        ----------
        residual
            A residual, shape (n_unknowns,), to be solved for along with the tangent's columns.

        Returns
        -------
        Condensed
            Tangent, sensitivity and correction; new arrays.
        """
        if self.is_linear and self._condensed is not None and residual is None:
            return self._condensed
        m = self.n_inputs
        L = self._columns(self._form_L)
        M = L if self.is_symmetric else self._columns(self._form_M)
        rhs = self._rhs.getDenseArray()
        rhs[:, :m] = L
        rhs[:, m] = 0.0 if residual is None else residual
        D = self.reduced.sum(self._assemble_D())
        self._condensing_errors = self._asked(lambda: self._solve_columns(rhs, M, D.diagonal()))
        columns = self._solution.getDenseArray()
        blocks = self.reduced.sum(M.T @ columns)
        self._mean_moduli = D.diagonal() / self.cell.volume
        self.condensed_tangent = tangent = (D - blocks[:, :m]) / self.cell.volume
        correction = columns[:, m].copy() if residual is not None else None
        drop = blocks[:, m] / self.cell.volume if residual is not None else None
        condensed = Condensed(tangent, -columns[:, :m].T.copy(), correction, drop)
        if self.is_linear and residual is None:
            self._condensed = condensed
        return condensed

    def _solve_columns(self, rhs: NDArray[np.float64], M: NDArray[np.float64], D: NDArray[np.float64]) -> Errors:
        """Solve for the columns of `_rhs`; what an iterative solver leaves, or None."""
        if not self.solver.is_iterative:
            self.solver.solve_columns(self._rhs, self._solution)
            return None
        m, columns = self.n_inputs, self._solution.getDenseArray()
        columns[:, :m], errors = solve_refined(self, self.solver, rhs[:, :m], M, D)
        columns[:, m] = self.solver.solve(rhs[:, m].copy())
        return errors

    def condensation_errors(self) -> NDArray[np.float64]:
        """Errors of the diagonal of the last condensed tangent, shape (m,): what its solver and rounding have left."""
        m, errors = self.n_inputs, self._condensing_errors
        if errors is None:
            L, columns = self._rhs.getDenseArray()[:, :m], self._solution.getDenseArray()[:, :m]
            residual = L - np.column_stack([self.solver.apply(column) for column in columns.T])
            self._condensing_errors = errors = np.abs(self.reduced.sum((columns * residual).sum(axis=0)))
        return errors / self.cell.volume + 4 * np.finfo(float).eps * np.abs(self._mean_moduli)

    def rounding_of_tangent(self) -> NDArray[np.float64]:
        """What rounding may leave of components of the last condensed tangent that vanish, shape (m,)."""
        return np.asarray(16 * np.finfo(float).eps * np.abs(self._mean_moduli))

    def updated_history(self) -> NDArray[np.float64]:
        """Internal variables at the end of the loaded step, shape (n_history,)."""
        parts = [h.updated() for h in self.histories.values()]
        history = np.concatenate(parts) if parts else np.zeros(0)
        self._locking.watch(history)
        return history

    # -- construction ----------------------------------------------------------------------------------------------

    @cached_property
    def measure(self) -> ufl.Measure:
        """The volume measure with this RVE's quadrature rule."""
        return self.cell.measure(quadrature_degree=self.quadrature_degree, quadrature_scheme="default")

    def _tests(self) -> tuple[ufl.Argument, list[ufl.Argument]]:
        v = ufl.TestFunction(self.w.function_space)
        return v, [ufl.TestFunction(e.function.function_space) for e in self.inputs]

    def _residual_of_energy(self, energy: ufl.Form | None) -> tuple[ufl.Form, list[ufl.Form]]:
        v, tests = self._tests()
        R_E = [ufl.derivative(energy, e.function, test) for e, test in zip(self.inputs, tests, strict=True)]
        return ufl.derivative(energy, self.w, v), R_E

    def _residual_of_laws(self) -> tuple[ufl.Form, list[ufl.Form]]:
        v, tests = self._tests()
        for phase, law in self.law.items():
            if law.internal(self.cell.dim):
                self.histories[phase] = History(self.cell, self.cell.phases[phase], law, self.quadrature_degree)
            problem = local_problem(self.cell, self.cell.phases[phase], law, self.quadrature_degree, self.at(phase))
            if problem:
                self.local_problems[phase] = problem
            if phase in self.histories:
                self.histories[phase].compile_update(self.at(phase))
        moved = [(e.name, e.variation(v)) for e in self.inputs if e.operator is not None]
        moved += [(name, tensors.embed(operator(v))) for name, operator in self.micro.items()]
        answers = {phase: responses(law, self.at(phase)) for phase, law in self.law.items()}
        R_w = self._work(answers, moved)
        R_E = [self._work(answers, [(e.name, e.macro_variation(t))]) for e, t in zip(self.inputs, tests, strict=True)]
        return R_w, R_E

    def _work(self, answers: Mapping[str, State], variations: list[tuple[str, ufl.core.expr.Expr]]) -> ufl.Form:
        """Work of the phases' responses, the `answers`, on variations of the local fields, given by name."""
        return sum(
            ufl.inner(answers[phase][name], variation) * self.measure(self.cell.phases[phase])
            for phase, law in self.law.items()
            for name, variation in variations
            if name in law.fields
        )

    def _compile(self, R_w: ufl.Form, R_E: list[ufl.Form]) -> None:
        dw = ufl.TrialFunction(self.w.function_space)
        dE = [ufl.TrialFunction(e.function.function_space) for e in self.inputs]
        pairs = list(zip(self.inputs, dE, strict=True))
        K = ufl.derivative(R_w, self.w, dw)
        variables = [self.w, *(e.function for e in self.inputs), *(h.function for h in self.histories.values())]
        variables += [f for problem in self.local_problems.values() for f in problem.functions]
        D = [[ufl.derivative(R, e.function, d) for e, d in pairs] for R in R_E]
        self.is_linear = not any(depends_on(form, variables) for form in [K, *(f for row in D for f in row)])
        self.forms = (R_w, *R_E)
        self.variables = tuple(variables)
        self.parameters = _parameters(self.forms, variables)
        self.has_rates = self._dt in self.parameters
        self._R_w = PackedForm(R_w)
        v, tests = self._tests()
        self._R_E = [PackedForm(R, test) for R, test in zip(R_E, tests, strict=True)]
        self.tangent_form = PackedForm(K)
        self._form_L = [PackedForm(ufl.derivative(R_w, e.function, d), v, d) for e, d in pairs]
        self._form_M = [
            PackedForm(ufl.adjoint(ufl.derivative(R, self.w, dw)), v, d) for R, d in zip(R_E, dE, strict=True)
        ]
        self._form_D = [
            [PackedForm(form, test, d) for form, d in zip(row, dE, strict=True)]
            for row, test in zip(D, tests, strict=True)
        ]

    def _parameter_values(self) -> list[bytes]:
        """What the constants and coefficients that the user may change are now."""
        return [np.asarray(p.value if isinstance(p, fem.Constant) else p.x.array).tobytes() for p in self.parameters]

    def _constrain(self, constraint: str, held: ArrayLike) -> None:
        """Set up the reduced system; where several fields or held dofs leave open which fields float, ask the cell."""
        space, driven = self.w.function_space, self.driven
        with collectively(self.cell.comm):
            self.held = dofs = _held(held, space)
        self._weights: NDArray[np.float64] | None = None
        if not self.is_mixed and not self.cell.comm.allreduce(dofs.size):
            self._reduce(constrain(constraint, self.cell, space))
            return
        fields = fields_of(space)
        self._reduce(constrain(constraint, self.cell, space, driven=driven, pinned=(), held=dofs))
        pinned = floating_fields(self, fields)
        parts = pieces(self.cell).of_cell if pinned else None
        self._reduce(constrain(constraint, self.cell, space, driven=driven, pinned=pinned, held=dofs, pieces=parts))
        if self.is_mixed:
            sizes = sizes_of_fields(self, fields)
            self._weights, self._stiffness = sizes.weights, sizes.stiffness
            self.reduced.weigh(sizes.weights)
            self.reduced.scale(sizes.scales)

    def _reduce(self, constraint: Constraint) -> None:
        self.reduced = ReducedSystem(self.cell.comm, constraint)
        n_local = self.reduced.size_fluctuation + constraint.multipliers.size
        self._local = np.zeros(n_local)
        self.nodal_forces = np.zeros(self.reduced.size_fluctuation)  # without those of the multipliers
        self._local_residual = np.zeros(n_local)
        self._residual = np.zeros(self.n_unknowns)

    def _allocate(self, solver: str, petsc_options: Mapping[str, object] | None) -> None:
        m = self.n_inputs
        self._columns_of = [self.reduced.create_dense(e.size) for e in self.inputs]
        self._rhs, self._solution = self.reduced.create_dense(m + 1), self.reduced.create_dense(m + 1)
        self.is_symmetric = self._has_potential or (self._tangent_is_symmetric() and self._stiffness_is_symmetric())
        self.solver = create_solver(self, solver, petsc_options)
        self._affine = self._affine_fields() if self.law else None

    def _tangent_is_symmetric(self) -> bool:
        """Ask ``D``, the mean moduli, at deformations over many scales so that each branch of a law is met.

        Without fluctuation all elements of a phase are strained alike, and one of each is enough.
        """
        rng, dt = np.random.default_rng(0), self.time_step
        state, answers, form_D = self.initial_state(), [], self._form_of_few_elements()
        scales = np.logspace(-6, 0, 1 if self.is_linear else 28)
        durations = cycle(10.0 ** np.arange(-6, 7, 3) if self.has_rates else [dt])
        self.load_history(state.history)
        for scale, self.time_step in zip(scales, durations, strict=False):
            self.load(state.z, self.reference + scale * rng.normal(size=self.n_inputs))
            D = self.reduced.sum(_block(form_D))
            if np.isfinite(D).all():  # a cell turned inside out says nothing
                answers.append(bool(np.linalg.norm(D - D.T) <= 1e-10 * np.linalg.norm(D)))
                if form_D is self._form_D:
                    self.load_history(self.updated_history())
                else:
                    for history in self.histories.values():
                        history.advance_first()
        self.time_step = dt
        self.load_history(state.history)
        return bool(answers) and all(answers)

    def _form_of_few_elements(self) -> list[list[PackedForm]]:
        """The blocks of ``D`` over this rank's first element of each phase; over all if parameters vary in space."""
        if any(isinstance(parameter, fem.Function) for parameter in self.parameters):
            return self._form_D
        tags, owned = self.cell.phase_tags, owned_cells(self.cell.mesh)
        first = {tag: np.intersect1d(tags.find(tag), owned)[:1].astype(np.int32) for tag in self.cell.phases.values()}
        return [[form.restricted(first) for form in row] for row in self._form_D]

    def _stiffness_is_symmetric(self) -> bool:
        """Ask ``K``, ``L`` and ``M`` near the virgin state: `D` knows nothing of fields without macro input."""
        if not self.micro:
            return True
        rng = np.random.default_rng(0)
        E = self.reference + 1e-3 * rng.normal(size=self.n_inputs)
        self.load(1e-3 * self.cell.volume ** (1 / self.cell.dim) * rng.normal(size=self.n_unknowns), E)
        matrix = self.reduced.create_matrix()
        self.reduced.assemble(matrix, *self.tangent_form.packed())
        symmetric = bool(matrix.isSymmetric(1e-9 * matrix.norm()))
        matrix.destroy()
        L, M = self._columns(self._form_L), self._columns(self._form_M)
        miss, size = self.reduced.sum(np.array([np.sum((L - M) ** 2), np.sum(L**2)]))
        return symmetric and bool(miss <= 1e-18 * size)

    def _affine_fields(self) -> NDArray[np.float64] | None:
        """Dofs of the affine field of each unit macro input, shape (m, n_local); None if the space has none."""
        space = self.w.function_space
        plain = len(self.inputs) == 1 and not self.is_mixed and not self.micro
        plain = plain and self.inputs[0].packing.shape == (*self.w.ufl_shape, self.cell.dim)
        plain = plain and space.num_sub_spaces in (0, self.cell.dim)
        if not plain or space.ufl_element().embedded_superdegree < self.cell.mesh.geometry.cmaps[0].degree:
            return None
        (e,) = self.inputs
        points = space.element.interpolation_points
        field, rows = fem.Function(space), []
        x = ufl.SpatialCoordinate(self.cell.mesh) - ufl.as_vector(np.asarray(self.cell.origin).tolist())
        affine = compile_expression(e.affine(e.tensor, x), points)
        for unit in np.eye(e.size):
            e.function.x.array[:] = unit
            field.interpolate(affine)
            rows.append(field.x.array.copy())
        return np.array(rows)

    def _columns(self, forms: list[PackedForm]) -> NDArray[np.float64]:
        """Reduced columns, shape (n_unknowns, m), of forms between the fluctuation and the macro inputs."""
        for matrix, form in zip(self._columns_of, forms, strict=True):
            self.reduced.assemble(matrix, *form.packed())
        return np.hstack([matrix.getDenseArray() for matrix in self._columns_of])

    def _assemble_D(self) -> NDArray[np.float64]:
        return _block(self._form_D)


def _block(forms: list[list[PackedForm]]) -> NDArray[np.float64]:
    """This rank's share of a matrix of blocks between real spaces."""
    return np.block([[form.dense() for form in row] for row in forms])


def _parameters(forms: Sequence[ufl.Form], variables: list[fem.Function]) -> list[fem.Constant | fem.Function]:
    """Constants and coefficients of `forms` other than the `variables` of the problem."""
    constants = dict.fromkeys(c for form in forms for c in form.constants())
    coefficients = dict.fromkeys(f for form in forms for f in form.coefficients() if f not in variables)
    return [*constants, *coefficients]


def _check_arguments(rve: RVE, energy: object, newton_options: object, constraint: object, solver: object) -> None:
    """Raise `InputError` for what is of the wrong kind, before anything is made of it."""
    instance("w", rve.w, fem.Function, "make it with hmm.fluctuation(cell)")
    for e in rve.inputs:
        instance("E", e, MacroInput, "make it with hmm.macro_strain(cell) or another input of hmm")
    for what, function in [("w", rve.w), *((f"the macro {e.name}", e.function) for e in rve.inputs)]:
        if function.function_space.mesh.ufl_domain() != rve.cell.mesh.ufl_domain():
            raise InputError(f"{what} is on another mesh than the cell: make it with this cell")
    if energy is not None:
        instance("energy", energy, ufl.Form, "write it in UFL, integrated with cell.measure()")
    if newton_options is not None:
        instance("newton_options", newton_options, NewtonOptions, "give hmm.NewtonOptions(rtol=...)")
    instance("dt", rve._dt, fem.Constant, "give fem.Constant(cell.mesh, duration)")
    choice("constraint", constraint, CONSTRAINTS)
    choice("solver", solver, SOLVERS)


def _check_names(inputs: tuple[MacroInput, ...], micro: Mapping[str, Operator]) -> None:
    """Raise `InputError` if two local fields have one name: laws would see one of them only."""
    names = [name for e in inputs for name in (e.name, *e.micro)] + list(micro)
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{names.count(name)} macro inputs or micro fields are called {name!r}, and laws tell them by name: "
                f"give one another, as with dataclasses.replace(E, name='{name}_2')"
            )


def _held(held: ArrayLike, space: fem.FunctionSpace) -> NDArray[np.int32]:
    """The dofs held at zero, of this rank."""
    dofs, n = np.asarray(held), (space.dofmap.index_map.size_local + space.dofmap.index_map.num_ghosts)
    n *= space.dofmap.index_map_bs
    if dofs.size and (dofs.dtype.kind not in "iu" or dofs.min() < 0 or dofs.max() >= n):
        raise InputError(f"held = {dofs.tolist()[:5]}... are no dofs of w, 0 to {n - 1}: take hmm.held_on_walls")
    return dofs.astype(np.int32)


def _check_phases(cell: Cell, law: Mapping[str, Law]) -> None:
    for phase in law:
        if phase not in cell.phases:
            raise InputError(f"law names the phase {phase!r}, but the cell's phases are {list(cell.phases)}")
    for phase in cell.phases:
        if phase not in law:
            raise InputError(f"phase {phase!r} has no law: add it to law={{...}}, which has {list(law)}")
        if not isinstance(law[phase], Law):
            raise InputError(
                f"the law of phase {phase!r} is {law[phase]!r}: give one of hmm.laws, or your own hmm.laws.Law"
            )


def _check_components(w: fem.Function, inputs: tuple[MacroInput, ...]) -> None:
    """Raise `InputError` unless each macro input acts on a field that `w` has."""
    n = w.function_space.num_sub_spaces if is_mixed(w.function_space) else 1
    for e in inputs:
        if n > 1 and e.operator is not None and e.component is None:
            raise InputError(
                f"w has {n} fields, and the macro {e.name} does not say on which it acts: give component=0, 1, ..."
            )
        if e.component is not None and (n == 1 or not 0 <= e.component < n):
            raise InputError(
                f"the macro {e.name} acts on component {e.component} of w, which has {n} field{'s' * (n > 1)}: "
                "make w with hmm.fluctuation(cell, degree=(...), shape=(...))"
            )


def _check_fields(rve: RVE) -> None:
    """Raise `InputError` unless the laws answer the macro inputs, and `w` has the derivatives that add to them."""
    names = [e.name for e in rve.inputs]
    for phase, of_phase in rve.law.items():
        if not set(names) <= set(of_phase.fields) <= {*names, *rve.micro}:
            micro = f" and the micro fields {', '.join(rve.micro)}" if rve.micro else ""
            raise InputError(
                f"the law of phase {phase!r}, {type(of_phase).__name__}, answers {', '.join(of_phase.fields)}, but the "
                f"macro inputs are {', '.join(names)}{micro}: take another law or other inputs, or write energy=..."
            )
    for macro in rve.inputs:
        if macro.operator is None:
            continue
        needed = (rve.cell.dim,) * (len(macro.packing.shape) - 1)
        shape = macro.of(rve.w).ufl_shape
        if shape != needed:
            kind = f"a field of shape {shape}" if shape else "a scalar"
            what = "w" if macro.component is None else f"component {macro.component} of w"
            raise InputError(
                f"a macro {macro.name} of shape {macro.packing.shape} needs a fluctuation of shape {needed}, "
                f"and {what} is {kind}: make it with hmm.fluctuation(cell)"
            )
