"""Cell problems as micro models: the part of the protocol that an RVE and an RVE under mixed control share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.micro import algorithms
from hmm.micro.bordered_system import BorderedSystem
from hmm.micro.local_fields import LocalFields, loaded_fields
from hmm.micro.response import PointState
from hmm.micro.system import CellSystem
from hmm.models.points import InitialPoint, Points, Variable

Floats = NDArray[np.float64]


class CellModel[S: CellSystem | BorderedSystem](ABC):
    """A micro model whose answers are those of a cell system (see `hmm.models.MicroModel`).

    Attributes
    ----------
    system
        The nonlinear system that is solved at a point.
    """

    system: S

    @abstractmethod
    def load(self, state: PointState, E: ArrayLike) -> None:
        """Load the state and the macroscopic input of a point."""

    @abstractmethod
    def initial_state(self) -> PointState:
        """The undeformed state."""

    @property
    def n_inputs(self) -> int:
        """Number m of packed macroscopic components."""
        return self.system.n_inputs

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns of this rank."""
        return self.system.n_unknowns

    @property
    def n_history(self) -> int:
        """Number of internal variables of this rank."""
        return self.system.n_history

    @property
    def n_factorizations(self) -> int:
        """Number of factorizations of the stiffness so far."""
        return self.system.n_factorizations

    @property
    def reference(self) -> Floats:
        """Packed macroscopic input of the undeformed state, shape (m,)."""
        return self.system.reference

    @property
    def variables(self) -> Mapping[str, Variable]:
        """Variables that a point stores (see `hmm.micro.algorithms.variables_of`)."""
        return algorithms.variables_of(self.system)

    def initial(self) -> InitialPoint:
        """The undeformed point, linearized."""
        state = self.initial_state()
        return algorithms.initial_point(self.system, state.z, state.history)

    def answer(self, points: Points) -> None:
        """Solve the requested rows."""
        algorithms.answer_points(self.system, points)

    def commit(self, points: Points) -> None:
        """Compute the internal variables at the end of the step."""
        algorithms.commit(self.system, points)

    def forget(self) -> None:
        """Discard what remains of a solve that an exception interrupted."""
        self.system.forget()

    def view(self, points: Points, row: int) -> LocalFields:
        """The fields inside a row at its committed state."""
        state = PointState(points.committed.variables["z"][row], points.committed.variables["history"][row])
        self.load(state, points.committed.E[row])
        return loaded_fields(self.system.loaded, state.history)
