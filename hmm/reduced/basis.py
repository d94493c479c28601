"""Modes of the fluctuation: the elastic ones, then a proper orthogonal decomposition of what is left.

Source: Sirovich, *Quart. Appl. Math.* 45 (1987) 561 (method of snapshots); in the energy of the undeformed cell, as in
Michel and Suquet, *Comput. Methods Appl. Mech. Engrg.* 193 (2004) 5477.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmm.reduced.phases import CellPoints

Floats = NDArray[np.float64]


def energy_features(points: CellPoints, z: Floats) -> Floats:
    """Rows whose scalar products are elastic energies of the fluctuations `z`, shape (k, n_unknowns)."""
    parts = []
    for name, fields in points.of_fluctuations(z).items():
        p = points.phases[name]
        values, vectors = np.linalg.eigh((p.stiffness + p.stiffness.T) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        parts.append((np.sqrt(p.weights)[:, None] * (fields @ root)).reshape(len(z), -1))
    return np.concatenate(parts, axis=1)


def modes_of(points: CellPoints, elastic: Floats, z: Floats, scale: Floats, most: int, energy: float) -> Floats:
    """Modes, shape (N, n_unknowns), orthonormal in the elastic energy; the first span the elastic fluctuations.

    Parameters
    ----------
    points
        The cell.
    elastic
        Shape (m, n_unknowns); fluctuations of the undeformed cell for unit inputs.
    z
        Shape (k, n_unknowns); snapshots.
    scale
        Shape (k,); what each is divided by.
    most
        Most modes beside the elastic ones.
    energy
        Modes are left out whose energy is below this part of that of all that is not elastic.
    """
    first, features = _orthonormal(elastic, energy_features(points, elastic), 1e-20)
    if not len(z):
        return first
    snapshots = z / scale[:, None]
    of_snapshots = energy_features(points, snapshots)
    for _ in range(2):  # twice is enough
        part = of_snapshots @ features.T
        snapshots, of_snapshots = snapshots - part @ first, of_snapshots - part @ features
    further, _ = _orthonormal(snapshots, of_snapshots, energy, most)
    return np.concatenate([first, further])


def _orthonormal(z: Floats, features: Floats, energy: float, most: int | None = None) -> tuple[Floats, Floats]:
    """The strongest combinations of rows, with unit energy, and their features."""
    values, vectors = np.linalg.eigh(features @ features.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    floor = max(energy * values.clip(0).sum(), 1e-14 * values[0] if energy > 1e-18 else 0.0)
    n = int((values > max(floor, 1e-300)).sum())
    n = n if most is None else min(n, most)
    combine = (vectors[:, :n] / np.sqrt(values[:n])).T
    return combine @ z, combine @ features
