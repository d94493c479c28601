"""Named blocks of a vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Blocks(Mapping[str, slice]):
    """The ranges of named blocks that are stored one after another in a vector.

    Parameters
    ----------
    sizes
        Length of each block, by name.

    Attributes
    ----------
    size
        Length of the vector.

    Examples
    --------
    >>> blocks = Blocks({"strain": 3, "gradient": 2})
    >>> blocks["gradient"], blocks.size
    (slice(3, 5, None), 5)
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        ends = np.cumsum(list(sizes.values()), dtype=int).tolist()
        self._slices = {name: slice(end - n, end) for (name, n), end in zip(sizes.items(), ends, strict=True)}
        self.size = ends[-1] if ends else 0

    def __getitem__(self, name: str) -> slice:
        return self._slices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._slices)

    def __len__(self) -> int:
        return len(self._slices)

    def split(self, vector: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The blocks of vectors of shape (..., size): views, shape (..., n) each, by name."""
        return {name: vector[..., part] for name, part in self._slices.items()}

    def join(self, parts: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """A new vector from its blocks."""
        return np.concatenate([np.zeros(0), *(parts[name] for name in self._slices)])
