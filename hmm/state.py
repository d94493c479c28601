"""The state of many points: rows of arrays, trial and committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hmm.accuracy import verify
from hmm.ladder import Solved, Start, Substeps, part_of_step
from hmm.microproblem import Microproblem


class MicroState:
    """State of the points a rank works on, one row a point.

    Attributes
    ----------
    z
        Shape (n_points, n_unknowns); reduced fluctuations, trial.
    E
        Shape (n_points, m); macroscopic inputs that `z` belongs to, trial.
    history
        Shape (n_points, n_history); internal variables at the start of the step. They change only at `commit`.
    sensitivity
        Shape (n_points, m, n_unknowns); ``-(K^-1 L)^T`` of each point's last factorization: the tangent predictor.
    response, tangent
        Shapes (n_points, m) and (n_points, m, m); what the macro problem sees.
    settled
        Shape (n_points,); whether the micro residual was below its tolerance at the last evaluation.
    scale
        Shape (n_points,); the nodal forces to which residuals are compared: the largest of the accepted steps and of
        the last iterate. What a diverging iterate met does not count.
    stale
        Shape (n_points,); whether `sensitivity` and `tangent` belong to a step that was dropped.
    substeps
        How the few points were divided that had to be, in the present step (see `hmm.ladder`).
    virgin
        The undeformed cell, linearized.
    elastic_start
        Shape (n_points,); whether its sensitivity and tangent are the ones in use, until the point moves.
    """

    def __init__(self, rve: Microproblem, n_points: int) -> None:
        m, n = rve.n_inputs, rve.n_unknowns
        start = rve.initial_state()
        rve.load_history(start.history)
        rve.load(start.z, rve.reference)
        rve.residual()
        rve.linearize()
        virgin = rve.condense()
        verify(rve.whole, rve.whole.condensed_tangent)
        self.z = np.tile(start.z, (n_points, 1))
        self.E = np.tile(rve.reference, (n_points, 1))
        self.history = np.tile(start.history, (n_points, 1))
        self.sensitivity = np.broadcast_to(virgin.sensitivity, (n_points, m, n)).copy()
        self.response = np.tile(rve.response(), (n_points, 1))
        self.tangent = np.tile(virgin.tangent, (n_points, 1, 1))
        self.settled = np.zeros(n_points, dtype=bool)
        self.scale = np.zeros(n_points)
        self.stale = np.zeros(n_points, dtype=bool)
        self.substeps: dict[int, Substeps] = {}
        self.virgin = virgin
        self.elastic_start = np.zeros(n_points, dtype=bool)
        self.committed_scale = self.scale.copy()
        self._committed_z = self.z.copy()
        self._committed_E = self.E.copy()
        self._committed_response = self.response.copy()

    @property
    def n_points(self) -> int:
        """Number of points."""
        return self.E.shape[0]

    @property
    def nbytes_per_point(self) -> int:
        """Memory of one point, in bytes."""
        return sum(a.nbytes for a in self._arrays().values()) // max(self.n_points, 1)

    def start(self, p: int) -> Start:
        """The committed state of a point."""
        scale = float(self.committed_scale[p])
        return Start(self._committed_z[p], self._committed_E[p], self.history[p], scale, self.virgin.sensitivity)

    def accept(
        self,
        p: int,
        E: NDArray[np.float64],
        solved: Solved,
        substeps: Substeps | None = None,
        keep_tangent: bool = False,
    ) -> None:
        """Make a converged solution the trial state of a point."""
        self.z[p], self.E[p], self.response[p] = solved.z, E, solved.response
        if not keep_tangent:
            self.sensitivity[p], self.tangent[p] = solved.condensed.sensitivity, solved.condensed.tangent
            self.elastic_start[p] = False
        self.scale[p] = max(self.committed_scale[p], solved.scale)
        self.settled[p], self.stale[p] = True, False
        self.substeps.pop(p, None)
        if substeps is not None:
            self.substeps[p] = substeps

    def restart(self, p: int) -> None:
        """Put the trial state of a point back to its committed one, without a tangent."""
        self.z[p], self.E[p], self.response[p] = self._committed_z[p], self._committed_E[p], self._committed_response[p]
        self.scale[p], self.sensitivity[p] = self.committed_scale[p], 0.0
        self.settled[p], self.stale[p] = False, True

    def updated_history(self, rve: Microproblem) -> NDArray[np.float64]:
        """Internal variables at the end of the trial step, shape (n_points, n_history)."""
        updated = np.empty_like(self.history)
        for p in range(self.n_points if rve.n_history else 0):
            substeps = self.substeps.get(p)
            rve.load_history(self.history[p] if substeps is None else substeps.history)
            rve.load(self.z[p], self.E[p])
            with part_of_step(rve, 1.0 if substeps is None else substeps.last):
                updated[p] = rve.updated_history()
        return updated

    def commit(self, rve: Microproblem, history: NDArray[np.float64] | None = None) -> None:
        """Accept the trial state: its fields become the committed ones, its `updated_history` the history."""
        self.history[:] = self.updated_history(rve) if history is None else history
        self._committed_z[:] = self.z
        self._committed_E[:] = self.E
        self._committed_response[:] = self.response
        self.committed_scale[:] = self.scale
        self.settled[:] = False  # with another history, time or parameter the same input has another answer
        self.substeps.clear()
        self.elastic_start[:] = False

    def exchange(
        self,
        leaving: NDArray[np.int64],
        send: Callable[[NDArray[np.generic]], NDArray[np.generic]],
        order: NDArray[np.int64],
    ) -> None:
        """Give rows away and take others; only between an accepted step and the next evaluation.

        Parameters
        ----------
        leaving
            The rows to give away.
        send
            Brings rows, shape (n, ...), to where they go; returns those that arrive.
        order
            Order of the rows kept and arrived, as one list, in which they are stored.
        """
        moved = {
            name: np.concatenate([np.delete(array, leaving, axis=0), send(array[leaving])])[order]
            for name, array in self.committed().items()
        }
        for name, array in self._arrays().items():
            setattr(self, name, np.empty((order.size, *array.shape[1:]), array.dtype))
        self.restore(moved)

    def _arrays(self) -> dict[str, NDArray]:
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def revert(self, elastic: bool = False) -> None:
        """Drop the trial state and go back to the committed one, without a tangent or with the virgin cell's."""
        self._start_from_committed()
        self.sensitivity[:] = self.virgin.sensitivity if elastic else 0.0
        if elastic:
            self.tangent[:] = self.virgin.tangent
        self.stale[:] = not elastic
        self.elastic_start[:] = elastic

    def committed(self) -> dict[str, NDArray[np.generic]]:
        """All that a run between two steps needs to go on, by name; the arrays themselves, first axis the points."""
        return {
            "z": self._committed_z,
            "E": self._committed_E,
            "history": self.history,
            "response": self._committed_response,
            "sensitivity": self.sensitivity,
            "tangent": self.tangent,
            "scale": self.committed_scale,
            "stale": self.stale,
        }

    def restore(self, values: Mapping[str, NDArray[np.generic]], rows: slice | NDArray[np.intp] = slice(None)) -> None:
        """Make `values`, named as in `committed`, the committed state of some points; all trials are dropped."""
        for name, array in self.committed().items():
            array[rows] = values[name]
        self._start_from_committed()

    def _start_from_committed(self) -> None:
        self.z[:] = self._committed_z
        self.E[:] = self._committed_E
        self.response[:] = self._committed_response
        self.scale[:] = self.committed_scale
        self.settled[:] = False
        self.elastic_start[:] = False
        self.substeps.clear()
