"""A hyper-reduced RVE as a micro model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.blocks import Blocks
from hmm.foundation.console import warn
from hmm.foundation.errors import ConvergenceError, InputError
from hmm.micro.inputs import MacroInput
from hmm.micro.local_fields import LocalFields
from hmm.micro.response import PointState
from hmm.micro.rve import RVE
from hmm.micro.views import local_fields
from hmm.models.points import InitialPoint, Points, Variable
from hmm.models.single import OnePoint
from hmm.reduced.batch import BatchAnswer, BatchSolver
from hmm.reduced.phases import kernel_of
from hmm.reduced.reduction import Reduction
from hmm.reduced.report import TrainingReport
from hmm.reduced.storage import read_reduction, save_model

Floats = NDArray[np.float64]

MARGIN = 0.02
"""How far beyond the training range an input is outside, relative to the width of the range."""


class ReducedModel(OnePoint):
    """A reduced RVE: it stands wherever the RVE stands, and answers all points of a rank in one batch.

    Made by `hmm.reduced.train` or `hmm.reduced.load_model`.

    Parameters
    ----------
    rve
        The RVE. Its laws are evaluated, and its fields hold what `view` shows; it is not solved.
    reduction
        The reduced cell.
    report
        What training found.

    Attributes
    ----------
    n_outside
        Points of accepted steps whose input was outside the training range.
    """

    def __init__(self, rve: RVE, reduction: Reduction, report: TrainingReport) -> None:
        self.rve, self.reduction, self.report = rve, reduction, report
        self.n_outside = 0
        self._kernels = {name: kernel_of(rve.problem, name) for name in reduction.phases}
        self._solver = BatchSolver(reduction, self._kernels)
        sizes = {name: p.weights.size * self._kernels[name].n_variables for name, p in reduction.phases.items()}
        self._history = Blocks(sizes)
        self._trained_with = self._parameter_values()

    # -- as a micro model ------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[MacroInput, ...]:
        """The macroscopic inputs of the RVE."""
        return self.rve.inputs

    @cached_property
    def variables(self) -> Mapping[str, Variable]:
        """What a point remembers.

        ``y`` are the reduced unknowns, ``history`` the internal variables at the cubature points, ``sensitivity`` is
        ``dy / dE`` of the last answer.
        """
        N = self.reduction.n_modes
        return {
            "y": Variable((N,)),
            "history": Variable((self._history.size,), "deferred"),
            "sensitivity": Variable((N, self.rve.n_inputs), "guide"),
        }

    @property
    def has_rates(self) -> bool:
        """Whether the laws depend on the duration of the step."""
        return self.rve.has_rates

    def initial(self) -> InitialPoint:
        """The undeformed point."""
        return InitialPoint()

    def answer(self, points: Points) -> None:
        """Answer the rows asked, in batches (see `hmm.models.MicroModel`)."""
        self._require_same_parameters()
        for rows in self._chunks(points.asked):
            start, E = points.trial.variables["y"][rows], points.E[rows]
            guess = start + np.einsum("nij,nj->ni", points.guides["sensitivity"][rows], E - points.trial.E[rows])
            found = self._solve(points, rows, guess)
            lost = np.flatnonzero(~found.converged)
            if lost.size:
                self._start_again(points, rows, lost, found)
            self._write(points, rows, found)

    def commit(self, points: Points) -> None:
        """Compute the internal variables at the end of the step, and look whether it was in the training range.

        Raises
        ------
        ConvergenceError
            If those of a point are not numbers.
        """
        y, history = points.trial.variables["y"], np.empty_like(points.committed.variables["history"])
        for rows in self._chunks(np.arange(points.n)):
            old = self._old(points, rows)
            new = self._solver.updated(points.trial.E[rows], y[rows], old, points.dt)
            parts = [new[name].reshape(rows.size, -1) for name in self._history]
            history[rows] = np.concatenate([np.zeros((rows.size, 0)), *parts], axis=1)
        bad = np.flatnonzero(~np.isfinite(history).all(axis=1))
        if bad.size:
            raise ConvergenceError(f"point {bad[0]}: an updated internal variable is not a number")
        points.deferred["history"] = history
        self._look_at_range(points.trial.E)

    # -- capabilities ----------------------------------------------------------------------------------------------

    @property
    def observables(self) -> Mapping[str, int]:
        """Averages of internal variables over their phases, named as those of the RVE."""
        return self.rve.observables

    def observe(self, points: Points, name: str) -> Floats:
        """Average of an internal variable over its phase at the committed state of all rows, shape (n, size)."""
        for phase, values in self._old(points, np.arange(points.n)).items():
            p, kernel = self.reduction.phases[phase], self._kernels[phase]
            for variable, part in kernel.variables.items():
                if name == f"{variable}_{phase}":
                    return np.einsum("g,ngv->nv", p.weights, values[..., part]) / p.weights.sum()
        raise InputError(f"the reduced model has no average {name!r}: it has {', '.join(self.observables) or 'none'}")

    def fingerprint(self) -> Mapping[str, str]:
        """What the answers depend on: the RVE, and the numbers of the reduction."""
        return {**self.rve.fingerprint(), "reduced model": self.reduction.digest()}

    def state_at(self, points: Points, row: int) -> PointState:
        """State of the full RVE as it is reconstructed from the committed state of a row.

        The fluctuation is the sum of its modes; internal variables are fitted to those at the cubature points by modes
        that training found (Everson and Sirovich, *J. Opt. Soc. Am. A* 12 (1995) 1657).
        """
        z = points.committed.variables["y"][row] @ self.reduction.modes
        parts = {name: np.zeros(0) for name in self.rve.histories}
        for name, values in self._old(points, np.array([row])).items():
            p = self.reduction.phases[name]
            if name in parts:
                known = p.history[:, p.index].reshape(len(p.history), -1)
                factors = np.linalg.lstsq(known.T, values.ravel(), rcond=1e-10)[0]
                parts[name] = np.einsum("b,bnv->nv", factors, p.history).ravel()
        return PointState(z, self.rve.forms.history_blocks.join(parts))

    def view(self, points: Points, row: int) -> LocalFields:
        """The fields inside a row at its committed state, reconstructed (see `state_at`)."""
        return local_fields(self.rve, self.state_at(points, row), points.committed.E[row])

    def save(self, path: str | Path) -> Path:
        """Write the model to one HDF5 file, to be read with `hmm.reduced.load_model`; returns its path."""
        return save_model(path, self.rve, self.reduction, self.report)

    # -- parts -----------------------------------------------------------------------------------------------------

    def _chunks(self, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        size = self._solver.chunk
        return [rows[k : k + size] for k in range(0, rows.size, size)]

    def _old(self, points: Points, rows: NDArray[np.intp]) -> dict[str, Floats]:
        """For each phase its internal variables at the start of the step, shape (n, g, v)."""
        parts = self._history.split(points.committed.variables["history"][rows])
        return {
            name: values.reshape(rows.size, self.reduction.phases[name].weights.size, -1)
            if values.size
            else np.zeros((rows.size, self.reduction.phases[name].weights.size, 0))
            for name, values in parts.items()
        }

    def _solve(self, points: Points, rows: NDArray[np.intp], guess: Floats) -> BatchAnswer:
        with np.errstate(all="ignore"):
            return self._solver.solve(points.E[rows], guess, self._old(points, rows), points.dt, points.count)

    def _start_again(self, points: Points, rows: NDArray[np.intp], lost: NDArray[np.intp], found: BatchAnswer) -> None:
        """Try rows that did not converge again, from the committed state with the elastic move."""
        again = rows[lost]
        elastic = points.start.values.get("sensitivity", np.zeros((self.reduction.n_modes, self.rve.n_inputs)))
        dE = points.E[again] - points.committed.E[again]
        second = self._solve(points, again, points.committed.variables["y"][again] + dE @ elastic.T)
        points.count.elastic_starts += again.size
        for name, values in vars(found).items():
            values[lost] = vars(second)[name]

    def _write(self, points: Points, rows: NDArray[np.intp], found: BatchAnswer) -> None:
        good = found.converged
        kept = rows[good]
        points.trial.variables["y"][kept] = found.y[good]
        points.trial.response[kept], points.tangent[kept] = found.response[good], found.tangent[good]
        points.guides["sensitivity"][kept] = found.sensitivity[good]
        points.converged[kept] = True
        points.count.factorizations += kept.size
        points.failures |= dict.fromkeys(rows[~good].tolist(), "the reduced cell did not converge; take smaller steps")

    def _look_at_range(self, E: Floats) -> None:
        r = self.reduction
        margin = MARGIN * (r.highest - r.lowest)
        outside = ((r.lowest - margin > E) | (r.highest + margin < E)).any(axis=1)
        first = not self.n_outside and outside.any()
        self.n_outside += int(outside.sum())
        if first:
            worst = E[np.flatnonzero(outside)[0]]
            warn(
                f"the reduced model is used outside its training range, first at the packed input "
                f"[{', '.join(f'{v:.4g}' for v in worst)}]: train it on larger paths, or with recorded ones "
                "(counted in n_outside)"
            )

    def _parameter_values(self) -> list[bytes]:
        """The values of the Constants and Functions of the laws, without the duration of the step."""
        dt = self.rve.problem.dt
        found = [p for p in self.rve.parameters if p is not dt]
        return [np.asarray(p.value if hasattr(p, "value") else p.x.array).tobytes() for p in found]

    def _require_same_parameters(self) -> None:
        if self._parameter_values() != self._trained_with:
            raise InputError("a parameter of the RVE has changed since the reduced model was made: train a new one")


def load_model(path: str | Path, rve: RVE) -> ReducedModel:
    """A reduced model that was saved, for the RVE it was made of.

    Parameters
    ----------
    path
        The file.
    rve
        An RVE with the same cell, laws and constraint.

    Raises
    ------
    InputError
        If the file is damaged, of another version, or of another RVE.
    """
    return ReducedModel(rve, *read_reduction(path, rve))
