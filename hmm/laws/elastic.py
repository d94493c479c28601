"""Linear elasticity: what its laws have in common, and the isotropic one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl

from hmm.foundation.tensors import Packing
from hmm.laws.base import Local, Parameter, State, require_poisson, require_positive


class LinearElasticity:
    """What laws with a `stress` linear in the strain have in common."""

    fields = ("strain",)

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """No internal variables."""
        return {}

    def stress(self, strain: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), of an elastic strain."""
        raise NotImplementedError

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3)."""
        return self.stress(at.strain)

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density ``eps : sigma / 2``."""
        return ufl.inner(at.strain, self.stress(at.strain)) / 2

    def update(self, at: Local) -> State:
        """Nothing to update."""
        return {}


@dataclass(frozen=True)
class Elastic(LinearElasticity):
    """Linear isotropic elasticity, ``sigma = lambda tr(eps) I + 2 mu eps``.

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive.
    poisson
        Poisson's ratio, in (-1, 0.5).
    """

    young: Parameter
    poisson: Parameter

    def __post_init__(self) -> None:
        require_positive("Elastic", young=self.young)
        require_poisson("Elastic", self.poisson)

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
