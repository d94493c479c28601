"""Young's modulus, or a conductivity, over all directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.effective.constants import shear_moduli
from hmm.effective.data import EffectiveData
from hmm.effective.table import unit_words
from hmm.foundation.errors import InputError, writing
from hmm.foundation.files import require_writable
from hmm.pictures.canvas import horizontal_bar, look_at, new_plotter, save_picture
from hmm.pictures.figure import new_figure
from hmm.pictures.packages import require_package
from hmm.pictures.style import COLOURS, INK

YOUNG, SHEAR = "#1f4e79", "#e07b39"


def can_be_drawn(found: EffectiveData) -> bool:
    """Whether there is a value in every direction."""
    return bool(np.isfinite(found.extremes.highest) and found.extremes.highest > 0)


def draw_properties(found: EffectiveData, path: Path) -> Path:
    """A surface in 3D, a polar diagram in 2D."""
    require_writable(path.parent)
    if not can_be_drawn(found):
        raise InputError(f"the {found.quantity} has no value in some directions: it cannot be drawn")
    return (_draw_plane if found.dim == 2 else _draw_space)(found, path)


def _draw_plane(found: EffectiveData, path: Path) -> Path:
    """Curves over the angle, symmetry axes dashed."""
    figure = new_figure(7.0, 6.0)
    _draw_curves(figure.add_subplot(projection="polar"), found)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=11)
    with writing(path):
        figure.savefig(path, dpi=140)
    return path


def _draw_curves(axes: Any, found: EffectiveData) -> None:
    from matplotlib.ticker import MaxNLocator

    angle = np.linspace(0, 2 * np.pi, 721)
    n = np.column_stack([np.cos(angle), np.sin(angle)])
    values = found.along(n)
    axes.plot(angle, values, color=YOUNG, linewidth=2.2, label=_title(found))
    top = values.max()
    if found.is_stiffness:
        shear = shear_moduli(found.tensor, n, np.column_stack([-n[:, 1], n[:, 0]]))
        axes.plot(angle, shear, color=SHEAR, linewidth=2.2, label=f"shear modulus, {_unit(found)}")
        top = max(top, shear.max())
    if found.symmetry.name not in ("isotropic", "oblique"):
        for axis in found.symmetry.axes:
            direction = np.arctan2(axis[1], axis[0])
            for side in (direction, direction + np.pi):
                axes.plot([side, side], [0, 1.05 * top], color=INK, linewidth=1.0, linestyle="--", zorder=1)
        axes.plot([], [], color=INK, linewidth=1.0, linestyle="--", label="symmetry axes")
    axes.set_ylim(0, 1.05 * top)
    choices = [[t for t in MaxNLocator(n).tick_values(0, top) if 0 < t <= 1.05 * top] for n in (4, 3, 5)]
    curves = np.array([line.get_ydata()[:-1] for line in axes.lines if len(line.get_ydata()) == len(angle)])
    quiet = [_quiet_angle(ticks, curves, np.asarray(found.symmetry.axes)[:, :2]) for ticks in choices]
    best = int(np.argmax([distance for distance, _ in quiet]))
    ticks = choices[best]
    axes.set_rlabel_position(quiet[best][1])
    axes.set_rticks(ticks, [f"{tick:.4g}" for tick in ticks])
    for label in axes.get_yticklabels():  # in front of the curves
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0})
    axes.set_axisbelow(False)
    axes.tick_params(colors=INK, labelsize=10)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines["polar"].set_color("#bbbbbb")
    axes.set_title(f"{found.symmetry.name}, {found.constraint}", fontsize=12, color=INK, pad=14)


def _draw_space(found: EffectiveData, path: Path) -> Path:
    """The surface ``r(n) = value(n)``, coloured by the value, in a box of the given axes."""
    pv = require_package("pyvista")
    n = _sphere(241, 241)
    values = found.along(n)
    surface = pv.StructuredGrid(*np.moveaxis(values[..., None] * n, -1, 0)).extract_surface(algorithm=None)
    low, high = float(values.min()), float(values.max())
    limits = (low, high) if high - low > 1e-6 * high else (0.99 * low, 1.01 * high)
    plotter = new_plotter(pv, (1100, 1000))
    points = np.asarray(surface.points)
    plotter.add_mesh(
        surface,
        scalars=np.linalg.norm(points, axis=1),
        clim=limits,
        cmap=COLOURS,
        smooth_shading=True,
        ambient=0.35,
        diffuse=0.7,
        scalar_bar_args=horizontal_bar(_title(found), 0.22, 0.03, 0.56),
    )
    _add_axes(pv, plotter, 1.3 * high)
    plotter.add_text(
        f"{found.symmetry.name}, {found.constraint}", position=(0.03, 0.95), viewport=True, font_size=12, color=INK
    )
    look_at(plotter, 3, 0.8, 0.07)
    return save_picture(plotter, path)


def _add_axes(pv: Any, plotter: Any, reach: float) -> None:
    """The given axes as lines through the surface, with their numbers at the ends."""
    ends = reach * np.eye(3)
    for end in ends:
        plotter.add_mesh(pv.Line(-end, end), color=INK, line_width=2.0, lighting=False)
    plotter.add_point_labels(
        1.07 * ends,
        ["axis 1", "axis 2", "axis 3"],
        font_size=22,
        text_color=INK,
        shape=None,
        show_points=False,
        always_visible=True,
        justification_horizontal="center",
        justification_vertical="center",
    )


def _sphere(n_polar: int, n_around: int) -> NDArray[np.float64]:
    """Unit vectors over a grid of polar and azimuthal angles, shape (n_polar, n_around, 3)."""
    polar, around = np.meshgrid(np.linspace(0, np.pi, n_polar), np.linspace(0, 2 * np.pi, n_around), indexing="ij")
    return np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)


def _title(found: EffectiveData) -> str:
    return f"{"Young's modulus" if found.is_stiffness else found.quantity}, {_unit(found)}"


def _unit(found: EffectiveData) -> str:
    return f"in {unit_words(found)}"


def _quiet_angle(ticks: list[float], curves: NDArray[np.float64], axes: NDArray[np.float64]) -> tuple[float, float]:
    """The distance of the numbers of the circles from the curves where it is largest, and the angle there in degrees.

    Parameters
    ----------
    ticks
        Radii of the circles.
    curves
        Shape (n_curves, 720); radii at each half of a degree.
    axes
        Shape (k, 2); directions of the symmetry axes.
    """
    nearest = np.abs(curves[:, None] - np.array(ticks)[:, None]).min(axis=(0, 1))
    nearest = np.min([np.roll(nearest, shift) for shift in range(-12, 13)], axis=0)  # a number is some degrees wide
    angles = np.arange(720) / 2
    for axis in [*axes, (1.0, 0.0), (0.0, 1.0)]:
        off = (angles - np.degrees(np.arctan2(axis[1], axis[0]))) % 180
        nearest[np.minimum(off, 180 - off) < 9] = -1.0
    return float(nearest.max()), float(angles[nearest.argmax()])
