"""PlyFailure criteria of a ply: the load factor at which a stress that grows along a line reaches the limit.

Each criterion is a set of modes. A mode is a quadratic function of the ply stress ``s = (s1, s2, s12)``,
``f(s) = p.s + s.P.s``, whose value 1 is failure, and it may count for one sign of a stress only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.naming import require_known
from hmm.foundation.options import is_real, positive

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Strength:
    """Strengths of a ply in its own axes; all are positive stresses.

    Attributes
    ----------
    Xt, Xc
        Tension and compression along the fibres.
    Yt, Yc
        Tension and compression across the fibres.
    S12
        Shear in the plane.
    S23
        Shear across the fibres, for Hashin's criterion of the matrix in compression; by default ``Yc / 2``.
    f12
        Interaction of Tsai and Wu, ``F12 / sqrt(F11 F22)``, greater than -1 and less than 1.

    Raises
    ------
    InputError
        If a strength is not positive, or `f12` is out of range.
    """

    Xt: float
    Xc: float
    Yt: float
    Yc: float
    S12: float
    S23: float | None = None
    f12: float = -0.5

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name not in ("S23", "f12")):
            positive(f"strength {name}", getattr(self, name))
        if self.S23 is not None:
            positive("strength S23", self.S23)
        if not is_real(self.f12) or not -1 < self.f12 < 1:
            raise InputError(f"strength f12 = {self.f12!r}: give a number between -1 and 1, such as -0.5")


@dataclass(frozen=True, eq=False)
class Mode:
    """A mode of failure, ``f(s) = p.s + s.P.s = 1``.

    Attributes
    ----------
    name
        Its name, such as ``"matrix tension"``.
    linear, quadratic
        ``p``, shape (3,), and ``P``, shape (3, 3).
    component, sign
        The mode counts only where this stress component has this sign; a sign of 0 is any stress.
    """

    name: str
    linear: Floats
    quadratic: Floats
    component: int = 0
    sign: int = 0

    def counts(self, stress: Floats) -> bool:
        """Whether the mode counts at a stress."""
        return self.sign * float(stress[self.component]) >= 0

    def value(self, stress: Floats) -> float:
        """``f`` at a stress, whether the mode counts there or not."""
        return float(self.linear @ stress + stress @ self.quadratic @ stress)

    def load_factor(self, constant: Floats, growing: Floats) -> float:
        """The smallest ``t >= 0`` at which ``constant + t * growing`` fails; infinite if there is none."""
        a = float(growing @ self.quadratic @ growing)
        b = float(self.linear @ growing + 2 * constant @ self.quadratic @ growing)
        times = [0.0, *_roots(a, b, self.value(constant) - 1.0)]
        own = float(growing[self.component])
        switch = -float(constant[self.component]) / own if self.sign and own else -1.0
        for t in sorted(t for t in (*times, switch) if t >= 0):  # a mode that begins to count may be beyond its limit
            stress = constant + t * growing
            stress[self.component] *= t != switch
            if self.counts(stress) and self.value(stress) >= 1.0 - 1e-12:
                return t
        return inf


def _roots(a: float, b: float, c: float) -> list[float]:
    """Real roots of ``a t^2 + b t + c``, without loss of digits for a small `a`."""
    if abs(a) * abs(c) <= 1e-14 * b * b:
        return [-c / b] if b else []
    square = b * b - 4 * a * c
    if square < 0:
        return []
    q = -(b + (sqrt(square) if b >= 0 else -sqrt(square))) / 2
    return [q / a, c / q] if q else [0.0]


class Limit(NamedTuple):
    """The load factor of a ply and the mode that limits it."""

    factor: float
    mode: str


def tsai_wu(strength: Strength) -> list[Mode]:
    """Tsai and Wu, *J. Compos. Mater.* 5 (1971) 58: one quadratic function of all stresses."""
    s = strength
    F11, F22 = 1 / (s.Xt * s.Xc), 1 / (s.Yt * s.Yc)
    F12 = s.f12 * sqrt(F11 * F22)
    linear = np.array([1 / s.Xt - 1 / s.Xc, 1 / s.Yt - 1 / s.Yc, 0.0])
    return [Mode("combined stress", linear, np.array([[F11, F12, 0], [F12, F22, 0], [0, 0, s.S12**-2]]))]


def maximum_stress(strength: Strength) -> list[Mode]:
    """Each stress component on its own against its strength."""
    s, nothing = strength, np.zeros((3, 3))
    limits = [("fibre", s.Xt, s.Xc), ("matrix", s.Yt, s.Yc)]
    modes = []
    for k, (name, tension, compression) in enumerate(limits):
        modes.append(Mode(f"{name} tension", np.eye(3)[k] / tension, nothing))
        modes.append(Mode(f"{name} compression", -np.eye(3)[k] / compression, nothing))
    return [*modes, Mode("shear", np.zeros(3), np.diag([0, 0, s.S12**-2]))]


def hashin(strength: Strength) -> list[Mode]:
    """Hashin, *J. Appl. Mech.* 47 (1980) 329, for plane stress: fibres and matrix, in tension and compression."""
    s = strength
    S23 = s.Yc / 2 if s.S23 is None else s.S23
    none, shear = np.zeros(3), s.S12**-2
    crushing = ((s.Yc / (2 * S23)) ** 2 - 1) / s.Yc
    return [
        Mode("fibre tension", none, np.diag([s.Xt**-2, 0, shear]), 0, 1),
        Mode("fibre compression", none, np.diag([s.Xc**-2, 0, 0]), 0, -1),
        Mode("matrix tension", none, np.diag([0, s.Yt**-2, shear]), 1, 1),
        Mode("matrix compression", np.array([0, crushing, 0]), np.diag([0, (2 * S23) ** -2, shear]), 1, -1),
    ]


CRITERIA: dict[str, Callable[[Strength], list[Mode]]] = {
    "tsai-wu": tsai_wu,
    "hashin": hashin,
    "maximum stress": maximum_stress,
}
"""The modes of each criterion by its name."""


def failure_modes(criterion: str, strength: Strength) -> list[Mode]:
    """The modes of a criterion; an unknown name is an `InputError` with the nearest one."""
    require_known("criterion", criterion, CRITERIA)
    return CRITERIA[criterion](strength)


def limit(modes: Sequence[Mode], constant: Floats, growing: Floats) -> Limit:
    """The smallest load factor of several modes."""
    return min(
        (Limit(mode.load_factor(constant, growing), mode.name) for mode in modes), key=lambda found: found.factor
    )
