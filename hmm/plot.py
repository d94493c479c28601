"""Pictures, drawn off screen on rank 0: PyVista for bodies, Matplotlib for curves (the extra ``plot``)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from mpi4py import MPI

import numpy as np
from dolfinx import fem
from dolfinx.plot import vtk_mesh
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


def plot_rve(path: str | Path, cell: Cell, fields: LocalFields, variable: str, *, label: str | None = None) -> Path:
    """Draw a deformed RVE coloured by a local field; not collective.

    Parameters
    ----------
    path
        The ``.png`` file.
    cell
        The unit cell.
    fields
        Its fields, from `hmm.local_fields`.
    variable
        Name of a scalar cellwise field.
    label
        Title of the colour bar; `variable` by default.
    """
    path = Path(path)
    pv = _prepare(path)
    drawing = _drawing_of_rve(cell, fields, variable)
    plotter = _plotter(pv, (900, 900))
    _add_body(
        plotter,
        drawing.grid(pv, drawing.warp_factor()),
        variable,
        _horizontal_bar(label or variable, 0.2, 0.03, 0.6),
        "inferno",
    )
    _add_outlines(plotter, drawing.grid(pv, drawing.warp_factor()))
    _look(plotter, cell.dim, 1.25)
    return _save(plotter, path)


def plot_cell(path: str | Path, cell: Cell) -> Path:
    """Draw the mesh of a unit cell, one colour a phase; not collective.

    Parameters
    ----------
    path
        The ``.png`` file.
    cell
        The unit cell.
    """
    path = Path(path)
    pv = _prepare(path)
    cells, types, points = vtk_mesh(cell.mesh)
    plotter = _plotter(pv, (900, 800))
    grid = pv.UnstructuredGrid(cells, types, points)
    tags = np.zeros(len(types), dtype=np.int32)
    tags[cell.phase_tags.indices] = cell.phase_tags.values
    for k, (name, tag) in enumerate(cell.phases.items()):
        part = grid.extract_cells(np.flatnonzero(tags == tag))
        share = f"{name}, {100 * cell.volume_fractions[name]:.3g} %"
        colour = PHASE_COLOURS[k % len(PHASE_COLOURS)]
        plotter.add_mesh(_surface(part), color=colour, lighting=cell.dim == 3, label=share)
        plotter.add_mesh(_edges(part), color=INK, line_width=1.0, lighting=False)
    plotter.add_legend(
        face="rectangle", bcolor="white", border=False, size=(0.34, 0.06 * len(cell.phases)), loc="lower center"
    )
    _look(plotter, cell.dim, 1.3)
    return _save(plotter, path)


def plot_curve(
    path: str | Path,
    comm: MPI.Comm,
    x: ArrayLike,
    y: ArrayLike,
    xlabel: str,
    ylabel: str,
) -> Path:
    """Draw a curve with a mark at each point, such as a force-displacement curve (collective).

    Parameters
    ----------
    path
        The ``.png`` file.
    comm
        The communicator; rank 0 draws.
    x, y
        Shape (n,); used on rank 0.
    xlabel, ylabel
        What they are, with units.
    """
    path = Path(path)
    with collectively(comm):
        if comm.rank == 0:
            require_writable(path.parent)
            _require("matplotlib")
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            figure = Figure(figsize=(7, 4.5), layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            axes.plot(x, y, "-o", color="#1f4e79", markersize=5, linewidth=1.8)
            axes.set_xlabel(xlabel, fontsize=12)
            axes.set_ylabel(ylabel, fontsize=12)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(0.03, 0.06)
            figure.savefig(path, dpi=150)
    return path


# -- the picture of a two-scale body ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scene:
    """What `plot_fe2` draws: two bodies, where the small one belongs, and how much each is deformed."""

    body: Drawing
    inside: Drawing
    where: NDArray[np.float64]
    body_warp: float
    inside_warp: float

    @property
    def is_flat(self) -> bool:
        return bool(np.ptp(self.body.points[:, 2]) == 0 and np.ptp(self.inside.points[:, 2]) == 0)

    @property
    def marker(self) -> NDArray[np.float64]:
        """The point in the deformed body (with the displacement of the nearest node)."""
        x = np.zeros(3)
        x[: self.where.size] = self.where
        nearest = np.argmin(np.linalg.norm(self.body.points - x, axis=1))
        return x + self.body_warp * self.body.displacement[nearest]

    def notes(self) -> str:
        x = ", ".join(f"{c:.3g}" for c in self.where)
        return f"RVE at ({x}). Displacements: body x {self.body_warp:g}, RVE x {self.inside_warp:g}"


def _draw_fe2(path: Path, scene: _Scene, label: str, variable: str, variable_label: str) -> None:
    pv = _require("pyvista")
    draw = _draw_flat if scene.is_flat else _draw_solid
    _save(draw(pv, scene, label, variable, variable_label), path)


def _draw_flat(pv: ModuleType, scene: _Scene, label: str, variable: str, variable_label: str) -> Any:
    """Both bodies in one plane, the RVE magnified beneath a long body or beside a tall one."""
    body = scene.body.grid(pv, scene.body_warp)
    x0, x1, y0, y1, *_ = body.bounds
    long = (y1 - y0) < 0.6 * (x1 - x0)
    edge = 0.36 * (x1 - x0) if long else 0.6 * (y1 - y0)
    corner = np.array([x0, y0 - 0.07 * (x1 - x0) - edge, 0] if long else [x1 + 0.15 * (x1 - x0), y1 - edge, 0])
    inside = _fitted(pv, scene, corner, edge)
    right, bottom = (x1, corner[1]) if long else (corner[0] + edge, min(y0, corner[1] - 0.5 * edge))
    width, height = 1.1 * (right - x0), 1.1 * (y1 - bottom)
    plotter = _plotter(pv, (1600, int(np.clip(1600 * height / width, 500, 1600))))
    _add_callout(pv, plotter, scene.marker, inside, long)
    first, second = ((0.48, 0.30), (0.48, 0.12)) if long else ((0.58, 0.22), (0.58, 0.06))
    _add_body(plotter, body, label, _horizontal_bar(label, *first), COLOURS)
    _add_body(plotter, inside, variable, _horizontal_bar(variable_label, *second), "inferno")
    _add_outlines(plotter, inside)
    plotter.add_text(scene.notes(), position=(0.02, 0.955), viewport=True, font_size=13, color=INK)
    _look(plotter, 2, 1.0)
    plotter.camera.focal_point = (0.5 * (x0 + right), 0.5 * (bottom + y1), 0.0)
    plotter.camera.position = (*plotter.camera.focal_point[:2], 1.0)
    plotter.camera.parallel_scale = 0.5 * 1.14 * (y1 - bottom)
    return plotter


def _fitted(pv: ModuleType, scene: _Scene, corner: NDArray[np.float64], edge: float) -> Any:
    """The deformed RVE scaled into a square of the given lower left corner and edge."""
    raw = scene.inside.grid(pv, scene.inside_warp)
    low = np.array([raw.bounds[0], raw.bounds[2], 0.0])
    scale = edge / max(raw.bounds[1] - raw.bounds[0], raw.bounds[3] - raw.bounds[2])
    return scene.inside.grid(pv, scene.inside_warp, scale, corner - scale * low)


def _draw_solid(pv: ModuleType, scene: _Scene, label: str, variable: str, variable_label: str) -> Any:
    """Two views side by side."""
    plotter = _plotter(pv, (1800, 900), shape=(1, 2))
    parts = (
        (scene.body, scene.body_warp, label, label, COLOURS),
        (scene.inside, scene.inside_warp, variable, variable_label, "inferno"),
    )
    for k, (drawing, warp, name, title, colours) in enumerate(parts):
        plotter.subplot(0, k)
        grid = drawing.grid(pv, warp)
        _add_body(plotter, grid, name, _horizontal_bar(title, 0.2, 0.06, 0.6), colours)
        if "phase" in drawing.values:
            _add_outlines(plotter, grid)
        _look(plotter, 3, 1.2)
    plotter.subplot(0, 0)
    _add_marker(plotter, scene.marker)
    plotter.add_text(scene.notes(), position=(0.02, 0.94), viewport=True, font_size=12, color=INK)
    return plotter


def _add_callout(pv: ModuleType, plotter: Any, marker: NDArray[np.float64], inside: Any, above: bool) -> None:
    """Two thin lines from the marked point to the near corners of the RVE's frame."""
    x0, x1, y0, y1, *_ = inside.bounds
    corners = [(x0, y1, 0.0), (x1, y1, 0.0)] if above else [(x0, y0, 0.0), (x0, y1, 0.0)]
    for corner in corners:
        plotter.add_mesh(pv.Line(marker, corner), color="#888888", line_width=1.5, lighting=False)
    _add_marker(plotter, marker)


def _add_marker(plotter: Any, marker: NDArray[np.float64]) -> None:
    plotter.add_points(marker[None], color="#d62728", point_size=16, render_points_as_spheres=True, always_visible=True)


# -- the parts of a picture ------------------------------------------------------------------------------------------


def _drawing_of_rve(cell: Cell, fields: LocalFields, variable: str) -> Drawing:
    """The RVE with its phases and one field, which is not a number in phases that do not have it."""
    if fields.displacement.ufl_shape == () or variable not in fields.cellwise:
        names = [name for name, f in fields.cellwise.items() if f.ufl_shape == ()]
        raise InputError(f"the RVE has no displacement or no scalar field {variable!r}: its fields are {names}")
    n = owned_cells(fields.mesh).size
    values = fields.cellwise[variable].x.array[:n].copy()
    values[~np.isin(fields.cellwise["phase"].x.array[:n], [cell.phases[p] for p in fields.phases[variable]])] = np.nan
    return Drawing.of(fields.displacement, {"phase": fields.cellwise["phase"].x.array[:n].copy(), variable: values})


def _add_body(plotter: Any, grid: Any, scalars: str, bar: dict[str, Any], colours: str) -> None:
    flat = bool(grid.bounds[5] == grid.bounds[4])
    style = {"cmap": colours, "nan_color": NO_VALUE, "lighting": not flat, "scalar_bar_args": bar}
    plotter.add_mesh(_surface(grid), scalars=scalars, **style)
    plotter.add_mesh(_edges(grid), color=INK, line_width=0.6, opacity=0.35, lighting=False)


def _add_outlines(plotter: Any, grid: Any) -> None:
    """Bold lines around each phase."""
    tags = grid.cell_data["phase"]
    for tag in np.unique(tags):
        surface = _surface(grid.extract_cells(np.flatnonzero(tags == tag)))
        lines = surface.extract_feature_edges(
            feature_angle=60, boundary_edges=True, feature_edges=True, manifold_edges=False, non_manifold_edges=False
        )
        plotter.add_mesh(lines, color="white", line_width=5, lighting=False)
        plotter.add_mesh(lines, color=INK, line_width=2.5, lighting=False)


def _surface(grid: Any) -> Any:
    return grid.extract_surface(nonlinear_subdivision=2, algorithm="geometry")


def _edges(grid: Any) -> Any:
    """Edges of the elements, curved if they are."""
    surface = grid.separate_cells().extract_surface(nonlinear_subdivision=2, algorithm="geometry")
    return surface.extract_feature_edges(
        boundary_edges=True, feature_edges=False, manifold_edges=False, non_manifold_edges=False
    )


def _horizontal_bar(title: str, x: float, y: float, width: float = 0.46) -> dict[str, Any]:
    return {
        "title": title + "\n",
        "vertical": False,
        "position_x": x,
        "position_y": y,
        "width": width,
        "height": 0.11,
        "title_font_size": 24,
        "label_font_size": 20,
        "color": INK,
        "n_labels": 5,
        "fmt": "%.3g",
    }


def _plotter(pv: ModuleType, size: tuple[int, int], **options: Any) -> Any:
    plotter = pv.Plotter(off_screen=True, window_size=list(size), border=False, **options)
    plotter.set_background("white")
    plotter.enable_anti_aliasing("ssaa")
    return plotter


def _look(plotter: Any, dim: int, margin: float) -> None:
    """Frame everything: the plane from above, solids from a corner, both without perspective."""
    if dim == 2:
        plotter.view_xy()
    else:
        plotter.view_isometric()
    plotter.enable_parallel_projection()
    plotter.camera.parallel_scale *= margin


def _save(plotter: Any, path: Path) -> Path:
    try:
        plotter.screenshot(str(path))
    finally:
        plotter.close()
    return path


def _prepare(path: Path) -> ModuleType:
    """PyVista, after making sure that the picture can be written."""
    pv = _require("pyvista")
    require_writable(path.parent)
    return pv


def _require(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EnvironmentMismatch(
            f"pictures need {name}, which cannot be imported ({error}): pip install 'fenicsx-hmm[plot]'"
        ) from None
