"""A picture of a mesh with its named groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.pictures.canvas import (
    CROWDED,
    add_legend,
    add_lines,
    edges_of,
    light_of,
    look_at,
    new_plotter,
    prepare_picture,
    save_picture,
    surface_of,
)
from hmm.pictures.style import phase_colours

LINES, SOLIDS = (3, 21, 68), (10, 12, 24, 29, 71, 72)
"""Numbers of VTK for edges, and for tetrahedra and hexahedra."""

type VtkMesh = tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]
"""Cells, their types and points, as `dolfinx.plot.vtk_mesh` returns them."""


def draw_groups(path: str | Path, body: VtkMesh, groups: Mapping[str, VtkMesh], dim: int) -> Path:
    """Draw a mesh and its named groups of facets and edges in colours; not collective.

    Parameters
    ----------
    path
        The ``.png`` file.
    body
        The mesh.
    groups
        The entities of each group.
    dim
        Dimension of the mesh.
    """
    path = Path(path)
    pv = prepare_picture(path)
    grid = pv.UnstructuredGrid(*body)
    shown = {name: pv.UnstructuredGrid(*part) for name, part in groups.items() if len(part[1])}
    colours = phase_colours(len(shown) + 1)[1:]  # the first one is pale, for a matrix
    plotter = new_plotter(pv, (1200 if dim == 2 else 1800, 800), shape=(1, dim - 1))
    for view in range(dim - 1):  # a solid from two opposite corners
        plotter.subplot(0, view)
        plotter.add_mesh(surface_of(grid), color="#eef1f4", **light_of(grid))
        if grid.n_cells <= CROWDED:
            add_lines(plotter, edges_of(grid), color="#8a97a3", line_width=0.8)
        for part, colour in zip(shown.values(), colours, strict=True):
            _add_group(plotter, part, colour, dim)
        width, height = np.ptp(np.reshape(grid.bounds, (3, 2)), axis=1)[:2]
        look_at(plotter, dim, 1.3 * max(height, width / 1.5) / max(width, height) if dim == 2 else 1.3, 0.08)
        if view:
            plotter.camera.position = 2 * np.array(plotter.camera.focal_point) - np.array(plotter.camera.position)
        if shown and not view:
            add_legend(plotter, list(shown), colours)
    return save_picture(plotter, path)


def _add_group(plotter: Any, part: Any, colour: str, dim: int) -> None:
    """The facets, edges or cells of a group, in front of the body."""
    if part.celltypes[0] in LINES:
        add_lines(plotter, part, color=colour, line_width=7)
        return
    of_cells = part.celltypes[0] in SOLIDS or dim == 2
    mapper = plotter.add_mesh(part, color=colour, opacity=0.25 if of_cells else 1.0, lighting=False).mapper
    mapper.SetResolveCoincidentTopologyToPolygonOffset()
    mapper.SetRelativeCoincidentTopologyPolygonOffsetParameters(0.0, -4.0)
