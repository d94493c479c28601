"""Pictures, drawn off screen on rank 0: PyVista for bodies, Matplotlib for curves (the extra ``plot``)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from mpi4py import MPI

import numpy as np
from dolfinx import fem
from dolfinx.plot import vtk_mesh
from numpy.typing import ArrayLike, NDArray

from hmm.cells.cell import Cell
from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.worst_point import WorstPoint, point_fields
from hmm.foundation.errors import EnvironmentMismatch, InputError, collectively, writing
from hmm.foundation.files import require_writable
from hmm.foundation.forms import owned_cells
from hmm.micro.local_fields import LocalFields
from hmm.micro.mixed_control import MixedControl, rve_of
from hmm.micro.recovery import Attempt
from hmm.micro.rve import RVE

COLOURS = "viridis"
PHASE_COLOURS = ("#c9d6e2", "#e07b39", "#6a994e", "#8e6c8a", "#d9b44a", "#5b7c99")
RUNG_COLOURS = {"line search": "#1f4e79", "substeps": "#e07b39", "elastic start": "#6a994e"}
INK = "#222222"
NO_VALUE = "#b9b9b9"
CROWDED = 20_000
"""Elements above which edges would cover the picture; outlines of phases are then thin."""

IN_FRONT = np.array([0.0, 0.0, 0.1])


def check_available() -> None:
    """Raise `EnvironmentMismatch` unless PyVista and Matplotlib are installed; they are not imported."""
    for name in ("pyvista", "matplotlib"):
        if importlib.util.find_spec(name) is None:
            raise _missing(name, "it is not installed")


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
        cells, types, points = vtk_mesh(u.function_space, owned_cells(u.function_space.mesh))  # type: ignore[arg-type]
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
        if hom.ensemble.group.size > 1:
            raise InputError(f"an RVE on {hom.ensemble.group.size} ranks cannot be drawn: write it with hmm.write_rve")
        if comm.rank == where.rank:
            model = hom.batches.member(where.point).model
            if not isinstance(model, RVE | MixedControl):
                raise InputError(f"the micro model {type(model).__name__} has no cell to draw")
            inside = _drawing_of_rve(rve_of(model).cell, point_fields(hom, where.point), variable)
    means = hom.cell_average(np.asarray(values, dtype=float)).ravel()
    parts = comm.gather(Drawing.of(u, {label: means})) or []
    inside = comm.bcast(inside, root=where.rank)
    with collectively(comm):
        if comm.rank == 0:
            body = Drawing.joined(parts)
            scene = _Scene(body, inside, np.array(where.x), warp or body.warp_factor(), inside.warp_factor())
            _draw_fe2(path, scene, label, variable, variable_label or variable)
    return path


def plot_rve(
    path: str | Path,
    cell: Cell,
    fields: LocalFields,
    variable: str,
    *,
    label: str | None = None,
    warp: float | None = None,
    quantile: float = 1.0,
) -> Path:
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
    warp
        Factor on the displacements; a round one that makes them visible by default.
    quantile
        Part of the elements whose values the colours tell apart; those above have the last colour.
    """
    path = Path(path)
    pv = _prepare(path)
    drawing = _drawing_of_rve(cell, fields, variable)
    plotter = _plotter(pv, (900, 900))
    grid = _cut_open(drawing.grid(pv, drawing.warp_factor() if warp is None else warp))
    bar = _horizontal_bar(label or variable, 0.2, 0.03, 0.6)
    _add_body(plotter, grid, variable, bar, "inferno", quantile)
    _add_outlines(plotter, grid)
    _look(plotter, cell.dim, 1.35, 0.06)
    return _save(plotter, path)


def plot_cell(path: str | Path, cell: Cell) -> Path:
    """Draw the mesh of a unit cell, one colour a phase (collective on the cell's communicator).

    Parameters
    ----------
    path
        The ``.png`` file.
    cell
        The unit cell.
    """
    path, fractions = Path(path), cell.volume_fractions
    with collectively(cell.comm):
        if cell.comm.rank == 0:
            _prepare(path)
    parts = cell.comm.gather(_drawing_of_mesh(cell))
    with collectively(cell.comm):
        if parts is not None:
            _draw_cell(path, Drawing.joined(parts), fractions)
    return path


def _drawing_of_mesh(cell: Cell) -> Drawing:
    """This rank's own elements and the number of the phase of each."""
    cells, types, points = vtk_mesh(cell.mesh)
    numbers = np.zeros(len(types))
    for k, tag in enumerate(cell.phases.values()):
        own = cell.phase_tags.find(tag)
        numbers[own[own < len(types)]] = k
    return Drawing(cells, types, points, np.zeros_like(points), {"number": numbers})


def _draw_cell(path: Path, drawing: Drawing, fractions: Mapping[str, float]) -> None:
    pv, n = require_package("pyvista"), len(fractions)
    plotter = _plotter(pv, (900, 900))
    grid = _cut_open(drawing.grid(pv, 0.0))
    colours = [PHASE_COLOURS[k % len(PHASE_COLOURS)] for k in range(n)]
    style = {"cmap": colours, "clim": (-0.5, n - 0.5), **_light(grid)}
    bar = {**_horizontal_bar(" ", 0.15, 0.01, 0.7), "n_labels": 0}
    plotter.add_mesh(_surface(grid), scalars="number", scalar_bar_args=bar, **style)
    words = [f"{name} {100 * fraction:.3g} %" for name, fraction in fractions.items()]
    words = words if n <= len(PHASE_COLOURS) else [f"{n} phases"]
    size = 13 if len(words) * max(map(len, words)) < 50 else 10
    for k, text in enumerate(words):
        place = (0.15 + 0.7 * (k + 0.5) / len(words), 0.09)
        written = plotter.add_text(text, position=place, viewport=True, font_size=size, color=INK)
        written.prop.justification_horizontal = "center"
    if grid.n_cells <= CROWDED:
        _add_lines(plotter, _edges(grid), color=INK, line_width=1.0)
    _look(plotter, drawing.dim, 1.3, 0.06)
    _save(plotter, path)


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
            require_package("matplotlib")
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
            with writing(path):
                figure.savefig(path, dpi=150)
    return path


def plot_attempts(path: str | Path, attempts: Sequence[Attempt], picture: Path | None = None) -> Path:
    """Draw the residual norms of Newton solves on the failure ladder, beside a picture; not collective.

    Parameters
    ----------
    path
        The ``.png`` file.
    attempts
        The solves, as `hmm.replay` returns them.
    picture
        A ``.png`` file shown on the right, such as one of `plot_rve`.
    """
    path = Path(path)
    require_writable(path.parent)
    require_package("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5) if picture else (7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 2 if picture else 1, 1)
    named: set[str] = set()
    for attempt in attempts:
        colour = RUNG_COLOURS[attempt.strategy]
        label = "_" if attempt.strategy in named else attempt.strategy
        named.add(attempt.strategy)
        axes.semilogy(attempt.norms, "-o", color=colour, markersize=3, linewidth=1.2, alpha=0.7, label=label)
        if attempt.norms:
            mark = "x" if attempt.failure else "s"
            axes.semilogy(len(attempt.norms) - 1, attempt.norms[-1], mark, color=colour, markersize=8)
    axes.set_xlabel("Newton iteration", fontsize=12)
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel("micro residual (cross: failed, square: converged)", fontsize=12)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    if picture:
        right = figure.add_subplot(1, 2, 2)
        right.imshow(importlib.import_module("matplotlib.image").imread(picture))
        right.set_axis_off()
        right.set_title("last iterate", fontsize=12)
    with writing(path):
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
        body, inside = _times(self.body_warp), _times(self.inside_warp)
        return f"RVE at ({x}); displacements magnified {body} (body), {inside} (RVE)"


def _times(factor: float) -> str:
    return f"{factor:g}\N{MULTIPLICATION SIGN}"


def _draw_fe2(path: Path, scene: _Scene, label: str, variable: str, variable_label: str) -> None:
    pv = require_package("pyvista")
    draw = _draw_flat if scene.is_flat else _draw_solid
    _save(draw(pv, scene, label, variable, variable_label), path)


def _draw_flat(pv: ModuleType, scene: _Scene, label: str, variable: str, variable_label: str) -> Any:
    """Both bodies in one plane, the RVE magnified beneath a long body or beside a tall one, colour bars next to it."""
    body = scene.body.grid(pv, scene.body_warp)
    x0, x1, y0, y1, *_ = body.bounds
    width, height = x1 - x0, y1 - y0
    long = height < 0.6 * width
    if long:
        edge = 0.36 * width
        corner = np.array([x0, y0 - 0.07 * width - edge, 0.0])
        bars = np.array([[x0 + 1.35 * edge, corner[1] + 0.5 * edge], [x0 + 1.35 * edge, corner[1] + 0.1 * edge]])
        bar_width = x1 - bars[0, 0]
    else:
        edge = 0.55 * height
        corner = np.array([x1 + 0.25 * edge, y1 - edge, 0.0])
        bars = np.array([[corner[0], corner[1] - 0.42 * edge], [corner[0], corner[1] - 0.74 * edge]])
        bar_width = edge
    low = np.array([x0, min(y0, bars[1, 1])])
    high = np.array([max(x1, corner[0] + edge), y1])
    plotter, to_viewport = _window(pv, low, high)
    inside = _fitted(pv, scene, corner, edge)
    _add_callout(pv, plotter, scene.marker, inside, long)
    (x, y_body), (end, y_inside) = to_viewport(bars + np.array([[0.0, 0.0], [bar_width, 0.0]])).tolist()
    _add_body(plotter, body, label, _horizontal_bar(label, x, y_body, end - x), COLOURS)
    _add_body(plotter, inside, variable, _horizontal_bar(variable_label, x, y_inside, end - x), "inferno")
    _add_outlines(plotter, inside)
    plotter.add_text(scene.notes(), position=(0.02, 0.955), viewport=True, font_size=13, color=INK)
    plotter.reset_camera_clipping_range()
    return plotter


def _window(
    pv: ModuleType, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[Any, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """A plotter that looks at a rectangle of the plane, and the map from the plane to fractions of its window."""
    low, high = low - 0.06 * (high - low), high + 0.08 * (high - low)
    width, height = high - low
    pixels = 1600, int(np.clip(1600 * height / width, 500, 1600))
    plotter = _plotter(pv, pixels)
    plotter.enable_parallel_projection()
    plotter.view_xy()
    plotter.camera.focal_point = (*(0.5 * (low + high)), 0.0)
    plotter.camera.position = (*(0.5 * (low + high)), 1.0)
    seen = max(height, width * pixels[1] / pixels[0])
    plotter.camera.parallel_scale = 0.5 * seen
    extent = np.array([seen * pixels[0] / pixels[1], seen])
    return plotter, lambda points: (points - 0.5 * (low + high)) / extent + 0.5


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
        grid = _cut_open(grid) if drawing is scene.inside else grid
        _add_body(plotter, grid, name, _horizontal_bar(title, 0.2, 0.06, 0.6), colours)
        if "phase" in drawing.values:
            _add_outlines(plotter, grid)
        _look(plotter, 3, 1.3, 0.06)
    plotter.subplot(0, 0)
    _add_marker(plotter, scene.marker, scene.body.size * np.ones(3))
    plotter.add_text(scene.notes(), position=(0.02, 0.94), viewport=True, font_size=12, color=INK)
    return plotter


def _add_callout(pv: ModuleType, plotter: Any, marker: NDArray[np.float64], inside: Any, above: bool) -> None:
    """Two thin lines from the marked point to the near corners of the RVE's frame."""
    x0, x1, y0, y1, *_ = inside.bounds
    corners = [(x0, y1, 0.0), (x1, y1, 0.0)] if above else [(x0, y0, 0.0), (x0, y1, 0.0)]
    for corner in np.array(corners):
        plotter.add_mesh(pv.Line(marker + IN_FRONT, corner + IN_FRONT), color="#888888", line_width=1.5, lighting=False)
    _add_marker(plotter, marker, 2 * IN_FRONT)


def _add_marker(plotter: Any, marker: NDArray[np.float64], towards_viewer: NDArray[np.float64]) -> None:
    """A red dot in front of everything: in parallel projection it may come nearer without moving on the screen."""
    dot = marker + towards_viewer
    plotter.add_points(dot[None], color="#d62728", point_size=16, render_points_as_spheres=True)
    plotter.reset_camera_clipping_range()


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


def _add_body(plotter: Any, grid: Any, scalars: str, bar: dict[str, Any], colours: str, quantile: float = 1.0) -> None:
    least, most = np.nanmin(grid.cell_data[scalars]), np.nanquantile(grid.cell_data[scalars], quantile)
    limits = (0.0 if 0 <= least < 0.2 * most else least, most)
    style = {
        "clim": limits,
        "cmap": colours,
        "nan_color": NO_VALUE,
        "scalar_bar_args": bar,
        **_light(grid),
    }
    plotter.add_mesh(_surface(grid), scalars=scalars, **style)
    if grid.n_cells <= CROWDED:
        _add_lines(plotter, _edges(grid), color="#808080", line_width=0.8, opacity=0.5)


def _add_lines(plotter: Any, lines: Any, **style: Any) -> None:
    """Lines in front of the surface they lie in."""
    mapper = plotter.add_mesh(lines, lighting=False, **style).mapper
    mapper.SetResolveCoincidentTopologyToPolygonOffset()
    mapper.SetRelativeCoincidentTopologyLineOffsetParameters(0.0, -6.0)


def _add_outlines(plotter: Any, grid: Any) -> None:
    """Bold lines around each phase."""
    tags, crowded = grid.cell_data["phase"], grid.n_cells > CROWDED
    for tag in np.unique(tags):
        lines = _boundary(_surface(grid.extract_cells(np.flatnonzero(tags == tag))), angle=60)
        if lines.n_points and crowded:
            plotter.add_mesh(lines, color="white", line_width=1, opacity=0.4, lighting=False)
        elif lines.n_points:
            plotter.add_mesh(lines, color="white", line_width=5, lighting=False)
            plotter.add_mesh(lines, color=INK, line_width=2.5, lighting=False)


def _surface(grid: Any) -> Any:
    """The surface of a grid (in 2D: all of it) as triangles fine enough for curved elements and quadratic fields."""
    geometry = importlib.import_module("vtkmodules.vtkFiltersGeometry").vtkDataSetSurfaceFilter()
    geometry.SetInputData(grid)
    geometry.SetNonlinearSubdivisionLevel(2)
    geometry.Update()
    return require_package("pyvista").wrap(geometry.GetOutput())


def _edges(grid: Any) -> Any:
    """Edges of the elements, curved if they are; in a solid, where the faces of an element meet."""
    return _boundary(_surface(grid.separate_cells()), angle=None if _is_flat(grid) else 20.0)


def _light(grid: Any) -> dict[str, Any]:
    """No shading in the plane, where colours are to be read; little on solids."""
    return {"lighting": False} if _is_flat(grid) else {"lighting": True, "ambient": 0.45, "diffuse": 0.65}


def _is_flat(grid: Any) -> bool:
    return bool(grid.bounds[5] == grid.bounds[4])


def _boundary(surface: Any, angle: float | None = None) -> Any:
    """Border of a surface, and where it folds by more than an angle in degrees."""
    return surface.extract_feature_edges(
        feature_angle=angle or 180.0,
        boundary_edges=True,
        feature_edges=angle is not None,
        manifold_edges=False,
        non_manifold_edges=False,
    )


def _cut_open(grid: Any) -> Any:
    """A solid without the elements in the octant nearest to the viewer; a plane body as it is."""
    if _is_flat(grid):
        return grid
    low, high = np.reshape(grid.bounds, (3, 2)).T
    return grid.extract_cells(np.flatnonzero(~(grid.cell_centers().points > 0.5 * (low + high)).all(axis=1)))


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
    with pv.vtk_verbosity("error"):  # without a screen VTK warns before it finds another way
        plotter = pv.Plotter(off_screen=True, window_size=list(size), border=False, **options)
    plotter.set_background("white")
    plotter.enable_anti_aliasing("ssaa")
    return plotter


def _look(plotter: Any, dim: int, margin: float, up: float = 0.0) -> None:
    """Frame everything: the plane from above, solids from a corner, both without perspective.

    `margin` is the size of the view per size of what is seen; `up` moves the picture up by that part of the view.
    """
    plotter.enable_parallel_projection()
    if dim == 2:
        plotter.view_xy()
        width, height, _ = np.diff(np.reshape(plotter.bounds, (3, 2))).ravel()
        plotter.camera.parallel_scale = 0.5 * max(width, height)
    else:
        plotter.view_isometric()
    plotter.camera.parallel_scale *= margin
    shift = 2 * up * plotter.camera.parallel_scale * np.array(plotter.camera.up)
    plotter.camera.focal_point = np.array(plotter.camera.focal_point) - shift
    plotter.camera.position = np.array(plotter.camera.position) - shift


def _save(plotter: Any, path: Path) -> Path:
    try:
        with writing(path):
            plotter.screenshot(str(path))
    finally:
        plotter.close()
    return path


def _prepare(path: Path) -> ModuleType:
    """PyVista, after making sure that the picture can be written."""
    pv = require_package("pyvista")
    require_writable(path.parent)
    return pv


def require_package(name: str) -> ModuleType:
    """Import a package of the extra ``plot``, or say how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(name, str(error)) from None


def _missing(name: str, why: str) -> EnvironmentMismatch:
    return EnvironmentMismatch(f"pictures need {name}, but {why}: pip install 'fenicsx-hmm[plot]'")
