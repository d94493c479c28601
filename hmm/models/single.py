"""Ask a micro model at one point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hmm.foundation.blocks import Blocks
from hmm.foundation.errors import ConvergenceError
from hmm.models.asking import answer, points_of
from hmm.models.components import pack_inputs
from hmm.models.points import Floats
from hmm.models.protocol import MicroModel


@dataclass(frozen=True)
class PointAnswer:
    """What a micro model answers at one point.

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
    dt: float = 0.0,
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
        State at the start of the step, from an earlier answer; the undeformed one by default.
    dt
        Duration of the step.

    Raises
    ------
    InputError
        If the shape or a label of `E` is not the model's.
    ConvergenceError
        If the model has no answer.
    """
    points = points_of(model, 1)
    if state is not None:
        points.restore({name: np.asarray(value)[None] for name, value in state.items()})
    points.ask(pack_inputs(model.inputs, E)[None], dt, "nested")
    answer(model, points)
    if points.failures:
        raise ConvergenceError(f"{type(model).__name__} has no answer: {points.failures[0]}")
    model.commit(points)
    points.accept()
    vector, tangent = points.committed.response[0].copy(), points.tangent[0].copy()
    split = Blocks({e.name: e.size for e in model.inputs}).split(vector)
    parts = tuple(e.packing.to_tensor(split[e.name]) for e in model.inputs)
    return PointAnswer(vector, tangent, points.values_at(0), parts)
