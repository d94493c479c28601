"""Random directions of fibres and orientations of grains with a given distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from hmm.cells._checks import check_choice, real_array
from hmm.foundation.errors import InputError

NAMED = {
    "uniform": lambda dim: np.eye(dim) / dim,
    "aligned": lambda dim: np.diag(np.eye(dim)[0]),
    "planar": lambda dim: np.diag([0.5, 0.5, 0.0][:dim]),
}
"""Second-order orientation tensor of each named distribution: aligned with x, planar in the xy plane."""

ACROSS = (0.0, 0.0, 1.0)
"""Direction of the fibres of plane cells and of cells extruded from them."""


def orientation_tensor(directions: ArrayLike) -> NDArray[np.float64]:
    """Second-order orientation tensor of unit vectors, the mean of p (x) p (Advani and Tucker 1987).

    Parameters
    ----------
    directions
        Shape (n, d).

    Returns
    -------
    ndarray
        Shape (d, d), of trace 1.
    """
    p = np.asarray(directions, dtype=float)
    return np.einsum("ni,nj->ij", p, p) / len(p)


def wanted_tensor(orientation: str | Sequence[Sequence[float]] | ArrayLike, dim: int) -> NDArray[np.float64]:
    """The orientation tensor of a named distribution, or the given one after checking it."""
    if isinstance(orientation, str):
        check_choice("orientation", orientation, NAMED)
        return NAMED[orientation](dim)
    remedy = f"give {sorted(NAMED)} or a symmetric, positive semidefinite {dim} x {dim} tensor of trace 1"
    a = real_array("orientation", orientation, remedy)
    if a.shape != (dim, dim) or not np.allclose(a, a.T, atol=1e-9) or abs(np.trace(a) - 1) > 1e-6:
        raise InputError(f"orientation = {a.tolist()} is not an orientation tensor: {remedy}")
    if np.linalg.eigvalsh(a)[0] < -1e-9:
        raise InputError(f"orientation = {a.tolist()} has a negative eigenvalue: {remedy}")
    return 0.5 * (a + a.T)


def random_directions(
    n: int, orientation: str | Sequence[Sequence[float]] | ArrayLike, dim: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Unit vectors, shape (n, d), with exactly the given orientation tensor.

    They follow the angular central Gaussian distribution (Tyler 1987), the exact solution of Jeffery's equation for
    slender fibres with random initial directions (Montgomery-Smith et al. 2011). Linear maps p -> M p / |M p| stay in
    this family, so M is iterated until the sample itself, not only the distribution, has the given tensor. This is
    possible with n >= d vectors; fewer vectors give an approximation.
    """
    values, vectors = np.linalg.eigh(wanted_tensor(orientation, dim))
    kept = values > 1e-9
    wanted = values[kept]
    p = _unit(rng.normal(size=(n, len(wanted))) * np.sqrt(wanted))
    for _ in range(500 if n >= len(wanted) else 0):
        have, basis = np.linalg.eigh(orientation_tensor(p))
        if np.abs(orientation_tensor(p) - np.diag(wanted)).max() < 1e-12:
            break
        whiten = (basis / np.sqrt(np.maximum(have, 1e-12))) @ basis.T
        p = _unit(p @ whiten * np.sqrt(wanted))
    return p @ vectors[:, kept].T


def random_rotations(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotation matrices, shape (n, 3, 3), uniform on SO(3)."""
    return np.asarray(Rotation.random(n, rng=rng).as_matrix())


def frames(axes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotations, shape (n, d, d), whose first column is the given axis, and which are random around it."""
    n, dim = axes.shape
    if dim == 2:
        return np.stack([axes, np.c_[-axes[:, 1], axes[:, 0]]], axis=2)
    second = _unit(np.cross(axes, rng.normal(size=(n, 3))))
    return np.stack([axes, second, np.cross(axes, second)], axis=2)


def _unit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return p / np.linalg.norm(p, axis=1)[:, None]
