"""A user's function as a micro model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation import options
from hmm.foundation.described import described
from hmm.foundation.errors import InputError
from hmm.models.plain import PlainModel
from hmm.models.points import Floats, InitialPoint, Input, Points, Variable, input_blocks

Old = Mapping[str, Floats]

Result = tuple[ArrayLike, ArrayLike | None, Mapping[str, ArrayLike]]

Function = Callable[[Floats, Old, float], Result]

TANGENTS = ("given", "differences", "broyden")


class FunctionModel(PlainModel):
    """A micro model given by a function ``(E, old, dt) -> (response, tangent or None, new)``.

    Parameters
    ----------
    function
        The function. If `vectorized`, it receives all requested points at once: ``E``, shape (n, m), the packed
        macroscopic inputs (Mandel for a strain); ``old``, for each variable the values at the start of the step, shape
        ``(n, *shape)``; the duration ``dt`` of the step. It returns the packed responses, shape (n, m); the consistent
        tangents ``d response / d E``, shape (n, m, m), or None; and the new values of the variables by name. Otherwise
        it is called once per point, with the same shapes without n. It must not store or modify its arguments. NaN
        means that a point has no answer; the step is then cut back.
    inputs
        The macroscopic input, such as ``hmm.models.strain(2)``, or several with different names.
    variables
        Variables of a point, by name, that persist between steps: the number of floats, initially zero, or an array
        of initial values.
    vectorized
        Whether the function accepts many points at once.
    tangent
        ``"given"``: the tangent of the function, or difference quotients if it returns None. ``"differences"``: central
        difference quotients, with 2 m further evaluations per point. ``"broyden"``: rank-one updates of the last
        tangent (Broyden 1965), without further evaluations but with more macro iterations.
    precision
        Relative precision of the responses; by default the machine precision. It determines the step of the difference
        quotients, ``scale * precision**(1/3)``, for which truncation and rounding errors balance.
    scale
        Typical magnitude of the macroscopic inputs for this step: a number or shape (m,). Use 1 for strains.
    rates
        Whether the function needs the duration of the step.
    parameters
        Objects with a ``value``, such as ``fem.Constant``, that the function reads; checkpoints record them.
    name
        Name of the model in messages; by default that of the function.

    Attributes
    ----------
    observables
        The scalar variables, which `hmm.Output` writes.

    Raises
    ------
    InputError
        If two inputs have the same name, or a variable, option or answer has the wrong type or shape.

    Examples
    --------
    >>> def spring(E, old, dt):
    ...     C = 3.0 * np.eye(3)
    ...     return E @ C, np.broadcast_to(C, (len(E), 3, 3)), {}
    >>> model = hmm.FunctionModel(spring, hmm.models.strain(2))  # doctest: +SKIP
    """

    def __init__(
        self,
        function: Function,
        inputs: Input | Sequence[Input],
        variables: Mapping[str, int | ArrayLike] | None = None,
        *,
        vectorized: bool = True,
        tangent: str = "given",
        precision: float = float(np.finfo(float).eps),
        scale: ArrayLike = 1.0,
        rates: bool = False,
        parameters: Sequence[Any] = (),
        name: str | None = None,
    ) -> None:
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))
        options.function(f"FunctionModel {self.name}: function", function, "E, old, dt")
        if tangent not in TANGENTS:
            raise InputError(f"FunctionModel {self.name}: tangent = {tangent!r} must be one of {', '.join(TANGENTS)}")
        if not 0 < precision < 1e-2:
            raise InputError(f"FunctionModel {self.name}: precision = {precision} must be between 0 and 0.01")
        self.function, self.vectorized, self.tangent = function, vectorized, tangent
        self.inputs = checked_inputs(self.name, inputs)
        self.has_rates, self.parameters = bool(rates), tuple(parameters)
        self._start = initial_values(self.name, variables or {})
        self.variables = {name: Variable(value.shape) for name, value in self._start.items()}
        self._steps = _steps(self.name, scale, precision, input_blocks(self.inputs).size)
        self._has_said = False
        self._described = described(function)  # now, since captured values may change during the run

    def initial(self) -> InitialPoint:
        """A point before the first step."""
        return InitialPoint(self._start)

    def answer(self, points: Points) -> None:
        """Evaluate the function for the requested rows (see `hmm.models.MicroModel`)."""
        rows = points.selection
        E = points.E[rows]
        old = {name: values[rows] for name, values in points.committed.variables.items()}
        response, tangent, new = self.evaluate(E, old, points.dt)
        points.count.evaluations += len(E)
        if self.tangent == "broyden":
            tangent = self._updated_tangent(points, E, response, old)
        elif self.tangent == "differences" or tangent is None:
            tangent = self._differences(points, E, old)
        points.trial.response[rows], points.tangent[rows] = response, tangent
        for name, values in new.items():
            points.trial.variables[name][rows] = values
        points.converged[rows] = True

    def evaluate(self, E: Floats, old: Old, dt: float) -> tuple[Floats, Floats | None, dict[str, Floats]]:
        """The checked answer of the function to inputs of shape (n, m)."""
        if self.vectorized:
            return self._checked(self.function(E, old, dt), len(E))
        results = [self.function(e, {k: v[p] for k, v in old.items()}, dt) for p, e in enumerate(E)]
        for p, result in enumerate(results):
            self._require_triple(result, f"point {p}")
        tangents = [t for _, t, _ in results if t is not None]
        stacked = (
            np.array([r for r, _, _ in results]),
            np.array(tangents) if len(tangents) == len(results) else None,
            {name: np.array([new[name] for _, _, new in results]) for name in results[0][2]} if results else {},
        )
        return self._checked(stacked, len(E))

    def fingerprint(self) -> dict[str, str]:
        """The function, as it was when the model was created, and the variables, by their names in messages."""
        return {"function of the micro model": self._described, **variables_in_words(self.variables)}

    def _differences(self, points: Points, E: Floats, old: Old) -> Floats:
        """Central difference quotients for all rows at once, shape (n, m, m)."""
        self._say(points)
        n, m = E.shape
        shifted = np.concatenate([E + s * step for step in np.diag(self._steps) for s in (1, -1)])
        many = {name: np.tile(values, (2 * m, *[1] * (values.ndim - 1))) for name, values in old.items()}
        response, _, _ = self.evaluate(shifted, many, points.dt)
        points.count.evaluations += 2 * m * n
        points.count.differences += n
        plus_minus = response.reshape(m, 2, n, m)
        quotients = (plus_minus[:, 0] - plus_minus[:, 1]) / (2 * self._steps[:, None, None])
        return quotients.transpose(1, 2, 0)

    def _updated_tangent(self, points: Points, E: Floats, response: Floats, old: Old) -> Floats:
        """The last tangents after a Broyden update with the last increment of the input."""
        rows = points.selection
        tangent = points.tangent[rows].copy()
        if not tangent.any(axis=(1, 2)).all():
            return self._differences(points, E, old)
        self._say(points)
        points.count.differences += len(E)
        dE = E - points.trial.E[rows]
        lacking = response - points.trial.response[rows] - np.einsum("nij,nj->ni", tangent, dE)
        square = np.einsum("nj,nj->n", dE, dE)
        moved = (square > 0) & np.isfinite(response).all(axis=1)  # without an answer, keep the last tangent
        tangent[moved] += lacking[moved, :, None] * dE[moved, None, :] / square[moved, None, None]
        return tangent

    def _say(self, points: Points) -> None:
        said, self._has_said = self._has_said, True
        if said or MPI.COMM_WORLD.rank:
            return
        how = "Broyden updates" if self.tangent == "broyden" else "central difference quotients"
        logging.getLogger("hmm").warning(
            "the micro model %s gives no tangent: %s replace it (step %.1e), as counted in problem.stats",
            self.name,
            how,
            float(self._steps.max()),
        )

    def _require_triple(self, result: object, where: str) -> None:
        if not isinstance(result, tuple) or len(result) != 3 or not isinstance(result[2], Mapping):
            raise InputError(
                f"FunctionModel {self.name} returned {type(result).__name__} at {where}: return a tuple "
                "(response, tangent or None, dictionary of new variables)"
            )

    def _checked(self, result: Result, n: int) -> tuple[Floats, Floats | None, dict[str, Floats]]:
        self._require_triple(result, "all points" if self.vectorized else "its points")
        response, tangent, new = result
        m = input_blocks(self.inputs).size
        if missing := set(self.variables).symmetric_difference(new):
            raise InputError(
                f"FunctionModel {self.name}: the new variables are {', '.join(new) or 'none'} and should be "
                f"{', '.join(self.variables) or 'none'}: {sorted(missing)[0]!r} is the difference"
            )
        return (
            checked_array(self.name, "response", response, (n, m)),
            None if tangent is None else checked_array(self.name, "tangent", tangent, (n, m, m)),
            {k: checked_array(self.name, f"variable {k!r}", v, (n, *self.variables[k].shape)) for k, v in new.items()},
        )


def checked_inputs(model: str, inputs: Input | Sequence[Input]) -> tuple[Input, ...]:
    """The inputs of a model as a tuple; raises `InputError` unless they are inputs with different names."""
    several = (inputs,) if isinstance(inputs, Input) else tuple(inputs)
    for e in several:
        if not isinstance(e, Input):
            raise InputError(f"model {model}: {e!r} is not a macroscopic input: give one such as hmm.models.strain(2)")
    names = [e.name for e in several]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"model {model} has two inputs named {repeated[0]!r}: give each its own name=")
    if not several:
        raise InputError(f"model {model} has no macroscopic input: give one, such as hmm.models.strain(2)")
    return several


def initial_values(model: str, variables: Mapping[str, int | ArrayLike]) -> dict[str, Floats]:
    """Initial values of variables that are given by their number of floats or by these values."""
    values = {}
    for name, given in variables.items():
        is_size = isinstance(given, int | np.integer) and not isinstance(given, bool)
        try:
            value = np.zeros(cast(int, given)) if is_size else np.array(given, dtype=float)
        except (TypeError, ValueError):
            raise InputError(
                f"model {model}: variable {name!r} = {given!r} must be a number of floats or initial values"
            ) from None
        if not np.isfinite(value).all():
            raise InputError(f"model {model}: the initial value of variable {name!r} is not a finite number")
        values[str(name)] = value
    return values


def variables_in_words(variables: Mapping[str, Variable]) -> dict[str, str]:
    """The variables of a model for its fingerprint."""
    return {"variables of the micro model": ", ".join(f"{name} {v.shape}" for name, v in variables.items()) or "none"}


def checked_array(model: str, what: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An answer as an array of floats; raises `InputError` if it has another shape or type."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise InputError(f"model {model}: the {what} has the type {array.dtype}: return real numbers")
    if array.shape != shape:
        raise InputError(f"model {model}: the {what} has the shape {array.shape} and should have {shape}")
    return array.astype(float, copy=False)


def _steps(model: str, scale: ArrayLike, precision: float, m: int) -> Floats:
    size = np.asarray(scale, dtype=float)
    if size.shape not in ((), (m,)) or not (np.isfinite(size).all() and (size > 0).all()):
        raise InputError(
            f"FunctionModel {model}: scale = {scale!r} must be positive: one number, or one for each of {m}"
        )
    return np.broadcast_to(size, (m,)) * precision ** (1 / 3)
