"""Paths in the space of macroscopic inputs along which a reduced model is trained and tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.options import integer
from hmm.models.points import Input, input_blocks, reference_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingPath:
    """A path of packed macroscopic inputs, from the undeformed state on.

    Attributes
    ----------
    E
        Shape (n_steps, m); the inputs at the end of each step.
    dt
        Duration of each step, for laws with rates: a number, or shape (n_steps,).
    """

    E: Floats
    dt: float | Floats = 0.0

    @property
    def durations(self) -> Floats:
        """Duration of each step, shape (n_steps,)."""
        return np.broadcast_to(np.asarray(self.dt, dtype=float), (len(self.E),))

    def start(self, n: int) -> TrainingPath:
        """The path up to its step `n`."""
        return TrainingPath(self.E[:n], self.durations[:n])

    def refined(self, n: int, reference: ArrayLike | None = None) -> TrainingPath:
        """The same path with `n` equal steps in place of each.

        Parameters
        ----------
        n
            Number of steps for each.
        reference
            Shape (m,); the undeformed state where it starts, ``rve.reference``; zero by default.
        """
        n, m = integer("n", n, 1), self.E.shape[1]
        first = np.zeros(m) if reference is None else np.asarray(reference, dtype=float)
        if first.shape != (m,):
            raise InputError(f"reference has shape {first.shape}: give ({m},), such as rve.reference")
        old = np.concatenate([first[None], self.E[:-1]])
        part = np.arange(1, n + 1)[:, None] / n
        E = old[:, None] * (1 - part) + self.E[:, None] * part
        return TrainingPath(E.reshape(-1, m), np.repeat(self.durations / n, n))


def proportional(
    inputs: Sequence[Input], size: ArrayLike, n: int, steps: int = 10, seed: int = 0, dt: float = 0.0
) -> list[TrainingPath]:
    """`n` straight paths in directions that are spread evenly at random over the sphere.

    Parameters
    ----------
    inputs
        The inputs of the RVE, ``rve.inputs``.
    size
        How far from the undeformed state they go: a number, or one for each packed component, shape (m,).
    n, steps
        Number of paths, and of steps of each.
    seed
        Seed of the random directions.
    dt
        Duration of each step.
    """
    ends = _directions(inputs, n, seed) * _sizes(inputs, size)
    return _paths(inputs, np.linspace(0, 1, integer("steps", steps, 1) + 1)[1:, None] * ends[:, None], dt)


def cyclic(
    inputs: Sequence[Input], size: ArrayLike, n: int, steps: int = 20, seed: int = 0, dt: float = 0.0
) -> list[TrainingPath]:
    """`n` paths that go out, back through the undeformed state to the other side, and home; see `proportional`."""
    ends = _directions(inputs, n, seed) * _sizes(inputs, size)
    t = np.linspace(0, 4, integer("steps", steps, 4) + 1)[1:]
    return _paths(inputs, np.interp(t, [0, 1, 3, 4], [0, 1, -1, 0])[:, None] * ends[:, None], dt)


def random_walks(
    inputs: Sequence[Input], size: ArrayLike, n: int, steps: int = 20, corners: int = 4, seed: int = 0, dt: float = 0.0
) -> list[TrainingPath]:
    """`n` paths of straight parts between random points of the ellipsoid with the half axes `size`; see `proportional`.

    `corners` is the number of these points.
    """
    corners = integer("corners", corners, 1)
    m, rng = input_blocks(inputs).size, np.random.default_rng(seed)
    direction = rng.standard_normal((n, corners, m))
    radius = rng.uniform(size=(n, corners, 1)) ** (1 / m)
    points = direction / np.linalg.norm(direction, axis=2, keepdims=True) * radius * _sizes(inputs, size)
    points = np.concatenate([np.zeros((n, 1, m)), points], axis=1)
    t = np.linspace(0, corners, integer("steps", steps, corners) + 1)[1:]
    k = np.minimum(t.astype(int), corners - 1)
    part = (t - k)[:, None]
    return _paths(inputs, (1 - part) * points[:, k] + part * points[:, k + 1], dt)


def select_paths(
    recorded: ArrayLike | Sequence[TrainingPath], n: int, dt: float | ArrayLike = 0.0
) -> list[TrainingPath]:
    """The `n` paths of a macro problem that differ most, by farthest-point sampling, the longest first.

    Parameters
    ----------
    recorded
        What `hmm.recorded_paths` returns; or the packed macroscopic inputs of all points after each step, shape
        (n_steps, n_points, m).
    n
        How many to select at most.
    dt
        For an array, the duration of each step: a number, or shape (n_steps,).
    """
    paths = _recorded(recorded, dt)
    rows = np.stack([path.E.ravel() for path in paths])
    chosen = [int(np.argmax(np.linalg.norm(rows - rows.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(rows - rows[chosen[0]], axis=1)
    while len(chosen) < integer("n", n, 1) and distance.max() > 0:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(rows - rows[chosen[-1]], axis=1))
    return [TrainingPath(paths[p].E.copy(), paths[p].dt) for p in chosen]


def _recorded(recorded: ArrayLike | Sequence[TrainingPath], dt: float | ArrayLike) -> list[TrainingPath]:
    """Recorded paths, all of the same shape."""
    paths = [path for path in recorded if isinstance(path, TrainingPath)] if isinstance(recorded, Sequence) else []
    if paths:
        shapes = {path.E.shape for path in paths}
        if len(shapes) > 1:
            raise InputError(f"recorded paths have the shapes {sorted(shapes)}: select among those of one run")
        recorded, dt = np.stack([path.E for path in paths], axis=1), paths[0].dt
    E = np.asarray(recorded, dtype=float)
    if E.ndim != 3 or not E.size or not np.isfinite(E).all():
        raise InputError(f"recorded paths have shape {E.shape}: give (n_steps, n_points, m), all finite")
    return [TrainingPath(E[:, p], np.broadcast_to(np.asarray(dt, dtype=float), len(E))) for p in range(E.shape[1])]


def _directions(inputs: Sequence[Input], n: int, seed: int) -> Floats:
    rows = np.random.default_rng(seed).standard_normal((integer("n", n, 1), input_blocks(inputs).size))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _sizes(inputs: Sequence[Input], size: ArrayLike) -> Floats:
    m, sizes = input_blocks(inputs).size, np.asarray(size, dtype=float)
    if sizes.shape not in ((), (m,)) or not (np.isfinite(sizes).all() and (sizes >= 0).all() and sizes.any()):
        raise InputError(f"size = {sizes.tolist()} of training paths: give a positive number, or {m} of them")
    return np.broadcast_to(sizes, (m,))


def _paths(inputs: Sequence[Input], offsets: Floats, dt: float) -> list[TrainingPath]:
    return [TrainingPath(reference_of(inputs) + offset, dt) for offset in offsets]
