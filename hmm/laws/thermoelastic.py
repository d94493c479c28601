"""Thermo-elasticity: stress, entropy and heat flux of one law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import ufl
from numpy.typing import NDArray

from hmm.foundation.errors import InputError
from hmm.laws.anisotropic import TRANSVERSELY_ISOTROPIC, Anisotropic, Axis, Rotation, unit_vector
from hmm.laws.base import (
    Local,
    Memoryless,
    OfField,
    Parameter,
    Responses,
    constants,
    parameter_at,
    require_finite,
    require_not_negative,
    require_poisson,
    require_positive,
)
from hmm.laws.elastic import Elastic, LinearElasticity
from hmm.laws.registry import declare
from hmm.laws.thermal import conduct

_THERMAL = {
    "expansion": "1/temperature",
    "conductivity": "flux per gradient",
    "heat_capacity": "stress/temperature",
    "reference_temperature": "temperature",
}


@declare(
    "thermoelasticity",
    {"young": "stress", "poisson": "", **_THERMAL, "elastic": "a law, instead of the first two"},
    {"transversely_isotropic": {**TRANSVERSELY_ISOTROPIC, **_THERMAL, "rotation": "", "axis": ""}},
    tests=["laws/test_laws_thermal.py"],
)
@dataclass(frozen=True)
class ThermoElastic(Memoryless):
    """Thermo-elasticity, with heat conduction if there is a conductivity.

    Isotropic with `young` and `poisson`, or with any linear `elastic` law, such as `hmm.laws.Anisotropic`. All
    parameters except the last three may be functions of temperature.

    From the free energy ``psi = 1/2 e:C(T):e - c (T ln(T/T0) - T + T0)`` with ``e = eps - alpha(T) (T - T0)``:

    - the response to ``strain`` is the stress ``C:e``,
    - to ``temperature`` the entropy ``s = -dpsi/dT`` per volume, so that the tangent contains ``ds/dT = c/T`` and the
      stress-temperature tensor ``ds/deps = -dsigma/dT``,
    - to ``gradient``, with a conductivity, ``k grad T``, the flux against the gradient.

    Macro inputs are the strain, the temperature (absolute, with the reference temperature as its reference:
    ``hmm.macro_temperature(cell, reference=T0)``) and, with a conductivity, its gradient.
    Source: Rosen and Hashin, *Int. J. Engrg. Sci.* 8 (1970) 157; Holzapfel, *Nonlinear Solid Mechanics* (2000), ch. 7.

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive, or a function of T.
    poisson
        Poisson's ratio, in (-1, 0.5), or a function of T.
    expansion
        Secant coefficient of thermal expansion alpha from T0, per unit of temperature: any number, or a function of T.
        With an `elastic` law also three numbers, along its axes 1, 2 and 3; a matrix in these axes, shape (3, 3); or a
        pair, along the axis of a transversely isotropic law and across it.
    conductivity
        Positive, or a function of T, which may return a matrix of the cell's dimension; or as for `expansion`. None
        (default) for no conduction.
    heat_capacity
        c at constant strain, energy per volume and unit of temperature; zero or more. Expansion and conductivity do
        not depend on it.
    reference_temperature
        T0, absolute: the temperature of the body without strain and stress; positive.
    elastic
        Instead of `young` and `poisson`: a law that is linear in the strain. Its rotation also applies to the expansion
        and the conductivity.
    """

    young: OfField | None = None
    poisson: OfField | None = None
    expansion: OfField | Sequence[float] | Sequence[Sequence[float]] | None = None
    conductivity: OfField | Sequence[float] | Sequence[Sequence[float]] | None = None
    heat_capacity: Parameter = 0.0
    reference_temperature: Parameter = 293.15
    elastic: LinearElasticity | None = None

    def __post_init__(self) -> None:
        if self.elastic is None:
            if self.young is None or self.poisson is None:
                raise InputError(
                    f"ThermoElastic: young = {self.young}, poisson = {self.poisson}: give both, or elastic=, a law "
                    "such as hmm.laws.Anisotropic"
                )
            require_positive("ThermoElastic", **constants(young=self.young))
            for poisson in constants(poisson=self.poisson).values():
                require_poisson("ThermoElastic", poisson)
        elif self.young is not None or self.poisson is not None or not isinstance(self.elastic, LinearElasticity):
            raise InputError(
                f"ThermoElastic: elastic = {self.elastic!r} with young = {self.young}, poisson = {self.poisson}: give "
                "young and poisson, or instead of both a law linear in the strain"
            )
        if self.expansion is None:
            raise InputError("ThermoElastic: expansion is missing: give it, or 0.0 for a body that does not expand")
        require_positive("ThermoElastic", reference_temperature=self.reference_temperature)
        require_not_negative("ThermoElastic", heat_capacity=self.heat_capacity)
        for name in ("expansion", "conductivity"):
            self._check_tensor(name)

    @classmethod
    def transversely_isotropic(
        cls,
        E1: float,
        E2: float,
        nu12: float,
        nu23: float,
        G12: float,
        expansion: tuple[float, float],
        conductivity: tuple[float, float] | None = None,
        heat_capacity: float = 0.0,
        reference_temperature: float = 293.15,
        rotation: Rotation = None,
        axis: Axis = 3,
    ) -> Self:
        """Transverse isotropy about one axis, such as that of a carbon fibre.

        Parameters
        ----------
        E1, E2, nu12, nu23, G12, rotation, axis
            As for `hmm.laws.Anisotropic.transversely_isotropic`: 1 is the axis of the material, by default along 3.
        expansion, conductivity
            Along the axis and across it.
        heat_capacity, reference_temperature
            As above.
        """
        elastic = Anisotropic.transversely_isotropic(E1, E2, nu12, nu23, G12, rotation, axis)
        return cls(
            expansion=_along(expansion, axis),
            conductivity=None if conductivity is None else _along(conductivity, axis),
            heat_capacity=heat_capacity,
            reference_temperature=reference_temperature,
            elastic=elastic,
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """``strain``, ``temperature`` and, with a conductivity, ``gradient``."""
        return ("strain", "temperature", *(() if self.conductivity is None else ("gradient",)))

    @property
    def axis(self) -> NDArray[np.float64] | None:
        """Axis of transverse isotropy in the frame of the cell, shape (3,), as for `hmm.laws.Anisotropic`."""
        return getattr(self.elastic, "axis", None)

    def response(self, at: Local) -> Responses:
        """Stress (3, 3), entropy and flux (d,)."""
        eps, T = ufl.variable(at.strain), ufl.variable(at.temperature)
        psi = self.free_energy(eps, T)
        answer = {"strain": ufl.diff(psi, eps), "temperature": -ufl.diff(psi, T)}
        if self.conductivity is not None:
            answer["gradient"] = self._flux(at)
        return answer

    def free_energy(self, eps: ufl.core.expr.Expr, T: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Free energy density psi, shape ()."""
        T0 = self.reference_temperature
        e = eps - (T - T0) * self._tensor(self.expansion, T)
        elastic = self.elastic
        if elastic is None:
            assert self.young is not None and self.poisson is not None  # checked
            elastic = Elastic(parameter_at(self.young, T), parameter_at(self.poisson, T))
        return ufl.inner(elastic.stress(e), e) / 2 - self.heat_capacity * (T * ufl.ln(T / T0) - T + T0)

    def _flux(self, at: Local) -> ufl.core.expr.Expr:
        """``k g``, shape (d,)."""
        assert self.conductivity is not None
        if not isinstance(self.conductivity, Sequence):
            return conduct(parameter_at(self.conductivity, at.temperature), at.gradient)
        (d,), k = at.gradient.ufl_shape, self._tensor(self.conductivity, at.temperature)
        return conduct(ufl.as_matrix([[k[i, j] for j in range(d)] for i in range(d)]), at.gradient)

    def _tensor(self, given: Any, T: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """A property in the frame of the cell, shape (3, 3)."""
        if not isinstance(given, Sequence):
            return parameter_at(given, T) * ufl.Identity(3)
        own, R = ufl.as_matrix(given), getattr(self.elastic, "rotation", None)
        return own if R is None else ufl.as_tensor(R) * own * ufl.as_tensor(R).T

    def _check_tensor(self, name: str) -> None:
        """Check a property, and convert an anisotropic one to a matrix, shape (3, 3), of tuples."""
        given = getattr(self, name)
        if isinstance(given, Sequence | np.ndarray):
            axis = getattr(self.elastic, "own_axis", None)
            matrix = _matrix_of(name, given, axis)
            object.__setattr__(self, name, tuple(map(tuple, matrix.tolist())))
            if name == "conductivity" and not np.linalg.eigvalsh(matrix)[0] > 0:
                raise InputError(f"ThermoElastic: conductivity = {list(given)} must be positive definite")
        elif given is not None:
            require = require_positive if name == "conductivity" else require_finite
            require("ThermoElastic", **constants(**{name: given}))


def _along(pair: Sequence[float], axis: Axis) -> tuple[tuple[float, ...], ...]:
    """The matrix, shape (3, 3), with one value along an axis and another one across it."""
    matrix = _matrix_of("(along, across)", pair, unit_vector("ThermoElastic", axis))
    return tuple(map(tuple, matrix.tolist()))


def _matrix_of(name: str, given: Any, axis: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """A symmetric matrix, shape (3, 3), from itself, its diagonal, or its values along an axis and across it."""
    try:
        a = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        a = np.zeros(0)
    if a.shape == (2,) and axis is not None:
        a = a[1] * np.eye(3) + (a[0] - a[1]) * np.outer(axis, axis)
    elif a.shape == (3,):
        a = np.diag(a)
    if a.shape != (3, 3) or not np.isfinite(a).all() or not np.allclose(a, a.T, rtol=1e-8, atol=0):
        raise InputError(
            f"ThermoElastic: {name} = {given!r} is not a valid property: give a number, three along the axes 1, 2 and "
            "3, a symmetric (3, 3) matrix, or with a transversely isotropic elastic= a pair (along its axis, across)"
        )
    return a
