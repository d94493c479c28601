"""A law's own curve: one material point along a path of its fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.component_labels import index_of_component, names_of_components
from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.options import numbers
from hmm.foundation.tensors import Packing
from hmm.laws.base import Law
from hmm.laws.kernel import LawKernel

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MaterialCurve:
    """What a law answers along a path (see `material_point`).

    Attributes
    ----------
    fields, responses
        Shape (n, m); packed fields at the end of each step, and the packed responses.
    tangents
        Shape (n, m, m); consistent tangents.
    variables
        Internal variables by name, packed, shape (n, size) each.
    packings
        How each field, and the response to it, is packed, by name.
    """

    fields: Floats
    responses: Floats
    tangents: Floats
    variables: Mapping[str, Floats]
    packings: Mapping[str, Packing]

    def component(self, label: str) -> tuple[Floats, Floats]:
        """One component of the fields and its response, as entries of the tensors, shape (n,) each, for a diagram.

        Parameters
        ----------
        label
            Such as ``"11"``, or with several fields ``"strain 11"``.
        """
        k = index_of_component(self.packings, label)
        factor = _factors(self.packings)[k]
        return self.fields[:, k] / factor, self.responses[:, k] / factor


def material_point(
    law: Law, path: Iterable[ArrayLike | Mapping[str, float]], dt: ArrayLike | None = None, *, dim: int = 3
) -> MaterialCurve:
    """A law's own curve: its answers along a path of its fields, from the undeformed state on.

    Where some responses are prescribed, as in a tension test, give `hmm.LawModel` to `hmm.uniaxial`.

    Parameters
    ----------
    law
        One of `hmm.laws`, or your own.
    path
        The fields at the end of each step: packed (m numbers), or components by label such as ``{"11": 1e-3}`` (with
        several fields ``"strain 11"``), entries of the tensor; those not named are those of the undeformed state.
    dt
        Duration of each step, one number or as many as steps, for laws with rates.
    dim
        Dimension, 2 (plane strain) or 3.

    Raises
    ------
    InputError
        If a level of the path has no such component or another shape, or a law with rates is given no duration.
    ConvergenceError
        If the local equations of the law cannot be solved in a step.

    Examples
    --------
    >>> law = hmm.laws.J2(70e3, 0.3, 100.0, 1000.0)
    >>> curve = hmm.laws.material_point(law, [{"12": g} for g in (1e-3, 2e-3)])  # doctest: +SKIP
    """
    kernel = LawKernel(law, dim)
    x = np.array([_packed(kernel, level) for level in path]).reshape(-1, kernel.n_fields)
    durations = _durations(kernel, dt, len(x))
    responses, tangents = np.empty_like(x), np.empty((*x.shape, kernel.n_fields))
    variables, old = np.empty((len(x), kernel.n_variables)), kernel.initial(1)
    for step, (level, duration) in enumerate(zip(x, durations, strict=True)):
        answer = kernel(level[None], old, duration)
        if not all(np.isfinite(part).all() for part in answer):
            raise ConvergenceError(
                f"{type(law).__name__} has no answer in step {step + 1} of {len(x)}: take smaller steps"
            )
        old = answer[2]
        responses[step], tangents[step], variables[step] = (part[0] for part in answer)
    return MaterialCurve(x, responses, tangents, kernel.variables.split(variables), kernel.packings)


def _packed(kernel: LawKernel, level: ArrayLike | Mapping[str, float]) -> Floats:
    """Packed fields of one level of a path."""
    if isinstance(level, Mapping):
        x, factors = kernel.reference.copy(), _factors(kernel.packings)
        for label, value in level.items():
            k = index_of_component(kernel.packings, label)
            x[k] = float(numbers(f"component {label}", value)) * factors[k]
        return _finite(f"a level of the path, {dict(level)},", x)
    given = numbers("a level of the path", level)
    if given.shape != (kernel.n_fields,):
        names = ", ".join(names_of_components(kernel.packings))
        raise InputError(
            f"a level of the path has shape {given.shape}: give components by label, or {kernel.n_fields} numbers "
            f"packed as {names}"
        )
    return _finite("a level of the path", given)


def _durations(kernel: LawKernel, dt: ArrayLike | None, n: int) -> Floats:
    """Duration of each of n steps."""
    given = np.zeros(()) if dt is None else numbers("dt", dt)
    if given.shape not in ((), (n,)) or (given < 0).any():
        raise InputError(f"dt = {dt!r} must be a duration, or one for each of the {n} steps")
    if kernel.has_rates and not given.all():
        raise InputError(f"{type(kernel.law).__name__} depends on time, and a step has no duration: give dt=")
    return np.broadcast_to(given, (n,))


def _finite(what: str, values: Floats) -> Floats:
    """The values; raises `InputError` unless they are finite."""
    if not np.isfinite(values).all():
        raise InputError(f"{what} has a number that is not finite: give finite ones")
    return values


def _factors(packings: Mapping[str, Packing]) -> list[float]:
    return [factor for packing in packings.values() for factor in packing.factors]
