"""The micro-model protocol: what may answer at the integration points of a macro problem.

A model needs five members to be a `MicroModel`. What only some models can do is a capability, a small protocol of its
own: `Rated`, `Parametrized`, `Fingerprinted`, `Distributed`, `Observable`, `Recoverable`, `Viewable`, `Replayable`.
Callers ask for a capability with ``isinstance`` and do without it where it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.models.points import Floats, InitialPoint, Input, Points, Variable


@runtime_checkable
class MicroModel(Protocol):
    """What answers at the integration points of a macro problem, many points at a time.

    A model holds no data of single points. All that a point remembers is in its row of `Points`; a model sees no macro
    mesh, no communicator of the macro problem, and no rows of another model.
    """

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The macroscopic inputs, with unique names."""
        ...

    @property
    def variables(self) -> Mapping[str, Variable]:
        """What a point remembers, by name."""
        ...

    def initial(self) -> InitialPoint:
        """A point before the first step."""
        ...

    def answer(self, points: Points) -> None:
        """Answer the rows ``points.asked``.

        For each of them, write the response, the consistent tangent, the trial values of the state variables and
        whether it has converged; or give the reason in ``points.failures``. Raise nothing that concerns one point only.
        """
        ...

    def commit(self, points: Points) -> None:
        """Prepare the end of an accepted step: write the new values of deferred variables into ``points.deferred``.

        Raises
        ------
        ConvergenceError
            If a point cannot be updated. The step is then rejected at all points.
        """
        ...


# -- capabilities --------------------------------------------------------------------------------------------------


@runtime_checkable
class Rated(Protocol):
    """A model whose answer may depend on the duration of the step."""

    @property
    def has_rates(self) -> bool:
        """Whether it does."""
        ...


@runtime_checkable
class Parametrized(Protocol):
    """A model with parameters that the user may change between two steps."""

    @property
    def parameters(self) -> Sequence[Any]:
        """The parameters: objects with a ``value``, such as ``fem.Constant``, or Functions."""
        ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A model that can tell a checkpoint what it is."""

    def fingerprint(self) -> Mapping[str, str]:
        """What its answers depend on, by the name used in messages; independent of ranks and processes."""
        ...


@runtime_checkable
class Distributed(Protocol):
    """A model that a group of ranks works on together, each with a share of each point's variables."""

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the group."""
        ...

    def positions(self) -> Mapping[str, NDArray[np.int64]]:
        """For each variable that is shared out, the places of this rank's share along the last axis (collective).

        The order of the whole must not depend on the number of ranks. Variables not named are the same on all ranks.
        """
        ...


@runtime_checkable
class Observable(Protocol):
    """A model with quantities to look at beside its responses, such as averages of internal variables."""

    @property
    def observables(self) -> Mapping[str, int]:
        """Number of components of each quantity, by name."""
        ...

    def observe(self, points: Points, name: str) -> Floats:
        """A quantity at the committed state of all rows, shape (n, size)."""
        ...


@runtime_checkable
class Recoverable(Protocol):
    """A model that an exception may leave unusable until it is reset."""

    def forget(self) -> None:
        """Drop what is left of a solve that an exception ended."""
        ...


@runtime_checkable
class Destructible(Protocol):
    """A model that holds resources which can be freed."""

    def check_usable(self) -> None:
        """Raise `InputError` if they were."""
        ...


@runtime_checkable
class Viewable(Protocol):
    """A model with fields inside a point."""

    def view(self, points: Points, row: int) -> Any:
        """The fields inside a row at its committed state, ready to be written or drawn."""
        ...


@runtime_checkable
class Replayable(Protocol):
    """A model that can write down a failed point, to be solved again alone."""

    def dump(self, directory: Path, points: Points, row: int, failure: Any) -> Path:
        """Write a new file in a directory with all that the row needs to be solved again."""
        ...
