"""The micro-model protocol: the interface of the models at the integration points of a macro problem.

A `MicroModel` has five members. Optional capabilities are separate small protocols: `Rated`, `Parametrized`,
`Fingerprinted`, `Distributed`, `Collective`, `Observable`, `Recoverable`, `Destructible`, `Viewable`, `Replayable`,
`Estimated`. Callers test for a capability with ``isinstance`` and work without it if it is missing.
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
    """A model at the integration points of a macro problem, evaluated for many points at a time.

    A model stores no data of single points: all variables of a point are in its row of `Points`. A model knows neither
    the macro mesh, nor the communicator of the macro problem, nor rows of other models.
    """

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The macroscopic inputs, with unique names."""
        ...

    @property
    def variables(self) -> Mapping[str, Variable]:
        """The variables of a point, by name."""
        ...

    def initial(self) -> InitialPoint:
        """A point before the first step."""
        ...

    def answer(self, points: Points) -> None:
        """Answer the requested rows ``points.asked``.

        For each row, write the response, the consistent tangent, the trial values of the state variables and whether it
        has converged; or write the reason to ``points.failures``. Do not raise errors that concern one point only.
        """
        ...

    def commit(self, points: Points) -> None:
        """Prepare the end of an accepted step: write new values of deferred variables to ``points.deferred``.

        Raises
        ------
        ConvergenceError
            If the update of a point fails. The step is then rejected at all points.
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
    """A model that checkpoints can identify."""

    def fingerprint(self) -> Mapping[str, str]:
        """All that the answers depend on, by their names in messages; independent of ranks and processes."""
        ...


@runtime_checkable
class Distributed(Protocol):
    """A model that a group of ranks evaluates together; each rank has a share of the variables of each point."""

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the group."""
        ...

    def positions(self) -> Mapping[str, NDArray[np.int64]]:
        """For each distributed variable, the positions of this rank's share along the last axis (collective).

        The global order must not depend on the number of ranks. Variables that are not named are equal on all ranks.
        """
        ...


@runtime_checkable
class Collective(Protocol):
    """A model that compares rows of different ranks: all ranks of ``points.comm`` call it together."""

    @property
    def is_collective(self) -> bool:
        """Whether `answer` and `commit` communicate, so that they must be called without requested rows too."""
        ...


@runtime_checkable
class Observable(Protocol):
    """A model with further quantities for output, such as averages of internal variables."""

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
        """Discard what remains of a solve that an exception interrupted."""
        ...


@runtime_checkable
class Destructible(Protocol):
    """A model with resources that can be freed."""

    def check_usable(self) -> None:
        """Raise `InputError` if they have been freed."""
        ...


@runtime_checkable
class Viewable(Protocol):
    """A model with local fields at a point."""

    def view(self, points: Points, row: int) -> Any:
        """The local fields of a row at its committed state, ready to be written or drawn."""
        ...


@runtime_checkable
class Replayable(Protocol):
    """A model that can write a dump of a failed point, for `hmm.replay`."""

    def dump(self, directory: Path, points: Points, row: int, failure: Any) -> Path:
        """Write a new file in a directory with all data that are needed to solve the row again."""
        ...


@runtime_checkable
class Estimated(Protocol):
    """A model that estimates the errors of its responses."""

    def errors(self, points: Points) -> Floats:
        """Estimated errors of the committed responses of all rows.

        Shape (n, m): signed, what is to be added to the packed responses. Shape (n,): their sizes, if no more is known.
        """
        ...


def group_of(model: MicroModel) -> MPI.Comm:
    """The group of ranks that evaluates each point of a model: `MPI.COMM_SELF` unless it is `Distributed`."""
    return model.comm if isinstance(model, Distributed) else MPI.COMM_SELF
