"""The points that a rank evaluates, in one batch per micro model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError
from hmm.models.asking import answer, is_collective, points_of
from hmm.models.points import Points
from hmm.models.protocol import MicroModel
from hmm.models.statistics import Counters
from hmm.parallel.routes import Route

Floats = NDArray[np.float64]


class Member(NamedTuple):
    """One row: its model, the points of that model, and its row among them."""

    model: MicroModel
    points: Points
    p: int


class Batches:
    """The rows that a rank evaluates.

    Parameters
    ----------
    models
        The micro models, by name.
    kinds
        Shape (n_rows,); number of the model of each row.

    Attributes
    ----------
    kinds
        As given; updated when rows move.
    points
        The points of each model, in the order of the rows.

    Raises
    ------
    ConvergenceError
        If a model has no answer in the undeformed state.
    """

    def __init__(self, models: Mapping[str, MicroModel], kinds: NDArray[np.int32]) -> None:
        self.names, self.models = tuple(models), tuple(models.values())
        self.points = tuple(points_of(model, int((kinds == k).sum())) for k, model in enumerate(self.models))
        self._take(kinds)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.kinds.size

    def member(self, row: int) -> Member:
        """The model of a row, and its points."""
        k = self.kinds[row]
        return Member(self.models[k], self.points[k], int(self._place[row]))

    def name(self, row: int) -> str:
        """Name of the model of a row."""
        return self.names[self.kinds[row]]

    def rows(self, kind: int) -> NDArray[np.intp]:
        """The rows of a model, in order."""
        return np.flatnonzero(self.kinds == kind)

    @property
    def nbytes_per_point(self) -> int:
        """Memory of one row of the largest model, in bytes."""
        return max(points.nbytes_per_point for points in self.points)

    @property
    def answers(self) -> tuple[Floats, Floats]:
        """Responses and tangents of the rows, shapes (n_rows, m) and (n_rows, m, m)."""
        if len(self.points) == 1:
            return self.points[0].trial.response, self.points[0].tangent
        m = self.points[0].E.shape[1]
        response, tangent = np.empty((self.n_rows, m)), np.empty((self.n_rows, m, m))
        for k, points in enumerate(self.points):
            rows = self.rows(k)
            response[rows], tangent[rows] = points.trial.response, points.tangent
        return response, tangent

    @property
    def converged(self) -> bool:
        """Whether the micro problems of all rows have converged."""
        return all(bool(points.converged.all()) for points in self.points)

    def ask(self, E: Floats, dt: float, algorithm: str, count: Counters) -> tuple[dict[int, str], Floats]:
        """Evaluate the models for macroscopic inputs, shape (n_rows, m).

        Returns
        -------
        failures
            Row -> the reason why it has no answer.
        seconds
            Shape (n_rows,); CPU time spent on each row by this process.
        """
        failures: dict[int, str] = {}
        seconds = np.zeros(self.n_rows)
        for k, (model, points) in enumerate(zip(self.models, self.points, strict=True)):
            if failures and not is_collective(model):
                continue
            rows = self.rows(k)
            points.count = count
            points.ask(E[rows] if len(self.models) > 1 else E, dt, algorithm)
            answer(model, points, self.names[k])
            seconds[rows] = points.seconds
            failures |= {int(rows[p]): why for p, why in points.failures.items()}
            count.rejections += len(points.failures)
        return failures, seconds

    def prepare_commit(self) -> None:
        """Compute the deferred variables of all rows at the end of the step; raises `ConvergenceError`."""
        failed: list[ConvergenceError] = []
        for model, points in zip(self.models, self.points, strict=True):
            try:
                model.commit(points)
            except ConvergenceError as error:  # a collective model that follows must be called all the same
                failed.append(error)
        if failed:
            raise failed[0]

    def accept(self) -> None:
        """Accept the trial states, after `prepare_commit`."""
        for points in self.points:
            points.accept()

    def revert(self, elastic: bool = False) -> None:
        """Discard the trial states (see `hmm.models.points.Points.revert`)."""
        for points in self.points:
            points.revert(elastic)

    def exchange(self, leaving: NDArray[np.int64], route: Route, order: NDArray[np.int64]) -> None:
        """Send rows to other ranks and receive others; only after an accepted step.

        Parameters
        ----------
        leaving
            The rows to send.
        route
            The route of the rows that leave and arrive.
        order
            The order in which the kept rows, followed by the arrived rows, are stored.
        """
        gone = self.kinds[leaving]
        come = route.along(gone)
        both = np.concatenate([np.delete(self.kinds, leaving), come])
        kinds = both[order]
        for k, points in enumerate(self.points):
            among = np.cumsum(both == k) - 1
            part = route.part(gone == k, come == k)
            points.exchange(self._place[leaving[gone == k]], part.along, among[order[kinds == k]])
        self._take(kinds)

    def _take(self, kinds: NDArray[np.int32]) -> None:
        self.kinds = kinds
        self._place = np.empty(kinds.size, dtype=np.int64)
        for k in range(len(self.models)):
            rows = self.rows(k)
            self._place[rows] = np.arange(rows.size)
