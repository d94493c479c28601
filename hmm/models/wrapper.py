"""A micro model around another one, whose state is part of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.models.asking import points_of
from hmm.models.points import InitialPoint, Points
from hmm.models.protocol import Fingerprinted, MicroModel, Observable, Parametrized, Rated


class Wrapper:
    """What models around another model share.

    A point has the variables of the model within under their own names, and further ones of the wrapper.

    Parameters
    ----------
    model
        The model within.
    """

    def __init__(self, model: MicroModel) -> None:
        self.model = model
        self._start: InitialPoint | None = None

    @property
    def has_rates(self) -> bool:
        """Whether the answers of the model depend on the duration of the step."""
        return isinstance(self.model, Rated) and self.model.has_rates

    @property
    def parameters(self) -> Sequence[Any]:
        """The parameters of the model."""
        return self.model.parameters if isinstance(self.model, Parametrized) else ()

    def _model_fingerprint(self) -> dict[str, str]:
        return dict(self.model.fingerprint()) if isinstance(self.model, Fingerprinted) else {}

    def _model_observables(self) -> dict[str, int]:
        return dict(self.model.observables) if isinstance(self.model, Observable) else {}

    def _undeformed(self) -> InitialPoint:
        """A point of the model before the first step, with response and tangent."""
        if self._start is None:
            self._start = points_of(self.model, 1).start
        return self._start

    def _inner(self, points: Points, rows: NDArray[np.intp], **own: NDArray[Any]) -> Points:
        """Points of the model, in the committed state of some rows; `own` is what the wrapper keeps elsewhere."""
        inner = Points(self.model.inputs, self.model.variables, self._undeformed(), rows.size)
        values = {name: array.copy() for name, array in inner.persistent().items()}
        values |= {k: v[rows] for k, v in {**points.committed.variables, **points.guides}.items() if k in values}
        inner.restore(values | own)
        inner.notes = {k: points.notes[p] for k, p in enumerate(rows.tolist()) if p in points.notes}
        return inner

    def _keep(self, points: Points, rows: NDArray[np.intp], inner: Points) -> None:
        """Write the trial variables, guides and notes of the model into the rows."""
        for name, values in inner.trial.variables.items():
            points.trial.variables[name][rows] = values
        for name, values in inner.guides.items():
            points.guides[name][rows] = values
        points.notes |= {int(rows[k]): note for k, note in inner.notes.items()}
