"""Hyperelasticity at finite strain: an energy density of the deformation gradient, differentiated by UFL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl

from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing
from hmm.laws.base import Local, Parameter, State, require_not_negative, require_poisson, require_positive, value_of
from hmm.laws.elastic import Elastic
from hmm.laws.principal import powers


class Hyperelastic:
    """What the laws below share: the first Piola-Kirchhoff stress ``P = dW/dF``, and no internal variables."""

    fields = ("deformation_gradient",)

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W, per reference volume, of a deformation gradient of shape (3, 3)."""
        raise NotImplementedError

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """No internal variables."""
        return {}

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """First Piola-Kirchhoff stress, shape (3, 3)."""
        F = ufl.variable(at.deformation_gradient)
        return ufl.diff(self.density(F), F)

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density: `density` of the local deformation gradient."""
        return self.density(at.deformation_gradient)

    def update(self, at: Local) -> State:
        """Nothing to update."""
        return {}


@dataclass(frozen=True)
class _OfYoungAndPoisson(Hyperelastic):
    """What two of the laws share: the constants of their linearization as parameters."""

    young: Parameter
    poisson: Parameter

    def __post_init__(self) -> None:
        require_positive(type(self).__name__, young=self.young)
        require_poisson(type(self).__name__, self.poisson)

    @property
    def elastic(self) -> Elastic:
        """Its linearization at F = I."""
        return Elastic(self.young, self.poisson)


@dataclass(frozen=True)
class NeoHooke(_OfYoungAndPoisson):
    """Compressible neo-Hooke, ``W = mu/2 (F:F - 3 - 2 ln J) + lambda/2 (ln J)^2``.

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


@dataclass(frozen=True)
class SaintVenant(_OfYoungAndPoisson):
    """Saint Venant-Kirchhoff, ``W = lambda/2 tr(E)^2 + mu E:E`` with Green's strain E.

    For small strains and any rotation. It softens in compression: loss of ellipticity must be expected there.

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

    @property
    def elastic(self) -> Elastic:
        """Its linearization at F = I."""
        return _elastic(self.bulk_modulus, 2 * (self.c1 + self.c2))

    def density(self, F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Energy density W."""
        C, J = F.T * F, ufl.det(F)
        I1, I2 = ufl.tr(C), (ufl.tr(C) ** 2 - ufl.tr(C * C)) / 2
        shear = self.c1 * (J ** (-2 / 3) * I1 - 3) + self.c2 * (J ** (-4 / 3) * I2 - 3)
        return shear + self.bulk_modulus / 2 * (J - 1) ** 2


@dataclass(frozen=True)
class Ogden(Hyperelastic):
    """Ogden, ``W = sum_p mu_p/alpha_p (sum_k (J^(-1/3) lambda_k)^alpha_p - 3) + kappa/2 (J - 1)^2``.

    Evaluated from the principal invariants and exact at equal principal stretches (`hmm.laws.principal`). The shear
    modulus at small strain is ``sum_p mu_p alpha_p / 2``.
    Source: Ogden, *Proc. R. Soc. Lond. A* 326 (1972) 565; 328 (1972) 567.

    Attributes
    ----------
    terms
        Pairs ``(mu_p, alpha_p)``: in the unit of stress, and a plain number other than 0; ``mu_p alpha_p`` is positive.
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

    @property
    def elastic(self) -> Elastic:
        """Its linearization at F = I."""
        return _elastic(self.bulk_modulus, sum(mu * alpha for mu, alpha in self.terms) / 2)

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


def _elastic(bulk: Parameter, shear: Parameter) -> Elastic:
    """Elasticity of a bulk and a shear modulus."""
    return Elastic(9 * bulk * shear / (3 * bulk + shear), (3 * bulk - 2 * shear) / (2 * (3 * bulk + shear)))
