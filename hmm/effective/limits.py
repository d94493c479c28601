"""The bounds that an effective stiffness or conductivity must respect, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.checks import bounds
from hmm.checks.bounds import Interval
from hmm.checks.effective import BoundsReport, hashin_shtrikman_intervals, respects_bounds

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Limits:
    """Bounds on an effective tensor.

    Attributes
    ----------
    reuss, voigt
        Lower and upper bound as quadratic forms, shape (m, m), packed as the tensor.
    hashin_shtrikman
        Intervals by name: ``"bulk modulus"`` (in 2D of plane strain) and ``"shear modulus"``, or ``"conductivity"``;
        empty if a phase is not isotropic. They are for isotropic (bulk modulus, conductivity: cubic) materials.
    report
        Which of them were applied to the tensor, and which it violates.
    """

    reuss: Floats
    voigt: Floats
    hashin_shtrikman: Mapping[str, Interval]
    report: BoundsReport

    @classmethod
    def of(
        cls, tensor: Floats, fractions: Mapping[str, float], phases: Mapping[str, Floats], quantity: str, periodic: bool
    ) -> Limits:
        """The bounds on a tensor from each phase's tangent; Hashin and Shtrikman's are applied to periodic cells."""
        f, tangents = list(fractions.values()), np.array([phases[name] for name in fractions])
        report = respects_bounds(tensor, fractions, phases, quantity=quantity)
        if not periodic:
            applied = tuple(name for name in report.applied if "Hashin" not in name)
            report = BoundsReport(applied, tuple(said for said in report.violations if "Hashin" not in said))
        known = hashin_shtrikman_intervals(f, tangents, quantity)
        return cls(bounds.reuss(f, tangents), bounds.voigt(f, tangents), known, report)

    def as_dict(self) -> dict[str, Any]:
        """All of it as lists, numbers and strings."""
        return {
            "reuss": self.reuss.tolist(),
            "voigt": self.voigt.tolist(),
            "hashin_shtrikman": {name: [i.lower, i.upper] for name, i in self.hashin_shtrikman.items()},
            "applied": list(self.report.applied),
            "violations": list(self.report.violations),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Limits:
        """The inverse of `as_dict`."""
        known = {name: Interval(*ends) for name, ends in data["hashin_shtrikman"].items()}
        report = BoundsReport(tuple(data["applied"]), tuple(data["violations"]))
        return cls(np.array(data["reuss"]), np.array(data["voigt"]), known, report)
