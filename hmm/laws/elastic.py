"""Linear elasticity: the base classes, and the isotropic law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import ufl

from hmm.laws.base import Local, Memoryless, Parameter, require_poisson, require_positive, value_of
from hmm.laws.registry import MODULI, declare


class LinearElasticity(Memoryless):
    """Base of laws whose `stress` is linear in the strain."""

    fields = ("strain",)

    def stress(self, strain: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), of an elastic strain."""
        raise NotImplementedError

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3)."""
        return self.stress(at.strain)

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density ``eps : sigma / 2``."""
        return ufl.inner(at.strain, self.stress(at.strain)) / 2


@dataclass(frozen=True)
class YoungAndPoisson:
    """Base of laws whose elastic constants are Young's modulus and Poisson's ratio at small strain."""

    young: Parameter
    poisson: Parameter

    def __post_init__(self) -> None:
        require_positive(type(self).__name__, young=self.young)
        require_poisson(type(self).__name__, self.poisson)

    @classmethod
    def from_moduli(cls, *, shear: Parameter, bulk: Parameter, **others: Any) -> Self:
        """From the shear and the bulk modulus at small strain.

        Parameters
        ----------
        shear, bulk
            Shear modulus, and bulk modulus in 3D, in the unit of stress; positive.
        others
            The other parameters of the law, by name.
        """
        require_positive(cls.__name__, shear=shear, bulk=bulk)
        young = 9 * bulk * shear / (3 * bulk + shear)
        poisson = (3 * bulk - 2 * shear) / (2 * (3 * bulk + shear))
        return cls(young=young, poisson=poisson, **others)


class ElasticPart(YoungAndPoisson):
    """Base of laws with an isotropic elastic part, to which they reduce at very small strain."""

    @property
    def elastic(self) -> Elastic:
        """The elastic part of the law."""
        return Elastic(self.young, self.poisson)


@declare(
    "small strain",
    {"young": "stress", "poisson": ""},
    {"from_moduli": MODULI},
    tests=["micro/test_laminate.py", "cells/test_arrays.py"],
)
@dataclass(frozen=True)
class Elastic(YoungAndPoisson, LinearElasticity):
    """Linear isotropic elasticity, ``sigma = lambda tr(eps) I + 2 mu eps``.

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive.
    poisson
        Poisson's ratio, in (-1, 0.5).
    """

    @property
    def initial_modulus(self) -> float:
        """The largest eigenvalue of the stiffness, 2 mu or 3 kappa, for `hmm.laws.Rigid`."""
        return max(2 * value_of(self.shear_modulus), 3 * value_of(self.bulk_modulus))

    @property
    def shear_modulus(self) -> Parameter:
        """Shear modulus mu."""
        return self.young / (2 * (1 + self.poisson))

    @property
    def bulk_modulus(self) -> Parameter:
        """Bulk modulus kappa (3D)."""
        return self.young / (3 * (1 - 2 * self.poisson))

    def stress(self, strain: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), of an elastic strain."""
        return self.bulk_modulus * ufl.tr(strain) * ufl.Identity(3) + 2 * self.shear_modulus * ufl.dev(strain)
