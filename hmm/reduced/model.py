"""A hyper-reduced RVE as a micro model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.blocks import Blocks
from hmm.foundation.console import warn
from hmm.foundation.errors import ConvergenceError, InputError
from hmm.micro.algorithms import count_attempts
from hmm.micro.inputs import MacroInput
from hmm.micro.local_fields import LocalFields
from hmm.micro.recovery import StepStart, solve_step
from hmm.micro.response import PointState
from hmm.micro.rve import RVE
from hmm.micro.views import local_fields
from hmm.models.points import InitialPoint, Points, TangentSource, Variable, products
from hmm.models.single import OnePoint
from hmm.reduced.batch import BatchAnswer, BatchSolver
from hmm.reduced.phases import kernel_of
from hmm.reduced.recovery import SingleCell
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
        options = rve.system.newton_options
        self._single = SingleCell(self._solver.cells, reduction.volume, rve.reference, options)
        self._rtol = options.rtol
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
        """Answer the rows asked, in batches (see `hmm.models.MicroModel`).

        In the monolithic algorithm each row takes at most one condensed Newton step, as the RVE does (see
        `hmm.micro.algorithms.monolithic`); an elastic row costs one residual. Rows that fail are solved until they
        converge: in a batch first, then one by one in substeps.
        """
        self._require_same_parameters()
        divided = np.isin(points.asked, np.array(list(points.notes), dtype=np.intp))
        alone, rest = points.asked[divided], points.asked[~divided]
        if points.algorithm == "monolithic":
            rest = self._over(rest, lambda rows: self._iterate(points, rows))
            points.count.recoveries += rest.size
            for row in rest.tolist():
                points.restart(row)
        rest = self._over(rest, lambda rows: self._converge(points, rows))
        for row in [*rest.tolist(), *alone.tolist()]:
            self._recover(points, row)

    def commit(self, points: Points) -> None:
        """Compute the internal variables at the end of the step, and look whether it was in the training range.

        Raises
        ------
        ConvergenceError
            If those of a point are not numbers.
        """
        trial, old = points.trial, points.committed.variables["history"]
        history = np.empty_like(old)
        for rows in self._chunks(np.arange(points.n)):
            history[rows] = self._solver.updated(trial.E[rows], trial.variables["y"][rows], old[rows], points.dt)
        for row, steps in points.notes.items():
            last = trial.E[row][None], trial.variables["y"][row][None], steps.history[None], points.dt * steps.last
            history[row] = self._solver.updated(*last)
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

    def _over(self, rows: NDArray[np.intp], work: Callable[[NDArray[np.intp]], NDArray[np.bool_]]) -> NDArray[np.intp]:
        """Do some work for rows, a batch at a time; returns those that failed."""
        with np.errstate(all="ignore"):
            parts = [part[~work(part)] for part in self._chunks(rows)]
        return np.concatenate([rows[:0], *parts])

    def _iterate(self, points: Points, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """One step of the monolithic algorithm for a batch; returns which rows have an answer."""
        trial, E, y = points.trial, points.E[rows], points.trial.variables["y"][rows]
        dE = E - trial.E[rows]
        dy = products(points.guides["sensitivity"][rows], dE)
        expected = trial.response[rows] + products(points.tangent[rows], dE)
        expected[points.tangent_source[rows] == TangentSource.DROPPED] = np.nan
        given = (E, y + dy, np.concatenate([dE, dy], axis=1), points.committed.variables["history"][rows])
        found = self._solver.iterate(*given, points.dt, expected, self._rtol, points.count)
        good = found.is_finite
        self._write(points, rows, found, good)
        return good

    def _converge(self, points: Points, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Solve a batch until it converges; returns which rows have."""
        old = points.committed.variables["history"][rows]
        found = self._solver.solve(points.E[rows], self._guess(points, rows), old, points.dt, points.count)
        good = found.converged & found.is_finite
        self._write(points, rows, found, good)
        return good

    def _recover(self, points: Points, row: int) -> None:
        """Solve one row with the recovery strategies of the RVE (see `hmm.micro.recovery`)."""
        cell, state, E, substeps = self._single, points.committed, points.E[row], points.notes.get(row)
        cell.time_step, factorized = points.dt, cell.n_factorizations
        elastic = points.start.values["sensitivity"].T
        start = StepStart(state.variables["y"][row], state.E[row], state.variables["history"][row], 0.0, elastic)
        guess = self._guess(points, np.array([row]))[0]
        with np.errstate(all="ignore"):
            solution = solve_step(cell, start, E, guess, substeps.ends if substeps else ())
        count_attempts(points.count, solution.attempts, cell.n_inputs)
        points.count.factorizations += cell.n_factorizations - factorized
        points.converged[row] = solution.solved is not None
        if solution.solved is None:
            points.failures[row] = f"the reduced cell did not converge: {solution.failure}"
            return
        points.notes.pop(row, None)
        if solution.substeps is not None:
            points.notes[row] = solution.substeps
        trial, solved = points.trial, solution.solved
        trial.E[row], trial.variables["y"][row], trial.response[row] = E, solved.z, solved.response
        points.tangent[row], points.guides["sensitivity"][row] = (
            solved.condensed.tangent,
            solved.condensed.sensitivity.T,
        )
        points.tangent_source[row] = TangentSource.ANSWER

    def _guess(self, points: Points, rows: NDArray[np.intp]) -> Floats:
        """Unknowns that the last tangent predicts, shape (n, N)."""
        dE = points.E[rows] - points.trial.E[rows]
        return points.trial.variables["y"][rows] + products(points.guides["sensitivity"][rows], dE)

    def _write(self, points: Points, rows: NDArray[np.intp], found: BatchAnswer, good: NDArray[np.bool_]) -> None:
        """Make the `good` answers of a batch the trial state."""
        kept, new = rows[good], good & found.condensed
        points.trial.E[kept], points.trial.response[kept] = points.E[kept], found.response[good]
        points.trial.variables["y"][kept] = found.y[good]
        points.tangent[rows[new]], points.guides["sensitivity"][rows[new]] = found.tangent[new], found.sensitivity[new]
        points.tangent_source[rows[new]] = TangentSource.ANSWER
        points.converged[kept] = found.converged[good]

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
