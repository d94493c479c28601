"""Linear viscoelasticity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ufl

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing
from hmm.laws.base import Local, Parameter, State, require_positive, value_of
from hmm.laws.elastic import ElasticPart
from hmm.laws.registry import declare


@declare(
    "small strain",
    {"young": "stress", "poisson": "", "branches": "pairs (stress, time)"},
    tests=["laws/test_laws_viscous.py"],
)
@dataclass(frozen=True)
class GeneralizedMaxwell(ElasticPart):
    """Isotropic viscoelasticity: a spring parallel to any number of Maxwell elements, which relax shear stress.

    The shear modulus relaxes as ``G(t) = G_inf + sum_i G_i exp(-t / tau_i)`` (Prony series); the bulk modulus does
    not relax. The update of each element is exact for a strain that varies linearly in the step.
    Source: Simo and Hughes, *Computational Inelasticity* (1998), section 10.3; Taylor, Pister and Goudreau, *Int. J.
    Numer. Methods Engrg.* 2 (1970) 45.

    Attributes
    ----------
    young
        Young's modulus after all relaxation, in the unit of stress; positive.
    poisson
        Poisson's ratio after all relaxation, in (-1, 0.5).
    branches
        Pairs ``(shear modulus G_i, relaxation time tau_i)``, in the units of stress and time; all positive.
    """

    branches: tuple[tuple[Parameter, Parameter], ...]

    fields = ("strain",)

    def __post_init__(self) -> None:
        super().__post_init__()
        for i, branch in enumerate(self.branches):
            if not isinstance(branch, tuple) or len(branch) != 2:
                raise InputError(f"GeneralizedMaxwell: branches[{i}] = {branch!r} must be a pair (shear modulus, time)")
            require_positive(f"GeneralizedMaxwell: branches[{i}]", shear_modulus=branch[0], relaxation_time=branch[1])

    @property
    def initial_modulus(self) -> float:
        """A bound on the largest eigenvalue of the stiffness before any relaxation, for `hmm.laws.Rigid`."""
        return self.elastic.initial_modulus + 2 * sum(value_of(G) for G, _ in self.branches)

    @property
    def relaxation_times(self) -> tuple[float, ...]:
        """Present relaxation time of each element."""
        return tuple(value_of(tau) for _, tau in self.branches)

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """``deviator`` of the strain, and for each element its stress ``stress_1``, ``stress_2``, ..."""
        names = ["deviator", *(f"stress_{i + 1}" for i in range(len(self.branches)))]
        return {name: tensors.plane(dim) for name in names}

    def response(self, at: Local) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3)."""
        return self.elastic.stress(at.strain) + sum(self._stresses(at).values(), ufl.zero(3, 3))

    def energy(self, at: Local) -> ufl.core.expr.Expr:
        """Stored energy density at the end of the step, of all springs."""
        elements = zip(self._stresses(at).values(), self.branches, strict=True)
        return self.elastic.energy(at) + sum(ufl.inner(q, q) / (4 * G) for q, (G, _) in elements)

    def update(self, at: Local) -> State:
        """Deviatoric strain and the stress of each element."""
        return {"deviator": ufl.dev(at.strain), **self._stresses(at)}

    def _stresses(self, at: Local) -> dict[str, ufl.core.expr.Expr]:
        """``q_i = exp(-x) q_old + 2 G_i (1 - exp(-x)) / x (e - e_old)`` with ``x = dt / tau_i``."""
        de = ufl.dev(at.strain) - at.old["deviator"]
        stresses = {}
        for i, (G, tau) in enumerate(self.branches):
            x = at.dt / tau
            mean = ufl.conditional(ufl.lt(x, 1e-5), 1 - x / 2 + x**2 / 6, (1 - ufl.exp(-x)) / x)
            stresses[f"stress_{i + 1}"] = ufl.exp(-x) * at.old[f"stress_{i + 1}"] + 2 * G * mean * de
        return stresses
