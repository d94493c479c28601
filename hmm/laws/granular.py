"""Plasticity that depends on pressure: soils, concrete, polymers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi

import ufl

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing
from hmm.laws.base import Local, Parameter, State, require_positive, value_of
from hmm.laws.elastic import ElasticPart
from hmm.laws.registry import declare


@declare(
    "small strain",
    {
        **{"young": "stress", "poisson": "", "cohesion": "stress"},
        **{"friction_angle": "degrees", "dilatancy_angle": "degrees"},
    },
    tests=["laws/test_laws_plastic.py"],
)
@dataclass(frozen=True)
class DruckerPrager(ElasticPart):
    """Perfect Drucker-Prager plasticity with non-associated flow, with a closed-form return to the cone or to its apex.

    Yield function ``f = sqrt(J2) + eta p - xi cohesion`` and flow potential ``sqrt(J2) + eta_psi p`` with the mean
    stress p (tension positive). The cone passes through the outer edges of Mohr-Coulomb's pyramid,
    ``eta = 6 sin(phi) / (sqrt(3) (3 - sin(phi)))``, ``xi = 6 cos(phi) / (sqrt(3) (3 - sin(phi)))``.
    The tangent is not symmetric unless `dilatancy_angle` equals `friction_angle`.
    Source: de Souza Neto, Peric and Owen, *Computational Methods for Plasticity* (2008), section 8.3.

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive.
    poisson
        Poisson's ratio, in (-1, 0.5).
    cohesion
        In the unit of stress; positive.
    friction_angle
        phi, in degrees, in (0, 90).
    dilatancy_angle
        psi, in degrees, from 0 (flow without change of volume) to `friction_angle` (associated flow).
    """

    cohesion: Parameter
    friction_angle: Parameter
    dilatancy_angle: Parameter

    fields = ("strain",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("DruckerPrager", cohesion=self.cohesion)
        phi, psi = value_of(self.friction_angle), value_of(self.dilatancy_angle)
        if not 0 < phi < 90:
            raise InputError(f"DruckerPrager: friction_angle = {phi} must be in (0, 90) degrees")
        if not 0 <= psi <= phi:
            raise InputError(f"DruckerPrager: dilatancy_angle = {psi} must be in [0, friction_angle = {phi}] degrees")

    @property
    def apex(self) -> ufl.core.expr.Expr | float:
        """The largest mean stress that the material can carry, ``cohesion / tan(phi)``."""
        eta, xi = _slopes(self.friction_angle)
        return xi / eta * self.cohesion

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """``plastic_strain`` (tensor) and ``p``, the accumulated ``sqrt(2/3) |d eps_p|``."""
        return {"plastic_strain": tensors.plane(dim), "p": tensors.general()}

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), after the return."""
        trial = self.elastic.stress(at.strain - at.old["plastic_strain"])
        mean, s = ufl.tr(trial) / 3, ufl.dev(trial)
        eta, xi = _slopes(self.friction_angle)
        dilatancy, _ = _slopes(self.dilatancy_angle)
        G, K = self.elastic.shear_modulus, self.elastic.bulk_modulus
        root = ufl.sqrt(ufl.inner(s, s) / 2 + (1e-12 * self.cohesion) ** 2)
        f = root + eta * mean - xi * self.cohesion
        dgamma = f / (G + K * eta * dilatancy)
        cone = (1 - G * dgamma / root) * s + (mean - K * dilatancy * dgamma) * ufl.Identity(3)
        returned = ufl.conditional(ufl.gt(root, G * dgamma), 1.0, 0.0)
        plastic = _choose(returned, cone, self.apex * ufl.Identity(3))
        return _choose(ufl.conditional(ufl.gt(f, 0), 1.0, 0.0), plastic, trial)

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density at the end of the step."""
        return ufl.inner(self.response(at), at.strain - self.update(at)["plastic_strain"]) / 2

    def update(self, at: Local) -> State:
        """Plastic strain, from the total strain and the stress, and its accumulated norm."""
        stress = self.response(at)
        elastic = ufl.dev(stress) / (2 * self.elastic.shear_modulus)
        elastic += ufl.tr(stress) / (9 * self.elastic.bulk_modulus) * ufl.Identity(3)
        plastic = at.strain - elastic
        flow = plastic - at.old["plastic_strain"]
        return {"plastic_strain": plastic, "p": at.old["p"] + ufl.sqrt(2 / 3 * ufl.inner(flow, flow))}


def _slopes(angle: Parameter) -> tuple[ufl.core.expr.Expr, ufl.core.expr.Expr]:
    """Slope eta and cohesion factor xi of an angle in degrees."""
    sine, cosine = ufl.sin(ufl.as_ufl(angle) * pi / 180), ufl.cos(ufl.as_ufl(angle) * pi / 180)
    common = 6 / (3**0.5 * (3 - sine))
    return common * sine, common * cosine


def _choose(flag: ufl.core.expr.Expr, one: ufl.core.expr.Expr, other: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
    """The tensor `one` where `flag` is 1, otherwise the `other`."""
    return flag * one + (1 - flag) * other
