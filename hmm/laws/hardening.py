"""Parts of plastic laws: isotropic hardening, kinematic hardening and rate dependence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import ufl

from hmm.laws.base import Parameter, require_between, require_not_negative, require_positive
from hmm.laws.registry import declare_part

TINY = 1e-100
"""Keeps powers of zero and their derivatives finite in branches that are not used."""


@runtime_checkable
class Hardening(Protocol):
    """Isotropic hardening: the growth of the yield stress with the accumulated plastic strain.

    It may also offer ``energy(p)``, the integral of `stress`, for `hmm.checks.dissipation`.
    """

    def stress(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Increase of the yield stress at the accumulated plastic strain `p`."""
        ...

    def reach(self, stress: ufl.core.expr.Expr, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """An increment of plastic strain, from `p`, for which the yield stress grows by at most `stress`.

        Newton's method starts from such lower bounds. If the hardening rate decreases, it converges from one side.
        """
        ...


@declare_part("hardening", {"slope": "stress"})
@dataclass(frozen=True)
class Linear:
    """Linear hardening, ``slope * p``.

    Attributes
    ----------
    slope
        In the unit of stress; zero (perfect plasticity) or more.
    """

    slope: Parameter

    def __post_init__(self) -> None:
        require_not_negative("Linear", slope=self.slope)

    def stress(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Added yield stress."""
        return self.slope * p

    def energy(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Stored energy density, the integral of the added yield stress."""
        return self.slope * p**2 / 2

    def reach(self, stress: ufl.core.expr.Expr, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """See `Hardening.reach`."""
        return stress / (self.slope + TINY)


@declare_part("hardening", {"saturation": "stress", "rate": "", "slope": "stress"})
@dataclass(frozen=True)
class Voce:
    """Saturating hardening, ``saturation (1 - exp(-rate p)) + slope p``.

    Source: Voce, *J. Inst. Metals* 74 (1948) 537.

    Attributes
    ----------
    saturation
        Limit of the increase of the yield stress, in the unit of stress; zero or more.
    rate
        Rate of saturation, per unit of plastic strain; positive.
    slope
        Additional linear hardening, in the unit of stress; zero or more.
    """

    saturation: Parameter
    rate: Parameter
    slope: Parameter = 0.0

    def __post_init__(self) -> None:
        require_not_negative("Voce", saturation=self.saturation, slope=self.slope)
        require_positive("Voce", rate=self.rate)

    def stress(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Added yield stress."""
        return self.saturation * (1 - ufl.exp(-self.rate * p)) + self.slope * p

    def energy(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Stored energy density, the integral of the added yield stress."""
        return self.saturation * (p - (1 - ufl.exp(-self.rate * p)) / self.rate) + self.slope * p**2 / 2

    def reach(self, stress: ufl.core.expr.Expr, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """See `Hardening.reach`."""
        return stress / (self.saturation * self.rate * ufl.exp(-self.rate * p) + self.slope + TINY)


@declare_part("hardening", {"modulus": "stress", "exponent": "", "offset": "strain"})
@dataclass(frozen=True)
class PowerLaw:
    """Power law, ``modulus ((p + offset)^exponent - offset^exponent)``.

    Ludwik's law has the offset 0. Swift's law ``K (p + p0)^n`` has the initial yield stress ``K p0^n``, the modulus K
    and the offset p0. Source: Swift, *J. Mech. Phys. Solids* 1 (1952) 1.

    Attributes
    ----------
    modulus
        In the unit of stress; zero or more.
    exponent
        In (0, 1].
    offset
        Initial plastic strain; zero or more.
    """

    modulus: Parameter
    exponent: Parameter
    offset: Parameter = 0.0

    def __post_init__(self) -> None:
        require_not_negative("PowerLaw", modulus=self.modulus, offset=self.offset)
        require_positive("PowerLaw", exponent=self.exponent)
        require_between("PowerLaw", 0, 1, exponent=self.exponent)

    def stress(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Added yield stress."""
        start = ufl.as_ufl(self.offset + TINY)
        return self.modulus * ((p + start) ** self.exponent - start**self.exponent)

    def energy(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Stored energy density, the integral of the added yield stress."""
        start, n = ufl.as_ufl(self.offset + TINY), self.exponent
        return self.modulus * (((p + start) ** (n + 1) - start ** (n + 1)) / (n + 1) - start**n * p)

    def reach(self, stress: ufl.core.expr.Expr, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """See `Hardening.reach`; concave, hence ``(p + dp)^n - p^n <= dp^n``."""
        return (stress / (self.modulus + TINY)) ** (1 / self.exponent)


@declare_part("kinematic", {"modulus": "stress", "recovery": ""})
@dataclass(frozen=True)
class ArmstrongFrederick:
    """Kinematic hardening of the backstress a, ``da = 2/3 modulus d(eps_p) - recovery a dp``.

    Under monotonic loading its norm ``sqrt(3/2 a:a)`` saturates at ``modulus / recovery``; without recovery this is
    Prager's linear rule. Source: Armstrong and Frederick (1966), reprinted in *Mater. High Temp.* 24 (2007) 1.

    Attributes
    ----------
    modulus
        In the unit of stress; zero or more.
    recovery
        Per unit of plastic strain; zero or more.
    """

    modulus: Parameter
    recovery: Parameter = 0.0

    def __post_init__(self) -> None:
        require_not_negative("ArmstrongFrederick", modulus=self.modulus, recovery=self.recovery)


@declare_part("rate", {"overstress": "stress", "exponent": "", "rate": "1/time"})
@dataclass(frozen=True)
class Perzyna:
    """Viscoplastic flow, ``dp/dt = rate (f / overstress)^exponent`` where the yield function f is positive.

    Source: Perzyna, *Adv. Appl. Mech.* 9 (1966) 243. The limit of slow loading is
    rate-independent.

    Attributes
    ----------
    overstress
        Overstress at which the plastic strain grows with `rate`, in the unit of stress; positive.
    exponent
        One or more.
    rate
        Reference rate, in 1/time; positive.
    """

    overstress: Parameter
    exponent: Parameter = 1.0
    rate: Parameter = 1.0

    def __post_init__(self) -> None:
        require_positive("Perzyna", overstress=self.overstress, rate=self.rate)
        require_between("Perzyna", 1, 1e3, exponent=self.exponent)

    def stress(self, dp: ufl.core.expr.Expr, dt: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Overstress at which `dp` flows in the time `dt`."""
        return self.overstress * ((dp + TINY) / (self.rate * dt)) ** (1 / self.exponent)

    def reach(self, stress: ufl.core.expr.Expr, dt: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Plastic strain that flows at the overstress `stress`."""
        return self.rate * dt * (stress / self.overstress) ** self.exponent
