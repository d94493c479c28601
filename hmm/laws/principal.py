"""Powers of a symmetric tensor, smooth also where principal values are equal."""

from __future__ import annotations

from math import prod

import ufl

NEAR = 0.05
"""Deviation of the principal values, relative to their mean, below which the series about the mean is used."""

PAIR = 0.01
"""Squared relative half difference of two of them below which the even series about their mean is used."""

ROOT = (0.8660619, 0.1654042, -0.0408810, 0.0094436)
"""First guess of the largest root y of ``4 y^3 - 3 y = c``, a polynomial of c in [0, 1] good to 4e-5."""

Expr = ufl.core.expr.Expr


def powers(C: Expr, exponents: tuple[float, ...]) -> list[Expr]:
    """The tensors ``C^beta`` of a symmetric, positive definite C of shape (3, 3), for each exponent beta.

    ``C^beta`` is a smooth function of C, but individual principal values and directions are not smooth where two
    values coincide. Hence no directions are computed, and

    - near ``C = m I`` it is the binomial series about the mean m, its powers reduced by Cayley-Hamilton;
    - elsewhere it is the quadratic polynomial of C that interpolates at the principal values. The one furthest from
      the others is a simple root, hence smooth in the invariants; the other two enter by their mean h and squared half
      difference r^2, in even functions of r, which for small r are series.

    No principal value is perturbed, and the series are truncated at rounding: values and first derivatives have
    errors of 1e-11 or less everywhere. Source of the interpolation: Higham, *Functions of Matrices* (2008), sect. 1.2.
    """
    mean = ufl.tr(C) / 3
    S = C - mean * ufl.Identity(3)
    J2, J3 = ufl.inner(S, S) / 2, ufl.det(S)
    is_near = ufl.lt(4 * J2 / 3, (NEAR * mean) ** 2)
    far_J2 = ufl.conditional(is_near, mean**2 / 4, J2)  # keeps the unused branch finite
    far_J3 = ufl.conditional(is_near, mean**3 / 16, J3)
    s, r2 = _isolated(far_J2, far_J3)
    h = mean - s / 2
    found = []
    for beta in exponents:
        near = _series(mean, J2, J3, beta)
        far = _interpolation(mean + s, h, r2, beta)
        zero, one, two = (ufl.conditional(is_near, a, b) for a, b in zip(near, _about(far, -s / 2), strict=True))
        found.append(zero * ufl.Identity(3) + one * S + two * (S * S))
    return found


def _isolated(J2: Expr, J3: Expr) -> tuple[Expr, Expr]:
    """The principal value s of a deviator that is furthest from the other two, and their squared half difference.

    With ``s = 2 sqrt(J2 / 3) y`` the characteristic equation is ``4 y^3 - 3 y = c``; for c in [0, 1] its largest root
    is well separated, and Newton's method takes two steps from the guess to rounding.
    """
    sign = ufl.conditional(ufl.lt(J3, 0), -1.0, 1.0)
    c = sign * J3 / 2 * (3 / J2) ** 1.5
    y = _polynomial(ROOT, c)
    for _ in range(2):
        y = (8 * y**3 + c) / (12 * y**2 - 3)
    return sign * 2 * ufl.sqrt(J2 / 3) * y, J2 * (1 - y**2)


def _interpolation(isolated: Expr, h: Expr, r2: Expr, beta: float) -> tuple[Expr, Expr, Expr]:
    """Coefficients of the powers of ``(C - h)`` of the quadratic that interpolates ``c^beta``."""
    u = r2 / h**2
    is_close = ufl.lt(u, PAIR)
    r = ufl.sqrt(ufl.conditional(is_close, h**2 / 4, r2))
    plus, minus = (h + r) ** beta, (h - r) ** beta
    even = [_binomial(beta, 2 * k) for k in range(8)]
    odd = [_binomial(beta, 2 * k + 1) for k in range(8)]
    mean = ufl.conditional(is_close, h**beta * _polynomial(even, u), (plus + minus) / 2)
    slope = ufl.conditional(is_close, h ** (beta - 1) * _polynomial(odd, u), (plus - minus) / (2 * r))
    gap = isolated - h
    curvature = (isolated**beta - mean - slope * gap) / (gap**2 - r2)
    return mean - curvature * r2, slope, curvature


def _about(coefficients: tuple[Expr, Expr, Expr], shift: Expr) -> tuple[Expr, Expr, Expr]:
    """Coefficients in the powers of x of a quadratic given in those of ``x - shift``."""
    a, b, c = coefficients
    return a - shift * (b - shift * c), b - 2 * shift * c, c


def _series(mean: Expr, J2: Expr, J3: Expr, beta: float) -> tuple[Expr, Expr, Expr]:
    """Coefficients of I, S and S^2 in ``mean^beta sum_k binomial(beta, k) (S / mean)^k``, as ``S^3 = J2 S + J3 I``."""
    j2, j3 = J2 / mean**2, J3 / mean**3
    power = [ufl.as_ufl(1.0), ufl.as_ufl(0.0), ufl.as_ufl(0.0)]  # of I, S/m and (S/m)^2
    total = list(power)
    for k in range(1, 11):
        power = [j3 * power[2], power[0] + j2 * power[2], power[1]]
        total = [t + _binomial(beta, k) * x for t, x in zip(total, power, strict=True)]
    scale = mean**beta
    return scale * total[0], scale / mean * total[1], scale / mean**2 * total[2]


def _polynomial(coefficients: tuple[float, ...] | list[float], u: Expr) -> Expr:
    """Horner's rule."""
    value = ufl.as_ufl(0.0)
    for coefficient in reversed(coefficients):
        value = value * u + coefficient
    return value


def _binomial(beta: float, k: int) -> float:
    return prod((beta - i) / (i + 1) for i in range(k))
