"""Viscous fluids in slow flow."""

from __future__ import annotations

from dataclasses import dataclass

from hmm.laws.base import Local, Memoryless, Parameter, State, require_positive
from hmm.laws.registry import declare


@declare("flow", {"viscosity": "stress times time"}, tests=["micro/test_flow.py"])
@dataclass(frozen=True)
class Stokes(Memoryless):
    """Incompressible Newtonian fluid in creeping flow, ``2 mu div eps(u) = grad p`` with ``div u = 0``.

    The macroscopic input is `hmm.macro_pressure_gradient`, the fluctuation a velocity with its pressure,
    ``hmm.fluctuation(cell, degree=(2, 1))``. The potential is ``-(mu eps(u):eps(u) + u . grad p)``; its sign makes the
    permeability positive.
    Source: Sanchez-Palencia, *Non-Homogeneous Media and Vibration Theory* (1980), chapter 7.

    Attributes
    ----------
    viscosity
        Dynamic viscosity mu, in the unit of pressure times time; positive.
    """

    viscosity: Parameter

    fields = ("pressure_gradient", "velocity", "strain_rate")

    def __post_init__(self) -> None:
        require_positive("Stokes", viscosity=self.viscosity)

    def response(self, at: Local) -> State:
        """Conjugates of the pressure gradient, the velocity and the strain rate."""
        return {
            "pressure_gradient": -at.velocity,
            "velocity": -at.pressure_gradient,
            "strain_rate": -2 * self.viscosity * at.strain_rate,
        }
