"""Evaluate a micro model at one point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.options import instance
from hmm.models.asking import answer, points_of
from hmm.models.components import pack_inputs, split_vector
from hmm.models.points import Floats, Points
from hmm.models.protocol import MicroModel, Rated


@dataclass(frozen=True)
class PointAnswer:
    """The answer of a micro model at one point.

    Attributes
    ----------
    vector
        Shape (m,); packed response.
    tangent
        Shape (m, m); packed consistent tangent.
    state
        The variables at the end of the step; pass it to the next call.
    parts
        The responses as tensors, one for each macroscopic input.
    """

    vector: Floats
    tangent: Floats
    state: Mapping[str, Floats]
    parts: tuple[Floats, ...]

    @property
    def stress(self) -> Floats:
        """The response to the first macroscopic input as a tensor."""
        return self.parts[0]


def solve_one(
    model: MicroModel,
    E: ArrayLike | Mapping[str, float],
    state: Mapping[str, Floats] | None = None,
    dt: float | None = None,
) -> PointAnswer:
    """Answer one point of any micro model.

    Parameters
    ----------
    model
        The model.
    E
        The macroscopic input at the end of the step: its tensor, the packed vector of all inputs, shape (m,), or
        components by label such as ``{"11": 1e-3}``.
    state
        State at the start of the step, from an earlier answer; by default the undeformed state.
    dt
        Duration of the step, for rate-dependent models.

    Raises
    ------
    InputError
        If `E` has a wrong shape or label, the state belongs to another model, or the duration is missing.
    ConvergenceError
        If the model has no answer.
    """
    points = point_at(model, state)
    answer_one(model, points, pack_inputs(model.inputs, E), dt)
    model.commit(points)
    points.accept()
    vector, tangent = points.committed.response[0].copy(), points.tangent[0].copy()
    return PointAnswer(vector, tangent, points.values_at(0), split_vector(model.inputs, vector))


class OnePoint:
    """A micro model that also answers single points."""

    def solve(
        self: MicroModel,
        E: ArrayLike | Mapping[str, float],
        state: Mapping[str, Floats] | None = None,
        dt: float | None = None,
    ) -> PointAnswer:
        """Answer one point (see `hmm.models.solve_one`)."""
        return solve_one(self, E, state, dt)


def point_at(model: MicroModel, state: Mapping[str, Floats] | None) -> Points:
    """One row in a given state; raises `InputError` if the state belongs to another model."""
    points = points_of(model, 1)
    if state is None:
        return points
    instance("state", state, Mapping, "give the state of an answer")
    for name, array in points.persistent().items():
        if name not in state or np.shape(state[name]) != array.shape[1:]:
            what = f"{name!r} has the shape {np.shape(state[name])}" if name in state else f"it has no {name!r}"
            raise InputError(f"the state belongs to another model ({what}): give one of this {type(model).__name__}")
    points.restore({name: np.asarray(state[name])[None] for name in points.persistent()})
    return points


def duration_of(model: MicroModel, dt: float | None) -> float:
    """Duration of a step: `dt`, or by default the `time_step` of a model that has one; raises if it is needed."""
    duration = getattr(model, "time_step", 0.0) if dt is None else dt
    if isinstance(model, Rated) and model.has_rates and not duration:
        raise InputError(f"this {type(model).__name__} depends on time, and the step has no duration: give dt=")
    return duration


def answer_one(model: MicroModel, points: Points, E: Floats, dt: float | None) -> None:
    """Evaluate one row for a packed macroscopic input, shape (m,); raises `ConvergenceError` if this fails."""
    points.ask(E[None], duration_of(model, dt), "nested")
    answer(model, points)
    if points.failures:
        raise ConvergenceError(f"{type(model).__name__} has no answer: {points.failures[0]}")
