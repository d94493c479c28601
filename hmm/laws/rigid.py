"""Rigid phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hmm.foundation.errors import InputError
from hmm.laws.base import Law, require_between, require_positive
from hmm.laws.combined import initial_modulus
from hmm.laws.elastic import Elastic
from hmm.laws.hyperelastic import NeoHooke
from hmm.laws.registry import declare

STAND_INS: dict[tuple[str, ...], Callable[[float, float], Law]] = {
    ("strain",): Elastic,
    ("deformation_gradient",): NeoHooke,
}
"""Laws that replace a rigid phase, by the fields of the other phases."""


@declare(
    "small or finite strain",
    {"contrast": "", "young": "stress, by default of the other phases"},
    tests=["laws/test_rigid.py"],
)
@dataclass(frozen=True)
class Rigid:
    """A phase that moves as a rigid body, to a stated error: far stiffer than all others.

    The RVE replaces it by `Elastic`, or at finite strain by `NeoHooke`, with Young's modulus `contrast` times the
    largest eigenvalue of the other phases' initial stiffness and Poisson's ratio 0. A rigid phase
    therefore needs no constraint of its own: it may consist of several pieces, touch the boundary of the cell or
    percolate, with any constraint, solver and number of ranks.

    To first order in 1/contrast the energy of the cell is too small by the energy stored in the phase itself. Relative
    to the energy of the cell, this was 0.53/contrast for rigid discs with a fraction of 0.3 in a square array, 5e-6 by
    default, which is below usual discretization errors. Rounding errors grow with the contrast, hence its upper limit.

    Attributes
    ----------
    contrast
        Ratio of its stiffness to that of the stiffest other phase, in [1e2, 1e8]; 1e5 by default.
    young
        Replaces the largest modulus of the other phases, in the unit of stress; for laws whose modulus is unknown, or
        that stiffen much.
    """

    contrast: float = 1e5
    young: float | None = None

    def __post_init__(self) -> None:
        require_between("Rigid", 1e2, 1e8, contrast=self.contrast)
        if self.young is not None:
            require_positive("Rigid", young=self.young)

    def stand_in(self, neighbours: Mapping[str, Any]) -> Law:
        """The law that replaces the rigid phase, for these laws of the other phases.

        Raises
        ------
        InputError
            If these have other fields than a strain or a deformation gradient, or their modulus is unknown.
        """
        answered = {tuple(getattr(law, "fields", ())) for law in neighbours.values()}
        kind = STAND_INS.get(next(iter(answered))) if len(answered) == 1 else None
        if kind is None:
            said = [f"{phase!r} with {' and '.join(getattr(law, 'fields', ()))}" for phase, law in neighbours.items()]
            raise InputError(
                "Rigid: a rigid phase needs other phases with laws of strain, or of deformation_gradient, but "
                f"there are {', '.join(said) or 'none'}: give it a stiff law of your own"
            )
        young = self.young or max(map(initial_modulus, neighbours.values()))
        if not young:
            names = ", ".join(type(law).__name__ for law in neighbours.values())
            raise InputError(f"Rigid: the other laws, {names}, have no known modulus: give young=")
        return kind(self.contrast * young, 0.0)


def without_rigid(laws: Mapping[str, Any]) -> dict[str, Any]:
    """The law of each phase, with replacements for the rigid ones (see `Rigid`)."""
    others = {phase: law for phase, law in laws.items() if not isinstance(law, Rigid)}
    return {phase: law.stand_in(others) if isinstance(law, Rigid) else law for phase, law in laws.items()}
