"""Whether a model's tangent is the derivative of its response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import ConvergenceError, InputError
from hmm.models.asking import answer, points_of
from hmm.models.components import component_names, pack_inputs
from hmm.models.protocol import MicroModel
from hmm.models.single import duration_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TangentCheck:
    """A tangent beside difference quotients of the response.

    Attributes
    ----------
    tangent, differences
        Shape (m, m); both packed.
    error
        Largest deviation, relative to the largest entry of the differences.
    worst
        Labels of the response and of the input where it is.
    tolerance
        The largest error that passes.
    """

    tangent: Floats
    differences: Floats
    error: float
    worst: tuple[str, str]
    tolerance: float

    def __bool__(self) -> bool:
        return self.error <= self.tolerance

    def __str__(self) -> str:
        verdict = "agrees with" if self else "is NOT"
        what = f"largest relative deviation {self.error:.1e} in d response {self.worst[0]} / d input {self.worst[1]}"
        return f"the tangent {verdict} the derivative of the response: {what}, tolerance {self.tolerance:.0e}"


def tangent(
    model: MicroModel,
    E: ArrayLike | Mapping[str, float],
    state: Any = None,
    *,
    dt: float | None = None,
    step: float = 1e-7,
    tangent: ArrayLike | None = None,
    tolerance: float = 1e-4,
) -> TangentCheck:
    """Compare the consistent tangent of any micro model with central difference quotients of its response.

    Parameters
    ----------
    model
        An `hmm.RVE`, `hmm.MixedControl`, `hmm.FunctionModel` or any other micro model.
    E
        The macroscopic input.
    state
        State at the start of the step, from an earlier answer; the undeformed one by default.
    dt
        Duration of the step, for models with rates; by default the `time_step` of an RVE.
    step
        Half the width of the differences, in the unit of the input. Where a point changes its branch within it (yields,
        say), the differences are no derivative.
    tangent
        The tangent to be checked, shape (m, m); that of the model by default.
    tolerance
        The largest error that passes: difference quotients are exact to about ``rtol / step`` of the micro problem.

    Returns
    -------
    TangentCheck
        True if the tangent passes; prints as a sentence.

    Raises
    ------
    InputError
        If `step` is not positive, or the duration of the step is missing.
    ConvergenceError
        If the model has no answer at one of the inputs.
    """
    if not 0 < step < np.inf:
        raise InputError(f"step = {step} of the difference quotients must be positive and finite")
    vector, duration = pack_inputs(model.inputs, E), duration_of(model, dt)
    m = vector.size
    points = points_of(model, 1 + 2 * m)
    if state is not None:
        given = _values(state)
        points.restore({name: given.get(name, array[0]) for name, array in points.persistent().items()})
    shifts = step * np.eye(m)
    points.ask(vector + np.concatenate([np.zeros((1, m)), shifts, -shifts]), duration, "nested")
    answer(model, points)
    if points.failures:
        raise ConvergenceError(f"{type(model).__name__}: {next(iter(points.failures.values()))}")
    response = points.trial.response
    differences = ((response[1 : 1 + m] - response[1 + m :]) / (2 * step)).T
    A = np.asarray(points.tangent[0] if tangent is None else tangent, dtype=float)
    deviation = np.abs(A - differences) / (np.abs(differences).max() or 1.0)
    i, j = np.unravel_index(int(np.argmax(deviation)), (m, m))
    names = component_names(model.inputs)
    return TangentCheck(A.copy(), differences, float(deviation.max()), (names[i], names[j]), tolerance)


def tangent_error(model: MicroModel, E: ArrayLike | Mapping[str, float], state: Any = None, **options: Any) -> float:
    """The `TangentCheck.error` of `tangent`, whose options it takes."""
    return tangent(model, E, state, **options).error


def _values(state: Any) -> dict[str, Floats]:
    """The values of a state: of a mapping, or of an `hmm.PointState`."""
    return dict(asdict(state) if is_dataclass(state) and not isinstance(state, type) else state)
