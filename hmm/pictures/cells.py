"""Pictures of unit cells and of the fields in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from dolfinx.plot import vtk_mesh
from numpy.typing import NDArray

from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.forms import owned_cells
from hmm.micro.local_fields import LocalFields
from hmm.pages import Scene, scene_of
from hmm.pictures.canvas import (
    CROWDED,
    add_body,
    add_directions,
    add_legend,
    add_lines,
    add_outlines,
    border_of,
    cut_open,
    edges_of,
    horizontal_bar,
    inclusions,
    light_of,
    look_at,
    new_plotter,
    prepare_picture,
    save_picture,
    surface_of,
)
from hmm.pictures.drawing import Drawing
from hmm.pictures.packages import require_package
from hmm.pictures.style import FIELD_COLOURS, INK, phase_colours


def plot_rve(
    path: str | Path,
    cell: Cell,
    fields: LocalFields,
    variable: str,
    *,
    label: str | None = None,
    warp: float | None = None,
    quantile: float | None = None,
    pixels: int = 900,
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
        Factor of the displacements; by default a round number that makes them visible.
    quantile
        Part of the elements that the range of colours covers; larger values have the last colour. By default all, and
        in solids 0.99: a few large values would leave the others dark.
    pixels
        Edge of the picture; texts have a fixed size, so that a small picture has larger ones.
    """
    path = Path(path)
    prepare_picture(path)
    return save_picture(rve_plotter(cell, fields, variable, label, warp, quantile, pixels), path)


def rve_plotter(
    cell: Cell,
    fields: LocalFields,
    variable: str,
    label: str | None = None,
    warp: float | None = None,
    quantile: float | None = None,
    pixels: int = 900,
    **options: Any,
) -> Any:
    """A PyVista plotter with the picture of `plot_rve`; `options` are of the plotter."""
    pv = require_package("pyvista")
    drawing = drawing_of_fields(cell, fields, variable)
    plotter = new_plotter(pv, (pixels, pixels), **options)
    whole = drawing.grid(pv, drawing.warp_factor() if warp is None else warp)
    grid = cut_open(whole, _whole(cell), is_woven(cell))
    if is_woven(cell):
        plotter.add_mesh(whole.outline(), color=INK, line_width=1.5, lighting=False)
    bar = horizontal_bar(label or variable, 0.2, 0.03, 0.6)
    part = (1.0 if cell.dim == 2 else 0.99) if quantile is None else quantile
    add_body(plotter, grid, variable, bar, FIELD_COLOURS, part)
    add_outlines(plotter, grid)
    look_at(plotter, cell.dim, 1.35, 0.06)
    return plotter


def plot_cell(path: str | Path, cell: Cell) -> Path:
    """Draw the mesh of a unit cell with one colour for each phase (collective on the cell's communicator).

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
            prepare_picture(path)
    parts = cell.comm.gather(drawing_of_mesh(cell))
    with collectively(cell.comm):
        if parts is not None:
            save_picture(cell_plotter(Drawing.joined(parts), fractions), path)
    return path


def cell_scene(cell: Cell) -> Scene | None:
    """A solid cell as surfaces of its phases that can be turned; None for a plane one (collective).

    The matrix is cut open and inclusions are whole, as in `plot_cell`. Rank 0 returns the scene.
    """
    names, fractions = list(cell.phases), cell.volume_fractions
    parts = cell.comm.gather(drawing_of_mesh(cell))
    if parts is None or cell.dim == 2:
        return None
    grid = Drawing.joined(parts).grid(require_package("pyvista"), 0.0)
    grid.cell_data["phase"] = grid.cell_data["number"]
    grid = cut_open(grid, inclusions(names, [fractions[name] for name in names]), is_woven(cell))
    numbers, colours = grid.cell_data["phase"], phase_colours(len(names))
    bodies = [
        (name, colours[k], surface_of(grid.extract_cells(np.flatnonzero(numbers == k)))) for k, name in enumerate(names)
    ]
    return scene_of(bodies)


def is_woven(cell: Cell) -> bool:
    """Whether a solid has yarns, which would be hidden by their matrix and are drawn without it."""
    return cell.dim == 3 and cell.rotation is not None and bool(cell.fibres)


def _whole(cell: Cell) -> list[int]:
    """Tags of the phases that stay whole in a solid that is cut open."""
    names, fractions = list(cell.phases), cell.volume_fractions
    return [cell.phases[names[k]] for k in inclusions(names, [fractions[name] for name in names])]


def drawing_of_mesh(cell: Cell) -> Drawing:
    """The elements that this rank owns, and the number of the phase of each."""
    cells, types, points = vtk_mesh(cell.mesh)
    numbers = np.zeros(len(types))
    for k, tag in enumerate(cell.phases.values()):
        own = cell.phase_tags.find(tag)
        numbers[own[own < len(types)]] = k
    values = {"number": numbers} | ({"along": _directions(cell, len(types))} if is_woven(cell) else {})
    return Drawing(cells, types, points, np.zeros_like(points), values)


def _directions(cell: Cell, n: int) -> NDArray[np.float64]:
    """The direction of the fibres in each of n elements, shape (n, 3)."""
    found = np.zeros((n, 3))
    assert cell.rotation is not None
    R = cell.rotation.x.array.reshape(-1, 3, 3)
    for phase, orientation in cell.fibres.items():
        own = cell.phase_tags.find(cell.phases[phase])
        own = own[own < n]
        found[own] = R[own] @ np.linalg.eigh(np.asarray(orientation))[1][:, -1]
    return found


def cell_plotter(drawing: Drawing, fractions: Mapping[str, float], **options: Any) -> Any:
    """A PyVista plotter with the picture of `plot_cell`; `options` are of the plotter."""
    pv, n = require_package("pyvista"), len(fractions)
    plotter = new_plotter(pv, (900, 900), **options)
    whole = drawing.grid(pv, 0.0)
    whole.cell_data["phase"] = whole.cell_data["number"]
    woven = "along" in whole.cell_data
    grid = cut_open(whole, inclusions(list(fractions), list(fractions.values())), woven)
    colours = phase_colours(n)
    style = {"cmap": colours, "clim": (-0.5, n - 0.5), **light_of(grid)}
    plotter.add_mesh(surface_of(grid), scalars="number", show_scalar_bar=False, **style)
    if woven:
        add_directions(plotter, grid, "along")
        plotter.add_mesh(whole.outline(), color=INK, line_width=1.5, lighting=False)
    elif grid.n_cells <= CROWDED:
        add_lines(plotter, edges_of(grid), color=INK, line_width=0.8, opacity=0.6)
    if drawing.dim == 2:
        add_lines(plotter, border_of(grid), color=INK, line_width=2.5)
    look_at(plotter, drawing.dim, 1.3, 0.06)
    add_legend(plotter, [f"{name} {100 * fraction:.3g} %" for name, fraction in fractions.items()], colours)
    return plotter


def drawing_of_fields(cell: Cell, fields: LocalFields, variable: str) -> Drawing:
    """The RVE with its phases and one field, which is NaN in phases without it."""
    if fields.displacement.ufl_shape == () or variable not in fields.cellwise:
        names = [name for name, f in fields.cellwise.items() if f.ufl_shape == ()]
        raise InputError(f"the RVE has no displacement or no scalar field {variable!r}: its fields are {names}")
    n = owned_cells(fields.mesh).size
    values = fields.cellwise[variable].x.array[:n].copy()
    values[~np.isin(fields.cellwise["phase"].x.array[:n], [cell.phases[p] for p in fields.phases[variable]])] = np.nan
    return Drawing.of(fields.displacement, {"phase": fields.cellwise["phase"].x.array[:n].copy(), variable: values})
