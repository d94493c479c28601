"""A picture of the cubature points in the cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmm.pictures.canvas import add_lines, edges_of, look_at, new_plotter, prepare_picture, save_picture
from hmm.pictures.cells import drawing_of_mesh
from hmm.pictures.style import INK, PHASE_COLOURS
from hmm.reduced.model import ReducedModel


def plot_points(path: str | Path, model: ReducedModel) -> Path:
    """Draw the cubature points of a reduced model in its cell, each as large as its weight. Not collective.

    Phases without points have a linear law and are integrated exactly.

    Parameters
    ----------
    path
        The ``.png`` file.
    model
        The model.
    """
    path, cell = Path(path), model.rve.cell
    pv = prepare_picture(path)
    plotter = new_plotter(pv, (900, 900))
    add_lines(plotter, edges_of(drawing_of_mesh(cell).grid(pv, 0.0)), color=INK, line_width=1.0, opacity=0.3)
    names = list(cell.phases)
    for name, p in model.reduction.phases.items():
        x = np.zeros((len(p.x), 3))
        x[:, : p.x.shape[1]] = p.x
        points = pv.PolyData(x)
        points["size"] = (p.weights / model.reduction.volume) ** (1 / cell.dim)
        balls = points.glyph(scale="size", geom=pv.Sphere(radius=0.3 * cell.volume ** (1 / cell.dim)), orient=False)
        plotter.add_mesh(balls, color=PHASE_COLOURS[names.index(name) % len(PHASE_COLOURS)])
    look_at(plotter, cell.dim, 1.3, 0.06)
    return save_picture(plotter, path)
