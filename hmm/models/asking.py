"""Evaluate a micro model, and check its answers."""

from __future__ import annotations

from dataclasses import replace
from time import thread_time

import numpy as np

from hmm.foundation.errors import ConvergenceError, HMMError
from hmm.models.points import InitialPoint, Points, input_blocks
from hmm.models.protocol import Collective, MicroModel, Recoverable


def points_of(model: MicroModel, n: int) -> Points:
    """Rows of a model in the undeformed state.

    Raises
    ------
    ConvergenceError
        If the model has no answer there.
    """
    return Points(model.inputs, model.variables, _with_answer(model), n)


def answer(model: MicroModel, points: Points, name: str = "") -> None:
    """Let a model answer the requested rows; exceptions and non-finite numbers become failures of rows."""
    if not points.asked.size and not is_collective(model):
        return
    start = thread_time()
    points.converged[points.asked] = False
    try:
        model.answer(points)
    except Exception as error:
        if not points.asked.size:
            raise
        points.failures[int(points.asked[0])] = in_one_line(error)
        if isinstance(model, Recoverable):
            model.forget()
    if points.asked.size and not points.seconds.any():
        points.seconds[points.asked] = (thread_time() - start) / points.asked.size
    _check_finite(model, points)
    # After an exception, other rows may lack an answer too.
    answered = points.asked[points.converged[points.asked]] if points.failures else points.selection
    points.trial.E[answered] = points.E[answered]


def is_collective(model: MicroModel) -> bool:
    """Whether all ranks must call a model together."""
    return isinstance(model, Collective) and model.is_collective


def in_one_line(error: Exception) -> str:
    """An exception in one line, with its type unless it is an error of `hmm`."""
    lines = [line for line in str(error).splitlines() if "() at " not in line] or ["no message"]  # PETSc's call stack
    kind = type(error)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[-1]}.{kind.__name__}"
    return lines[-1] if isinstance(error, HMMError) else f"{name}: {lines[-1]}"


def _check_finite(model: MicroModel, points: Points) -> None:
    rows = points.asked
    parts = {"response": points.trial.response, "tangent": points.tangent}
    parts |= {f"variable {name!r}": values for name, values in points.trial.variables.items()}
    for what, values in parts.items():
        if np.isfinite(values.sum()):  # much cheaper than testing each number, and nearly always sufficient
            continue
        bad = rows[~np.isfinite(values[rows]).reshape(rows.size, -1).all(axis=1)]
        for p in bad.tolist():
            points.failures.setdefault(p, f"{type(model).__name__}: the {what} is not a number")
            points.converged[p] = False


def _with_answer(model: MicroModel) -> InitialPoint:
    """The undeformed state of a model, with response and tangent; the model is evaluated if it does not give them."""
    start = model.initial()
    if start.response is not None and start.tangent is not None:
        return start
    m = input_blocks(model.inputs).size
    one = Points(model.inputs, model.variables, replace(start, response=np.zeros(m), tangent=np.zeros((m, m))), 1)
    one.ask(one.committed.E, 1.0, "nested")
    model.answer(one)
    _check_finite(model, one)
    if one.failures:
        raise ConvergenceError(f"{type(model).__name__} has no answer in the undeformed state: {one.failures[0]}")
    values = {**start.values, **{name: guide[0].copy() for name, guide in one.guides.items()}}
    return InitialPoint(values, one.trial.response[0].copy(), one.tangent[0].copy())
