"""Few points with positive weights that integrate what a reduced model needs.

Source: Hernandez, Caicedo and Ferrer, *Comput. Methods Appl. Mech. Engrg.* 313 (2017) 687; Hernandez, *ibid.* 366
(2020) 113025; non-negative least squares: Lawson and Hanson, *Solving Least Squares Problems* (1974), chapter 23.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import nnls

from hmm.foundation.errors import ConvergenceError

Floats = NDArray[np.float64]


def cubature(
    weights: Floats, exact: Floats, close: Floats, tolerance: float, most: int
) -> tuple[NDArray[np.int64], Floats]:
    """Points and positive weights.

    Parameters
    ----------
    weights
        Shape (n,); the weights of all quadrature points.
    exact
        Shape (a, n); functions whose integrals must be kept to rounding. The volume is added.
    close
        Shape (b, n); functions whose integrals must be kept in the mean: those combinations of them that make up all
        but a part of `tolerance`.
    tolerance
        The part that is left out.
    most
        Most combinations of the latter.

    Returns
    -------
    indices, weights
        Shapes (g,); no more points than functions and combinations.
    """
    root = np.sqrt(weights)
    first = _basis(np.concatenate([np.ones((1, weights.size)), exact]) * root)
    rest = close * root
    rest = rest - (rest @ first.T) @ first
    second = _leading(rest, tolerance, most)
    functions = np.concatenate([first, second])
    target = functions @ root
    chosen, _ = nnls(functions * root, target, maxiter=30 * weights.size)
    points = np.flatnonzero(chosen > 1e-10 * chosen.max())
    columns, factors = (functions * root)[:, points], chosen[points]
    factors = factors + np.linalg.lstsq(columns, target - columns @ factors, rcond=None)[0]
    missed = np.abs(columns @ factors - target).max() / np.linalg.norm(target)
    if missed > 1e-9 or (factors <= 0).any():
        raise ConvergenceError(f"no cubature was found: integrals are missed by {missed:.1e}; ask for fewer modes")
    return points, factors * weights[points]


def contraction(stiffness: Floats, few: Floats, limit: float) -> Floats:
    """Factors P, shape (W, W), with ``P^T few P <= limit stiffness``; the identity where this holds already.

    If the fields at cubature points follow ``P x`` instead of x, these points cannot say that the cell loses much more
    stiffness than it has.

    Parameters
    ----------
    stiffness, few
        Shape (W, W); the exact stiffness, positive definite, and that of few points.
    limit
        How many times the exact one that of few points may be.
    """
    ratios, vectors = eigh(few, stiffness)
    factors = np.sqrt(np.minimum(1.0, limit / ratios.clip(1e-300)))
    return (vectors * factors) @ vectors.T @ stiffness


def _basis(rows: Floats) -> Floats:
    """Orthonormal rows that span all rows, to rounding."""
    _, sizes, vectors = np.linalg.svd(rows, full_matrices=False)
    return vectors[sizes > 1e-12 * np.linalg.norm(sizes)]


def _leading(rows: Floats, tolerance: float, most: int) -> Floats:
    """At most so many orthonormal rows, that span all but a part `tolerance` (in the 2-norm) of the rows."""
    n = min(most, *rows.shape)
    if not n:
        return np.zeros((0, rows.shape[1]))
    vectors = _subspace(rows, min(n + 20, *rows.shape)) if n + 20 < min(rows.shape) else rows
    _, sizes, vectors = np.linalg.svd(vectors, full_matrices=False)
    left = np.linalg.norm(rows) ** 2 - np.concatenate([[0.0], np.cumsum(sizes**2)[:-1]])
    return vectors[: min(int((left > (tolerance * np.linalg.norm(rows)) ** 2).sum()), n)]


def _subspace(rows: Floats, n: int) -> Floats:
    """Combinations that span the strongest of many rows (Halko, Martinsson, Tropp, *SIAM Rev.* 53 (2011) 217)."""
    some = np.random.default_rng(0).standard_normal((n, len(rows))) @ rows
    for _ in range(3):
        some = np.linalg.qr(some.T)[0].T
        some = np.linalg.qr(rows @ some.T)[0].T @ rows
    return some
