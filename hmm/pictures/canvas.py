"""The parts of a picture of bodies: windows, surfaces, edges, outlines, colour bars."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import writing
from hmm.foundation.files import require_writable
from hmm.pictures.packages import require_package
from hmm.pictures.style import INK, NO_VALUE

LONGEST_LEGEND = 9
"""Largest number of phases that a legend names."""

CROWDED = 20_000
"""Largest number of elements of a mesh whose edges are drawn; with more elements the outlines of phases are thin."""

FINE = 2_000
"""Largest number of elements of a plane field whose edges are drawn: more of them would hide the field."""


def add_body(plotter: Any, grid: Any, scalars: str, bar: dict[str, Any], colours: str, quantile: float = 1.0) -> None:
    """A body coloured by cell values, with a colour bar and, of a plane one with few elements, their edges."""
    least, most = np.nanmin(grid.cell_data[scalars]), np.nanquantile(grid.cell_data[scalars], quantile)
    limits = (0.0 if 0 <= least < 0.2 * most else least, most)
    style = {
        "clim": limits,
        "cmap": colours,
        "nan_color": NO_VALUE,
        "scalar_bar_args": bar,
        **light_of(grid),
    }
    plotter.add_mesh(surface_of(grid), scalars=scalars, **style)
    if is_flat(grid) and grid.n_cells <= FINE:
        add_lines(plotter, edges_of(grid), color="#808080", line_width=0.8, opacity=0.35)


def add_lines(plotter: Any, lines: Any, **style: Any) -> None:
    """Lines drawn in front of the surface that contains them."""
    mapper = plotter.add_mesh(lines, lighting=False, **style).mapper
    mapper.SetResolveCoincidentTopologyToPolygonOffset()
    mapper.SetRelativeCoincidentTopologyLineOffsetParameters(0.0, -6.0)


def add_outlines(plotter: Any, grid: Any) -> None:
    """Bold lines around each phase of a plane body; the light shows those of a solid."""
    if not is_flat(grid):
        return
    tags, crowded = grid.cell_data["phase"], grid.n_cells > CROWDED
    for tag in np.unique(tags):
        surface = surface_of(grid.extract_cells(np.flatnonzero(tags == tag))).clean()
        lines = _boundary(surface, angle=60)
        if lines.n_points and crowded:
            plotter.add_mesh(lines, color="white", line_width=1, opacity=0.4, lighting=False)
        elif lines.n_points:
            plotter.add_mesh(lines, color="white", line_width=5, lighting=False)
            plotter.add_mesh(lines, color=INK, line_width=2.5, lighting=False)


def surface_of(grid: Any) -> Any:
    """The surface of a grid (in 2D: all of it) as triangles fine enough for curved elements and quadratic fields."""
    geometry = importlib.import_module("vtkmodules.vtkFiltersGeometry").vtkDataSetSurfaceFilter()
    geometry.SetInputData(grid)
    geometry.SetNonlinearSubdivisionLevel(2)
    geometry.Update()
    return require_package("pyvista").wrap(geometry.GetOutput())


def edges_of(grid: Any) -> Any:
    """Edges of the elements, curved if they are; in a solid, where the faces of an element meet."""
    return _boundary(surface_of(grid.separate_cells()), angle=None if is_flat(grid) else 20.0)


def add_directions(plotter: Any, grid: Any, along: str, n: int = 2500) -> None:
    """Short lines on the surface of a body along the vectors `along` of its elements, where these lie in it."""
    surface = surface_of(grid)
    d, normals = np.asarray(surface.cell_data[along]), np.asarray(surface.face_normals)
    flat = np.flatnonzero(np.abs((d * normals).sum(axis=1)) < 0.6 * np.linalg.norm(d, axis=1))
    chosen = np.random.default_rng(0).choice(flat, min(n, len(flat)), replace=False)
    if not len(chosen):
        return
    middle = np.asarray(surface.cell_centers().points)[chosen] + 0.002 * grid.length * normals[chosen]
    half = 0.015 * grid.length * d[chosen]
    ends = np.stack([middle - half, middle + half], axis=1).reshape(-1, 3)
    lines = require_package("pyvista").line_segments_from_points(ends)
    plotter.add_mesh(lines, color=INK, line_width=1.6, lighting=False)


def border_of(grid: Any) -> Any:
    """The lines around a plane body and around its holes and cracks."""
    return _boundary(surface_of(grid))


def light_of(grid: Any) -> dict[str, Any]:
    """No shading for plane bodies, so that colours match the bar; little for solids."""
    return {"lighting": False} if is_flat(grid) else {"lighting": True, "ambient": 0.45, "diffuse": 0.65}


def is_flat(grid: Any) -> bool:
    """Whether a grid lies in a plane z = constant."""
    return bool(grid.bounds[5] == grid.bounds[4])


def _boundary(surface: Any, angle: float | None = None) -> Any:
    """Border of a surface, and edges with more than an angle in degrees between its faces."""
    return surface.extract_feature_edges(
        feature_angle=angle or 180.0,
        boundary_edges=True,
        feature_edges=angle is not None,
        manifold_edges=False,
        non_manifold_edges=False,
    )


def cut_open(grid: Any, whole: Sequence[int] = (), alone: bool = False) -> Any:
    """A solid without the octant nearest to the viewer; a plane body is unchanged.

    The cut is plane: it goes through the elements. The phases `whole`, values of the cell data ``"phase"``, are not
    cut; if they are shown `alone`, nothing else remains.
    """
    if is_flat(grid):
        return grid
    if alone and len(whole):
        return grid.extract_cells(np.flatnonzero(np.isin(grid.cell_data["phase"], whole)))
    low, high = np.reshape(grid.bounds, (3, 2)).T
    middle, slack = 0.5 * (low + high), 1e-6 * (high - low)
    least, most = _extents(grid)
    kept = (most <= middle + slack).any(axis=1)
    if len(whole):
        kept |= np.isin(grid.cell_data["phase"], whole)
    inside = (least >= middle - slack).all(axis=1)
    parts = [grid.extract_cells(np.flatnonzero(kept))]
    rest = grid.extract_cells(np.flatnonzero(~kept & ~inside))
    for axis in "xyz":
        if rest.n_cells:
            parts.append(rest.clip(axis, origin=middle, invert=True))
            rest = rest.clip(axis, origin=middle, invert=False)
    return require_package("pyvista").merge([part for part in parts if part.n_cells], merge_points=True)


def _extents(grid: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest coordinates of the points of each cell, shape (n, 3) each."""
    offsets = grid.cell_offsets if hasattr(grid, "cell_offsets") else grid.offset  # the latter before PyVista 0.47
    starts, points = offsets[:-1], np.asarray(grid.points)[grid.cell_connectivity]
    return np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)


def inclusions(names: Sequence[str], fractions: Sequence[float]) -> list[int]:
    """Numbers of the phases that stay whole where a body is cut open: all but the matrix and the coatings.

    The matrix is the phase of this name, or else the one that fills most of the body if it fills half of it. Without
    one, as in polycrystals, no phase stays whole.
    """
    host = names.index("matrix") if "matrix" in names else int(np.argmax(fractions))
    if len(names) < 2 or (names[host] != "matrix" and fractions[host] < 0.5 * sum(fractions)):
        return []
    return [k for k, name in enumerate(names) if k != host and name != "interface"]


def horizontal_bar(title: str, x: float, y: float, width: float = 0.46) -> dict[str, Any]:
    """The style of a colour bar at fractions of the window."""
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


def add_legend(plotter: Any, words: Sequence[str], colours: Sequence[str]) -> None:
    """Names of phases beside patches of their colours, at the foot of the window; of many phases their number."""
    if len(words) > LONGEST_LEGEND:
        written = plotter.add_text(f"{len(words)} phases", position=(0.5, 0.04), viewport=True, font_size=13, color=INK)
        written.prop.justification_horizontal = "center"
        return
    columns = min(len(words), 3 if max(map(len, words)) < 20 else 2)
    for k, (text, colour) in enumerate(zip(words, colours, strict=True)):
        row, column = divmod(k, columns)
        n_in_row = min(columns, len(words) - row * columns)
        left, height = 0.5 + (column - 0.5 * n_in_row) * 0.9 / columns + 0.05, 0.1 - 0.04 * row
        patch = plotter.add_text("mm", position=(left, height), viewport=True, font_size=10, color=colour)
        patch.prop.background_color, patch.prop.background_opacity = colour, 1.0
        plotter.add_text(text, position=(left + 0.055, height), viewport=True, font_size=10, color=INK)


def new_plotter(pv: ModuleType, size: tuple[int, int], **options: Any) -> Any:
    """An off-screen plotter with a white background."""
    with pv.vtk_verbosity("error"):  # without a screen VTK warns before it finds another way
        plotter = pv.Plotter(off_screen=True, window_size=list(size), border=False, **options)
    plotter.set_background("white")
    plotter.enable_anti_aliasing("ssaa")
    return plotter


def look_at(plotter: Any, dim: int, margin: float, up: float = 0.0) -> None:
    """Fit the view to all bodies: plane ones from above, solids from a corner, both without perspective.

    `margin` is the size of the view relative to the bodies; `up` moves the picture up by this part of the view.
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


def save_picture(plotter: Any, path: Path) -> Path:
    """Write the picture of the plotter, and close it."""
    try:
        with writing(path):
            plotter.screenshot(str(path))
    finally:
        plotter.close()
    return path


def prepare_picture(path: Path) -> ModuleType:
    """PyVista, after a check that the picture can be written."""
    pv = require_package("pyvista")
    require_writable(path.parent)
    return pv
