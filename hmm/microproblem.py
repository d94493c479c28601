"""What the two scales ask of a cell, and how one point is solved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.accuracy import verify
from hmm.cell import Cell
from hmm.errors import ConvergenceError, InputError, collectively
from hmm.fields import MacroInput
from hmm.history import History
from hmm.newton import NewtonOptions, newton
from hmm.options import instance
from hmm.response import Condensed, PointState, Response
from hmm.stability import explain

if TYPE_CHECKING:
    from hmm.rve import RVE


class Microproblem(Protocol):
    """A cell with m macroscopic inputs and some unknowns: `hmm.RVE`, or `hmm.MixedControl` around one.

    What is unknown at a point is a row `z`. In an `hmm.RVE` that is the fluctuation; in an `hmm.MixedControl` the
    macroscopic components that follow from given responses are in it too.
    """

    cell: Cell
    inputs: tuple[MacroInput, ...]
    newton_options: NewtonOptions
    histories: dict[str, History]
    n_factorizations: int

    @property
    def whole(self) -> RVE:
        """The cell with all its macroscopic components."""
        ...

    @property
    def control(self) -> str:
        """What is given and what is free, for those who compare runs; empty if all inputs are given."""
        ...

    @property
    def n_inputs(self) -> int:
        """Number m of macroscopic components that are given."""
        ...

    @property
    def n_unknowns(self) -> int:
        """Unknowns of this rank."""
        ...

    @property
    def n_history(self) -> int:
        """Internal variables of this rank."""
        ...

    @property
    def reference(self) -> NDArray[np.float64]:
        """Packed macroscopic input of the undeformed state, shape (m,)."""
        ...

    @property
    def time_step(self) -> float:
        """Duration of the step."""
        ...

    @time_step.setter
    def time_step(self, dt: float) -> None: ...

    def initial_state(self) -> PointState:
        """The virgin state."""
        ...

    def solve(
        self,
        E: ArrayLike | Mapping[str, float],
        state: PointState | None = None,
        tangent: bool = True,
        dt: float | None = None,
    ) -> Response:
        """Solve one point (see `hmm.RVE.solve`)."""
        ...

    def check_time_step(self) -> None:
        """Raise `InputError` if the duration of the step is missing."""
        ...

    def split(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Packed responses as one tensor per macro input."""
        ...

    def pack(self, E: ArrayLike | Mapping[str, float]) -> NDArray[np.float64]:
        """Packed macroscopic input, shape (m,)."""
        ...

    def load_history(self, history: NDArray[np.float64]) -> None:
        """Make these the internal variables at the start of the step."""
        ...

    def load(self, z: NDArray[np.float64], E: NDArray[np.float64]) -> None:
        """Make (z, E) the point at which everything is evaluated."""
        ...

    def residual(self) -> NDArray[np.float64]:
        """Residual, shape (n_unknowns,), at the loaded point (a view, overwritten by the next call)."""
        ...

    def norm(self, residual: NDArray[np.float64]) -> float:
        """Norm of a residual over all ranks of the cell."""
        ...

    def why_not_a_number(self) -> str:
        """Why the residual at the loaded point is not a number (collective on the cell's ranks)."""
        ...

    def force_scale(self) -> float:
        """Forces with which the last residual is compared."""
        ...

    def roundoff(self, E: NDArray[np.float64]) -> float:
        """What rounding leaves in a residual."""
        ...

    def response(self) -> NDArray[np.float64]:
        """Macroscopic response, shape (m,), at the point of the last residual."""
        ...

    def linearize(self) -> None:
        """Assemble and factorize the tangent at the loaded point."""
        ...

    def forget(self) -> None:
        """Drop what is left of a solve that an exception ended."""
        ...

    def correction(self, residual: NDArray[np.float64], rtol: float) -> NDArray[np.float64]:
        """Newton correction, shape (n_unknowns,), to a relative residual `rtol` if iterative."""
        ...

    def condense(self, residual: NDArray[np.float64] | None = None) -> Condensed:
        """The linearized cell seen from outside."""
        ...

    def updated_history(self) -> NDArray[np.float64]:
        """Internal variables at the end of the loaded step."""
        ...


def _check_state(problem: Microproblem, state: PointState) -> None:
    """Raise `InputError` unless a state is one of this problem."""
    instance("state", state, PointState, "give rve.initial_state(), or the state of a response")
    sizes = state.z.shape, state.history.shape
    if sizes != ((problem.n_unknowns,), (problem.n_history,)):
        raise InputError(
            f"the state is of another RVE: {sizes[0]} unknowns and {sizes[1]} internal variables, where this one has "
            f"{problem.n_unknowns} and {problem.n_history}"
        )


def solve_point(problem: Microproblem, E: NDArray[np.float64], state: PointState, tangent: bool) -> Response:
    """Solve a microproblem for a packed macroscopic input, shape (m,); see `hmm.RVE.solve`."""
    problem.check_time_step()
    with collectively(problem.cell.comm):
        _check_state(problem, state)
    z = state.z.copy()
    problem.load_history(state.history)
    result = newton(problem, z, E, problem.newton_options)
    if not result.converged:
        why = explain(problem.whole)
        tensors = ", ".join(str(part.round(9).tolist()) for part in problem.split(E))
        raise ConvergenceError(
            f"the RVE did not converge for E = {tensors}: "
            f"{result.reason}{why or "; take smaller steps, or check the laws' parameters"}"
        )
    vector = problem.response()
    A = np.full((problem.n_inputs, problem.n_inputs), np.nan)
    if tangent or result.is_doubtful:
        problem.linearize()
        condensed = problem.condense().tangent
        verify(problem.whole, problem.whole.condensed_tangent)
        A = condensed if tangent else A
    new_state = PointState(z, problem.updated_history())
    return Response(vector, A, new_state, result.iterations, problem.split(vector))
