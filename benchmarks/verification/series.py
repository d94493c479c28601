"""Conduction through periodic arrays of cylinders, coated or not, by Rayleigh's method of multipoles."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, factorial

import numpy as np
from scipy.special import zeta

CORNERS = {"square": 1j, "hexagonal": np.exp(1j * np.pi / 3)}
"""The second lattice vector as a complex number, for the first one 1."""


def conductivity_of_cylinders(
    array: str, radii: Sequence[float], conductivities: Sequence[float], multipoles: int = 40
) -> float:
    """Effective conductivity of an array of cylinders in a matrix of conductivity 1; the shear modulus along them too.

    The potential around a cylinder is ``sum_n (A_n r^n + B_n r^-n) cos(n theta)``, n odd. Continuity gives ``A_n`` from
    ``B_n``. ``A_n`` is also the field of all other cylinders: ``A_n + sum_m C(n + m - 1, n) S_{n+m} B_m = E_n``, where
    S are the lattice sums and E is a uniform field. The mean flux follows from ``B_1``.

    Parameters
    ----------
    array
        ``"square"`` or ``"hexagonal"``, with the distance 1 between centres.
    radii, conductivities
        Radius and conductivity of each shell, from the core outwards; infinite is allowed for the core.
    multipoles
        Number of odd multipoles.

    Notes
    -----
    Source: Perrins, McKenzie and McPhedran, *Proc. R. Soc. A* 369 (1979) 207. A shell acts as a cylinder of another
    conductivity for each n: Nicorovici, McPhedran and Milton, *Proc. R. Soc. A* 442 (1993) 599. The sums are those of
    Weierstrass' zeta function: ``S_2 = 0``, and the mean gradient is ``E + B_1 pi / area`` by its quasi-periods.
    """
    corner, a = CORNERS[array], radii[-1]
    orders = 2 * np.arange(multipoles) + 1
    sums = {p: lattice_sum(corner, p) for p in range(4, 4 * multipoles, 2)} | {2: 0.0}
    M = np.array([[comb(n + m - 1, n) * sums[n + m] * a ** (n + m) for m in orders.tolist()] for n in orders.tolist()])
    M += np.diag([(1 + k) / (1 - k) if np.isfinite(k) else -1.0 for k in _seen(radii, conductivities, orders)])
    b = np.linalg.solve(M, a * (orders == 1))[0] * a  # B_1 for E = 1
    area = corner.imag
    return float(1 - 2 * np.pi * b / (area + np.pi * b))


def _seen(radii: Sequence[float], conductivities: Sequence[float], orders: np.ndarray) -> np.ndarray:
    """The conductivity of the cylinder that acts as the shells do, for each order."""
    k = np.full(len(orders), conductivities[0], dtype=float)
    for inner, outer, shell in zip(radii, radii[1:], conductivities[1:], strict=False):
        ratio = np.where(np.isfinite(k), (k - shell) / (k + shell), 1.0) * (inner / outer) ** (2 * orders)
        k = shell * (1 + ratio) / (1 - ratio)
    return k


def lattice_sum(corner: complex, power: int) -> float:
    """Sum of ``R^-power`` over all lattice points but the origin, power >= 4: real for these lattices."""
    if power <= 12:
        return _eisenstein(corner, power)
    i = np.arange(-30, 31)
    R = (i[:, None] + i * corner).ravel()
    return float(np.sum(R[R != 0] ** -power).real)


def _eisenstein(corner: complex, power: int) -> float:
    """The same as an Eisenstein series, whose terms decay exponentially: Apostol, *Modular Functions*, theorem 1.18."""
    n = np.arange(1, 60)
    divisors = np.array([sum(d ** (power - 1) for d in range(1, m + 1) if m % d == 0) for m in n.tolist()], dtype=float)
    rest = 2 * (2j * np.pi) ** power / factorial(power - 1) * np.sum(divisors * np.exp(2j * np.pi * corner * n))
    return float((2 * zeta(power) + rest).real)
