"""The states with which errors of a reduced model are estimated, carried along with its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError
from hmm.models.asking import answer, points_of
from hmm.models.points import Floats, Points
from hmm.reduced.error_estimate import ErrorEstimator
from hmm.reduced.model import ReducedModel
from hmm.reduced.strain_path import StrainPaths

Rows = NDArray[np.intp]

ELASTIC = 1e-6
"""A response is that of the undeformed cell, and has no error, which differs from it by less than this part."""


@dataclass(frozen=True)
class State:
    """One point as the estimate follows it.

    Attributes
    ----------
    y, z
        Shapes (N,) and (n_unknowns,); reduced unknowns, and the corrected fluctuation.
    history
        For each phase with internal variables, shape (q, v).
    """

    y: Floats
    z: Floats
    history: dict[str, Floats]


class Followers:
    """Corrected states at the last step, by the strain path of the point; worked out from it where they are missing.

    A point needs none as long as its response is that of the undeformed cell, where modes and cubature are exact.

    Parameters
    ----------
    reduced
        The reduced model.
    estimator
        Corrects its fields.
    paths
        The strain paths.
    """

    def __init__(self, reduced: ReducedModel, estimator: ErrorEstimator, paths: StrainPaths) -> None:
        self.reduced, self.estimator, self.paths = reduced, estimator, paths
        self._known: dict[bytes, State] = {}

    def use(self, model: ReducedModel, y: Mapping[bytes, Floats]) -> None:
        """Go on with another model of the RVE.

        Parameters
        ----------
        model
            The model.
        y
            Its unknowns at the end of strain paths, by their keys; other states are worked out again.
        """
        self.reduced, self.estimator.modes = model, model.reduction.modes
        self._known = {key: replace(self._known[key], y=own.copy()) for key, own in y.items() if key in self._known}

    def put(self, key: bytes, one: Points, y: Floats) -> None:
        """Follow a point from a state of the full RVE on."""
        z, rve = one.committed.variables["z"][0].copy(), self.reduced.rve
        parts = rve.forms.history_blocks.split(one.committed.variables["history"][0])
        shapes = self.estimator.variables
        self._known[key] = State(y.copy(), z, {name: parts[name].reshape(shapes[name]).copy() for name in shapes})

    def follow(self, points: Points, rows: Rows, before: Sequence[bytes], after: Sequence[bytes]) -> Floats:
        """Corrected responses of rows at their trial inputs, shape (k, m).

        Parameters
        ----------
        points
            The points, answered by the reduced model.
        rows
            Rows to correct.
        before, after
            For each row of `points`, the key of its strain path at the start and at the end of the step.
        """
        found = points.trial.response[rows].copy()
        inelastic = np.array([before[row] in self._known for row in rows.tolist()], dtype=bool)
        inelastic |= self._has_yielded(points, rows)
        moved = np.flatnonzero(inelastic)
        kept: dict[bytes, State] = {}
        self._work_out(points, rows[moved], before)
        for some in self._chunks(moved):
            own = rows[some]
            start = [self._known[before[row]] for row in own.tolist()]
            arrays = points.trial.E[own], points.trial.variables["y"][own], points.guides["sensitivity"][own]
            states, found[some] = self._advanced(start, *arrays, points.dt)
            kept |= dict(zip((after[row] for row in own.tolist()), states, strict=True))
        self._known = kept
        return found

    def _chunks(self, rows: Rows) -> list[Rows]:
        size = self.estimator.chunk
        return [rows[k : k + size] for k in range(0, rows.size, size)]

    def _advanced(
        self, start: Sequence[State], E: Floats, y: Floats, sensitivity: Floats, dt: float
    ) -> tuple[list[State], Floats]:
        """States and responses at the end of a step."""
        modes = self.estimator.modes
        z = np.array([s.z for s in start]) + (y - np.array([s.y for s in start])) @ modes
        history = {name: np.array([s.history[name] for s in start]) for name in self.estimator.variables}
        with np.errstate(all="ignore"):
            found = self.estimator.follow(E, z, history, sensitivity, dt)
        if not (np.isfinite(found.response).all() and np.isfinite(found.z).all()):
            raise ConvergenceError("the corrected fields of a point are not numbers: take smaller steps")
        states = [
            State(y[k].copy(), found.z[k], {name: values[k] for name, values in found.history.items()})
            for k in range(len(start))
        ]
        return states, found.response

    def _has_yielded(self, points: Points, rows: Rows) -> NDArray[np.bool_]:
        """Whether the response of rows is not that of the undeformed cell."""
        start = points.start
        assert start.response is not None and start.tangent is not None
        change = (points.trial.E[rows] - self.reduced.rve.reference) @ start.tangent.T
        miss = np.linalg.norm(points.trial.response[rows] - start.response - change, axis=1)
        return np.asarray(miss > ELASTIC * np.linalg.norm(change, axis=1))

    def _work_out(self, points: Points, rows: Rows, keys: Sequence[bytes]) -> None:
        """Find the states at the start of the step of rows that have none; those with the same steps together."""
        missing = {keys[row]: row for row in rows.tolist() if keys[row] not in self._known}
        for group in self.paths.alike(points.committed.variables, list(missing.values())):
            for some in self._chunks(np.array(group, dtype=np.intp)):
                states = self._replayed(*self.paths.stacked(points.committed.variables, some.tolist()))
                self._known |= dict(zip((keys[row] for row in some.tolist()), states, strict=True))

    def _replayed(self, path: Floats, durations: Floats) -> list[State]:
        """States at the end of strain paths, shape (k, n, m), by the reduced model and its corrections."""
        shapes, N, n = self.estimator.variables, *self.estimator.modes.shape
        undeformed = {name: np.zeros(shape) for name, shape in shapes.items()}
        states = [State(np.zeros(N), np.zeros(n), undeformed)] * path.shape[1]
        for points in replayed(self.reduced, path, durations):
            y, sensitivity = points.committed.variables["y"], points.guides["sensitivity"]
            states, _ = self._advanced(states, points.committed.E, y, sensitivity, points.dt)
        return states


def replayed(model: ReducedModel, path: Floats, durations: Floats) -> Iterator[Points]:
    """Points of a model after each step of strain paths, shape (k, n, m).

    Raises
    ------
    ConvergenceError
        If the model does not answer a step.
    """
    points, outside = points_of(model, path.shape[1]), model.n_outside
    for E, dt in zip(path, durations.tolist(), strict=True):
        points.ask(E, dt, "nested")
        answer(model, points)
        if points.failures:
            raise ConvergenceError(f"a strain path was not repeated: {next(iter(points.failures.values()))}")
        model.commit(points)
        points.accept()
        yield points
    model.n_outside = outside
