"""Few points with positive weights that integrate what a reduced model needs.

Source: Hernandez, Caicedo and Ferrer, *Comput. Methods Appl. Mech. Engrg.* 313 (2017) 687; Hernandez, *ibid.* 366
(2020) 113025; non-negative least squares: Lawson and Hanson, *Solving Least Squares Problems* (1974), chapter 23.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
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
    first = _basis(np.concatenate([np.ones((1, weights.size)), exact]) * root, 1e-12, None)
    rest = close * root
    rest = rest - (rest @ first.T) @ first
    second = _basis(rest, tolerance, most)
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


def _basis(rows: Floats, tolerance: float, most: int | None) -> Floats:
    """Orthonormal rows that span all but a part `tolerance` (in the 2-norm) of the rows, scaled to their size."""
    if not rows.size:
        return np.zeros((0, rows.shape[1]))
    values, vectors = np.linalg.eigh(rows.T @ rows) if rows.shape[0] > rows.shape[1] else _small(rows)
    values = values.clip(0)
    left = np.sqrt(np.cumsum(values))  # ascending: what is left when all up to here are dropped
    keep = left > tolerance * left[-1]
    kept = vectors[:, keep].T[::-1]
    return kept if most is None else kept[:most]


def _small(rows: Floats) -> tuple[Floats, Floats]:
    """Ascending squared singular values and right singular vectors, as columns, of a matrix with few rows."""
    _, s, vt = np.linalg.svd(rows, full_matrices=False)
    return s[::-1] ** 2, vt[::-1].T
