"""Micro models all of whose variables are ordinary ones: none is deferred, and each can be observed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from hmm.models.points import Floats, InitialPoint, Input, Points, Variable
from hmm.models.single import OnePoint


class PlainModel(OnePoint, ABC):
    """A micro model whose answer already contains the variables of the end of the step.

    Attributes
    ----------
    inputs, variables
        See `hmm.models.MicroModel`.
    """

    inputs: tuple[Input, ...]
    variables: Mapping[str, Variable]

    @abstractmethod
    def initial(self) -> InitialPoint:
        """A point before the first step."""

    @abstractmethod
    def answer(self, points: Points) -> None:
        """Answer the requested rows (see `hmm.models.MicroModel`)."""

    def commit(self, points: Points) -> None:
        """Do nothing: there are no deferred variables."""

    @property
    def observables(self) -> dict[str, int]:
        """Number of components of each variable."""
        return {name: int(np.prod(v.shape)) for name, v in self.variables.items()}

    def observe(self, points: Points, name: str) -> Floats:
        """A variable at the committed state of all rows, shape (n, size)."""
        return points.committed.variables[name].reshape(points.n, self.observables[name])
