"""A reduced cell that stays stable along its training paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hmm.laws.kernel import LawKernel
from hmm.models.statistics import Counters
from hmm.reduced.batch import BatchSolver
from hmm.reduced.reduction import Reduction
from hmm.reduced.snapshots import Snapshots

Floats = NDArray[np.float64]

LIMITS = (1.2, 1.0)
"""How many times the exact elastic stiffness that of the cubature points may be, as they are tried.

With 1 the tangent is positive definite where those of the laws are, if they are not stiffer than in the undeformed
state. With more, fields at the cubature points are nearer to those of the modes, but if all points yield, the cell may
lose more stiffness than it has.
"""

GOOD = 0.03
"""Largest error along the training paths that needs no other limit."""


def stable_reduction(
    make: Callable[[float], Reduction], kernels: Mapping[str, LawKernel], snapshots: Sequence[Snapshots]
) -> Reduction:
    """The first reduced cell that is good along the training paths, or the best.

    Parameters
    ----------
    make
        Makes the cell for one of `LIMITS`.
    kernels
        The law of each phase.
    snapshots
        What the RVE did along the training paths.
    """
    misses: list[float] = []
    made: list[Reduction] = []
    for limit in LIMITS:
        made.append(make(limit))
        misses.append(training_miss(made[-1], kernels, snapshots))
        if misses[-1] <= GOOD:
            break
    return made[int(np.argmin(misses))]


def training_miss(reduction: Reduction, kernels: Mapping[str, LawKernel], snapshots: Sequence[Snapshots]) -> float:
    """Largest error of the response along training paths, relative to that of each path; inf without an answer."""
    solver = BatchSolver(reduction, kernels)
    with np.errstate(all="ignore"):
        return max((_miss(solver, s) for s in snapshots if len(s.E)), default=0.0)


def _miss(solver: BatchSolver, path: Snapshots) -> float:
    y, history, misses = np.zeros((1, solver.cells.N)), np.zeros((1, solver.cells.history)), []
    for E, true, dt in zip(path.E, path.response, np.broadcast_to(path.dt, len(path.E)).tolist(), strict=True):
        found = solver.solve(E[None], y, history, dt, Counters())
        if not found.converged[0]:
            return float("inf")
        y, history = found.y, solver.updated(E[None], found.y, history, dt)
        misses.append(np.linalg.norm(found.response[0] - true))
    return float(max(misses) / (np.linalg.norm(path.response, axis=1).max() or 1.0))
