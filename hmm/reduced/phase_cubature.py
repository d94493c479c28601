"""Few cubature points of a phase that integrate what a reduced cell needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hmm.reduced.cubature import contraction, cubature
from hmm.reduced.phases import PhasePoints
from hmm.reduced.reduction import ReducedPhase
from hmm.reduced.snapshots import Snapshots

Floats = NDArray[np.float64]

HISTORY_MODES = 40
"""Most modes of the internal variables of a phase."""


def linear_forces(p: PhasePoints, weights: Floats, H: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Stiffness and constant forces of a phase with the law of its undeformed state, at some points.

    Parameters
    ----------
    p
        The phase.
    weights, H, offset
        Shapes (n,), (n, f, m + N) and (n, f); weights, local fields per unit of inputs and modes, and without them.

    Returns
    -------
    stiffness, constant
        Shapes (m + N, m + N) and (m + N,).
    """
    n, f, width = H.shape
    weighted = (weights[:, None, None] * H).reshape(n * f, width)
    return weighted.T @ (p.stiffness @ H).reshape(n * f, width), weighted.T @ p.elastic(offset).ravel()


def reduce_phase(
    p: PhasePoints,
    H: Floats,
    elastic: Floats,
    seen: Floats,
    snapshots: Sequence[Snapshots],
    tolerance: float,
    most: int,
    limit: float,
) -> tuple[ReducedPhase, Floats, Floats]:
    """Cubature points of a phase, with its stiffness and constant forces in the undeformed state.

    The points keep the volume and the strongest combinations of the forces of the snapshots. They integrate only what
    stresses differ from those of the undeformed law, which is integrated at all points, so that elastic states are
    exact for any cubature. If that law is singular, as for a deformation gradient, whose rotations may be large, then
    the cubature keeps all elastic forces, and nothing is integrated at all points.

    Parameters
    ----------
    p, H
        The phase, and its local fields per unit of inputs and modes, shape (n, f, m + N).
    elastic
        Shape (m, m + N); states of the undeformed cell for unit inputs.
    seen
        Shape (k, m + N); states of the snapshots.
    snapshots
        What the RVE did in training.
    tolerance
        The part of the forces that may be missed.
    most
        Most combinations of forces, and so points.
    limit
        How many times the exact elastic stiffness that of the points may be.
    """
    stiffness, constant = linear_forces(p, p.weights, H, p.offset)
    scale = 1 / np.sqrt(np.diag(stiffness).clip(1e-300))

    def work(stress: Floats) -> Floats:
        return np.einsum("nfx,knf,x->kxn", H, stress, scale, optimize=True).reshape(-1, p.n)

    def strongest_work(stress: Floats) -> Floats:
        root = np.sqrt(p.weights)[:, None]
        return work(_strongest(stress * root, 1e-4) / root)

    def linear(states: Floats) -> Floats:
        return np.einsum("fh,nhx,kx->knf", p.stiffness, H, states, optimize=True)

    rest = np.concatenate([s.stress[p.phase] for s in snapshots])
    if _is_definite(stiffness):
        close = strongest_work(rest)
        index, weights = cubature(p.weights, close[:0], close, tolerance, most)
        few, _ = linear_forces(p, weights, H[index], p.offset[index])
        at = H[index] @ contraction(stiffness, few, limit)
    else:
        exact, close = work(linear(elastic)), strongest_work(rest + linear(seen))
        index, weights = cubature(p.weights, exact, close, tolerance, most)
        at = H[index]
        stiffness, constant = linear_forces(p, weights, at, p.offset[index])
    history = _history_modes(p, snapshots)
    phase = ReducedPhase(index, weights, p.x[index], p.offset[index], at, p.stiffness, p.start, history)
    return phase, stiffness, constant


def _history_modes(p: PhasePoints, snapshots: Sequence[Snapshots]) -> Floats:
    """Modes of the internal variables, shape (b, n, v)."""
    known = [s.history[p.phase] for s in snapshots if p.phase in s.history]
    return _strongest(np.concatenate(known), 1e-4)[:HISTORY_MODES] if known else np.zeros((0, p.n, 0))


def _is_definite(K: Floats) -> bool:
    """Whether a stiffness is symmetric and positive definite, columns scaled to unit energy."""
    size = np.sqrt(np.diag(K).clip(1e-300))
    scaled = K / np.outer(size, size)
    return bool(np.allclose(scaled, scaled.T, rtol=0, atol=1e-10) and np.linalg.eigvalsh(scaled)[0] > 1e-8)


def _strongest(rows: Floats, tolerance: float) -> Floats:
    """Combinations of arrays, first axis k, that make up all but a part `tolerance` of them; scaled to their size."""
    flat = rows.reshape(len(rows), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    left = np.sqrt(np.cumsum(values.clip(0)))
    keep = left > tolerance * left[-1]
    return (vectors[:, keep].T[::-1] @ flat).reshape(-1, *rows.shape[1:])
