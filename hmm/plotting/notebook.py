"""Views for Jupyter: a cell that can be turned, and a slider that shows the RVE of one macro point after the other."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike

from hmm.cells.cell import Cell
from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.worst_point import WorstPoint
from hmm.foundation.errors import InputError
from hmm.foundation.naming import require_known
from hmm.foundation.options import instance
from hmm.micro.local_fields import LocalFields
from hmm.pictures.canvas import save_picture
from hmm.pictures.cells import cell_plotter, drawing_of_mesh, rve_plotter
from hmm.pictures.packages import missing_package
from hmm.plotting.fe2 import plot_fe2

BACKENDS = ("trame", "html", "static")


class StaticView:
    """A picture that a notebook shows.

    Attributes
    ----------
    png
        The bytes of the PNG file.
    """

    def __init__(self, png: bytes) -> None:
        self.png = png

    def _repr_png_(self) -> bytes:
        return self.png


def interactive(
    cell: Cell,
    fields: LocalFields | None = None,
    variable: str = "von_mises",
    *,
    label: str | None = None,
    warp: float | None = None,
    backend: str | None = None,
) -> Any:
    """Show a cell, or the fields in it, in a notebook: with the mouse you turn it and zoom in.

    Parameters
    ----------
    cell
        The unit cell, on one rank.
    fields
        Its fields, from `hmm.local_fields` or `hmm.point_fields`. Without them the phases are shown.
    variable
        The scalar field that colours the deformed RVE.
    label
        Title of the colour bar; `variable` by default.
    warp
        Factor of the displacements; by default a round number that makes them visible.
    backend
        ``"trame"``: drawn by the kernel, for large cells. ``"html"``: a view that the browser draws, and that stays
        in the notebook when it is saved or converted. ``"static"``: a picture. By default ``"trame"`` in a Jupyter
        kernel if the extra ``jupyter`` is installed, and otherwise a picture.

    Returns
    -------
    object
        What Jupyter shows if it is the last line of a notebook's cell: a widget, or a picture with the PNG in its
        attribute ``png``.

    Raises
    ------
    EnvironmentMismatch
        If PyVista, or what the requested backend needs, is not installed.
    InputError
        If there is no such backend or field, or the cell is on several ranks.
    """
    instance("cell", cell, Cell, "make it with hmm.cells")
    if cell.comm.size > 1:
        raise InputError(f"a cell on {cell.comm.size} ranks has no view in a notebook: draw it with plot_cell")
    if backend is not None:
        require_known("backend", backend, BACKENDS)
    chosen = backend or ("trame" if _in_kernel() and _has_trame() else "static")
    if chosen != "static" and not _has_trame():
        raise missing_package("PyVista's views for notebooks", "they are not installed", "jupyter")
    options = {"notebook": True} if chosen != "static" else {}
    if fields is None:
        plotter = cell_plotter(drawing_of_mesh(cell), cell.volume_fractions, **options)
    else:
        plotter = rve_plotter(cell, fields, variable, label, warp, **options)
    if chosen == "static":
        return StaticView(_bytes(lambda path: save_picture(plotter, path)))
    return plotter.show(jupyter_backend=chosen, return_viewer=True)


def explore(
    hom: Homogenizer,
    u: fem.Function,
    values: ArrayLike,
    *,
    label: str,
    variable: str = "p",
    variable_label: str | None = None,
    warp: float | None = None,
) -> Any:
    """A slider over the macro points that shows where each is and the RVE inside it, in a notebook.

    The points are in the order of their values: the slider begins at the point with the largest one.

    Parameters
    ----------
    hom
        The homogenizer, on one rank.
    u, values, label, variable, variable_label, warp
        As in `plot_fe2`, which draws.

    Returns
    -------
    ipywidgets.VBox
        The slider, the value of its point, and the picture.

    Raises
    ------
    EnvironmentMismatch
        If ipywidgets or PyVista is not installed.
    InputError
        If the program runs on several ranks, there is not one value for each point, or the RVEs have no such variable.
    """
    if hom.comm.size > 1:
        raise InputError(f"a slider works on one rank, not on {hom.comm.size}: draw single points with plot_fe2")
    array = np.asarray(values, dtype=float).ravel()
    if array.size != hom.n_points:
        raise InputError(f"values have {array.size} numbers: give one for each of {hom.n_points} points")
    order, x, drawn = np.argsort(-array, kind="stable"), hom.coordinates(), {}
    titles: dict[str, Any] = {"label": label, "variable": variable, "variable_label": variable_label, "warp": warp}

    def picture(place: int) -> bytes:
        if place not in drawn:
            p = int(order[place])
            rank, point = hom.ensemble.locate(hom.comm.rank, hom.rows.main(p))
            where = WorstPoint(rank, point, tuple(x[p].tolist()), float(array[p]))
            drawn[place] = _bytes(lambda path: plot_fe2(path, hom, u, array, where, **titles))
        return drawn[place]

    return _slider(picture, len(order), [f"{array[p]:.4g}" for p in order], label)


def _slider(picture: Callable[[int], bytes], n: int, words: list[str], label: str) -> Any:
    """A slider from 0 to n - 1, the value there in words, and the picture."""
    try:
        widgets = importlib.import_module("ipywidgets")
    except ImportError as error:
        raise missing_package("ipywidgets", str(error), "jupyter") from None
    slider = widgets.IntSlider(value=0, min=0, max=n - 1, description="Point", continuous_update=False)
    note, image = widgets.Label(), widgets.Image(format="png", width=760)

    def show(place: int) -> None:
        note.value, image.value = f"{label}: {words[place]}", picture(place)

    slider.observe(lambda change: show(change["new"]), names="value")
    show(0)
    return widgets.VBox([widgets.HBox([slider, note]), image])


def _bytes(draw: Callable[[Path], object]) -> bytes:
    """The bytes of a picture that a function draws into a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        draw(path)
        return path.read_bytes()


def _in_kernel() -> bool:
    """Whether the program runs in a Jupyter kernel."""
    shell: Any = sys.modules["IPython"].get_ipython() if sys.modules.get("IPython") else None
    return getattr(shell, "kernel", None) is not None


def _has_trame() -> bool:
    """Whether PyVista's views for notebooks have what they need; since PyVista 0.49 they are a package of their own."""
    names = ["ipywidgets", "trame", "trame_vtk"]
    if tuple(map(int, version("pyvista").split(".")[:2])) >= (0, 49):
        names.append("trame_pyvista")
    return all(importlib.util.find_spec(name) is not None for name in names)
