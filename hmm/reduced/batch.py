"""Newton's method for the reduced unknowns of many points at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.compiled import compiled_module
from hmm.laws.kernel import LawKernel
from hmm.models.statistics import Counters
from hmm.reduced.reduction import ReducedPhase, Reduction

Floats = NDArray[np.float64]

DECLARATION = """
void reduced_tangents(int64_t n, int g, int f, int W, const double *C, const double *C0, const double *w,
                      const double *H, double *work, double *T);
"""

RTOL = 1e-10
"""A residual is small that is below this part of the nodal forces of the phases."""

ROUNDING = 1e-14
"""What rounding leaves of a sum of forces."""

ITERATIONS = 30
HALVINGS = 8

CHUNK = 2**25
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
    converged
        Shape (n,).
    """

    y: Floats
    response: Floats
    tangent: Floats
    sensitivity: Floats
    converged: NDArray[np.bool_]


class BatchSolver:
    """Solves a reduced cell for many points; no loop over points.

    Parameters
    ----------
    reduction
        The reduced cell.
    kernels
        The law of each phase that has cubature points.
    """

    def __init__(self, reduction: Reduction, kernels: Mapping[str, LawKernel]) -> None:
        self.reduction, self.kernels = reduction, dict(kernels)
        self.m = reduction.stiffness.shape[0] - reduction.n_modes
        self._strength = {name: reduction.strength(name) for name in reduction.phases}
        self._elastic = reduction.undeformed_stiffness

    @property
    def chunk(self) -> int:
        """Points that are worked on at a time."""
        r = self.reduction
        width = r.stiffness.shape[0]
        per_point = sum(p.offset.size * (4 + 2 * p.offset.shape[1]) for p in r.phases.values())
        return max(CHUNK // (8 * (per_point + width**2)), 1)

    def solve(self, E: Floats, y: Floats, old: Mapping[str, Floats], dt: float, count: Counters) -> BatchAnswer:
        """Converge points from a first guess.

        Parameters
        ----------
        E, y
            Shapes (n, m) and (n, N); packed inputs and the first guess.
        old
            For each phase, shape (n, g, v); internal variables at the start of the step.
        dt
            Duration of the step.
        count
            Counters to add to.
        """
        m, y = self.m, y.copy()
        q, T, size = self._evaluate(E, y, old, dt, count)
        done = self._small(q, size)
        for _ in range(ITERATIONS):
            active = np.flatnonzero(~done & np.isfinite(q).all(axis=1))
            if not active.size:
                break
            step = _solve(T[active, m:, m:], q[active, m:, None])[..., 0]
            self._descend(active, step, (E, y, old, dt), (q, T, size), count)
            done[active] = self._small(q[active], size[active])
            done |= ~np.isfinite(y).all(axis=1)
        converged = self._small(q, size) & np.isfinite(y).all(axis=1)
        sensitivity = -_solve(T[:, m:, m:], T[:, m:, :m])
        tangent = (T[:, :m, :m] + T[:, :m, m:] @ sensitivity) / self.reduction.volume
        return BatchAnswer(y, q[:, :m] / self.reduction.volume, tangent, sensitivity, converged)

    def updated(self, E: Floats, y: Floats, old: Mapping[str, Floats], dt: float) -> dict[str, Floats]:
        """Internal variables at the end of the step, for each phase of shape (n, g, v)."""
        x = np.concatenate([E, y], axis=1)
        return {name: self._law(name, x, old[name], dt)[3] for name in self.reduction.phases}

    def _descend(self, active: NDArray[np.int64], step: Floats, at: tuple, found: tuple, count: Counters) -> None:
        """Take the Newton steps of the `active` points, halved where the residual does not fall; in place."""
        (E, y, old, dt), (q, T, size), m = at, found, self.m
        before, length = np.linalg.norm(q[active, m:], axis=1), np.ones(active.size)
        left, start = np.arange(active.size), y[active]
        for halving in range(HALVINGS + 1):
            rows = active[left]
            y[rows] = start[left] - length[left, None] * step[left]
            given = {name: values[rows] for name, values in old.items()}
            q[rows], T[rows], size[rows] = self._evaluate(E[rows], y[rows], given, dt, count)
            after = np.linalg.norm(q[rows, m:], axis=1)
            good = (after <= (1 - 1e-4 * length[left]) * before[left]) | self._small(q[rows], size[rows])
            left = left[~good]
            if not left.size:
                return
            length[left] /= 2
            count.line_searches += left.size if halving < HALVINGS else 0

    def _small(self, q: Floats, size: Floats) -> NDArray[np.bool_]:
        norm = np.linalg.norm(q[:, self.m :], axis=1)
        return np.isfinite(norm) & (norm <= size)

    def _evaluate(
        self, E: Floats, y: Floats, old: Mapping[str, Floats], dt: float, count: Counters
    ) -> tuple[Floats, Floats, Floats]:
        """Residual, tangent and the largest residual that counts as zero, of n points."""
        r, x = self.reduction, np.concatenate([E, y], axis=1)
        n, width = x.shape
        count.residuals += n
        q = r.constant + x @ r.stiffness.T
        T = np.tile(self._elastic, (n, 1, 1))
        size = ROUNDING * np.linalg.norm((np.abs(x) @ np.abs(r.stiffness).T)[:, self.m :], axis=1)
        for name, phase in r.phases.items():
            fields, stress, C, _ = self._law(name, x, old[name], dt)
            g, f = phase.offset.shape
            q += (stress * phase.weights[:, None]).reshape(n, g * f) @ phase.H.reshape(g * f, width)
            add_tangents(phase, C, T)
            with np.errstate(invalid="ignore", over="ignore"):
                forces = np.sqrt(np.einsum("g,ngf,ngf->n", phase.weights, stress, stress))
                strains = np.sqrt(np.einsum("g,ngf,ngf->n", phase.weights, fields, fields))
                rounding = ROUNDING * np.abs(C).max(axis=(1, 2, 3)) * strains
                size += (RTOL * forces + rounding) * self._strength[name]
        return q, T, size

    def _law(self, name: str, x: Floats, old: Floats, dt: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Fields, stresses, tangents and new internal variables of a phase, shapes (n, g, ...)."""
        phase, kernel = self.reduction.phases[name], self.kernels[name]
        n, (g, f) = len(x), phase.offset.shape
        fields = phase.offset + (x @ phase.H.reshape(g * f, -1).T).reshape(n, g, f)
        stress, C, new = kernel(fields.reshape(n * g, f), old.reshape(n * g, -1), dt)
        return fields, stress.reshape(n, g, f), C.reshape(n, g, f, f), new.reshape(n, g, -1)


def add_tangents(phase: ReducedPhase, C: Floats, T: Floats) -> None:
    """Add the tangents of a phase, without those of the undeformed state, to `T`.

    Parameters
    ----------
    phase
        The phase.
    C
        Shape (n, g, f, f); tangents of the law.
    T
        Shape (n, m + N, m + N), contiguous.
    """
    (n, g, f, _), width = C.shape, T.shape[1]
    compiled = _loops()
    arrays = [C, phase.stiffness, phase.weights, phase.H, np.empty(f * f + f * width + 2 * (width + 1) * width)]
    kept = [np.ascontiguousarray(a) for a in arrays]
    pointers = [compiled.ffi.cast("double*", a.ctypes.data) for a in (*kept, T)]
    compiled.lib.reduced_tangents(n, g, f, width, *pointers)


@cache
def _loops() -> Any:
    """The compiled loops of tangents.c."""
    source = Path(__file__).with_name("tangents.c").read_text(encoding="utf-8")
    return compiled_module("hmm_reduced", source, DECLARATION, "reduced models need a C compiler, such as GCC")


def _solve(K: Floats, right: Floats) -> Floats:
    """Solutions of many small systems; NaN where one is singular or not finite."""
    bad = ~np.isfinite(K).all(axis=(1, 2))
    K = np.where(bad[:, None, None], np.eye(K.shape[1]), K)
    try:
        found = np.linalg.solve(K, right)
    except np.linalg.LinAlgError:
        singular = np.linalg.matrix_rank(K) < K.shape[1]
        found = np.linalg.solve(np.where(singular[:, None, None], np.eye(K.shape[1]), K), right)
        bad |= singular
    found[bad] = np.nan
    return found
