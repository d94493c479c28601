"""Engineering constants of a stiffness or a second-order tensor, in any axes and direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.checks import bounds
from hmm.foundation import tensors

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Extremes:
    """The smallest and largest value of a property over all directions.

    Attributes
    ----------
    lowest, highest
        The values.
    lowest_along, highest_along
        Unit vectors of these directions, shape (d,); one if there are several. Symmetry directions are preferred if
        their values agree up to the distance of the tensor from its symmetry class.
    """

    lowest: float
    highest: float
    lowest_along: Floats
    highest_along: Floats


def in_axes(packed: ArrayLike, axes: ArrayLike) -> Floats:
    """A packed stiffness, shape (m, m), or symmetric tensor, shape (m,), relative to the rows of `axes`, (d, d)."""
    T = np.asarray(packed, dtype=float)
    packing = tensors.packing_of(len(T))
    A = np.eye(packing.shape[0])
    A[: len(np.asarray(axes)), : len(np.asarray(axes))] = axes
    R = packing.rotation(A)
    return R @ T if T.ndim == 1 else R @ T @ R.T


def compliance(stiffness: Floats) -> Floats:
    """Mandel compliance, or NaN if the stiffness is singular."""
    if np.linalg.cond(stiffness) > 1e13:
        return np.full_like(stiffness, np.nan)
    return np.linalg.inv(stiffness)


def of_stiffness(stiffness: Floats) -> dict[str, float]:
    """``E1``, ``nu12``, ``G12`` and so on of a Mandel stiffness, for the components that it has."""
    packing = tensors.packing_of(len(stiffness))
    S, d = compliance(stiffness), packing.shape[0]
    E = {f"E{i + 1}": float(1 / S[i, i]) for i in range(d)}
    nu = {f"nu{i + 1}{j + 1}": float(-S[j, i] / S[i, i]) for i in range(d) for j in range(d) if i != j}
    G = {f"G{label}": float(1 / (2 * S[k, k])) for k, label in enumerate(packing.labels) if k >= d}
    return E | nu | G


def of_matrix(matrix: Floats) -> dict[str, float]:
    """``k11``, ``k12`` and so on of a second-order tensor; both ``k12`` and ``k21`` if it is not symmetric."""
    symmetric = np.abs(matrix - matrix.T).max() <= 1e-9 * np.abs(matrix).max()
    return {f"k{i + 1}{j + 1}": float(matrix[i, j]) for i, j in np.ndindex(*matrix.shape) if i <= j or not symmetric}


def young_moduli(stiffness: Floats, directions: ArrayLike) -> Floats:
    """Young's modulus along unit vectors, shape (..., d): stress over strain of uniaxial tension."""
    packing = tensors.packing_of(len(stiffness))
    n = _padded(directions, packing.shape[0])
    b = packing.to_vector(n[..., :, None] * n[..., None, :])
    return np.asarray(1 / np.einsum("...i,ij,...j->...", b, compliance(stiffness), b))


def shear_moduli(stiffness: Floats, directions: ArrayLike, normals: ArrayLike) -> Floats:
    """Shear modulus between orthogonal unit vectors, shape (..., d) each."""
    packing = tensors.packing_of(len(stiffness))
    m, n = (_padded(v, packing.shape[0]) for v in (directions, normals))
    dyad = m[..., :, None] * n[..., None, :]
    b = packing.to_vector((dyad + np.swapaxes(dyad, -1, -2)) / np.sqrt(2))
    return np.asarray(1 / (2 * np.einsum("...i,ij,...j->...", b, compliance(stiffness), b)))


def matrix_along(matrix: Floats, directions: ArrayLike) -> Floats:
    """``n.k.n`` along unit vectors, shape (..., d)."""
    n = np.asarray(directions, dtype=float)
    return np.asarray(np.einsum("...i,ij,...j->...", n, matrix, n))


def extreme_young_moduli(stiffness: Floats, axes: Floats, rtol: float = 1e-6) -> Extremes:
    """The extremes of Young's modulus, from a search over all directions and a refinement.

    The values are the true extremes. The directions are the symmetry `axes` (shape (d, d)), their diagonals or
    directions in their planes if the values there agree up to `rtol`.
    """
    directions = _directions(len(axes))
    values = young_moduli(stiffness, directions)
    if not np.isfinite(values).all():
        nothing = np.full(len(axes), np.nan)
        return Extremes(float("nan"), float("nan"), nothing, nothing)
    low, at_low = _refined(stiffness, directions[values.argmin()], axes, 1, rtol)
    high, at_high = _refined(stiffness, directions[values.argmax()], axes, -1, rtol)
    return Extremes(low, high, at_low, at_high)


def extremes_of_matrix(matrix: Floats, axes: Floats, rtol: float = 1e-6) -> Extremes:
    """The extremes of ``n.k.n``, eigenvalues of the symmetric part; along one of the `axes` if equal up to `rtol`."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    along = []
    for value, own in ((values[0], vectors[:, 0]), (values[-1], vectors[:, -1])):
        misses = np.abs(matrix_along(matrix, axes) - value)
        along.append(
            _upward(
                axes[(misses <= rtol * abs(values[-1])).argmax()] if misses.min() <= rtol * abs(values[-1]) else own
            )
        )
    return Extremes(float(values[0]), float(values[-1]), *along)


def universal_anisotropy(stiffness: Floats) -> float:
    """Universal index ``5 G_V/G_R + K_V/K_R - 6`` of a (6, 6) stiffness, ``2 G_V/G_R + K_V/K_R - 3`` of a (3, 3) one.

    Source: Ranganathan and Ostoja-Starzewski, *Phys. Rev. Lett.* 101 (2008) 055504.
    """
    K, G, _ = bounds.moduli_of(stiffness)
    k, g, _ = bounds.moduli_of(compliance(stiffness))
    shears, d = len(stiffness) - 1, tensors.packing_of(len(stiffness)).shape[0]
    return float(shears * 4 * G * g + d**2 * K * k - shears - 1)


def zener_ratio(stiffness: Floats) -> float:
    """``2 C_1212 / (C_1111 - C_1122)`` of a stiffness in its own cubic or square axes."""
    d = {3: 2, 6: 3}[len(stiffness)]
    normal = np.mean([stiffness[i, i] for i in range(d)])
    cross = np.mean([stiffness[i, j] for i in range(d) for j in range(d) if i != j])
    return float(np.diag(stiffness)[d:].mean() / (normal - cross))


def _refined(stiffness: Floats, start: Floats, axes: Floats, sign: int, rtol: float) -> tuple[float, Floats]:
    """An extreme, the lowest if `sign` is 1 and the highest if -1, and its direction."""
    from scipy.optimize import minimize

    scale = float(young_moduli(stiffness, start))

    def objective(v: Floats) -> float:
        return sign * float(young_moduli(stiffness, v / np.linalg.norm(v))) / scale

    found = minimize(objective, start, method="BFGS", options={"gtol": 1e-9}).x
    found = found / np.linalg.norm(found)
    own = axes @ found
    simpler = [*_special(len(axes)), np.abs(own)]
    if len(own) == 3:  # any direction of a cone about the last axis, in the plane of the first and the last
        simpler.insert(-1, np.array([np.hypot(own[0], own[1]), 0.0, abs(own[2])]))
    choices = np.array([*(n @ axes for n in simpler), *np.eye(len(own)), start, found])
    values = sign * young_moduli(stiffness, choices)
    k = int((values <= values.min() + rtol * np.abs(values).max()).argmax())
    return float(sign * values.min()), _upward(choices[k])


def _special(d: int) -> Floats:
    """Edges and diagonals of a cube or square, unit vectors."""
    found = [v for v in np.ndindex(*(3,) * d) if any(k != 1 for k in v)]
    vectors = np.array(found, dtype=float) - 1.0
    vectors = vectors[[next(x for x in v if x) > 0 for v in vectors]]
    order = np.lexsort(((vectors < 0).sum(axis=1), (vectors != 0).sum(axis=1)))  # edges first, positive ones first
    return vectors[order] / np.linalg.norm(vectors[order], axis=1)[:, None]


def _directions(d: int, n: int = 4000) -> Floats:
    """Unit vectors that cover a half circle, or a half sphere by a Fibonacci spiral, evenly."""
    k = np.arange(n) + 0.5
    if d == 2:
        return np.column_stack([np.cos(np.pi * k / n), np.sin(np.pi * k / n)])
    z, angle = k / n, np.pi * (1 + np.sqrt(5)) * k
    return np.column_stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z])


def _padded(directions: ArrayLike, d: int) -> Floats:
    """Directions in the plane as vectors of length d."""
    n = np.asarray(directions, dtype=float)
    return n if n.shape[-1] == d else np.concatenate([n, np.zeros((*n.shape[:-1], d - n.shape[-1]))], axis=-1)


def _upward(v: Floats) -> Floats:
    """The vector with the sign that makes its largest component positive, without rounding errors."""
    v = np.where(np.abs(v) < 1e-12, 0.0, v)
    return v if v[np.abs(v).argmax()] > 0 else -v
