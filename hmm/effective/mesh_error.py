"""The error of effective properties from the mesh of the cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeshError:
    """How much an effective tensor may exceed that of a perfect mesh.

    Attributes
    ----------
    tensor
        Shape (m, m), packed as the effective tensor: found minus exact.
    source
        How it was estimated.
    size
        Its norm over that of the effective tensor.
    """

    tensor: Floats
    source: str
    size: float

    @classmethod
    def of(cls, tensor: Floats, found: Floats, source: str) -> MeshError:
        """The error `tensor` of the effective tensor `found`."""
        return cls(tensor, source, float(np.linalg.norm(tensor) / np.linalg.norm(found)))

    @property
    def words(self) -> str:
        """The size in percent and its source."""
        return f"up to {100 * self.size:.2g} %, {self.source}"

    def as_dict(self) -> dict[str, Any]:
        """Lists, numbers and strings."""
        return {"tensor": self.tensor.tolist(), "size": self.size, "source": self.source}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MeshError:
        """The inverse of `as_dict`."""
        return cls(np.array(data["tensor"], dtype=float), str(data["source"]), float(data["size"]))
