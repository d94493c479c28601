"""The RVEs that a rank works on, row by row: of which kind each is, and the states of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmm.parallel.ensemble import Route
from hmm.micro.protocols import Microproblem
from hmm.micro.point_states import MicroState


class Member(NamedTuple):
    """One row: the RVE it has, and where its state is.

    Attributes
    ----------
    rve
        The microproblem.
    states
        The states of all rows of its kind.
    p
        The row among them.
    """

    rve: Microproblem
    states: MicroState
    p: int


class Population:
    """The rows that a rank works on.

    Parameters
    ----------
    rves
        The kinds of RVE, by name.
    kinds
        Shape (n_rows,); number of the kind of each row.

    Attributes
    ----------
    kinds
        As given; rows that move take their kind with them.
    states
        The states of each kind, their rows in the order of the population's.
    """

    def __init__(self, rves: Mapping[str, Microproblem], kinds: NDArray[np.int32]) -> None:
        self.names, self.rves = tuple(rves), tuple(rves.values())
        self.states = tuple(MicroState(rve, int((kinds == k).sum())) for k, rve in enumerate(self.rves))
        self._take(kinds)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.kinds.size

    def member(self, row: int) -> Member:
        """The RVE and the state of a row."""
        k = self.kinds[row]
        return Member(self.rves[k], self.states[k], int(self._place[row]))

    def name(self, row: int) -> str:
        """Name of the kind of a row."""
        return self.names[self.kinds[row]]

    def rows(self, kind: int) -> NDArray[np.intp]:
        """The rows of a kind, in order."""
        return np.flatnonzero(self.kinds == kind)

    @property
    def nbytes_per_point(self) -> int:
        """Memory of one row of the largest kind, in bytes."""
        return max(states.nbytes_per_point for states in self.states)

    @property
    def answers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Responses and tangents of the rows, shapes (n_rows, m) and (n_rows, m, m)."""
        if len(self.states) == 1:
            return self.states[0].response, self.states[0].tangent
        m = self.rves[0].n_inputs
        response, tangent = np.empty((self.n_rows, m)), np.empty((self.n_rows, m, m))
        for k, states in enumerate(self.states):
            rows = self.rows(k)
            response[rows], tangent[rows] = states.response, states.tangent
        return response, tangent

    @property
    def settled(self) -> bool:
        """Whether the micro residuals of all rows are below their tolerance."""
        return all(bool(states.settled.all()) for states in self.states)

    def commit(self, histories: list[NDArray[np.float64]]) -> None:
        """Accept the trial states, with these internal variables."""
        for rve, states, history in zip(self.rves, self.states, histories, strict=True):
            states.commit(rve, history)

    def revert(self, elastic: bool = False) -> None:
        """Drop the trial states (see `hmm.micro.point_states.MicroState.revert`)."""
        for states in self.states:
            states.revert(elastic)

    def exchange(self, leaving: NDArray[np.int64], route: Route, order: NDArray[np.int64]) -> None:
        """Give rows away and take others; only between an accepted step and the next evaluation.

        Parameters
        ----------
        leaving
            The rows to give away.
        route
            Brings them to where they go, and those that arrive here.
        order
            Order of the rows kept and arrived, as one list, in which they are stored.
        """
        gone = self.kinds[leaving]
        come = route.along(gone)
        both = np.concatenate([np.delete(self.kinds, leaving), come])
        kinds = both[order]
        for k, states in enumerate(self.states):
            among = np.cumsum(both == k) - 1
            part = route.part(gone == k, come == k)
            states.exchange(self._place[leaving[gone == k]], part.along, among[order[kinds == k]])
        self._take(kinds)

    def _take(self, kinds: NDArray[np.int32]) -> None:
        self.kinds = kinds
        self._place = np.empty(kinds.size, dtype=np.int64)
        for k in range(len(self.rves)):
            rows = self.rows(k)
            self._place[rows] = np.arange(rows.size)
