"""Metal plasticity and viscoplasticity, integrated implicitly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing
from hmm.laws.base import Local, Parameter, State, require_not_negative, require_positive
from hmm.laws.elastic import ElasticPart
from hmm.laws.hardening import TINY, ArmstrongFrederick, Hardening, Linear, Perzyna
from hmm.laws.registry import declare


@declare(
    "small strain",
    {
        **{"young": "stress", "poisson": "", "yield_stress": "stress"},
        **{"hardening": "stress, or a part below", "kinematic": "a part", "rate": "a part"},
    },
    tests=["laws/test_laws_plastic.py", "micro/test_laminate.py", "cells/test_arrays.py"],
)
@dataclass(frozen=True)
class J2(ElasticPart):
    """J2 (von Mises) plasticity and viscoplasticity, by the backward Euler method (radial return).

    Yield function ``f = q - (yield_stress + R(p))`` with ``q = sqrt(3/2 (s - a):(s - a))``, the deviatoric stress s,
    the backstress a, the accumulated plastic strain p and the hardening R. With linear isotropic hardening alone the
    return has a closed form; otherwise the plastic multiplier ``dp`` is a local unknown.
    Source: Simo and Hughes, *Computational Inelasticity* (1998), box 3.1; for the backstress, Chaboche, *Int. J.
    Plast.* 24 (2008) 1642.

    Attributes
    ----------
    young
        Young's modulus, in the unit of stress; positive.
    poisson
        Poisson's ratio, in (-1, 0.5).
    yield_stress
        Initial yield stress in tension, in the unit of stress; positive.
    hardening
        A number is the slope ``d R / d p``, in the unit of stress, zero (perfect plasticity) or more; or `Voce`,
        `PowerLaw`, or a `Hardening` of your own.
    kinematic
        Kinematic hardening, `ArmstrongFrederick`; none by default.
    rate
        Rate dependence, `Perzyna`; none by default.
    """

    yield_stress: Parameter
    hardening: Parameter | Hardening = 0.0
    kinematic: ArmstrongFrederick | None = None
    rate: Perzyna | None = None

    fields = ("strain",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("J2", yield_stress=self.yield_stress)
        if not isinstance(self.hardening, Hardening):
            require_not_negative("J2", hardening=self.hardening)
        for name, kind in (("kinematic", ArmstrongFrederick), ("rate", Perzyna)):
            if not isinstance(part := getattr(self, name), kind | None):
                raise InputError(f"J2: {name} = {part!r} must be a hmm.laws.{kind.__name__}")

    @property
    def is_closed_form(self) -> bool:
        """Whether the plastic multiplier has a closed form: linear isotropic hardening only."""
        return isinstance(self._isotropic, Linear) and self.kinematic is None and self.rate is None

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """``plastic_strain`` (tensor), ``p`` (accumulated plastic strain), ``backstress`` if hardening is kinematic."""
        own = {"plastic_strain": tensors.plane(dim), "p": tensors.general()}
        return own | ({"backstress": tensors.plane(dim)} if self.kinematic else {})

    def unknowns(self, dim: int) -> Mapping[str, Packing]:
        """The plastic multiplier ``dp``, unless it has a closed form."""
        return {} if self.is_closed_form else {"dp": tensors.general()}

    def guess(self, at: Local) -> State:
        """A lower bound: each mechanism takes up at most a quarter of the trial yield function."""
        quarter = self._trial(at) / 4
        modulus, recovery = self._kinematic
        drop = 3 * self.elastic.shear_modulus + modulus + recovery * _norm(self._backstress(at), self.yield_stress)
        bounds = [quarter / drop, self._isotropic.reach(quarter, at.old["p"])]
        if self.rate:
            bounds.append(self.rate.reach(quarter, at.dt))
        lowest = bounds[0]
        for bound in bounds[1:]:
            lowest = ufl.min_value(lowest, bound)
        return {"dp": ufl.conditional(ufl.gt(quarter, 0), lowest, 0.0)}

    def residual(self, at: Local) -> State:
        """The yield function at the end of a plastic step, over the yield stress; ``dp = 0`` in an elastic one."""
        dp = at.unknown["dp"]
        modulus, recovery = self._kinematic
        q = _norm(self._relative(at, dp), self.yield_stress)
        f = q - (3 * self.elastic.shear_modulus + modulus / (1 + recovery * dp)) * dp - self._yield_at(at, dp)
        if self.rate:
            f -= self.rate.stress(dp, at.dt)
        return {"dp": ufl.conditional(ufl.gt(self._trial(at), 0), f / self.yield_stress, dp)}

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), after the radial return."""
        trial = self.elastic.stress(at.strain - at.old["plastic_strain"])
        dp = self._multiplier(at)
        return trial - 2 * self.elastic.shear_modulus * dp * self._direction(at, dp)

    def update(self, at: Local) -> State:
        """Internal variables after the radial return."""
        dp = self._multiplier(at)
        flow = dp * self._direction(at, dp)
        new = {"plastic_strain": at.old["plastic_strain"] + flow, "p": at.old["p"] + dp}
        modulus, recovery = self._kinematic
        backstress = (self._backstress(at) + 2 / 3 * modulus * flow) / (1 + recovery * dp)
        return new | ({"backstress": backstress} if self.kinematic else {})

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density at the end of the step: elastic, of the hardening and of the backstress.

        The overstress stores no energy. A `Hardening` of your own needs a method ``energy(p)`` for this.
        """
        new = self.update(at)
        elastic = at.strain - new["plastic_strain"]
        stored = ufl.inner(elastic, self.elastic.stress(elastic)) / 2 + self._hardening_energy(new["p"])
        if self.kinematic:
            stored += 3 / 4 * ufl.inner(new["backstress"], new["backstress"]) / (self.kinematic.modulus + TINY)
        return stored

    def _hardening_energy(self, p: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        if not hasattr(self._isotropic, "energy"):
            raise InputError(f"the hardening {self._isotropic!r} has no stored energy: add a method energy(p)")
        return self._isotropic.energy(p)

    @property
    def _isotropic(self) -> Hardening:
        return self.hardening if isinstance(self.hardening, Hardening) else Linear(self.hardening)

    @property
    def _kinematic(self) -> tuple[Parameter, Parameter]:
        """Modulus and recovery."""
        return (self.kinematic.modulus, self.kinematic.recovery) if self.kinematic else (0.0, 0.0)

    def _multiplier(self, at: Local) -> ufl.core.expr.Expr:
        if not self.is_closed_form:
            return at.unknown["dp"]
        f, slope = self._trial(at), self._isotropic.stress(ufl.as_ufl(1.0))
        return ufl.conditional(ufl.gt(f, 0), f / (3 * self.elastic.shear_modulus + slope), 0)

    def _trial(self, at: Local) -> ufl.core.expr.Expr:
        """Yield function of an elastic step."""
        return _norm(self._relative(at, ufl.as_ufl(0.0)), self.yield_stress) - self._yield_at(at, ufl.as_ufl(0.0))

    def _yield_at(self, at: Local, dp: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        return self.yield_stress + self._isotropic.stress(at.old["p"] + dp)

    def _backstress(self, at: Local) -> ufl.core.expr.Expr:
        return at.old["backstress"] if self.kinematic else ufl.zero(3, 3)

    def _relative(self, at: Local, dp: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """The tensor parallel to the flow: the trial deviator minus the recovered backstress."""
        s = 2 * self.elastic.shear_modulus * ufl.dev(at.strain - at.old["plastic_strain"])
        return s - self._backstress(at) / (1 + self._kinematic[1] * dp)

    def _direction(self, at: Local, dp: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Flow direction ``3/2 (s - a) / q``."""
        relative = self._relative(at, dp)
        return 1.5 * relative / _norm(relative, self.yield_stress)


def _norm(s: ufl.core.expr.Expr, scale: Parameter) -> ufl.core.expr.Expr:
    """Von Mises norm of a deviator, regularized so that it has a derivative at zero."""
    return ufl.sqrt(1.5 * ufl.inner(s, s) + (1e-12 * scale) ** 2)
