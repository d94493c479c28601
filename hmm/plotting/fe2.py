"""The picture of a two-scale body: the deformed macro body, and the deformed RVE of one of its points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.worst_point import WorstPoint, point_fields
from hmm.foundation.errors import InputError, collectively
from hmm.micro.mixed_control import MixedControl, rve_of
from hmm.micro.rve import RVE
from hmm.pictures.canvas import (
    add_body,
    add_outlines,
    cut_open,
    horizontal_bar,
    look_at,
    new_plotter,
    prepare_picture,
    save_picture,
)
from hmm.pictures.cells import drawing_of_fields
from hmm.pictures.drawing import Drawing
from hmm.pictures.packages import require_package
from hmm.pictures.style import COLOURS, FIELD_COLOURS, INK

IN_FRONT = np.array([0.0, 0.0, 0.1])


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
        Shape (n_points,) or (n_points, 1); the values that colour the macro body, averaged over each cell.
    where
        The point whose RVE is shown, from `hmm.worst_point`.
    label
        Title of the macro body's colour bar, with its unit.
    variable
        The field that colours the RVE: a scalar internal variable, or ``"von_mises"``.
    variable_label
        Title of the RVE's colour bar; `variable` by default.
    warp
        Factor of the macro displacements; by default a round number that makes them visible.

    Returns
    -------
    pathlib.Path
        The file.

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
            prepare_picture(path)
        if hom.ensemble.group.size > 1:
            raise InputError(f"an RVE on {hom.ensemble.group.size} ranks cannot be drawn: write it with hmm.write_rve")
        if comm.rank == where.rank:
            model = hom.batches.member(where.point).model
            if not isinstance(model, RVE | MixedControl):
                raise InputError(f"the micro model {type(model).__name__} has no cell to draw")
            inside = drawing_of_fields(rve_of(model).cell, point_fields(hom, where.point), variable)
    means = hom.cell_average(np.asarray(values, dtype=float)).ravel()
    parts = comm.gather(Drawing.of(u, {label: means})) or []
    inside = comm.bcast(inside, root=where.rank)
    with collectively(comm):
        if comm.rank == 0:
            body = Drawing.joined(parts)
            scene = _Scene(body, inside, np.array(where.x), warp or body.warp_factor(), inside.warp_factor())
            _draw_fe2(path, scene, label, variable, variable_label or variable)
    return path


@dataclass(frozen=True)
class _Scene:
    """The content of the picture: two bodies, the point of the RVE, and the factors of the displacements."""

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
    save_picture(draw(pv, scene, label, variable, variable_label), path)


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
    add_body(plotter, body, label, horizontal_bar(label, x, y_body, end - x), COLOURS)
    add_body(plotter, inside, variable, horizontal_bar(variable_label, x, y_inside, end - x), FIELD_COLOURS)
    add_outlines(plotter, inside)
    plotter.add_text(scene.notes(), position=(0.02, 0.955), viewport=True, font_size=13, color=INK)
    plotter.reset_camera_clipping_range()
    return plotter


def _window(
    pv: ModuleType, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[Any, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """A plotter with a view of a rectangle of the plane, and the map from the plane to fractions of its window."""
    low, high = low - 0.06 * (high - low), high + 0.08 * (high - low)
    width, height = high - low
    pixels = 1600, int(np.clip(1600 * height / width, 500, 1600))
    plotter = new_plotter(pv, pixels)
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
    plotter = new_plotter(pv, (1800, 900), shape=(1, 2))
    parts = (
        (scene.body, scene.body_warp, label, label, COLOURS),
        (scene.inside, scene.inside_warp, variable, variable_label, FIELD_COLOURS),
    )
    for k, (drawing, warp, name, title, colours) in enumerate(parts):
        plotter.subplot(0, k)
        grid = drawing.grid(pv, warp)
        grid = cut_open(grid) if drawing is scene.inside else grid
        add_body(plotter, grid, name, horizontal_bar(title, 0.2, 0.06, 0.6), colours)
        if "phase" in drawing.values:
            add_outlines(plotter, grid)
        look_at(plotter, 3, 1.3, 0.06)
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
    """A red dot in front of everything: in parallel projection its distance does not change its place on the screen."""
    dot = marker + towards_viewer
    plotter.add_points(dot[None], color="#d62728", point_size=16, render_points_as_spheres=True)
    plotter.reset_camera_clipping_range()
