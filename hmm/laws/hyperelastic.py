"""Hyperelasticity at finite strain: an energy density of the deformation gradient, differentiated by UFL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import ufl

from hmm.foundation.errors import InputError
from hmm.laws.base import (
    Local,
    Memoryless,
    Parameter,
    require_between,
    require_not_negative,
    require_positive,
    value_of,
)
from hmm.laws.elastic import Elastic, ElasticPart
from hmm.laws.principal import powers
from hmm.laws.registry import MODULI, declare


class Hyperelastic(Memoryless):
    """Base of the laws below: the first Piola-Kirchhoff stress ``P = dW/dF``, and no internal variables."""

    fields = ("deformation_gradient",)

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W, per reference volume, of a deformation gradient of shape (3, 3)."""
        raise NotImplementedError

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """First Piola-Kirchhoff stress, shape (3, 3)."""
        F = ufl.variable(at.deformation_gradient)
        return ufl.diff(self.density(F), F)

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density: `density` of the local deformation gradient."""
        return self.density(at.deformation_gradient)


@declare(
    "finite strain",
    {"young": "stress", "poisson": ""},
    {"from_moduli": MODULI},
    tests=["laws/test_laws_finite_strain.py"],
)
@dataclass(frozen=True)
class NeoHooke(ElasticPart, Hyperelastic):
    """Compressible neo-Hookean law, ``W = mu/2 (F:F - 3 - 2 ln J) + lambda/2 (ln J)^2``.

    Source: Bonet and Wood, *Nonlinear Continuum Mechanics for Finite Element Analysis* (2008), section 6.4.3.

    Attributes
    ----------
    young
        Young's modulus at small strain, in the unit of stress; positive.
    poisson
        Poisson's ratio at small strain, in (-1, 0.5).
    """

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W."""
        mu, log_J = self.elastic.shear_modulus, ufl.ln(ufl.det(F))
        lam = self.elastic.bulk_modulus - 2 / 3 * mu
        return mu / 2 * (ufl.inner(F, F) - 3 - 2 * log_J) + lam / 2 * log_J**2


@declare(
    "finite strain",
    {"young": "stress", "poisson": ""},
    {"from_moduli": MODULI},
    tests=["laws/test_laws_finite_strain.py"],
)
@dataclass(frozen=True)
class SaintVenant(ElasticPart, Hyperelastic):
    """Saint Venant-Kirchhoff, ``W = lambda/2 tr(E)^2 + mu E:E`` with Green's strain E.

    For small strains and arbitrary rotations. It softens in compression and may lose ellipticity there.

    Attributes
    ----------
    young
        Young's modulus at small strain, in the unit of stress; positive.
    poisson
        Poisson's ratio at small strain, in (-1, 0.5).
    """

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W."""
        green = (F.T * F - ufl.Identity(3)) / 2
        return ufl.inner(self.elastic.stress(green), green) / 2


@declare(
    "finite strain",
    {"c1": "stress", "c2": "stress", "bulk_modulus": "stress"},
    {"from_moduli": {**MODULI, "c2_part": ""}},
    tests=["laws/test_laws_finite_strain.py"],
)
@dataclass(frozen=True)
class MooneyRivlin(Hyperelastic):
    """Mooney-Rivlin, ``W = c1 (J^(-2/3) I1 - 3) + c2 (J^(-4/3) I2 - 3) + kappa/2 (J - 1)^2``.

    The shear modulus at small strain is ``2 (c1 + c2)``. Source: Holzapfel, *Nonlinear Solid Mechanics* (2000), 6.5.

    Attributes
    ----------
    c1, c2
        In the unit of stress; zero or more, and not both zero.
    bulk_modulus
        kappa, in the unit of stress; positive.
    """

    c1: Parameter
    c2: Parameter
    bulk_modulus: Parameter

    def __post_init__(self) -> None:
        require_not_negative("MooneyRivlin", c1=self.c1, c2=self.c2)
        require_positive("MooneyRivlin", bulk_modulus=self.bulk_modulus)
        if value_of(self.c1) + value_of(self.c2) == 0:
            raise InputError("MooneyRivlin: c1 and c2 are both 0: one must be positive")

    @classmethod
    def from_moduli(cls, *, shear: Parameter, bulk: Parameter, c2_part: float = 0.0) -> Self:
        """From the shear and the bulk modulus at small strain.

        Parameters
        ----------
        shear, bulk
            Shear and bulk modulus, in the unit of stress; positive.
        c2_part
            The part ``c2 / (c1 + c2)``, in [0, 1]; 0 by default.
        """
        require_positive("MooneyRivlin", shear=shear, bulk=bulk)
        require_between("MooneyRivlin", 0.0, 1.0, c2_part=c2_part)
        return cls(shear / 2 * (1 - c2_part), shear / 2 * c2_part, bulk)

    @property
    def elastic(self) -> Elastic:
        """Its linearization at F = I."""
        return Elastic.from_moduli(shear=2 * (self.c1 + self.c2), bulk=self.bulk_modulus)

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W."""
        C, J = F.T * F, ufl.det(F)
        I1, I2 = ufl.tr(C), (ufl.tr(C) ** 2 - ufl.tr(C * C)) / 2
        shear = self.c1 * (J ** (-2 / 3) * I1 - 3) + self.c2 * (J ** (-4 / 3) * I2 - 3)
        return shear + self.bulk_modulus / 2 * (J - 1) ** 2


@declare(
    "finite strain",
    {"terms": "pairs (stress, 1)", "bulk_modulus": "stress"},
    {"from_moduli": {**MODULI, "exponent": ""}},
    tests=["laws/test_laws_finite_strain.py"],
)
@dataclass(frozen=True)
class Ogden(Hyperelastic):
    """Ogden, ``W = sum_p mu_p/alpha_p (sum_k (J^(-1/3) lambda_k)^alpha_p - 3) + kappa/2 (J - 1)^2``.

    Evaluated from the principal invariants and exact at equal principal stretches (`hmm.laws.principal`). The shear
    modulus at small strain is ``sum_p mu_p alpha_p / 2``.
    Source: Ogden, *Proc. R. Soc. Lond. A* 326 (1972) 565; 328 (1972) 567.

    Attributes
    ----------
    terms
        Pairs ``(mu_p, alpha_p)``: in the unit of stress, and dimensionless, not 0; ``mu_p alpha_p`` is positive.
    bulk_modulus
        kappa, in the unit of stress; positive.
    """

    terms: tuple[tuple[Parameter, float], ...]
    bulk_modulus: Parameter

    def __post_init__(self) -> None:
        require_positive("Ogden", bulk_modulus=self.bulk_modulus)
        if not self.terms:
            raise InputError("Ogden: terms is empty: give pairs (mu, alpha)")
        for i, term in enumerate(self.terms):
            if not isinstance(term, tuple) or len(term) != 2 or not value_of(term[0]) * term[1] > 0:
                raise InputError(f"Ogden: terms[{i}] = {term!r} must be a pair (mu, alpha) with mu alpha > 0")

    @classmethod
    def from_moduli(cls, *, shear: Parameter, bulk: Parameter, exponent: float = 2.0) -> Self:
        """From the shear and the bulk modulus at small strain, with one term.

        Parameters
        ----------
        shear, bulk
            Shear and bulk modulus, in the unit of stress; positive.
        exponent
            alpha, a number other than 0; 2 by default, which is a neo-Hookean law in isochoric form.
        """
        require_positive("Ogden", shear=shear, bulk=bulk)
        if exponent == 0:
            raise InputError("Ogden: exponent = 0 must be a number other than 0")
        return cls(((2 * shear / exponent, exponent),), bulk)

    @property
    def elastic(self) -> Elastic:
        """Its linearization at F = I."""
        shear = sum(mu * alpha for mu, alpha in self.terms) / 2
        return Elastic.from_moduli(shear=shear, bulk=self.bulk_modulus)

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W."""
        C, J = F.T * F, ufl.det(F)
        sums = [ufl.inner(C, power) for power in self._powers(C)]
        parts = [mu / a * (J ** (-a / 3) * total - 3) for (mu, a), total in zip(self.terms, sums, strict=True)]
        return sum(parts) + self.bulk_modulus / 2 * (J - 1) ** 2

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """First Piola-Kirchhoff stress, from ``d tr(C^b) / dC = b C^(b-1)``: cheaper than differentiating W twice."""
        F = at.deformation_gradient
        C, J, inverse = F.T * F, ufl.det(F), ufl.inv(F).T
        stress = self.bulk_modulus * (J - 1) * J * inverse
        for (mu, a), power in zip(self.terms, self._powers(C), strict=True):
            stress += mu * J ** (-a / 3) * (F * power - ufl.inner(C, power) / 3 * inverse)
        return stress

    def _powers(self, C: ufl.core.expr.Expr) -> list[ufl.core.expr.Expr]:
        return powers(C, tuple(alpha / 2 - 1 for _, alpha in self.terms))
