"""Modes of the fluctuation: the elastic ones, then a proper orthogonal decomposition of what is left.

Source: Sirovich, *Quart. Appl. Math.* 45 (1987) 561 (method of snapshots); in the energy of the undeformed cell, as in
Michel and Suquet, *Comput. Methods Appl. Mech. Engrg.* 193 (2004) 5477.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hmm.reduced.phases import CellPoints

Floats = NDArray[np.float64]


def energy_features(points: CellPoints, z: Floats) -> Floats:
    """Rows whose scalar products are elastic energies of the fluctuations `z`, shape (k, n_unknowns)."""
    return _features(points, points.of_fluctuations(z))


def _features(points: CellPoints, of_phases: Mapping[str, Floats]) -> Floats:
    """The same of local fields, for each phase of shape (k, n, f)."""
    parts = []
    for name, fields in of_phases.items():
        p = points.phases[name]
        values, vectors = np.linalg.eigh((p.stiffness + p.stiffness.T) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        parts.append((np.sqrt(p.weights)[:, None] * (fields @ root)).reshape(len(fields), -1))
    return np.concatenate(parts, axis=1)


def modes_of(
    points: CellPoints, elastic: Floats, z: Floats, scale: Floats, most: int, energy: float
) -> tuple[Floats, int]:
    """Modes, shape (N, n_unknowns), orthonormal in the elastic energy, and how many of them are elastic.

    The first span the elastic fluctuations, the others follow by their strength.

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
    first, features = _elastic_modes(points, elastic)
    snapshots = z / scale[:, None]
    of_snapshots = energy_features(points, snapshots)
    whole = np.linalg.norm(of_snapshots) ** 2
    for _ in range(2):  # twice is enough
        part = of_snapshots @ features.T
        snapshots, of_snapshots = snapshots - part @ first, of_snapshots - part @ features
    further, _ = _orthonormal(snapshots, of_snapshots, max(energy * np.linalg.norm(of_snapshots) ** 2, 1e-20 * whole))
    return np.concatenate([first, further[:most]]), len(first)


def _elastic_modes(points: CellPoints, elastic: Floats) -> tuple[Floats, Floats]:
    """Modes of the undeformed cell, each input scaled to unit energy, and their features; none if it is homogeneous."""
    features = energy_features(points, elastic)
    inputs = {name: fields.transpose(2, 0, 1) for name, fields in points.of_inputs().items()}
    norms, units = np.linalg.norm(features, axis=1), np.linalg.norm(_features(points, inputs), axis=1)
    moves = norms > 1e-10 * units
    if not moves.any():
        return elastic[:0], features[:0]
    factors = 1 / norms[moves, None]
    return _orthonormal(factors * elastic[moves], factors * features[moves], 1e-12)


def _orthonormal(z: Floats, features: Floats, floor: float) -> tuple[Floats, Floats]:
    """The strongest combinations of rows, with unit energy, and their features; those of less than `floor` are left."""
    values, vectors = np.linalg.eigh(features @ features.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    n = int((values > max(floor, 1e-300)).sum())
    combine = (vectors[:, :n] / np.sqrt(values[:n])).T
    return combine @ z, combine @ features
