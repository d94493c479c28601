"""From what an RVE did along training paths to a reduced cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.micro.rve import RVE
from hmm.reduced.basis import modes_of
from hmm.reduced.cubature import cubature
from hmm.reduced.phases import CellPoints, PhasePoints
from hmm.reduced.reduction import ReducedPhase, Reduction
from hmm.reduced.snapshots import Snapshots

Floats = NDArray[np.float64]

HISTORY_MODES = 40
"""Most modes of the internal variables of a phase."""


@dataclass(frozen=True)
class Accuracy:
    """How accurate a reduced cell is made.

    Attributes
    ----------
    modes, points, energy, integrals
        As in `hmm.reduced.train`.
    all_points
        Whether all quadrature points are kept, with their own weights.
    """

    modes: int
    points: int
    energy: float
    integrals: float
    all_points: bool = False


def reduce_cell(rve: RVE, cell: CellPoints, snapshots: Sequence[Snapshots], accuracy: Accuracy) -> Reduction:
    """The reduced cell that training paths give.

    Parameters
    ----------
    rve, cell
        The RVE and its points.
    snapshots
        What it did along the training paths; one step at least.
    accuracy
        How accurate to be.
    """
    z, E = np.concatenate([s.z for s in snapshots]), np.concatenate([s.E for s in snapshots])
    elastic = np.asarray(rve.initial().values["sensitivity"])
    size = np.linalg.norm(E - rve.reference, axis=1)
    moved = size > 1e-3 * size.max()
    Z = modes_of(cell, elastic, z[moved], size[moved], accuracy.modes, accuracy.energy)
    m, units, of_modes = rve.n_inputs, cell.of_inputs(), cell.of_fluctuations(Z)
    H = {name: np.concatenate([units[name], of_modes[name].transpose(1, 2, 0)], axis=2) for name in cell.phases}
    X = np.linalg.lstsq(Z.T, elastic.T, rcond=None)[0]
    unit_loads = np.concatenate([np.eye(m), X])
    width = m + len(Z)
    stiffness, constant = np.zeros((width, width)), np.zeros(width)
    phases = {}
    for name, p in cell.phases.items():
        if p.is_linear:
            matrix, vector = _linear(p, H[name])
            stiffness, constant = stiffness + matrix, constant + vector
        else:
            phases[name] = _reduced_phase(p, H[name], unit_loads, snapshots, accuracy)
    lowest, highest = np.minimum(E.min(axis=0), rve.reference), np.maximum(E.max(axis=0), rve.reference)
    return Reduction(Z, stiffness, constant, phases, rve.cell.volume, lowest, highest)


def _linear(p: PhasePoints, H: Floats) -> tuple[Floats, Floats]:
    """Stiffness and constant forces of a linear phase, shapes (m + N, m + N) and (m + N,)."""
    n, f, width = H.shape
    weighted = (p.weights[:, None, None] * H).reshape(n * f, width)
    stiffness = weighted.T @ (p.stiffness @ H).reshape(n * f, width)
    return stiffness, weighted.T @ p.elastic(p.offset).ravel()


def _reduced_phase(
    p: PhasePoints, H: Floats, unit_loads: Floats, snapshots: Sequence[Snapshots], accuracy: Accuracy
) -> ReducedPhase:
    """Cubature points of a phase, and modes of its internal variables."""
    if accuracy.all_points:
        return ReducedPhase(np.arange(p.n), p.weights, p.x, p.offset, H, p.stiffness, np.zeros((0, p.n, 0)))
    elastic = np.einsum("fh,nhx,xe->enf", p.stiffness, H, unit_loads)
    stress = np.concatenate([s.stress[p.phase] for s in snapshots])
    stress = _strongest(stress * np.sqrt(p.weights)[:, None], 1e-4) / np.sqrt(p.weights)[:, None]

    def work(of: Floats) -> Floats:
        return np.einsum("nfx,knf->kxn", H, of).reshape(-1, p.n)

    index, weights = cubature(p.weights, work(elastic), work(stress), accuracy.integrals, accuracy.points)
    known = [s.history[p.phase] for s in snapshots if p.phase in s.history]
    history = _strongest(np.array(known), 1e-4)[:HISTORY_MODES] if known else np.zeros((0, p.n, 0))
    return ReducedPhase(index, weights, p.x[index], p.offset[index], H[index], p.stiffness, history)


def _strongest(rows: Floats, tolerance: float) -> Floats:
    """Combinations of arrays, first axis k, that make up all but a part `tolerance` of them; scaled to their size."""
    flat = rows.reshape(len(rows), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    left = np.sqrt(np.cumsum(values.clip(0)))
    keep = left > tolerance * left[-1]
    return (vectors[:, keep].T[::-1] @ flat).reshape(-1, *rows.shape[1:])
