"""Thermo-elasticity: stress, entropy and heat flux of one law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl

from hmm.foundation.tensors import Packing
from hmm.laws.base import (
    Local,
    OfField,
    Parameter,
    Responses,
    State,
    constants,
    parameter_at,
    require_not_negative,
    require_poisson,
    require_positive,
)
from hmm.laws.elastic import Elastic
from hmm.laws.thermal import conduct


@dataclass(frozen=True)
class ThermoElastic:
    """Isotropic thermo-elasticity with heat conduction; every parameter but two may be a function of temperature.

    From the free energy ``psi = 1/2 e:C(T):e - c (T ln(T/T0) - T + T0)`` with ``e = eps - alpha(T) (T - T0) I``:

    - ``strain`` is answered by the stress ``C:e``,
    - ``temperature`` by the entropy ``s = -dpsi/dT`` per volume, so that the tangent holds ``ds/dT = c/T`` and the
      stress-temperature tensor ``ds/deps = -dsigma/dT``,
    - ``gradient`` by ``k grad T``, the flux against the gradient.

    Macro inputs are the strain, the temperature (absolute, with the reference temperature as its reference:
    ``hmm.macro_temperature(cell, reference=T0)``) and its gradient.
    Source: Rosen and Hashin, *Int. J. Engrg. Sci.* 8 (1970) 157; Holzapfel, *Nonlinear Solid Mechanics* (2000), ch. 7.

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive, or a function of T.
    poisson
        Poisson's ratio, in (-1, 0.5), or a function of T.
    expansion
        Secant coefficient of thermal expansion alpha from T0, per unit of temperature; any number, or a function of T.
    conductivity
        Positive, or a function of T, which may return a matrix.
    heat_capacity
        c at constant strain, energy per volume and unit of temperature; zero or more.
    reference_temperature
        T0, absolute: where the body is free of strain and stress; positive.
    """

    young: OfField
    poisson: OfField
    expansion: OfField
    conductivity: OfField
    heat_capacity: Parameter = 0.0
    reference_temperature: Parameter = 293.15

    fields = ("strain", "temperature", "gradient")

    def __post_init__(self) -> None:
        require_positive("ThermoElastic", **constants(young=self.young, conductivity=self.conductivity))
        require_positive("ThermoElastic", reference_temperature=self.reference_temperature)
        require_not_negative("ThermoElastic", heat_capacity=self.heat_capacity)
        for poisson in constants(poisson=self.poisson).values():
            require_poisson("ThermoElastic", poisson)

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """No internal variables."""
        return {}

    def response(self, at: Local) -> Responses:
        """Stress (3, 3), entropy and flux (d,)."""
        eps, T = ufl.variable(at.strain), ufl.variable(at.temperature)
        psi = self.free_energy(eps, T)
        flux = conduct(parameter_at(self.conductivity, at.temperature), at.gradient)
        return {"strain": ufl.diff(psi, eps), "temperature": -ufl.diff(psi, T), "gradient": flux}

    def free_energy(self, eps: ufl.core.expr.Expr, T: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Free energy density psi, shape ()."""
        T0 = self.reference_temperature
        e = eps - parameter_at(self.expansion, T) * (T - T0) * ufl.Identity(3)
        elastic = Elastic(parameter_at(self.young, T), parameter_at(self.poisson, T))
        return ufl.inner(elastic.stress(e), e) / 2 - self.heat_capacity * (T * ufl.ln(T / T0) - T + T0)

    def update(self, at: Local) -> State:
        """Nothing to update."""
        return {}
