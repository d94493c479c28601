"""Damage: the loss of stiffness under large strain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl

from hmm.foundation import tensors
from hmm.foundation.tensors import Packing
from hmm.laws.base import (
    Local,
    Parameter,
    State,
    require_between,
    require_not_negative,
    require_positive,
)
from hmm.laws.elastic import ElasticPart
from hmm.laws.registry import declare
from hmm.laws.regularization import delayed, is_delayed


@declare(
    "small strain",
    {
        **{"young": "stress", "poisson": "", "strength": "stress", "softening": "strain"},
        **{"viscosity": "time", "residual": ""},
    },
    tests=["laws/test_laws_damage.py"],
)
@dataclass(frozen=True)
class Damage(ElasticPart):
    """Local isotropic damage with exponential softening, ``sigma = (1 - d) C : eps``.

    The largest equivalent strain so far, ``kappa = max sqrt(eps : C : eps / E)``, which in uniaxial stress is the
    strain itself, drives the damage: with ``kappa_0 = strength / young``

        d = 0 up to kappa_0,  then  d = (1 - residual) (1 - kappa_0 / kappa exp(-(kappa - kappa_0) / softening)).

    Uniaxial stress falls as ``strength exp(-(eps - kappa_0) / softening)``, in compression as in tension.

    A local law with softening has no internal length. In a cell the damage localizes in one row of elements, the path
    may snap back, so that strain control cannot follow it, and finer meshes dissipate less energy. `viscosity` delays
    the damage, so that the problem of each step stays well-posed. Choose a small part of the duration of the loading,
    and compare with the results for half of it.
    Source: Simo and Ju, *Int. J. Solids Structures* 23 (1987) 821 (equivalent strain, sections 3 and 5: viscous
    damage); Peerlings et al., *Int. J. Numer. Methods Engrg.* 39 (1996) 3391 (exponential softening, loss of
    well-posedness).

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive.
    poisson
        Poisson's ratio, in (-1, 0.5).
    strength
        Uniaxial stress at which damage begins, in the unit of stress; positive.
    softening
        Strain over which the stress falls by the factor e; positive. The energy dissipated per volume is
        ``strength^2 / (2 young) + strength softening``.
    viscosity
        Time scale of the delay of the damage, in the user's unit of time (see `hmm.laws.regularization.delayed`); zero
        (default) for none. With it each step needs its duration, ``dt``.
    residual
        Part of the stiffness that is never lost, in [0, 1); 1e-6 by default, so that a broken cell can be solved.
    """

    strength: Parameter
    softening: Parameter
    viscosity: Parameter = 0.0
    residual: Parameter = 1e-6

    fields = ("strain",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("Damage", strength=self.strength, softening=self.softening)
        require_not_negative("Damage", viscosity=self.viscosity)
        require_between("Damage", 0.0, 1.0, residual=self.residual)

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """``kappa``, the largest equivalent strain, and with a viscosity the ``damage``."""
        names = ("kappa", "damage") if is_delayed(self.viscosity) else ("kappa",)
        return dict.fromkeys(names, tensors.general())

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3)."""
        return (1 - self.damage(at)) * self.elastic.stress(at.strain)

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density ``(1 - d) eps : C : eps / 2``."""
        return (1 - self.damage(at)) * self.elastic.energy(at)

    def update(self, at: Local) -> State:
        """Largest equivalent strain, and the delayed damage."""
        kappa = {"kappa": ufl.sqrt(self._squared(at))}
        return kappa | {"damage": self.damage(at)} if is_delayed(self.viscosity) else kappa

    def damage(self, at: Local) -> ufl.core.expr.Expr:
        """Damage at the end of the step, in [0, 1)."""
        kappa_0, kappa = self.strength / self.young, ufl.sqrt(self._squared(at))
        left = kappa_0 / kappa * ufl.exp(-(kappa - kappa_0) / self.softening)
        return delayed((1 - self.residual) * (1 - left), at, "damage", self.viscosity)

    def _squared(self, at: Local) -> ufl.core.expr.Expr:
        """Square of the largest equivalent strain so far, at least that of the strength.

        The maximum is taken before the square root, which has no derivative at zero strain.
        """
        now = 2 * self.elastic.energy(at) / self.young
        reached = ufl.max_value(at.old["kappa"] ** 2, (self.strength / self.young) ** 2)
        return ufl.conditional(ufl.gt(now, reached), now, reached)
