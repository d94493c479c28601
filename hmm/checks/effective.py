"""Whether an effective tangent is within the bounds for its phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.checks import bounds
from hmm.foundation.errors import InputError
from hmm.foundation.html import html_table

ISOTROPIC = 1e-3
"""Anisotropy (see `hmm.bounds.moduli_of`) up to which the bounds for isotropic mixtures are applied to shear."""


@dataclass(frozen=True)
class BoundsReport:
    """Which bounds were applied to an effective tangent and which it violates.

    Attributes
    ----------
    applied
        Names of the bounds that apply.
    violations
        One sentence for each bound that is violated, with both numbers.
    allowed
        One sentence for each bound that is exceeded by at most the error of the tangent.
    """

    applied: tuple[str, ...]
    violations: tuple[str, ...]
    allowed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.violations

    def _repr_html_(self) -> str:
        """The verdict as a table, for a notebook."""
        rows = [("violated", text) for text in self.violations] + [("within the error", text) for text in self.allowed]
        rows += [("applied", name) for name in self.applied]
        return html_table("Bounds respected" if self else "Bounds violated", ["", ""], rows)


def respects_bounds(
    tangent: ArrayLike,
    fractions: Mapping[str, float],
    phases: Mapping[str, object],
    *,
    rtol: float = 1e-6,
    quantity: str | None = None,
    error: ArrayLike | None = None,
) -> BoundsReport:
    """Compare an effective stiffness or conductivity with the bounds it must respect.

    Voigt and Reuss hold as quadratic forms for any microstructure, and for all three constraints of a cell. The bounds
    of Hashin and Shtrikman need a certain symmetry. They are applied to the bulk modulus if a uniform expansion gives a
    uniform pressure (cubic or square symmetry at least), and to the shear modulus and the conductivity if they are
    isotropic. They hold for periodic cells, up to the error of the mesh; uniform boundary conditions on one cell may
    exceed them.

    Parameters
    ----------
    tangent
        Shape (m, m); `Response.tangent` of a cell: (3, 3) or (6, 6) Mandel stiffness, (4, 4) with the component 33, or
        (d, d) conductivity.
    fractions
        Volume fraction of each phase, as `Cell.volume_fractions`; the remainder to 1 is void.
    phases
        For each phase an elastic law (with `bulk_modulus` and `shear_modulus`, or with such a part named `elastic`, for
        the tangent of an undeformed cell), its conductivity, or its own tangent, shape (m, m), as from
        `RVE.phase_tangents`.
    rtol
        Part of the upper bound by which a bound may be exceeded.
    quantity
        ``"stiffness"`` or ``"conductivity"``; by default a conductivity if the phases are numbers.
    error
        Shape (m, m); possible error of the tangent. A finite element solution is too stiff by its discretization error,
        which is about the tangent minus the tangent for fluctuations of a higher degree.

    Returns
    -------
    BoundsReport
        True if no bound is violated.

    Raises
    ------
    InputError
        If a phase is missing or is neither elastic nor a number nor a tangent, or the shape does not fit.
    """
    missing = [name for name in fractions if name not in phases]
    if missing:
        raise InputError(f"phase {missing[0]!r} is missing: the phases given are {list(phases)}")
    A, f = np.asarray(tangent, dtype=float), np.array(list(fractions.values()))
    off = np.zeros_like(A) if error is None else np.asarray(error, dtype=float)
    if off.shape != A.shape:
        raise InputError(f"error has shape {off.shape}: give that of the tangent, {A.shape}")
    numbers = all(isinstance(phases[name], int | float) for name in fractions)
    if (quantity or ("conductivity" if numbers else "stiffness")) == "conductivity":
        if A.shape not in ((2, 2), (3, 3)):
            raise InputError(f"the conductivity has shape {A.shape}: give (2, 2) or (3, 3)")
        k = np.array([np.asarray(phases[name]) * np.eye(len(A)) if numbers else phases[name] for name in fractions])
        return _conductivity(A, off, f, k, rtol)
    if A.shape not in ((3, 3), (4, 4), (6, 6)):
        raise InputError(f"the stiffness has shape {A.shape}: give a Mandel matrix, (3, 3) in 2D or (6, 6) in 3D")
    return _stiffness(A, off, f, np.array([_phase_stiffness(name, phases[name], len(A)) for name in fractions]), rtol)


def hashin_shtrikman_intervals(
    fractions: ArrayLike, tangents: ArrayLike, quantity: str = "stiffness"
) -> dict[str, bounds.Interval]:
    """Bounds of Hashin and Shtrikman for phases of given tangents; empty unless all of these are isotropic.

    Parameters
    ----------
    fractions
        Shape (n,).
    tangents
        Shape (n, m, m); Mandel stiffness (of one with the component 33 the plane-strain part is taken) or conductivity.
    quantity
        ``"stiffness"`` or ``"conductivity"``.

    Returns
    -------
    dict
        By name: ``"bulk modulus"`` (in 2D of plane strain) and ``"shear modulus"``, or ``"conductivity"``.
    """
    f, phases = np.asarray(fractions, dtype=float), np.asarray(tangents, dtype=float)
    if quantity == "conductivity":
        dim = phases.shape[1]
        k = np.trace(phases, axis1=1, axis2=2) / dim
        same = np.abs(phases - k[:, None, None] * np.eye(dim)).max(axis=(1, 2)) <= 1e-9 * np.abs(k)
        return {"conductivity": bounds.hashin_shtrikman_conductivity(f, k, dim)} if same.all() else {}
    moduli = np.array([bounds.moduli_of(_in_plane(C)) for C in phases])
    if (moduli[:, 2] > 1e-9).any():
        return {}
    dim = 3 if phases.shape[1] == 6 else 2
    return dict(
        zip(("bulk modulus", "shear modulus"), bounds.hashin_shtrikman(f, moduli[:, 0], moduli[:, 1], dim), strict=True)
    )


Floats = NDArray[np.float64]

Said = list[tuple[str, bool]]
"""Sentences, and whether each is about a bound that is exceeded by at most the error of the tangent."""


def _conductivity(A: Floats, error: Floats, f: Floats, phases: Floats, rtol: float) -> BoundsReport:
    said, mean = _quadratic(A, error, f, phases, rtol), np.trace(A) / len(A)
    known = hashin_shtrikman_intervals(f, phases, "conductivity")
    if not known or np.abs(A - mean * np.eye(len(A))).max() > ISOTROPIC * mean:
        return _report(["Voigt", "Reuss"], said)
    said += _inside("conductivity", mean, np.trace(error) / len(A), known["conductivity"], rtol)
    return _report(["Voigt", "Reuss", "Hashin-Shtrikman conductivity"], said)


def _stiffness(A: Floats, error: Floats, f: Floats, phases: Floats, rtol: float) -> BoundsReport:
    said, applied = _quadratic(A, error, f, phases, rtol), ["Voigt", "Reuss"]
    known = hashin_shtrikman_intervals(f, phases)
    A = _in_plane(A)
    bulk, shear, anisotropy = bounds.moduli_of(A)
    off = bounds.moduli_of(_in_plane(error)) if error.any() else (0.0, 0.0)  # moduli are linear in the stiffness
    dim = {3: 2, 6: 3}[len(A)]
    one = np.r_[np.ones(dim), np.zeros(len(A) - dim)]
    if known and np.abs(A @ one - dim * bulk * one).max() <= ISOTROPIC * dim * bulk:
        applied.append("Hashin-Shtrikman bulk")
        said += _inside("bulk modulus", bulk, off[0], known["bulk modulus"], rtol)
    if known and anisotropy <= ISOTROPIC:
        applied.append("Hashin-Shtrikman shear")
        said += _inside("shear modulus", shear, off[1], known["shear modulus"], rtol)
    return _report(applied, said)


def _report(applied: list[str], said: Said) -> BoundsReport:
    violations = tuple(words for words, is_allowed in said if not is_allowed)
    return BoundsReport(tuple(applied), violations, tuple(words for words, is_allowed in said if is_allowed))


def _in_plane(C: NDArray[np.float64]) -> NDArray[np.float64]:
    """The plane-strain part of a stiffness with the component 33 of a 2D cell; any other as it is."""
    return C[np.ix_([0, 1, 3], [0, 1, 3])] if len(C) == 4 else C


def _quadratic(A: Floats, error: Floats, f: Floats, phases: Floats, rtol: float) -> Said:
    """Violations of Reuss <= A <= Voigt."""
    lower, upper = bounds.reuss(f, phases), bounds.voigt(f, phases)
    slack, allowance = rtol * np.linalg.norm(upper, 2), np.linalg.norm(error, 2)
    A = (A + A.T) / 2
    said = []
    for name, difference in (("below Reuss", A - lower), ("above Voigt", upper - A)):
        smallest = float(np.linalg.eigvalsh(difference)[0])
        if not smallest >= -slack:
            words = f"the tangent is {name} by {-smallest:.4g} in some direction"
            said.append((words, bool(smallest >= -slack - allowance)))
    return said


def _inside(name: str, value: float, error: float, interval: bounds.Interval, rtol: float) -> Said:
    if interval.contains(value, rtol):
        return []
    words = f"the {name} {value:.6g} is outside Hashin-Shtrikman [{interval.lower:.6g}, {interval.upper:.6g}]"
    return [(words, interval.contains(value, rtol, abs(error)))]


def _phase_stiffness(name: str, phase: object, size: int) -> NDArray[np.float64]:
    """Mandel stiffness of a phase, shape (size, size): of an elastic law, or the given one."""
    if isinstance(phase, np.ndarray):
        if phase.shape != (size, size):
            raise InputError(f"the tangent of phase {name!r} has shape {phase.shape}: give ({size}, {size})")
        return phase
    law = getattr(phase, "elastic", phase)
    try:
        K, G = float(law.bulk_modulus), float(law.shear_modulus)  # type: ignore[attr-defined]
    except AttributeError:
        raise InputError(
            f"phase {name!r} is {phase!r}: give an elastic law, with bulk_modulus and shear_modulus, or for "
            "all phases a conductivity"
        ) from None
    if size == 3:
        return bounds.isotropic_stiffness(K + G / 3, G, 2)
    kept = list(range(size)) if size == 6 else [0, 1, 2, 3]  # 11, 22, 33, 12
    return bounds.isotropic_stiffness(K, G, 3)[np.ix_(kept, kept)]


def tangent_asymmetry(tangent: ArrayLike) -> float:
    """``|A - A^T| / |A|``: round-off where the laws have a potential, as in associated plasticity."""
    A = np.asarray(tangent, dtype=float)
    return float(np.linalg.norm(A - A.T) / (np.linalg.norm(A) or 1.0))
