"""Bounds on effective stiffness and conductivity: Voigt, Reuss, Hashin and Shtrikman. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.html import html_table

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Lower and upper bound of a number."""

    lower: float
    upper: float

    def contains(self, value: float, rtol: float = 1e-9, atol: float = 0.0) -> bool:
        """Whether `value` lies between the bounds, up to `rtol` of the upper one and `atol`, the error of `value`."""
        slack = rtol * abs(self.upper) + atol
        return self.lower - slack <= value <= self.upper + slack

    def _repr_html_(self) -> str:
        """The bounds as a table, for a notebook."""
        return html_table("Bounds", ["lower", "upper"], [(self.lower, self.upper)])


def voigt(fractions: ArrayLike, stiffnesses: ArrayLike) -> Floats:
    """Voigt (1889) upper bound, the mean of the phases' stiffnesses, shape (m, m).

    Parameters
    ----------
    fractions
        Shape (n,); volume fractions of the phases. The remainder to 1 is void.
    stiffnesses
        Shape (n, m, m); packed as the effective tangent is.
    """
    f, C = _phases(fractions, stiffnesses)
    return np.einsum("a,aij->ij", f, C)


def reuss(fractions: ArrayLike, stiffnesses: ArrayLike) -> Floats:
    """Reuss (1929) lower bound, the inverse of the phases' mean compliance, shape (m, m); zero if there are voids.

    Parameters are those of `voigt`.
    """
    f, C = _phases(fractions, stiffnesses)
    if f.sum() < 1 - 1e-9:
        return np.zeros(C.shape[1:])
    return np.linalg.inv(np.einsum("a,aij->ij", f, np.linalg.inv(C)))


def hashin_shtrikman(
    fractions: ArrayLike, bulk_moduli: ArrayLike, shear_moduli: ArrayLike, dim: int = 3
) -> tuple[Interval, Interval]:
    """Bounds of Hashin and Shtrikman on the bulk and shear modulus of isotropic mixtures of isotropic phases.

    Parameters
    ----------
    fractions
        Shape (n,); volume fractions of the phases. The remainder to 1 is void.
    bulk_moduli
        Shape (n,); in 3D the bulk moduli K, in 2D the plane-strain ones ``K + G/3``.
    shear_moduli
        Shape (n,).
    dim
        3, or 2 for fibres in their transverse plane.

    Returns
    -------
    (Interval, Interval)
        Bulk and shear modulus, in the unit of the moduli.

    Notes
    -----
    The largest and the smallest moduli are those of a reference medium: ``K = (sum f / (K_i + K*))^-1 - K*`` and
    likewise G with ``K* = 4/3 G, G* = G (9 K + 8 G) / (6 (K + 2 G))`` in 3D, and ``K* = G, G* = K G / (K + 2 G)`` in
    2D. The bound on K also holds for cubic (in 2D: square) symmetry. Source: Hashin and Shtrikman, *J. Mech. Phys.
    Solids* 11 (1963) 127; Hashin, *ibid.* 13 (1965) 119 for fibres; Walpole, *ibid.* 14 (1966) 151 for phases that are
    not ordered.
    """
    _require_dimension(dim)
    f = _fractions(fractions)
    K, G = (np.asarray(v, dtype=float) for v in (bulk_moduli, shear_moduli))
    if not f.shape == K.shape == G.shape:
        raise InputError(
            f"{f.size} fractions, {K.size} bulk and {G.size} shear moduli: give one of each for every phase"
        )
    f, K, G = _with_voids(f, K, G)
    bulk, shear = [], []
    for k, g in ((K.min(), G.min()), (K.max(), G.max())):
        if dim == 3:
            k_star, g_star = 4 / 3 * g, g * (9 * k + 8 * g) / (6 * (k + 2 * g)) if k + g else 0.0
        else:
            k_star, g_star = g, k * g / (k + 2 * g) if k + g else 0.0
        bulk.append(_mixed(f, K, k_star))
        shear.append(_mixed(f, G, g_star))
    return Interval(*bulk), Interval(*shear)


def hashin_shtrikman_conductivity(fractions: ArrayLike, conductivities: ArrayLike, dim: int = 3) -> Interval:
    """Bounds of Hashin and Shtrikman on the conductivity of isotropic mixtures of isotropic phases.

    They also hold for cubic (in 2D: square) symmetry, where the conductivity is isotropic.
    Source: Hashin and Shtrikman, *J. Appl. Phys.* 33 (1962) 3125.

    Parameters
    ----------
    fractions
        Shape (n,); volume fractions of the phases. The remainder to 1 does not conduct.
    conductivities
        Shape (n,).
    dim
        2 or 3.
    """
    _require_dimension(dim)
    f, k = _fractions(fractions), np.asarray(conductivities, dtype=float)
    if f.shape != k.shape:
        raise InputError(f"{f.size} fractions and {k.size} conductivities: give one of each for every phase")
    f, k = _with_voids(f, k)
    return Interval(*(_mixed(f, k, (dim - 1) * reference) for reference in (k.min(), k.max())))


def _mixed(f: Floats, values: Floats, star: float) -> float:
    """``(sum f / (v + v*))^-1 - v*``; zero if a phase has neither."""
    if (values + star <= 0).any():
        return 0.0
    return float(1 / np.sum(f / (values + star)) - star)


def _with_voids(f: Floats, *moduli: Floats) -> tuple[Floats, ...]:
    """Fractions and moduli, including those of the voids, if there are any."""
    rest = 1 - f.sum()
    if rest <= 1e-9:
        return f, *moduli
    return np.append(f, rest), *(np.append(values, 0.0) for values in moduli)


def _fractions(fractions: ArrayLike) -> Floats:
    f = np.asarray(fractions, dtype=float)
    if f.ndim != 1 or not f.size or (f < 0).any() or f.sum() > 1 + 1e-9:
        raise InputError(
            f"volume fractions {f.tolist()} must be a list of numbers from 0 to 1 that add up to 1 at most"
        )
    return f


def _phases(fractions: ArrayLike, stiffnesses: ArrayLike) -> tuple[Floats, Floats]:
    f, C = _fractions(fractions), np.asarray(stiffnesses, dtype=float)
    if C.ndim != 3 or C.shape[0] != f.size or C.shape[1] != C.shape[2]:
        raise InputError(f"stiffnesses have shape {C.shape}: give a square matrix for each of {f.size} phases")
    return f, C


def _require_dimension(dim: int) -> None:
    if dim not in (2, 3):
        raise InputError(f"dim = {dim} must be 2 or 3")


def moduli_of(stiffness: ArrayLike) -> tuple[float, float, float]:
    """Bulk modulus, shear modulus and anisotropy of a Mandel stiffness, shape (3, 3) in 2D or (6, 6) in 3D.

    The moduli are those of the isotropic part, ``K = C_iijj / d^2`` (in 2D the plane-strain one) and the mean shear
    modulus; the anisotropy is the size of the rest relative to the stiffness, zero if it is isotropic.
    """
    C = np.asarray(stiffness, dtype=float)
    if C.shape not in ((3, 3), (6, 6)):
        raise InputError(f"the stiffness has shape {C.shape}: give a Mandel matrix, (3, 3) in 2D or (6, 6) in 3D")
    dim = {3: 2, 6: 3}[len(C)]
    one = np.r_[np.ones(dim), np.zeros(len(C) - dim)]
    spherical = np.outer(one, one) / dim
    K = float(np.sum(spherical * C)) / dim
    deviatoric = np.eye(len(C)) - spherical
    G = float(np.sum(deviatoric * C)) / (2 * (len(C) - 1))
    rest = C - dim * K * spherical - 2 * G * deviatoric
    return K, G, float(np.linalg.norm(rest) / np.linalg.norm(C))


def isotropic_stiffness(bulk: float, shear: float, dim: int) -> Floats:
    """Mandel stiffness, shape (3, 3) or (6, 6), of a bulk modulus (in 2D the plane-strain one) and a shear modulus."""
    _require_dimension(dim)
    size = {2: 3, 3: 6}[dim]
    one = np.r_[np.ones(dim), np.zeros(size - dim)]
    return bulk * np.outer(one, one) + 2 * shear * (np.eye(size) - np.outer(one, one) / dim)
