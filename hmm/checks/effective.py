"""Whether an effective tangent is one that the phases can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm import bounds
from hmm.errors import InputError
from hmm.microproblem import Microproblem
from hmm.response import PointState

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
    """

    applied: tuple[str, ...]
    violations: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.violations


def respects_bounds(
    tangent: ArrayLike,
    fractions: Mapping[str, float],
    phases: Mapping[str, object],
    *,
    rtol: float = 1e-6,
) -> BoundsReport:
    """Compare an effective stiffness or conductivity with the bounds it must respect.

    Voigt and Reuss hold as quadratic forms for any microstructure, and for all three constraints of a cell. Those of
    Hashin and Shtrikman are applied to a tangent of the symmetry they need: on the bulk modulus if a uniform expansion
    gives a uniform pressure (cubic or square symmetry at least), on the shear modulus if it is isotropic, on the
    conductivity if it is isotropic. They hold for periodic cells, up to the error of the mesh; uniform boundary
    conditions on one cell may exceed them.

    Parameters
    ----------
    tangent
        Shape (m, m); `Response.tangent` of a cell: (3, 3) or (6, 6) Mandel stiffness, or (d, d) conductivity if the
        phases are numbers.
    fractions
        Volume fraction of each phase, as `Cell.volume_fractions`; what is missing to 1 is void.
    phases
        What each phase is: an elastic law (with `bulk_modulus` and `shear_modulus`, or with such a part named
        `elastic`, for the tangent of a virgin cell), or its conductivity.
    rtol
        By how much of the upper bound a bound may be exceeded.

    Returns
    -------
    BoundsReport
        True if no bound is violated.

    Raises
    ------
    InputError
        If a phase is missing or is neither elastic nor a number, or the shape does not fit.
    """
    missing = [name for name in fractions if name not in phases]
    if missing:
        raise InputError(f"phase {missing[0]!r} is missing: the phases given are {list(phases)}")
    A, f = np.asarray(tangent, dtype=float), np.array(list(fractions.values()))
    if all(isinstance(phases[name], int | float) for name in fractions):
        k = np.array([phases[name] for name in fractions], dtype=float)
        return _conductivity(A, f, k, rtol)
    moduli = np.array([_elastic_moduli(name, phases[name]) for name in fractions])
    return _stiffness(A, f, moduli[:, 0], moduli[:, 1], rtol)


def _conductivity(A: NDArray[np.float64], f: NDArray[np.float64], k: NDArray[np.float64], rtol: float) -> BoundsReport:
    dim = len(A)
    if A.shape != (dim, dim) or dim not in (2, 3):
        raise InputError(f"the conductivity has shape {A.shape}: give (2, 2) or (3, 3)")
    said = _quadratic(A, f, k[:, None, None] * np.eye(dim), rtol)
    mean = np.trace(A) / dim
    if np.abs(A - mean * np.eye(dim)).max() > ISOTROPIC * mean:
        return BoundsReport(("Voigt", "Reuss"), tuple(said))
    said += _inside("conductivity", mean, bounds.hashin_shtrikman_conductivity(f, k, dim), rtol)
    return BoundsReport(("Voigt", "Reuss", "Hashin-Shtrikman conductivity"), tuple(said))


def _stiffness(
    A: NDArray[np.float64], f: NDArray[np.float64], K: NDArray[np.float64], G: NDArray[np.float64], rtol: float
) -> BoundsReport:
    bulk, shear, anisotropy = bounds.moduli_of(A)
    dim = {3: 2, 6: 3}[len(A)]
    K = K + G / 3 if dim == 2 else K
    phases = np.array([bounds.isotropic_stiffness(k, g, dim) for k, g in zip(K, G, strict=True)])
    said = _quadratic(A, f, phases, rtol)
    applied = ["Voigt", "Reuss"]
    one = np.r_[np.ones(dim), np.zeros(len(A) - dim)]
    of_bulk, of_shear = bounds.hashin_shtrikman(f, K, G, dim)
    if np.abs(A @ one - dim * bulk * one).max() <= ISOTROPIC * dim * bulk:
        applied.append("Hashin-Shtrikman bulk")
        said += _inside("bulk modulus", bulk, of_bulk, rtol)
    if anisotropy <= ISOTROPIC:
        applied.append("Hashin-Shtrikman shear")
        said += _inside("shear modulus", shear, of_shear, rtol)
    return BoundsReport(tuple(applied), tuple(said))


def _quadratic(A: NDArray[np.float64], f: NDArray[np.float64], phases: NDArray[np.float64], rtol: float) -> list[str]:
    """Violations of Reuss <= A <= Voigt."""
    lower, upper = bounds.reuss(f, phases), bounds.voigt(f, phases)
    slack = -rtol * np.linalg.norm(upper, 2)
    A = (A + A.T) / 2
    said = []
    for name, difference in (("below Reuss", A - lower), ("above Voigt", upper - A)):
        smallest = float(np.linalg.eigvalsh(difference)[0])
        if not smallest >= slack:
            said.append(f"the tangent is {name} by {-smallest:.4g} in some direction")
    return said


def _inside(name: str, value: float, interval: bounds.Interval, rtol: float) -> list[str]:
    if interval.contains(value, rtol):
        return []
    return [f"the {name} {value:.6g} is outside Hashin-Shtrikman [{interval.lower:.6g}, {interval.upper:.6g}]"]


def _elastic_moduli(name: str, phase: object) -> tuple[float, float]:
    law = getattr(phase, "elastic", phase)
    try:
        return float(law.bulk_modulus), float(law.shear_modulus)  # type: ignore[attr-defined]
    except AttributeError:
        raise InputError(
            f"phase {name!r} is {phase!r}: give an elastic law, with bulk_modulus and shear_modulus, or for "
            "all phases a conductivity"
        ) from None


def tangent_asymmetry(tangent: ArrayLike) -> float:
    """``|A - A^T| / |A|``: round-off where the laws have a potential, as in associated plasticity."""
    A = np.asarray(tangent, dtype=float)
    return float(np.linalg.norm(A - A.T) / (np.linalg.norm(A) or 1.0))


def tangent_error(
    problem: Microproblem,
    E: ArrayLike,
    state: PointState | None = None,
    *,
    step: float = 1e-7,
    tangent: ArrayLike | None = None,
) -> float:
    """How far a consistent tangent is from central differences of the response.

    Parameters
    ----------
    problem
        An `hmm.RVE` or `hmm.MixedControl`.
    E
        Its macroscopic input.
    state
        State at the start of the step; virgin by default.
    step
        Width of the differences, in the unit of the input. Where a point changes its branch within it (yields), the
        differences are no derivative.
    tangent
        The tangent to be checked, shape (m, m); that of the problem by default.

    Returns
    -------
    float
        Largest deviation relative to the largest entry. About ``rtol`` of the micro Newton method over `step` times the
        size of the input is round-off.
    """
    vector = problem.pack(E)
    answer = problem.solve(vector, state)
    A = np.asarray(answer.tangent if tangent is None else tangent, dtype=float)
    start = PointState(answer.state.z, (state or problem.initial_state()).history)
    columns = [
        (problem.solve(vector + d, start).vector - problem.solve(vector - d, start).vector) / (2 * step)
        for d in step * np.eye(vector.size)
    ]
    differences = np.column_stack(columns)
    return float(np.abs(A - differences).max() / np.abs(differences).max())
