"""Rate-independent plasticity, integrated implicitly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl

from hmm import tensors
from hmm.laws.base import Local, State, require_not_negative, require_poisson, require_positive
from hmm.laws.elastic import Elastic
from hmm.tensors import Packing


@dataclass(frozen=True)
class J2:
    """J2 (von Mises) plasticity with linear isotropic hardening, backward Euler (radial return).

    Yield function ``f = q - (yield_stress + hardening * p)`` with ``q = sqrt(3/2 s:s)`` and the accumulated plastic
    strain ``p``. Source: Simo and Hughes, *Computational Inelasticity* (1998), box 3.1.

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive.
    poisson
        Poisson's ratio, in (-1, 0.5).
    yield_stress
        Initial yield stress in tension, in the unit of stress; positive.
    hardening
        Slope ``d q / d p``, in the unit of stress; zero or more.
    """

    young: float
    poisson: float
    yield_stress: float
    hardening: float

    fields = ("strain",)

    def __post_init__(self) -> None:
        require_positive("J2", young=self.young, yield_stress=self.yield_stress)
        require_not_negative("J2", hardening=self.hardening)
        require_poisson("J2", self.poisson)

    @property
    def elastic(self) -> Elastic:
        """The elastic part of the law."""
        return Elastic(self.young, self.poisson)

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """``plastic_strain`` (tensor) and ``p`` (accumulated plastic strain)."""
        return {"plastic_strain": tensors.plane(dim), "p": tensors.general()}

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), after the radial return."""
        dp, direction = self._return(at)
        trial = self.elastic.stress(at.strain - at.old["plastic_strain"])
        return trial - 2 * self.elastic.shear_modulus * dp * direction

    def update(self, at: Local) -> State:
        """Plastic strain and accumulated plastic strain after the radial return."""
        dp, direction = self._return(at)
        return {"plastic_strain": at.old["plastic_strain"] + dp * direction, "p": at.old["p"] + dp}

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density at the end of the step: elastic, and ``hardening p^2 / 2``."""
        new = self.update(at)
        elastic = at.strain - new["plastic_strain"]
        return ufl.inner(elastic, self.elastic.stress(elastic)) / 2 + self.hardening * new["p"] ** 2 / 2

    def _return(self, at: Local) -> tuple[ufl.core.expr.Expr, ufl.core.expr.Expr]:
        """Plastic multiplier and flow direction ``3/2 s / q``."""
        mu = self.elastic.shear_modulus
        s = 2 * mu * ufl.dev(at.strain - at.old["plastic_strain"])
        floor = (1e-12 * self.yield_stress) ** 2  # keeps the derivative of q finite at zero stress
        q = ufl.sqrt(1.5 * ufl.inner(s, s) + floor)
        f = q - self.yield_stress - self.hardening * at.old["p"]
        dp = ufl.conditional(ufl.gt(f, 0), f / (3 * mu + self.hardening), 0)
        return dp, 1.5 * s / q
