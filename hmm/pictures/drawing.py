"""A mesh with displacements and values as NumPy arrays, to be sent between ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.plot import vtk_mesh
from numpy.typing import NDArray

from hmm.foundation.forms import owned_cells


@dataclass(frozen=True)
class Drawing:
    """A mesh with its displacements and cell values as NumPy arrays, to be sent between ranks.

    Attributes
    ----------
    cells, types, points
        VTK connectivity, cell types, and points of shape (n, 3).
    displacement
        Shape (n, 3).
    values
        One array of shape (n_cells,) for each name.
    """

    cells: NDArray[np.int32]
    types: NDArray[np.uint8]
    points: NDArray[np.float64]
    displacement: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def of(cls, u: fem.Function, values: Mapping[str, NDArray[np.float64]]) -> Drawing:
        """The cells that this rank owns, with a Lagrange vector field `u` and cell `values`."""
        cells, types, points = vtk_mesh(u.function_space, owned_cells(u.function_space.mesh))  # type: ignore[arg-type]
        bs = u.function_space.dofmap.bs
        displacement = np.zeros_like(points)
        displacement[:, :bs] = u.x.array.reshape(-1, bs)
        return cls(cells, types, points, displacement, values)

    @classmethod
    def joined(cls, parts: list[Drawing]) -> Drawing:
        """One drawing, joined from the parts of all ranks."""
        starts = np.cumsum([0, *(len(part.points) for part in parts)])
        cells = [part._shifted(start) for part, start in zip(parts, starts[:-1], strict=True)]
        values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values}
        return cls(
            np.concatenate(cells),
            np.concatenate([part.types for part in parts]),
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.displacement for part in parts]),
            values,
        )

    @property
    def dim(self) -> int:
        """2 if all points are at z = 0, else 3."""
        return 3 if np.any(self.points[:, 2]) else 2

    @property
    def size(self) -> float:
        """Largest edge of the bounding box."""
        return float(np.ptp(self.points, axis=0).max())

    def warp_factor(self) -> float:
        """A round factor that makes the largest displacement about 10 % of the body, and at least 1."""
        largest = float(np.linalg.norm(self.displacement, axis=1).max())
        wanted = 0.1 * self.size / largest if largest > 0 else 1.0
        power = 10.0 ** np.floor(np.log10(wanted))
        return float(max(1.0, power * max(k for k in (1, 2, 3, 4, 5, 6, 8) if k * power <= wanted * (1 + 1e-9))))

    def grid(self, pv: ModuleType, warp: float, scale: float = 1.0, shift: float | NDArray[np.float64] = 0.0) -> Any:
        """A PyVista grid, displacements times `warp`, then scaled and shifted."""
        points = (self.points + warp * self.displacement) * scale + shift
        grid = pv.UnstructuredGrid(self.cells, self.types, points)
        for name, array in self.values.items():
            grid.cell_data[name] = array
        return grid

    def _shifted(self, start: int) -> NDArray[np.int32]:
        """The connectivity with point numbers from `start`; all cells have the same number of points."""
        cells = self.cells.reshape(len(self.types), -1).copy() if len(self.types) else self.cells.reshape(0, 1)
        cells[:, 1:] += start
        return cells.ravel()
