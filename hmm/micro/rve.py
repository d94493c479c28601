"""The representative volume element (RVE): the cell problem of a user, as a micro model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.cells.cell import Cell
from hmm.foundation.environment import require_communicators
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.options import choice, dictionary, instance, is_real
from hmm.laws.base import Law, Local
from hmm.laws.rigid import Rigid
from hmm.micro.advice import LockingWatch, warn_of_axes
from hmm.micro.cell_forms import CellForms
from hmm.micro.cell_model import CellModel
from hmm.micro.definition import define
from hmm.micro.dump import write_dump
from hmm.micro.fingerprint import cell_fingerprint, parameters_of
from hmm.micro.fluctuation import Operator
from hmm.micro.history import History
from hmm.micro.inputs import MacroInput
from hmm.micro.ordering import places_of_history, places_of_unknowns
from hmm.micro.protocols import NewtonOptions
from hmm.micro.response import PointState, Response
from hmm.micro.solve_point import solve_point
from hmm.micro.solvers.choose import SolverChoice
from hmm.micro.system import CellSystem
from hmm.models.components import pack_inputs, split_vector
from hmm.models.failures import MicroFailure
from hmm.models.points import Points

Floats = NDArray[np.float64]


class RVE(CellModel[CellSystem]):
    """A unit cell with fluctuation, laws and boundary condition; compiled once, solved for any number of points.

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
        ``"periodic"``, ``"dirichlet"`` or ``"minimal"`` (see `hmm.micro.constraints`).
    micro
        Local fields without a macroscopic counterpart, for laws that ask for them: an operator on `w` for each name,
        such as ``{"pressure": hmm.component(1)}``. A response of a law to such a field is work-conjugate to it.
    fixed_dofs
        Degrees of freedom of `w` that are zero, such as those from `hmm.wall_dofs`.
    quadrature_degree
        Polynomial degree of the quadrature rule; by default sufficient for the linear stiffness. A lower degree gives a
        warning.
    newton_options
        Tolerances of Newton's method in the cell.
    solver
        One of `hmm.micro.solvers.described.SOLVERS`; ``"auto"`` (default) chooses by estimated cost.
    petsc_options
        PETSc options of the linear solver of the cell, without prefix; on the command line ``-hmm_micro_...``.
    dt
        Duration of the step, if your own `energy` depends on it; laws receive it from `time_step`.

    Attributes
    ----------
    problem
        The `hmm.micro.definition.CellProblem`: all arguments, checked.
    forms
        The compiled forms: the residual ``R_w`` and, for each macroscopic input, ``R_E``.
    system
        The `hmm.micro.system.CellSystem`: the reduced system with its linear solver.

    Notes
    -----
    With ``K = dR_w/dw``, ``L = dR_w/dE``, ``M = dR_E/dw`` and ``D = dR_E/dE``, the response is
    ``Sigma = R_E / |Y|`` and its consistent tangent the Schur complement ``A = (D - M K^-1 L) / |Y|``, where
    ``M = L^T`` if the problem has a potential (Miehe and Koch 2002; Kouznetsova et al. 2001).

    Raises
    ------
    InputError
        If a law is given for an unknown phase, a phase has no law, or the mesh does not suit the constraint.
    """

    def __init__(
        self,
        cell: Cell,
        w: fem.Function,
        E: MacroInput | Sequence[MacroInput],
        law: Mapping[str, Law | Rigid] | None = None,
        *,
        energy: ufl.Form | None = None,
        constraint: str = "periodic",
        micro: Mapping[str, Operator] | None = None,
        fixed_dofs: ArrayLike = (),
        quadrature_degree: int | None = None,
        newton_options: NewtonOptions | None = None,
        solver: str = "auto",
        petsc_options: Mapping[str, object] | None = None,
        dt: fem.Constant | None = None,
    ) -> None:
        self.problem = define(cell, w, E, law, energy, constraint, micro, fixed_dofs, quadrature_degree, dt)
        with collectively(cell.comm):
            require_communicators()
        if newton_options is not None:
            instance("newton_options", newton_options, NewtonOptions, "give hmm.NewtonOptions(rtol=...)")
        options = dictionary("petsc_options", petsc_options, "PETSc options by name")
        wanted = SolverChoice(solver, options)
        self.forms = CellForms(self.problem)
        self.system = CellSystem(self.forms, wanted, newton_options or NewtonOptions())
        self.solver_choice = wanted
        warn_of_axes(self.problem)
        watch = LockingWatch(self.system.loaded)
        watch.begin()
        self.system.loaded.watcher = watch.watch

    # -- definition ------------------------------------------------------------------------------------------------

    @property
    def cell(self) -> Cell:
        """The unit cell."""
        return self.problem.cell

    @property
    def w(self) -> fem.Function:
        """The fluctuation; it keeps the solution of a step until the next solve."""
        return self.problem.w

    @property
    def inputs(self) -> tuple[MacroInput, ...]:
        """The macroscopic inputs."""
        return self.problem.inputs

    @property
    def law(self) -> Mapping[str, Law]:
        """The law of each phase; empty if the RVE was made from an energy."""
        return self.problem.law

    @property
    def parameters(self) -> Sequence[fem.Constant | fem.Function]:
        """Constants and Functions in forms and updates that may be changed between two solves."""
        return parameters_of(self.forms)

    @property
    def histories(self) -> Mapping[str, History]:
        """Internal variables of each phase that has any."""
        return self.forms.histories

    @property
    def has_rates(self) -> bool:
        """Whether the laws depend on the duration of the step."""
        return self.forms.has_rates

    @property
    def time_step(self) -> float:
        """Duration of the step, in the unit of time of the laws; only rate-dependent laws need it."""
        return self.system.time_step

    @time_step.setter
    def time_step(self, dt: float) -> None:
        if not (is_real(dt) and 0 <= dt < float("inf")):
            raise InputError(f"time step {dt} must be finite and not negative")
        self.system.time_step = dt

    # -- one point -------------------------------------------------------------------------------------------------

    def initial_state(self) -> PointState:
        """The undeformed state: fluctuation and internal variables are zero."""
        return PointState(np.zeros(self.n_unknowns), np.zeros(self.n_history))

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
            components by label, such as ``{"11": 1e-3}``; the others keep their undeformed values.
        state
            State at the start of the step; by default the undeformed state. Not modified.
        tangent
            Whether to compute the consistent tangent; otherwise it is filled with NaN.
        dt
            Duration of the step, for rate-dependent laws; by default `time_step`.

        Returns
        -------
        Response
            Response, consistent tangent and new state. `w` and the function of the macroscopic input keep the fields of
            the step until the next solve.

        Raises
        ------
        InputError
            If `E` has a shape or a label that the macroscopic input does not have.
        ConvergenceError
            If Newton's method does not converge.
        """
        if dt is not None:
            self.time_step = dt
        start = self.initial_state() if state is None else state
        self.check_ready()
        return solve_point(self.system, self.inputs, self.pack(E), start, tangent)

    def check_ready(self) -> None:
        """Raise `InputError` if a law depends on the duration of the step and none was given."""
        if self.has_rates and not self.time_step:
            raise InputError("a law depends on time, and the step has no duration: give dt=, or set time_step")

    def pack(self, E: ArrayLike | Mapping[str, float]) -> Floats:
        """Packed macroscopic input, shape (m,), of a tensor (single input), a packed vector or components by label."""
        return pack_inputs(self.inputs, E)

    def split(self, vector: Floats) -> tuple[Floats, ...]:
        """Packed responses, shape (..., m), as one tensor per macro input."""
        return split_vector(self.inputs, vector)

    def response_at(self, points: Points, row: int) -> Response:
        """The response of a row at its committed state; loads its fields."""
        state = PointState(
            points.committed.variables["z"][row].copy(), points.committed.variables["history"][row].copy()
        )
        self.load(state, points.committed.E[row])
        self.system.residual()
        vector = points.committed.response[row].copy()
        return Response(vector, points.tangent[row].copy(), state, 0, self.split(vector))

    def load(self, state: PointState, E: ArrayLike | Mapping[str, float]) -> None:
        """Load the state and the macroscopic input of a point, for `average` and `local_response`."""
        self.system.load_history(state.history)
        self.system.load(state.z, self.pack(E))

    def local(self) -> ufl.core.expr.Expr:
        """The local field ``E + D w`` of the first macroscopic input, as UFL; laws receive it embedded in 3D."""
        return self.problem.local()

    def at(self, phase: str) -> Local:
        """The arguments of the law of a phase: local fields, old internal variables, time step, local unknowns."""
        return self.forms.at(choice("phase", phase, self.law))

    def average(self, expression: ufl.core.expr.Expr, phase: str | None = None) -> float:
        """Volume average over |Y| (including voids) of a scalar UFL expression at the loaded state.

        Parameters
        ----------
        expression
            A scalar expression on the cell's mesh.
        phase
            Integrate over this phase only; the integral is still divided by |Y|.
        """
        return self.system.loaded.average(expression, phase)

    def local_response(self, phase: str, field: str | None = None) -> ufl.core.expr.Expr:
        """Local response of a phase at the loaded state, as UFL: a stress has shape (3, 3).

        Parameters
        ----------
        phase
            Name of the phase.
        field
            Name of the work-conjugate local field; by default that of the first macroscopic input.
        """
        answers = self.forms.answers(choice("phase", phase, self.law))
        return answers[choice("response", field or self.inputs[0].field, answers)]

    def phase_tangents(self, phases: Iterable[str] | None = None) -> dict[str, Floats]:
        """Packed initial tangent of the law of each phase, shape (m, m), averaged over the phase (collective).

        By default of all phases. The undeformed state stays loaded. The mean over |Y| is the Voigt bound.
        """
        self.system.loaded.load_undeformed()
        return self.system.loaded.phase_tangents(self.cell.phases if phases is None else phases)

    def destroy(self) -> None:
        """Free the PETSc objects (collective on the cell's ranks); the RVE cannot be used afterwards.

        Only needed for cells on several ranks: Python's garbage collection is not collective, so it cannot free them.
        """
        self.system.destroy()

    def check_usable(self) -> None:
        """Raise `InputError` if the RVE was destroyed."""
        if self.system.is_destroyed:
            raise InputError("this RVE was destroyed and cannot be used any more: create a new one")

    # -- capabilities of a micro model (see also `CellModel`) ------------------------------------------------------

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the cell: the ranks that work on each point together."""
        return self.cell.comm

    def positions(self) -> Mapping[str, NDArray[np.int64]]:
        """Positions of this rank's share of the unknowns and internal variables (see `hmm.micro.ordering`)."""
        return self.positions_of(self.n_unknowns)

    def positions_of(self, n_unknowns: int) -> dict[str, NDArray[np.int64]]:
        """`positions` for a given number of unknowns: mixed control has further ones on the last rank."""
        constraint = self.system.loaded.reduced.constraint
        unknowns = places_of_unknowns(self.w.function_space, constraint, n_unknowns)
        history = places_of_history(self.cell.mesh, self.histories.values())
        return {"z": unknowns, "sensitivity": unknowns, "history": history}

    @property
    def observables(self) -> Mapping[str, int]:
        """Averages of internal variables over their phases, such as ``p_matrix``, and their packed sizes."""
        return {f"{v}_{phase}": p.size for phase, h in self.histories.items() for v, p in h.packings.items()}

    def observe(self, points: Points, name: str) -> Floats:
        """Average of an internal variable over its phase at the committed state of all rows, shape (n, size)."""
        rows = self.forms.history_blocks.split(points.committed.variables["history"])
        for phase, history in self.histories.items():
            for variable, packing in history.packings.items():
                if name == f"{variable}_{phase}":
                    own = np.array([history.average(row, variable) for row in rows[phase]])
                    return self.system.loaded.reduced.sum(own.reshape(points.n, packing.size))
        raise InputError(f"the RVE has no average {name!r}: there are {', '.join(self.observables) or 'none'}")

    def fingerprint(self) -> Mapping[str, str]:
        """What the answers depend on, by the name used in messages (collective in the cell's ranks)."""
        return cell_fingerprint(self.system.loaded)

    def dump(self, directory: Path, points: Points, row: int, failure: MicroFailure) -> Path:
        """Write what `hmm.replay` needs of a failed row to a new file in a directory."""
        made = (self.problem, self.solver_choice, self.system.newton_options)
        return write_dump(directory, *made, "", points, row, failure)
