"""Pictures, drawn off screen on rank 0: PyVista for bodies, Matplotlib for curves. Both come with the extra ``plot``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from dolfinx import fem
from dolfinx.plot import vtk_mesh
from mpi4py import MPI
from numpy.typing import ArrayLike, NDArray

from hmm.cell import Cell
from hmm.errors import EnvironmentMismatch, InputError, collectively
from hmm.forms import owned_cells
from hmm.homogenizer import Homogenizer
from hmm.io import LocalFields, WorstPoint, point_fields, require_writable

COLOURS = "viridis"
PHASE_COLOURS = ("#c9d6e2", "#e07b39", "#6a994e", "#8e6c8a", "#d9b44a", "#5b7c99")
INK = "#222222"
NO_VALUE = "#b9b9b9"


def check_available() -> None:
    """Raise `EnvironmentMismatch` unless PyVista and Matplotlib can be imported."""
    for name in ("pyvista", "matplotlib"):
        _require(name)


@dataclass(frozen=True)
class Drawing:
    """A mesh with its displacements and cell values, all NumPy, as it travels between ranks.

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
        """This rank's own cells with a Lagrange vector field `u` and cell `values`."""
        cells, types, points = vtk_mesh(u.function_space, owned_cells(u.function_space.mesh))
        bs = u.function_space.dofmap.bs
        displacement = np.zeros_like(points)
        displacement[:, :bs] = u.x.array.reshape(-1, bs)
        return cls(cells, types, points, displacement, values)

    @classmethod
    def joined(cls, parts: list[Drawing]) -> Drawing:
        """One drawing of the parts of all ranks."""
        starts = np.cumsum([0, *(len(part.points) for part in parts)])
        cells = [part._shifted(start) for part, start in zip(parts, starts[:-1], strict=True)]
        values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values}
        rest = [np.concatenate([getattr(p, name) for p in parts]) for name in ("types", "points", "displacement")]
        return cls(np.concatenate(cells), *rest, values)

    @property
    def size(self) -> float:
        """Largest edge of the bounding box."""
        return float(np.ptp(self.points, axis=0).max())

    def warp_factor(self) -> float:
        """A round factor that makes the largest displacement about 8 % of the body, and at least 1."""
        largest = float(np.linalg.norm(self.displacement, axis=1).max())
        wanted = 0.08 * self.size / largest if largest > 0 else 1.0
        power = 10.0 ** np.floor(np.log10(wanted))
        return float(max(1.0, power * max(k for k in (1, 2, 5) if k * power <= wanted * (1 + 1e-9))))

    def grid(self, pv: ModuleType, warp: float, scale: float = 1.0, shift: ArrayLike = 0.0) -> Any:
        """A PyVista grid, displacements times `warp`, then scaled and shifted."""
        points = (self.points + warp * self.displacement) * scale + shift
        grid = pv.UnstructuredGrid(self.cells, self.types, points)
        for name, array in self.values.items():
            grid.cell_data[name] = array
        return grid

    def _shifted(self, start: int) -> NDArray[np.int32]:
        """The connectivity for points that begin at `start`; all cells have the same number of points."""
        cells = self.cells.reshape(len(self.types), -1).copy() if len(self.types) else self.cells.reshape(0, 1)
        cells[:, 1:] += start
        return cells.ravel()


def plot_fe2(
    path: str | Path,
    hom: Homogenizer,
    u: fem.Function,
    values: ArrayLike,
    where: WorstPoint,
    *,
    label: str,
    variable: str = "p",
    variable_label: str | None = None,
    warp: float | None = None,
) -> Path:
    """Draw the deformed macro body and, beneath or beside it, the deformed RVE of one point (collective).

    Parameters
    ----------
    path
        The ``.png`` file.
    hom
        The homogenizer.
    u
        The macro displacement, in a Lagrange space.
    values
        Shape (n_points,) or (n_points, 1); what colours the macro body, averaged over each cell.
    where
        The point whose RVE is shown, from `hmm.worst_point`.
    label
        Title of the macro body's colour bar, with its unit.
    variable
        What colours the RVE: a scalar internal variable, or ``"von_mises"``.
    variable_label
        Title of the RVE's colour bar; `variable` by default.
    warp
        Factor on the macro displacements; a round one that makes them visible by default.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    EnvironmentMismatch
        On all ranks, if PyVista is not installed.
    InputError
        On all ranks, if the path cannot be written to or the RVEs have no such variable.
    """
    path, comm = Path(path), hom.comm
    inside: Drawing | None = None
    with collectively(comm):
        if comm.rank == 0:
            _prepare(path)
        if comm.rank == where.rank:
            inside = _drawing_of_rve(hom.rve.cell, point_fields(hom, where.point), variable)
    means = hom.cell_average(np.asarray(values, dtype=float)).ravel()
    parts = comm.gather(Drawing.of(u, {label: means}))
    inside = comm.bcast(inside, root=where.rank)
    with collectively(comm):
        if comm.rank == 0:
            body = Drawing.joined(parts)
            scene = _Scene(body, inside, np.array(where.x), warp or body.warp_factor(), inside.warp_factor())
            _draw_fe2(path, scene, label, variable, variable_label or variable)
    return path
