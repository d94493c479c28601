"""The compiled loops over many reduced cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.compiled import compiled_module
from hmm.laws.kernel import LawKernel, batch_source
from hmm.reduced.reduction import ReducedPhase, Reduction

Floats = NDArray[np.float64]

VECTOR = 8
"""Numbers in a vector of cells.c, to which rows are padded."""

ROUNDING = 1e-14
"""What rounding leaves of a sum of forces."""


@dataclass
class CellAnswers:
    """What n reduced cells answer.

    Attributes
    ----------
    forces
        Shape (n, m + N); integrals of the stress with the inputs, and residuals.
    small
        Shape (n,); norm of a residual that counts as zero.
    condensed
        Shape (n,); whether what follows was found.
    step, sensitivity, tangent, drop
        Shapes (n, N), (n, N, m), (n, m, m) and (n, m): ``d = K^-1 R``, ``X = -K^-1 L``, the derivative of the first m
        forces after condensation, and how much these fall if the unknowns change by ``-d``. NaN in a singular cell.
    """

    forces: Floats
    small: Floats
    condensed: NDArray[np.bool_]
    step: Floats
    sensitivity: Floats
    tangent: Floats
    drop: Floats

    @property
    def residuals(self) -> Floats:
        """Shape (n, N)."""
        return self.forces[:, self.tangent.shape[1] :]

    def put(self, rows: NDArray[np.int64], other: CellAnswers) -> None:
        """Replace the answers of some rows."""
        for name, values in vars(other).items():
            getattr(self, name)[rows] = values

    @property
    def is_small(self) -> NDArray[np.bool_]:
        """Whether the residual counts as zero, shape (n,)."""
        norm = np.linalg.norm(self.residuals, axis=1)
        return np.isfinite(norm) & (norm <= self.small)


class CompiledCells:
    """A reduced cell in the form that the compiled loops take.

    Parameters
    ----------
    reduction
        The reduced cell.
    kernels
        The law of each phase that has cubature points.
    """

    def __init__(self, reduction: Reduction, kernels: Mapping[str, LawKernel]) -> None:
        self._loops = _loops()
        self.kernels = {name: kernels[name] for name in reduction.phases}
        self.N = N = reduction.n_modes
        self.m = m = len(reduction.stiffness) - N
        self.stride = stride = -(-(m + N) // VECTOR) * VECTOR
        self.history = sum(p.weights.size * kernels[name].n_variables for name, p in reduction.phases.items())
        self._kept: list[Floats] = []
        self._magnitudes = np.abs(reduction.stiffness)[:, m:]
        self._cell, self._phases = self._new("reduced_cell *"), self._new("reduced_phase[]", max(len(kernels), 1))
        for k, (name, phase) in enumerate(reduction.phases.items()):
            self._describe(self._phases[k], phase, kernels[name], reduction.strength(name))
        cell, K = self._cell, np.zeros((stride, stride))
        K[: m + N, : m + N] = reduction.stiffness
        cell.m, cell.N, cell.stride, cell.phases, cell.phase = m, N, stride, len(reduction.phases), self._phases
        cell.history = self.history
        cell.K, cell.constant = self._keep(K), self._keep(reduction.constant)
        cell.rounding = ROUNDING
        cell.work = self._keep(np.zeros(self._loops.lib.reduced_room(cell)))

    @property
    def nbytes(self) -> int:
        """Bytes of one cell in a batch."""
        return 8 * (5 * self.stride + self.m * (self.m + self.N) + 2 * self.history)

    def answers(
        self, x: Floats, old: Floats, dt: float, rtol: float, expected: Floats, allowed: Floats, moved: Floats
    ) -> CellAnswers:
        """Forces of n cells, and the condensed tangent of those whose answer is not the expected one.

        Parameters
        ----------
        x
            Shape (n, m + N); packed inputs and reduced unknowns.
        old
            Shape (n, history); internal variables at the start of the step.
        dt
            Duration of the step.
        rtol
            A residual is small that is below this part of the nodal forces of the phases.
        expected, allowed
            Shapes (n, m) and (n,): a cell is not condensed if its residual is small and its first m forces are within
            `allowed` of these. NaN if it must be.
        moved
            Shape (n, m + N); magnitudes that entered `x` and count for its rounding.
        """
        n, m, N = len(x), self.m, self.N
        found = CellAnswers(
            np.empty((n, self.stride)),
            ROUNDING * np.linalg.norm(moved @ self._magnitudes, axis=1),
            np.empty(n, dtype=np.bool_),
            *(np.empty(shape) for shape in ((n, N), (n, N, m), (n, m, m), (n, m))),
        )
        self._prepare(dt, rtol)
        given = [np.ascontiguousarray(a) for a in (x, old, expected, allowed)]
        out = [found.forces, found.small, found.condensed, found.step, found.sensitivity, found.tangent, found.drop]
        self._loops.lib.reduced_answers(self._cell, n, *(self._pointer(a) for a in (*given, *out)))
        found.forces = found.forces[:, : m + N]
        return found

    def condensed(self, x: Floats, old: Floats, dt: float, rtol: float) -> CellAnswers:
        """Forces and condensed tangents of n cells, whatever these are (see `answers`)."""
        nowhere = np.full((len(x), self.m), np.nan)
        return self.answers(x, old, dt, rtol, nowhere, nowhere[:, 0], np.abs(x))

    def updated(self, x: Floats, old: Floats, dt: float) -> Floats:
        """Internal variables at the end of the step, shape (n, history)."""
        self._prepare(dt, 0.0)
        arrays = [np.ascontiguousarray(x), np.ascontiguousarray(old), np.empty((len(x), self.history))]
        self._loops.lib.reduced_updates(self._cell, len(x), *(self._pointer(a) for a in arrays))
        return arrays[-1]

    def _describe(self, to: Any, phase: ReducedPhase, kernel: LawKernel, strength: float) -> None:
        g, f, width = phase.H.shape
        H = np.zeros((g, f, self.stride))
        H[:, :, :width] = phase.H
        to.g, to.f, to.v, to.unknowns = g, f, kernel.n_variables, kernel.at(0.0).n_unknowns
        to.weights, to.offset, to.H = self._keep(phase.weights), self._keep(phase.offset), self._keep(H)
        to.C0, to.start = self._keep(phase.stiffness), self._keep(phase.start)
        to.strength = strength

    def _prepare(self, dt: float, rtol: float) -> None:
        """Set what may differ between two calls."""
        self._cell.rtol = rtol
        self._constants: list[Any] = []
        for k, kernel in enumerate(self.kernels.values()):
            law, phase = kernel.at(dt), self._phases[k]
            phase.law, phase.equations, phase.guess = (*law.addresses, 0, 0)[:3]
            pointers = [self._pointer(values) for values in law.constants]
            phase.c, phase.ce, phase.cg = (*pointers, self._null, self._null)[:3]
            self._constants.append(law.constants)

    def _new(self, *what: Any) -> Any:
        return self._loops.ffi.new(*what)

    @property
    def _null(self) -> Any:
        return self._loops.ffi.NULL

    def _keep(self, array: Floats) -> Any:
        self._kept.append(np.ascontiguousarray(array, dtype=float))
        return self._pointer(self._kept[-1])

    def _pointer(self, array: NDArray[Any]) -> Any:
        return self._loops.ffi.cast("int8_t *" if array.dtype == np.bool_ else "double *", array.ctypes.data)


@cache
def _loops() -> Any:
    """The compiled loops of batch.c and cells.c."""
    shared, loops = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("cells.h", "cells.c"))
    remedy = "reduced models need a C compiler, such as GCC"
    return compiled_module("hmm_reduced", batch_source() + shared + loops, shared, remedy)
