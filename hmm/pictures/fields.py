"""Fields on a plane macro mesh: colours, streamlines and contours, in one panel or several."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

import basix
import numpy as np
import ufl
from dolfinx.mesh import Mesh
from numpy.typing import NDArray

from hmm.foundation.errors import InputError, collectively, writing
from hmm.foundation.files import require_writable
from hmm.foundation.forms import compile_expression
from hmm.foundation.options import positive
from hmm.pictures.figure import new_figure
from hmm.pictures.style import COLOURS, INK

Floats = NDArray[np.float64]
Expression = ufl.core.expr.Expr
Panels = Expression | Mapping[str, Expression]

CORNERS = {
    basix.CellType.triangle: [[0, 1, 3], [1, 4, 3], [1, 2, 4], [3, 4, 5]],
    basix.CellType.quadrilateral: [[a, *b] for a in (0, 1, 3, 4) for b in ((a + 1, a + 4), (a + 4, a + 3))],
}
"""Triangles between the points of a lattice with two intervals per edge, on each type of element."""

BENEATH_LINES, LINE = "YlGnBu_r", "#b3261e"

LINES = 140
"""Points of the grid on which streamlines and contours are followed, along the longer edge."""


def plot_field(
    path: str | Path,
    field: Panels,
    *,
    label: str,
    streamlines: Panels | None = None,
    contours: Panels | None = None,
    displacement: Expression | None = None,
    warp: float = 1.0,
    log: bool = False,
    colours: str | None = None,
    xlabel: str = "x",
    ylabel: str = "y",
) -> Path:
    """Draw a scalar field on a plane mesh, with streamlines and lines of equal value on request (collective).

    Parameters
    ----------
    path
        The ``.png`` file.
    field
        A scalar: a Function or another UFL expression, such as a component of the strain. A dictionary of them by
        title gives panels side by side, which share the range of colours; each may be on a mesh of its own.
    label
        Title of the colour bar, with the unit.
    streamlines
        A vector whose streamlines are drawn, wider where it is longer; with several panels a dictionary by title.
        Panels that are not named have none.
    contours
        A scalar whose lines of equal value are drawn, likewise.
    displacement, warp
        A vector that moves the mesh, and its factor; not together with streamlines or contours.
    log
        Whether the colours have a logarithmic scale; the field is then positive.
    colours
        A colour map of Matplotlib; by default ``"viridis"``, and ``"YlGnBu_r"`` beneath streamlines.
    xlabel, ylabel
        Labels of the axes, with units.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    EnvironmentMismatch
        On all ranks, if Matplotlib is not installed.
    InputError
        On all ranks, for a mesh in 3D, fields of a wrong shape, titles that no field has, or values that are not
        positive on a logarithmic scale.
    """
    path = Path(path)
    factor = positive("warp", warp)
    panels = [
        _Panel.of(title, one, _of(streamlines, title), _of(contours, title), displacement, factor)
        for title, one in _checked(field, streamlines, contours, displacement).items()
    ]
    comm = panels[0].comm
    with collectively(comm):
        if comm.rank == 0:
            require_writable(path.parent)
            chosen = colours or (COLOURS if streamlines is None else BENEATH_LINES)
            _draw(path, panels, label, log, chosen, (xlabel, ylabel))
    return path


def _checked(
    field: Panels, streamlines: Panels | None, contours: Panels | None, displacement: Expression | None
) -> Mapping[str, Expression]:
    """The fields by title, after a check of shapes and titles."""
    titled = field if isinstance(field, Mapping) else {"": field}
    if not titled:
        raise InputError("field is empty: give a scalar, or a dictionary of scalars by title")
    if displacement is not None and (streamlines is not None or contours is not None):
        raise InputError("a field with a displacement has no streamlines or contours: draw them in another picture")
    for name, given, shape in (("field", field, ()), ("streamlines", streamlines, (2,)), ("contours", contours, ())):
        for title, one in (given if isinstance(given, Mapping) else {"": given}).items():
            if isinstance(given, Mapping) and title not in titled:
                raise InputError(f"{name}: no field has the title {title!r}: the titles are {', '.join(titled)}")
            if one is not None and getattr(one, "ufl_shape", None) != shape:
                found = getattr(one, "ufl_shape", type(one).__name__)
                raise InputError(f"{name} must be a UFL expression of shape {shape}, not {found}")
    return titled


def _of(given: Panels | None, title: str) -> Expression | None:
    """What belongs to a title."""
    return given.get(title) if isinstance(given, Mapping) else given


@dataclass(frozen=True)
class _Panel:
    """What is drawn in one panel: triangles with values at their corners; complete on rank 0 only."""

    comm: MPI.Comm
    title: str
    x: Floats
    values: Floats
    vector: Floats | None
    level: Floats | None

    @classmethod
    def of(
        cls,
        title: str,
        field: Expression,
        vector: Expression | None,
        level: Expression | None,
        displacement: Expression | None,
        warp: float,
    ) -> _Panel:
        """Evaluate at the corners of the triangles of each rank, and gather."""
        mesh = _mesh_of(field)
        place = ufl.SpatialCoordinate(mesh)
        place = place if displacement is None else place + warp * displacement
        parts = [place, field, *(part for part in (vector, level) if part is not None)]
        found = mesh.comm.gather(_at_corners(mesh, parts)) or [np.zeros((0, 3, 6))]
        rows = np.concatenate(found)
        n = 3 if vector is None else 5
        return cls(
            mesh.comm,
            title,
            rows[..., :2],
            rows[..., 2],
            None if vector is None else rows[..., 3:5],
            None if level is None else rows[..., n],
        )

    def on_grid(self, values: Floats) -> tuple[Floats, Floats, Any]:
        """Grid lines along x and y, and values there, shape (n_y, n_x, k), masked outside of the mesh."""
        tri = importlib.import_module("matplotlib.tri")
        low, size = self.x.min(axis=(0, 1)), np.ptp(self.x, axis=(0, 1))
        nx, ny = np.maximum(2, np.ceil(LINES * size / size.max()).astype(int))
        x, y = np.linspace(low[0], low[0] + size[0], nx), np.linspace(low[1], low[1] + size[1], ny)
        corners = np.round((self.x.reshape(-1, 2) - low) / size.max(), 9)
        _, first, number = np.unique(corners, axis=0, return_index=True, return_inverse=True)
        body = tri.Triangulation(*self.x.reshape(-1, 2)[first].T, number.reshape(-1, 3))
        columns = values.reshape(len(corners), -1)[first].T
        return x, y, np.ma.stack([tri.LinearTriInterpolator(body, z)(*np.meshgrid(x, y)) for z in columns], axis=-1)


def _mesh_of(field: Expression) -> Mesh:
    """The plane mesh of an expression."""
    domain: Any = ufl.domain.extract_unique_domain(field)
    if domain is None:
        raise InputError("field contains nothing on a mesh: give a Function, or an expression with one")
    cargo = domain.ufl_cargo()
    mesh = cargo if isinstance(cargo, Mesh) else Mesh(cargo, domain)
    if mesh.geometry.dim != 2 or mesh.basix_cell() not in CORNERS:
        raise InputError(f"plot_field draws plane meshes, not {mesh.geometry.dim}D: write the field with hmm.Output")
    return mesh


def _at_corners(mesh: Mesh, parts: list[Expression]) -> Floats:
    """Values of the parts at the corners of the triangles in the own elements, shape (n, 3, number of components)."""
    triangles = CORNERS[mesh.basix_cell()]
    points: Floats = np.array(basix.create_lattice(mesh.basix_cell(), 2, basix.LatticeType.equispaced, True))
    scalars = [p if p.ufl_shape == () else p[i] for p in parts for i in range(int(np.prod(p.ufl_shape)))]
    own = np.arange(mesh.topology.index_map(2).size_local, dtype=np.int32)
    found = compile_expression(ufl.as_vector(scalars), points).eval(mesh, own)
    return found.reshape(len(own), len(points), -1)[:, triangles].reshape(-1, 3, len(scalars))


def _draw(path: Path, panels: list[_Panel], label: str, log: bool, colours: str, names: tuple[str, str]) -> None:
    low, high = min(p.values.min() for p in panels), max(p.values.max() for p in panels)
    if log and low <= 0:
        raise InputError(f"log=True needs a positive field, but its least value is {low:.3g}")
    shape = float(np.median([np.ptp(p.x[..., 1]) / np.ptp(p.x[..., 0]) for p in panels]))
    width = 13.0 / len(panels) if len(panels) > 1 else (9.0 if shape < 0.7 else 6.2)
    figure = new_figure(width * len(panels), float(np.clip(shape * (width - 1.2) + 1.0, 2.6, 9.0)))
    for axes, panel in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        drawn = axes.tripcolor(
            *panel.x.reshape(-1, 2).T,
            np.arange(3 * len(panel.x)).reshape(-1, 3),
            panel.values.ravel(),
            cmap=colours,
            shading="gouraud",
            norm="log" if log else None,
            clim=(low, high) if high > low else None,
        )
        _add_lines(axes, panel)
        (left, right), (bottom, top) = ((panel.x[..., k].min(), panel.x[..., k].max()) for k in (0, 1))
        axes.set(aspect="equal", xlim=(left, right), ylim=(bottom, top))
        axes.set(xlabel=names[0], ylabel=names[1], title=panel.title)
        axes.spines[["top", "right"]].set_visible(False)
    figure.colorbar(drawn, ax=figure.axes, label=label, shrink=0.9, pad=0.02)
    with writing(path):
        figure.savefig(path, dpi=150)


def _add_lines(axes: Any, panel: _Panel) -> None:
    """Streamlines and lines of equal value."""
    if panel.vector is not None:
        x, y, vector = panel.on_grid(panel.vector)
        speed = np.ma.hypot(vector[..., 0], vector[..., 1])
        style = {"density": 0.7, "arrowsize": 0.8, "broken_streamlines": False, "color": LINE}
        widths = 0.3 + 1.5 * np.sqrt(speed / speed.max()).filled(0.0)
        axes.streamplot(x, y, vector[..., 0], vector[..., 1], linewidth=widths, **style)
    if panel.level is not None:
        x, y, level = panel.on_grid(panel.level)
        lines = axes.contour(x, y, level[..., 0], levels=9, colors=INK, linewidths=0.8, linestyles="dashed")
        axes.clabel(lines, fontsize=8)
