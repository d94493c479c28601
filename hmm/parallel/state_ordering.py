"""Rows of points in an order that does not depend on the number of ranks of a micro model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.models.protocol import Distributed, MicroModel, group_of


def as_rows(array: NDArray[Any]) -> NDArray[Any]:
    """An array of shape (n, ...) as (n, k), also for no rows, where ``reshape(n, -1)`` fails."""
    return array.reshape(len(array), math.prod(array.shape[1:]))


class RowLayout:
    """The positions of this rank's share of the variables of a point in the full rows of the model.

    Parameters
    ----------
    model
        The micro model.

    Attributes
    ----------
    positions
        For each distributed variable, the positions of this rank's share in the full row.
    sizes
        Lengths of the full rows.
    """

    def __init__(self, model: MicroModel) -> None:
        self.comm = group_of(model)
        self.positions = dict(model.positions()) if isinstance(model, Distributed) else {}
        self.sizes = {name: int(self.comm.allreduce(p.size)) for name, p in self.positions.items()}

    def gathered(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Full rows on the first of the model's ranks, no rows on the others (collective in the model's ranks).

        They can be indexed along the first axis; a model on one rank needs no further memory for them.
        """
        return {name: self._gathered(name, array) for name, array in arrays.items()}

    def like(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """No rows, of the shapes and types that full rows have."""
        return {name: np.empty((0, *self._row_shape(name, array)), array.dtype) for name, array in arrays.items()}

    def share(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """This rank's share of full rows."""
        return {
            name: array[..., self.positions[name]] if name in self.positions else array
            for name, array in arrays.items()
        }

    def _row_shape(self, name: str, array: NDArray[Any]) -> tuple[int, ...]:
        shape = array.shape[1:]
        return (*shape[:-1], self.sizes[name]) if name in self.positions else shape

    def _gathered(self, name: str, array: NDArray[Any]) -> Any:
        if name not in self.positions:
            return array if self.comm.rank == 0 else array[:0]
        if self.comm.size == 1:
            return _Reordered(array, np.argsort(self.positions[name]))
        parts = self.comm.gather((self.positions[name], array))
        if parts is None:
            return array[:0]
        rows = np.empty((len(array), *self._row_shape(name, array)), array.dtype)
        for positions, part in parts:
            rows[..., positions] = part
        return rows


class _Reordered:
    """An array whose last axis is reordered on access."""

    def __init__(self, array: NDArray[Any], order: NDArray[np.int64]) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array, self._order = array, order

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._array[rows][..., self._order]
