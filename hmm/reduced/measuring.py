"""Errors and speed of a reduced model along paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time

import numpy as np
from numpy.typing import NDArray

from hmm.models.asking import answer, points_of
from hmm.reduced.model import ReducedModel
from hmm.reduced.paths import TrainingPath
from hmm.reduced.snapshots import Snapshots

Floats = NDArray[np.float64]

BATCH = 64
"""Points that are answered together when the speed is measured."""

REPEATS = 3
"""How often the speed is measured; the median counts."""


@dataclass(frozen=True, eq=False)
class Followed:
    """What a reduced model answers along a path; NaN from a step without answer on.

    Attributes
    ----------
    response, y
        Shapes (n_steps, m) and (n_steps, N); packed responses and reduced unknowns.
    """

    response: Floats
    y: Floats


def follow_reduced(model: ReducedModel, paths: Sequence[TrainingPath]) -> list[Followed]:
    """Answers of a reduced model along paths; those with steps of the same durations are answered in one batch."""
    N = model.reduction.n_modes
    found = [Followed(np.full(path.E.shape, np.nan), np.full((len(path.E), N), np.nan)) for path in paths]
    durations = [path.durations.tobytes() for path in paths]
    for key in dict.fromkeys(durations):
        rows = [k for k, own in enumerate(durations) if own == key]
        points, lost = points_of(model, len(rows)), np.zeros(len(rows), dtype=bool)
        inputs = np.stack([paths[k].E for k in rows], axis=1)
        for step, (E, dt) in enumerate(zip(inputs, paths[rows[0]].durations.tolist(), strict=True)):
            points.ask(np.where(lost[:, None], points.committed.E, E), dt, "nested")
            answer(model, points)
            for row in points.failures:
                points.restart(row)
                lost[row] = True
            model.commit(points)
            points.accept()
            for row in np.flatnonzero(~lost).tolist():
                found[rows[row]].response[step] = points.committed.response[row]
                found[rows[row]].y[step] = points.committed.variables["y"][row]
    return found


def path_errors(model: ReducedModel, known: Sequence[tuple[TrainingPath, Snapshots]]) -> Floats:
    """Errors of the model's responses along paths.

    Parameters
    ----------
    model
        The model.
    known
        Paths, and what the RVE did along them.

    Returns
    -------
    ndarray
        Of each path the largest deviation, relative to the largest response of the RVE; inf where the model has no
        answer.
    """
    found = follow_reduced(model, [path for path, _ in known])
    return np.array([_error(own.response, truth.response) for own, (_, truth) in zip(found, known, strict=True)])


def _error(found: Floats, true: Floats) -> float:
    misses = np.linalg.norm(found - true, axis=1)
    return float(np.where(np.isnan(misses), np.inf, misses).max()) / (float(np.linalg.norm(true, axis=1).max()) or 1.0)


def seconds_per_step(model: ReducedModel, paths: Sequence[TrainingPath]) -> float:
    """CPU time of a step of one point, in a batch of `BATCH` points that repeat the paths like the longest one."""
    longest = max(paths, key=lambda path: len(path.E))
    alike = [path for path in paths if path.durations.tobytes() == longest.durations.tobytes()]
    many = [alike[k % len(alike)] for k in range(BATCH)]
    measured = []
    for _ in range(REPEATS):
        start = thread_time()
        follow_reduced(model, many)
        measured.append(thread_time() - start)
    return float(np.median(measured)) / (BATCH * len(longest.E))
