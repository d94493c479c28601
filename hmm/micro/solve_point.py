"""Solve a cell problem at one point."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError
from hmm.micro.newton import newton
from hmm.micro.protocols import Linearizable
from hmm.micro.response import PointState, Response


class Solvable(Linearizable, Protocol):
    """A cell problem whose responses can be told apart as tensors."""

    def check_time_step(self) -> None:
        """Raise `InputError` if the duration of the step is missing."""
        ...

    def split(self, vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Packed responses as one tensor per macro input."""
        ...


def solve_point(problem: Solvable, E: NDArray[np.float64], state: PointState, tangent: bool) -> Response:
    """Solve a cell problem for a packed macroscopic input, shape (m,); see `hmm.RVE.solve`."""
    problem.check_time_step()
    z = state.z.copy()
    problem.load_history(state.history)
    result = newton(problem, z, E, problem.newton_options)
    if not result.converged:
        tensors = ", ".join(str(part.round(9).tolist()) for part in problem.split(E))
        raise ConvergenceError(
            f"the RVE did not converge for E = {tensors}: "
            f"{result.failure}; take smaller steps, or check the laws' parameters"
        )
    vector = problem.response()
    A = np.full((problem.n_inputs, problem.n_inputs), np.nan)
    if tangent:
        problem.linearize()
        A = problem.condense().tangent
    new_state = PointState(z, problem.updated_history())
    return Response(vector, A, new_state, result.iterations, problem.split(vector))
