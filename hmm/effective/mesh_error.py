"""The error of effective properties from the mesh of the cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.cells import voxels
from hmm.cells.cell import Cell
from hmm.descriptors.measures import labels_of
from hmm.images import downsample

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
    signed
        Whether the signs of `tensor` are known: those of the stairs of voxels are not.
    """

    tensor: Floats
    source: str
    size: float
    signed: bool = True

    @classmethod
    def of(cls, tensor: Floats, found: Floats, source: str, signed: bool = True) -> MeshError:
        """The error `tensor` of the effective tensor `found`."""
        return cls(tensor, source, float(np.linalg.norm(tensor) / np.linalg.norm(found)), signed)

    @property
    def words(self) -> str:
        """The size in percent and its source."""
        return f"{'up to' if self.signed else 'about'} {100 * self.size:.2g} %, {self.source}"

    def as_dict(self) -> dict[str, Any]:
        """Lists, numbers and strings."""
        return {"tensor": self.tensor.tolist(), "size": self.size, "source": self.source, "signed": self.signed}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MeshError:
        """The inverse of `as_dict`."""
        tensor, signed = np.array(data["tensor"], dtype=float), bool(data.get("signed", True))
        return cls(tensor, str(data["source"]), float(data["size"]), signed)


def coarse_cell(cell: Cell) -> Cell | None:
    """A grid of voxels of twice the size, by majority; None if there is none with the same phases."""
    if cell.comm.size > 1 or not cell.has_whole_grid or cell.rotation is not None or cell.grid is None:
        return None
    if any(n % 2 or n < 8 for n in cell.grid):
        return None
    labels, tags = labels_of(cell), sorted(cell.phases.values())
    coarse = np.array(tags)[downsample(np.searchsorted(tags, labels).astype(np.int32), 2)]
    if set(np.unique(coarse)) != set(tags):
        return None
    spacing = 2 * np.diag(cell.lattice) / cell.grid
    return voxels(coarse, cell.phases, spacing=spacing.tolist(), comm=cell.comm)
