"""Conduction of heat or charge, diffusion: a flux proportional to the gradient of a scalar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ufl

from hmm.foundation.errors import InputError
from hmm.laws.base import Local, Memoryless, OfField, Responses, constants, parameter_at, require_positive
from hmm.laws.registry import declare


@declare(
    "conduction",
    {"conductivity": "flux per gradient; number, matrix or function", "depends_on": ""},
    tests=["laws/test_laws_thermal.py"],
)
@dataclass(frozen=True)
class Fourier(Memoryless):
    """Conduction by Fourier, Fick or Ohm: the response to the gradient g is ``k g``, the flux against the gradient.

    If the conductivity is a function, the cell needs a macro temperature besides the gradient,
    ``RVE(cell, w, [hmm.macro_temperature(cell), hmm.macro_gradient(cell)], law)``; the response to the temperature is
    then zero, since this law stores no heat. The conductivity may instead depend on the gradient.

    Attributes
    ----------
    conductivity
        Heat conductivity, diffusivity or electric conductivity: a positive number, a positive definite matrix of the
        cell's dimension, or a function that returns one of these in UFL, ``lambda T: 40 * (1 - 1e-3 * T)``.
    depends_on
        Argument of the function: ``"temperature"`` (default) or ``"gradient"``, a vector of the cell's dimension.
    """

    conductivity: OfField | Sequence[Sequence[float]]
    depends_on: str = "temperature"

    def __post_init__(self) -> None:
        if self.depends_on not in ("temperature", "gradient"):
            raise InputError(f"Fourier: depends_on = {self.depends_on!r} must be 'temperature' or 'gradient'")
        if self._is_function:
            return
        if not isinstance(self.conductivity, Sequence | np.ndarray):
            require_positive("Fourier", **constants(conductivity=self.conductivity))
            return
        k = np.asarray(self.conductivity, dtype=float)
        if k.ndim != 2 or k.shape[0] != k.shape[1] or np.linalg.eigvalsh(k + k.T)[0] <= 0:
            raise InputError(f"Fourier: conductivity = {k.tolist()} must be a positive definite (d, d) matrix")
        object.__setattr__(self, "conductivity", tuple(tuple(row) for row in k.tolist()))

    @property
    def fields(self) -> tuple[str, ...]:
        """``gradient``, and ``temperature`` if the conductivity is a function of it."""
        return ("temperature", "gradient") if self._is_function and self.depends_on == "temperature" else ("gradient",)

    def response(self, at: Local) -> Responses:
        """``k g``, shape (d,); and 0 for the temperature."""
        k = self.conductivity
        if not isinstance(k, Sequence):
            k = parameter_at(k, at.fields[self.depends_on if self._is_function else "gradient"])
        flux = conduct(k, at.gradient)
        return {"temperature": ufl.as_ufl(0.0), "gradient": flux} if "temperature" in self.fields else flux

    @property
    def _is_function(self) -> bool:
        return callable(self.conductivity) and not isinstance(self.conductivity, ufl.core.expr.Expr)


def conduct(conductivity: object, gradient: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
    """Conductivity, a scalar or a matrix, times a gradient.

    Raises
    ------
    InputError
        If the conductivity is a tensor of another dimension.
    """
    k = ufl.as_tensor(conductivity) if isinstance(conductivity, Sequence) else ufl.as_ufl(conductivity)
    (d,) = gradient.ufl_shape
    if k.ufl_shape not in ((), (d, d)):
        raise InputError(f"the conductivity has shape {k.ufl_shape}: give a scalar, or a ({d}, {d}) matrix in {d}D")
    return k * gradient if k.ufl_shape == () else ufl.dot(k, gradient)
