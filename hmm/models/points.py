"""The points of one micro model: inputs, responses and variables, as rows of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.blocks import Blocks
from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing
from hmm.models.statistics import Counters

Floats = NDArray[np.float64]

Role = Literal["state", "deferred", "guide"]

RESERVED = ("E", "response", "tangent", "tangent_source")
"""Names that are reserved for the data of the point itself."""


@dataclass(frozen=True)
class Variable:
    """A variable of a point: floats that persist between steps.

    Attributes
    ----------
    shape
        Shape of one point's values.
    role
        ``"state"``: has a trial and a committed value. ``"deferred"``: has a committed value only; the model computes
        the next one in `MicroModel.commit`. ``"guide"``: has one value, helps the next answer (such as a
        predictor), and is reset when a step is reverted.
    """

    shape: tuple[int, ...]
    role: Role = "state"


@dataclass(frozen=True, eq=False)
class Input:
    """A macroscopic input ``E`` of a model, and the response conjugate to it.

    Attributes
    ----------
    name
        Unique name, such as ``"strain"``.
    response
        Name of the conjugate response, such as ``"stress"``.
    packing
        How its tensor is packed into a vector of m numbers.
    reference
        Shape (m,); the packed value in the undeformed state.
    """

    name: str
    response: str
    packing: Packing
    reference: Floats

    @property
    def size(self) -> int:
        """Number of components m."""
        return self.packing.size

    @property
    def dropped(self) -> tuple[tuple[int, ...], ...]:
        """Tensor entries that must be zero; by default none."""
        return ()


def input_blocks(inputs: Sequence[Input]) -> Blocks:
    """The range of each input, and of its response, in the packed vector of all, by name."""
    return Blocks({e.name: e.size for e in inputs})


def reference_of(inputs: Sequence[Input]) -> Floats:
    """Packed value of several inputs in the undeformed state, shape (m,)."""
    return input_blocks(inputs).join({e.name: e.reference for e in inputs})


def products(matrices: Floats, vectors: Floats) -> Floats:
    """Product of the matrix and the vector of each point, shapes (n, i, j) and (n, j)."""
    return np.matmul(matrices, vectors[:, :, None])[:, :, 0]


@dataclass(frozen=True, eq=False)
class InitialPoint:
    """A point before the first step.

    Attributes
    ----------
    values
        For each of the model's variables, its initial value; zero for variables not named.
    response, tangent
        Shapes (m,) and (m, m) in the undeformed state; by default the model is evaluated for them.
    """

    values: Mapping[str, Floats] = field(default_factory=dict)
    response: Floats | None = None
    tangent: Floats | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All points at one instant.

    Attributes
    ----------
    E
        Shape (n, m); packed macroscopic inputs.
    response
        Shape (n, m); packed responses.
    variables
        For each variable, shape ``(n, *shape)``.
    """

    E: Floats
    response: Floats
    variables: dict[str, Floats]


class TangentSource(IntEnum):
    """Where the tangent of a point comes from."""

    ANSWER = 0
    """The last answer."""
    DROPPED = 1
    """An answer of a step that was reverted."""
    UNDEFORMED = 2
    """The undeformed state."""


class Points:
    """Rows of one micro model.

    Parameters
    ----------
    inputs
        The model's inputs.
    variables
        What a point remembers.
    start
        A point before the first step, with response and tangent.
    n
        Number of rows.

    Attributes
    ----------
    asked
        Numbers of the rows to answer.
    E
        Shape (n, m); the packed macroscopic inputs asked for. Owned by the caller: read only.
    dt
        Duration of the step.
    algorithm
        ``"monolithic"``: an iterative model may answer after one Newton step, linearized, and leave the row not
        converged. ``"nested"``: each answer is converged. Other models ignore it.
    committed
        The last accepted step: all state and deferred variables.
    trial
        The last answer: its macroscopic input, the response, and all state variables.
    tangent
        Shape (n, m, m); consistent tangents ``d response / d E``.
    tangent_source
        Shape (n,); a `TangentSource` each.
    guides
        For each guide variable, shape ``(n, *shape)``.
    converged
        Shape (n,); whether the last answer solves the micro problem.
    failures
        Row -> the reason why it has no answer.
    deferred
        New values of deferred variables, set by `MicroModel.commit`; empty otherwise.
    notes
        Row -> data that a model keeps for it until the step ends.
    seconds
        Shape (n,); time spent on each row in the last call if the model measures it, otherwise zero.
    count
        Counters to add to.
    comm
        The ranks whose rows belong together, such as those of a macro problem; by default this rank alone.
    keys
        Shape (n,); number of each row among the rows of all ranks, the same on any number of ranks.
    """

    def __init__(
        self, inputs: tuple[Input, ...], variables: Mapping[str, Variable], start: InitialPoint, n: int
    ) -> None:
        if bad := [name for name in variables if name in RESERVED]:
            raise InputError(f"a micro model has a variable {bad[0]!r}: the names {', '.join(RESERVED)} are reserved")
        assert start.response is not None and start.tangent is not None
        initial_response = start.response
        self.variables, self.start = dict(variables), start
        reference = np.concatenate([np.zeros(0), *(e.reference for e in inputs)])

        def rows(roles: tuple[Role, ...]) -> dict[str, Floats]:
            chosen = {name: v for name, v in self.variables.items() if v.role in roles}
            return {
                name: np.broadcast_to(start.values.get(name, 0.0), (n, *v.shape)).astype(float, order="C")
                for name, v in chosen.items()
            }

        def snapshot(roles: tuple[Role, ...]) -> Snapshot:
            return Snapshot(np.tile(reference, (n, 1)), np.tile(initial_response, (n, 1)), rows(roles))

        self.committed, self.trial = snapshot(("state", "deferred")), snapshot(("state",))
        self.guides = rows(("guide",))
        self.tangent = np.tile(start.tangent, (n, 1, 1))
        self.tangent_source = np.zeros(n, dtype=np.int8)
        self.converged = np.zeros(n, dtype=bool)
        self.asked = np.zeros(0, dtype=np.intp)
        self.E = self.trial.E
        self.dt, self.algorithm = 0.0, "monolithic"
        self.failures: dict[int, str] = {}
        self.deferred: dict[str, Floats] = {}
        self.notes: dict[int, Any] = {}
        self.seconds = np.zeros(n)
        self.count = Counters()
        self.comm: MPI.Comm = MPI.COMM_SELF
        self.keys = np.arange(n, dtype=np.int64)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.tangent)

    @property
    def selection(self) -> slice | NDArray[np.intp]:
        """An index of the rows `asked`: a slice if these are all, so that nothing is copied."""
        return slice(None) if self.asked.size == self.n else self.asked

    @property
    def nbytes_per_point(self) -> int:
        """Memory of one row, in bytes."""
        both = (self.committed, self.trial)
        arrays: list[NDArray[Any]] = [a for s in both for a in (s.E, s.response, *s.variables.values())]
        arrays += [*self.guides.values(), self.tangent, self.tangent_source, self.converged]
        return sum(a.nbytes for a in arrays) // max(self.n, 1)

    def ask(self, E: Floats, dt: float, algorithm: str) -> None:
        """Request all rows for macroscopic inputs, shape (n, m), except those that already have the answer."""
        self.E, self.dt, self.algorithm = E, dt, algorithm
        self.failures = {}
        self.seconds[:] = 0.0
        known = self.converged & (self.trial.E == E).all(axis=1)
        finite = np.isfinite(E).all(axis=1)
        self.count.solves += self.n
        self.count.skipped += int(known.sum())
        self.failures = dict.fromkeys(np.flatnonzero(~finite).tolist(), "the macro input is not a number")
        self.asked = np.flatnonzero(~known & finite)

    def accept(self) -> None:
        """Make the trial state and the deferred variables the committed state."""
        self.committed.E[:], self.committed.response[:] = self.trial.E, self.trial.response
        for name, values in {**self.trial.variables, **self.deferred}.items():
            self.committed.variables[name][:] = values
        self._end_step()

    def revert(self, elastic: bool = False) -> None:
        """Discard the trial state; reset guides to zero or, with `elastic`, guides and tangents to the initial ones."""
        self._start_from_committed()
        for name, values in self.guides.items():
            values[:] = self.start.values.get(name, 0.0) if elastic else 0.0
        if elastic:
            self.tangent[:] = self.start.tangent
        self.tangent_source[:] = TangentSource.UNDEFORMED if elastic else TangentSource.DROPPED

    def restart(self, p: int) -> None:
        """Reset the trial state of a row to its committed state, with guides of zero."""
        self.trial.E[p], self.trial.response[p] = self.committed.E[p], self.committed.response[p]
        for name, values in self.trial.variables.items():
            values[p] = self.committed.variables[name][p]
        for values in self.guides.values():
            values[p] = 0.0
        self.converged[p], self.tangent_source[p] = False, TangentSource.DROPPED

    def persistent(self) -> dict[str, NDArray[Any]]:
        """All that a run needs to continue after a step, by name; the arrays themselves, with rows as first axis."""
        own: dict[str, NDArray[Any]] = {"E": self.committed.E, "response": self.committed.response}
        own |= {"tangent": self.tangent, "tangent_source": self.tangent_source}
        return {**own, **self.committed.variables, **self.guides}

    def restore(self, values: Mapping[str, NDArray[Any]], rows: slice | NDArray[np.intp] = slice(None)) -> None:
        """Make `values`, named as in `persistent`, the committed state of some rows; discard all trial states."""
        for name, array in self.persistent().items():
            array[rows] = values[name]
        self._start_from_committed()

    def values_at(self, p: int) -> dict[str, NDArray[Any]]:
        """Copies of the values of one row for `restore`."""
        return {name: array[p].copy() for name, array in self.persistent().items()}

    def exchange(
        self, leaving: NDArray[np.int64], send: Callable[[NDArray[Any]], NDArray[Any]], order: NDArray[np.int64]
    ) -> None:
        """Send rows to other ranks and receive others; only after an accepted step.

        Parameters
        ----------
        leaving
            The rows to send.
        send
            Sends rows, shape (k, ...), to their new ranks; returns those that arrive.
        order
            The order in which the kept rows, followed by the arrived rows, are stored.
        """
        moved = {
            name: np.concatenate([np.delete(array, leaving, axis=0), send(array[leaving])])[order]
            for name, array in self.persistent().items()
        }
        self.keys = np.concatenate([np.delete(self.keys, leaving), send(self.keys[leaving])])[order]
        n = order.size

        def resized(array: NDArray[Any]) -> NDArray[Any]:
            return np.zeros((n, *array.shape[1:]), array.dtype)

        def snapshot(old: Snapshot) -> Snapshot:
            return Snapshot(resized(old.E), resized(old.response), {k: resized(v) for k, v in old.variables.items()})

        self.committed, self.trial = snapshot(self.committed), snapshot(self.trial)
        self.guides = {name: resized(values) for name, values in self.guides.items()}
        self.tangent, self.tangent_source = resized(self.tangent), resized(self.tangent_source)
        self.converged, self.seconds = resized(self.converged), resized(self.seconds)
        self.restore(moved)

    def _start_from_committed(self) -> None:
        self.trial.E[:], self.trial.response[:] = self.committed.E, self.committed.response
        for name, values in self.trial.variables.items():
            values[:] = self.committed.variables[name]
        self._end_step()

    def _end_step(self) -> None:
        self.converged[:] = False  # another history, time or parameter changes the answer to the same input
        self.tangent_source[self.tangent_source == TangentSource.UNDEFORMED] = TangentSource.ANSWER
        self.deferred, self.failures = {}, {}
        self.notes.clear()
