"""Solve a cell problem at one point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, InputError, collectively
from hmm.foundation.options import instance
from hmm.micro.newton import newton
from hmm.micro.protocols import Linearizable
from hmm.micro.response import PointState, Response
from hmm.models.components import split_vector
from hmm.models.points import Input


def solve_point(
    problem: Linearizable, inputs: Sequence[Input], E: NDArray[np.float64], state: PointState, tangent: bool
) -> Response:
    """Solve a cell problem for a packed macroscopic input, shape (m,); see `hmm.RVE.solve`."""
    with collectively(problem.comm):
        _check_state(problem, state)
    z = state.z.copy()
    problem.load_history(state.history)
    result = newton(problem, z, E, problem.newton_options)
    if result.failure is not None:
        why = problem.why_unstable() or "; use smaller steps, or check the parameters of the laws"
        given = ", ".join(str(part.round(9).tolist()) for part in split_vector(inputs, E))
        raise ConvergenceError(f"the RVE did not converge for E = {given}: {result.failure}{why}")
    vector = problem.response()
    A = np.full((problem.n_inputs, problem.n_inputs), np.nan)
    if tangent or result.is_doubtful:
        problem.linearize()
        condensed = problem.condense()
        problem.verify()
        A = condensed.tangent if tangent else A
    return Response(
        vector, A, PointState(z, problem.updated_history()), result.iterations, split_vector(inputs, vector)
    )


def _check_state(problem: Linearizable, state: PointState) -> None:
    """Raise `InputError` unless a state belongs to this problem."""
    instance("state", state, PointState, "give rve.initial_state(), or the state of a response")
    sizes = state.z.shape, state.history.shape
    if sizes != ((problem.n_unknowns,), (problem.n_history,)):
        raise InputError(
            f"the state belongs to another RVE: {sizes[0]} unknowns and {sizes[1]} internal variables, this one has "
            f"{problem.n_unknowns} and {problem.n_history}"
        )
