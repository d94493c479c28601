"""Few cubature points of a phase that integrate what a reduced cell needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.reduced.cubature import cubature, preserved
from hmm.reduced.phases import CellPoints, PhasePoints
from hmm.reduced.reduction import ReducedPhase
from hmm.reduced.snapshots import Snapshots

Floats = NDArray[np.float64]

HISTORY_MODES = 40
"""Most modes of the internal variables of a phase."""


@dataclass(frozen=True, eq=False)
class States:
    """States ``x = (E, y)`` of a reduced cell, inputs without those of the undeformed state.

    Attributes
    ----------
    elastic
        Shape (m, m + N); the undeformed cell for unit inputs.
    seen
        Shape (k, m + N); those of training, its fluctuations projected on the modes.
    """

    elastic: Floats
    seen: Floats

    @classmethod
    def of(cls, modes: Floats, sensitivity: Floats, E: Floats, z: Floats) -> States:
        """From modes, the sensitivity (m, n_unknowns) of the undeformed cell, and the inputs and fluctuations seen."""
        y = np.linalg.lstsq(modes.T, np.concatenate([sensitivity, z]).T, rcond=None)[0].T
        return cls(
            *np.split(np.concatenate([np.concatenate([np.eye(len(sensitivity)), E]), y], axis=1), [len(sensitivity)])
        )


def total_forces(
    cell: CellPoints, H: Mapping[str, Floats], phases: Mapping[str, ReducedPhase]
) -> tuple[Floats, Floats]:
    """Stiffness and constant forces of the undeformed cell, shapes (m + N, m + N) and (m + N,).

    Parameters
    ----------
    cell
        The cell.
    H
        For each phase, shape (n, f, m + N); its local fields per unit of inputs and modes.
    phases
        Phases that have cubature points, which count there; the others are integrated at all points.
    """
    parts = []
    for name, p in cell.phases.items():
        at = phases.get(name)
        parts.append(
            _forces(p, p.weights, H[name], p.offset) if at is None else _forces(p, at.weights, at.H, at.offset)
        )
    stiffness, constant = zip(*parts, strict=True)
    return np.sum(stiffness, axis=0), np.sum(constant, axis=0)


def _forces(p: PhasePoints, weights: Floats, H: Floats, offset: Floats) -> tuple[Floats, Floats]:
    """Stiffness and constant forces of a phase with the law of its undeformed state, (m + N, m + N) and (m + N,)."""
    n, f, width = H.shape
    weighted = (weights[:, None, None] * H).reshape(n * f, width)
    return weighted.T @ (p.stiffness @ H).reshape(n * f, width), weighted.T @ p.elastic(offset).ravel()


def reduce_phase(
    p: PhasePoints, H: Floats, states: States, snapshots: Sequence[Snapshots], tolerance: float, most: int
) -> ReducedPhase:
    """Cubature points of a phase, and modes of its internal variables.

    They keep the volume and, up to a part `tolerance`, at `most` so many combinations of the forces of the snapshots.

    The stiffness of the undeformed state stays exact because fields at the points follow ``P x`` (see `preserved`). If
    that stiffness is singular, as for a deformation gradient, whose rotations must stay what they are, the cubature
    keeps all elastic forces instead.
    """
    K, _ = _forces(p, p.weights, H, p.offset)
    scale = 1 / np.sqrt(np.diag(K).clip(1e-300))

    def work(stress: Floats) -> Floats:
        return np.einsum("nfx,knf,x->kxn", H, stress, scale, optimize=True).reshape(-1, p.n)

    def elastic(x: Floats) -> Floats:
        return np.einsum("fh,nhx,kx->knf", p.stiffness, H, x, optimize=True)

    stress = np.concatenate([s.stress[p.phase] for s in snapshots])
    root = np.sqrt(p.weights)[:, None]
    close = work(_strongest(stress * root, 1e-4) / root)
    index, weights = cubature(p.weights, close[:0], close, tolerance, most)
    few, _ = _forces(p, weights, H[index], p.offset[index])
    if _is_definite(K) and _is_definite(few):
        at = H[index] @ preserved(K, few, states.seen)
    else:
        index, weights = cubature(p.weights, work(elastic(states.elastic)), close, tolerance, most)
        at = H[index]
    known = [s.history[p.phase] for s in snapshots if p.phase in s.history]
    history = _strongest(np.array(known), 1e-4)[:HISTORY_MODES] if known else np.zeros((0, p.n, 0))
    return ReducedPhase(index, weights, p.x[index], p.offset[index], at, p.stiffness, p.start, history)


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
