"""Newton's method for the reduced unknowns of many points at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.laws.kernel import LawKernel
from hmm.models.statistics import Counters
from hmm.reduced.compiled_cells import CellAnswers, CompiledCells
from hmm.reduced.reduction import Reduction

Floats = NDArray[np.float64]

RTOL = 1e-10
"""A residual is small that is below this part of the nodal forces of the phases."""

ITERATIONS = 30
HALVINGS = 8

CHUNK = 2**24
"""Bytes of one batch of points."""


@dataclass
class BatchAnswer:
    """What points of one batch answer.

    Attributes
    ----------
    y
        Shape (n, N); reduced unknowns.
    response, tangent, sensitivity
        Shapes (n, m), (n, m, m) and (n, N, m).
    condensed
        Shape (n,); whether tangent and sensitivity were found.
    converged
        Shape (n,).
    """

    y: Floats
    response: Floats
    tangent: Floats
    sensitivity: Floats
    condensed: NDArray[np.bool_]
    converged: NDArray[np.bool_]

    @property
    def is_finite(self) -> NDArray[np.bool_]:
        """Whether all numbers are finite, shape (n,)."""
        rates = np.isfinite(self.tangent).all(axis=(1, 2)) & np.isfinite(self.sensitivity).all(axis=(1, 2))
        return np.isfinite(self.y).all(axis=1) & np.isfinite(self.response).all(axis=1) & (rates | ~self.condensed)


class BatchSolver:
    """Solves a reduced cell for many points; no loop over points in Python.

    Parameters
    ----------
    reduction
        The reduced cell.
    kernels
        The law of each phase that has cubature points.
    """

    def __init__(self, reduction: Reduction, kernels: Mapping[str, LawKernel]) -> None:
        self.cells, self.volume = CompiledCells(reduction, kernels), reduction.volume

    @property
    def chunk(self) -> int:
        """Points that are worked on at a time."""
        return max(CHUNK // self.cells.nbytes, 1)

    def iterate(
        self,
        E: Floats,
        y: Floats,
        moved: Floats,
        old: Floats,
        dt: float,
        expected: Floats,
        rtol: float,
        count: Counters,
    ) -> BatchAnswer:
        """One condensed Newton step of points whose residual is not small, or whose response is not the expected one.

        Parameters
        ----------
        E, y
            Shapes (n, m) and (n, N); packed inputs and predicted unknowns.
        moved
            Shape (n, m + N); how much inputs and unknowns have changed, for the rounding of the residual.
        old
            Shape (n, history); internal variables at the start of the step.
        dt
            Duration of the step.
        expected
            Shape (n, m); predicted responses, NaN where the last tangent is not to be used.
        rtol
            Relative tolerance of residual and prediction.
        count
            Counters to add to.
        """
        x = np.concatenate([E, y], axis=1)
        allowed = rtol * self.volume * np.linalg.norm(expected, axis=1)
        reach = np.abs(x) + np.abs(moved)
        found = self.cells.answers(x, old, dt, rtol, expected * self.volume, allowed, reach)
        self._count(found, count)
        new, response = found.condensed, found.forces[:, : self.cells.m].copy()
        y[new] -= found.step[new]
        response[new] -= found.drop[new]
        return self._answer(y, response, found)

    def solve(self, E: Floats, y: Floats, old: Floats, dt: float, count: Counters) -> BatchAnswer:
        """Converge points from a first guess, shape (n, N)."""
        y = y.copy()
        at = self._at(E, y, old, dt, count)
        done = at.is_small
        for _ in range(ITERATIONS):
            active = np.flatnonzero(~done & np.isfinite(at.step).all(axis=1))
            if not active.size:
                break
            self._descend(active, (E, y, old, dt), at, count)
            done[active] = at.is_small[active]
        return self._answer(y, at.forces[:, : self.cells.m], at)

    def updated(self, E: Floats, y: Floats, old: Floats, dt: float) -> Floats:
        """Internal variables at the end of the step, shape (n, history)."""
        return self.cells.updated(np.concatenate([E, y], axis=1), old, dt)

    def _descend(self, active: NDArray[np.int64], at: tuple, found: CellAnswers, count: Counters) -> None:
        """Take the Newton steps of the `active` points, halved where the residual does not fall; in place."""
        E, y, old, dt = at
        before, length = np.linalg.norm(found.residuals[active], axis=1), np.ones(active.size)
        left, start, step = np.arange(active.size), y[active], found.step[active]
        for halving in range(HALVINGS + 1):
            rows = active[left]
            y[rows] = start[left] - length[left, None] * step[left]
            trial = self._at(E[rows], y[rows], old[rows], dt, count)
            found.put(rows, trial)
            after = np.linalg.norm(trial.residuals, axis=1)
            good = (after <= (1 - 1e-4 * length[left]) * before[left]) | trial.is_small
            left = left[~good]
            if not left.size:
                return
            length[left] /= 2
            count.line_searches += left.size if halving < HALVINGS else 0

    def _at(self, E: Floats, y: Floats, old: Floats, dt: float, count: Counters) -> CellAnswers:
        """Forces and condensed tangents of all points."""
        found = self.cells.condensed(np.concatenate([E, y], axis=1), old, dt, RTOL)
        self._count(found, count)
        return found

    def _count(self, found: CellAnswers, count: Counters) -> None:
        n = int(found.condensed.sum())
        count.residuals += len(found.condensed)
        count.factorizations += n
        count.right_hand_sides += n * (self.cells.m + 1)

    def _answer(self, y: Floats, response: Floats, found: CellAnswers) -> BatchAnswer:
        rates = found.tangent / self.volume, found.sensitivity
        return BatchAnswer(y, response / self.volume, *rates, found.condensed, found.is_small)
