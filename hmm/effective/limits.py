"""The bounds on an effective stiffness or conductivity, and a check of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
        empty if a phase is not isotropic. They hold for isotropic materials; those of the bulk
        modulus and of the conductivity also hold for cubic ones.
    report
        The bounds that were applied, and those that the tensor violates by more than the discretization error.
    error
        Estimate of the discretization error of the tensor, shape (m, m); None if it was not needed or not
        possible.
    remark
        Size and source of this estimate, or the reason why there is none; empty if it was not needed.
    """

    reuss: Floats
    voigt: Floats
    hashin_shtrikman: Mapping[str, Interval]
    report: BoundsReport
    error: Floats | None = None
    remark: str = ""

    @classmethod
    def of(
        cls,
        tensor: Floats,
        fractions: Mapping[str, float],
        phases: Mapping[str, Floats],
        quantity: str,
        periodic: bool,
        estimate: Callable[[], tuple[Floats | None, str]] | None = None,
    ) -> Limits:
        """The bounds on a tensor from the phases' tangents; those of Hashin and Shtrikman only for periodic cells.

        If a bound is violated, `estimate` returns `error` and `remark`.
        """
        f, tangents = list(fractions.values()), np.array([phases[name] for name in fractions])

        def judged(error: Floats | None) -> BoundsReport:
            report = respects_bounds(tensor, fractions, phases, quantity=quantity, error=error)
            return report if periodic else _of_any_cell(report)

        report, error, remark = judged(None), None, ""
        if not report and estimate is not None:
            error, remark = estimate()
            report = judged(error)
        known = hashin_shtrikman_intervals(f, tangents, quantity)
        return cls(bounds.reuss(f, tangents), bounds.voigt(f, tangents), known, report, error, remark)

    def as_dict(self) -> dict[str, Any]:
        """The bounds as lists, numbers and strings."""
        return {
            "reuss": self.reuss.tolist(),
            "voigt": self.voigt.tolist(),
            "hashin_shtrikman": {name: [i.lower, i.upper] for name, i in self.hashin_shtrikman.items()},
            "applied": list(self.report.applied),
            "violations": list(self.report.violations),
            "allowed": list(self.report.allowed),
            "error": None if self.error is None else self.error.tolist(),
            "remark": self.remark,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Limits:
        """The inverse of `as_dict`."""
        known = {name: Interval(*ends) for name, ends in data["hashin_shtrikman"].items()}
        report = BoundsReport(tuple(data["applied"]), tuple(data["violations"]), tuple(data.get("allowed", ())))
        error = None if data.get("error") is None else np.array(data["error"])
        return cls(np.array(data["reuss"]), np.array(data["voigt"]), known, report, error, str(data.get("remark", "")))


def _of_any_cell(report: BoundsReport) -> BoundsReport:
    """The bounds that apply to a cell that is not periodic."""
    kept = (report.applied, report.violations, report.allowed)
    return BoundsReport(*(tuple(said for said in sentences if "Hashin" not in said) for sentences in kept))
