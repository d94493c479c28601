"""Loss of ellipticity of a material or a homogenized cell, at which shear bands may form."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from hmm.foundation import tensors
from hmm.foundation.errors import InputError


def acoustic_tensor(tangent: NDArray[np.float64], direction: ArrayLike) -> NDArray[np.float64]:
    """The acoustic tensor ``Q_ik = A_ijkl n_j n_l``, shape (d, d).

    Parameters
    ----------
    tangent
        ``A_ijkl``, shape (d, d, d, d).
    direction
        n, shape (d,), of any length except zero.
    """
    n = np.asarray(direction, dtype=float)
    n = n / np.linalg.norm(n)
    return np.einsum("ijkl,j,l->ik", tangent, n, n)


def weakest_direction(tangent: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """Smallest eigenvalue of the symmetric part of the acoustic tensor over all directions, and its direction.

    While it is positive, the material is strongly elliptic. At zero, a discontinuity of the deformation gradient across
    planes with this normal becomes possible, and the macroscopic problem needs a regularization. Source: Rice, *Proc.
    14th IUTAM Congress* (1976) 207; Geymonat, Müller and Triantafyllidis, *Arch. Ration. Mech. Anal.* 122 (1993) 231.

    Parameters
    ----------
    tangent
        A packed tangent, such as `hmm.Response.tangent` of a strain, (3, 3) or (6, 6), or of a deformation gradient,
        (4, 4) or (9, 9); or ``A_ijkl``, shape (d, d, d, d).

    Returns
    -------
    value, direction
        The eigenvalue, in the unit of the tangent, and the unit normal, shape (d,).

    Raises
    ------
    InputError
        If the tangent has another shape.
    """
    A = _fourth_order(np.asarray(tangent, dtype=float))

    def smallest(angles: NDArray[np.float64]) -> float:
        Q = acoustic_tensor(A, _unit(angles))
        return float(np.linalg.eigvalsh((Q + Q.T) / 2)[0])

    n, one_turn = (181, 1) if len(A) == 2 else (37, 2)
    grid = np.array(list(product(np.linspace(0, np.pi, n), repeat=one_turn)))
    start = grid[np.argmin([smallest(angles) for angles in grid])]
    found = minimize(smallest, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 0.0})
    return float(found.fun), _unit(found.x)


def _unit(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vector of one angle (2D) or two (3D)."""
    if len(angles) == 1:
        return np.array([np.cos(angles[0]), np.sin(angles[0])])
    polar, azimuth = angles
    return np.array([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)])


def _fourth_order(tangent: NDArray[np.float64]) -> NDArray[np.float64]:
    packings = {p.size: p for d in (2, 3) for p in (tensors.symmetric(d), tensors.general(d, d))}
    if tangent.shape in ((2, 2, 2, 2), (3, 3, 3, 3)):
        return tangent
    if tangent.ndim == 2 and tangent.shape[0] == tangent.shape[1] and tangent.shape[0] in packings:
        return packings[tangent.shape[0]].to_fourth_order(tangent)
    raise InputError(
        f"a tangent of shape {tangent.shape} belongs to neither a strain nor a deformation gradient: give a packed "
        "one, or shape (d, d, d, d)"
    )
