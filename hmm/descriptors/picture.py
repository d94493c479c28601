"""The picture of a description."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hmm.io import require_writable
from hmm.plot import INK, PHASE_COLOURS, require_package

if TYPE_CHECKING:
    from hmm.descriptors.describe import Description

LINE_COLOURS = ("#7b93ab", *PHASE_COLOURS[1:])
"""As for areas, but dark enough for lines."""


def draw(description: Description, path: Path) -> Path:
    """Image, correlations, chords and orientation side by side."""
    require_writable(path.parent)
    require_package("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.5, 8.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 3, width_ratios=(1.75, 1, 1))
    _draw_image(figure, grid[:, 0], description)
    _draw_correlations(figure.add_subplot(grid[0, 1]), description)
    _draw_orientation(figure.add_subplot(grid[0, 2]), description)
    _draw_chords(figure, [grid[1, 1], grid[1, 2]], description)
    figure.savefig(path, dpi=130)
    return path


def _draw_image(figure: Any, place: Any, description: Description) -> None:
    """The image, or of a solid the three faces of its middle, with a legend of fractions."""
    from matplotlib.patches import Patch

    names = list(description.phases)
    labels = description.labels
    number = np.full(labels.shape, np.nan)
    for k, label in enumerate(description.labels_of_phases.values()):
        number[labels == label] = k % len(PHASE_COLOURS)
    part = place.subgridspec(2, 1, height_ratios=(1, 0.12))
    if labels.ndim == 2:
        _show(figure.add_subplot(part[0]), number, "x", "y")
    else:
        quarters = part[0].subgridspec(2, 2)
        middle = [n // 2 for n in labels.shape]
        for spot, axis in (((0, 0), 2), ((0, 1), 0), ((1, 0), 1)):
            a, b = (k for k in range(3) if k != axis)
            axes = figure.add_subplot(quarters[spot])
            _show(axes, np.take(number, middle[axis], axis), "xyz"[a], "xyz"[b])
            axes.set_title(f"{'xyz'[axis]} = {middle[axis]}", fontsize=10, color=INK)
    legend = figure.add_subplot(part[1])
    legend.axis("off")
    patches = [
        Patch(color=PHASE_COLOURS[k % len(PHASE_COLOURS)], label=f"{name}  {100 * phase.fraction:.1f} %")
        for k, (name, phase) in enumerate(description.phases.items())
    ]
    legend.legend(handles=patches, loc="center", ncols=min(len(names), 3), frameon=False, fontsize=12)


def _show(axes: Any, number: Any, x: str, y: str) -> None:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(PHASE_COLOURS)
    extent = (0, number.shape[0], 0, number.shape[1])
    axes.imshow(
        number.T, origin="lower", cmap=colours, vmin=-0.5, vmax=len(PHASE_COLOURS) - 0.5, extent=extent,
        interpolation="nearest",
    )  # fmt: skip
    axes.set_xlabel(f"{x} in voxels")
    axes.set_ylabel(f"{y} in voxels")


def _draw_correlations(axes: Any, description: Description) -> None:
    for colour, (name, phase) in zip(_colours(description), description.phases.items(), strict=True):
        r, S2 = phase.correlation
        axes.plot(r, S2, color=colour, linewidth=2.0, label=name)
        axes.axhline(phase.fraction**2, color=colour, linewidth=1.0, linestyle=":")
    _finish(axes, "two-point correlation", "distance in voxels", r"$S_2$")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.text(0.97, 0.95, "dotted: fraction²", transform=axes.transAxes, ha="right", va="top", fontsize=9, color=INK)


def _draw_chords(figure: Any, places: list[Any], description: Description) -> None:
    """Distribution of chords along x and y: the part of the chords' total length at each length."""
    longest = [np.concatenate(phase.chords) for phase in description.phases.values()]
    together = np.concatenate(longest) if longest else np.zeros(0)
    limit = float(np.quantile(together, 0.995)) + 2 if together.size else 1.0
    first = None
    for axis, place in enumerate(places):
        axes = first = figure.add_subplot(place, sharey=first)
        for colour, phase in zip(_colours(description), description.phases.values(), strict=True):
            lengths = phase.chords[axis]
            if lengths.size:
                share = np.bincount(lengths) * np.arange(lengths.max() + 1.0) / lengths.sum()
                axes.plot(np.arange(1, len(share)), share[1:], color=colour, linewidth=1.6)
                axes.axvline(lengths.mean(), color=colour, linewidth=1.0, linestyle=":")
        _finish(axes, f"chords along {'xyz'[axis]}", "length in voxels", "share of the length" if axis == 0 else "")
        axes.set_xlim(0, limit)
        axes.set_ylim(bottom=0)
        if axis == 1:
            axes.text(0.97, 0.95, "dotted: mean", transform=axes.transAxes, ha="right", va="top", fontsize=9, color=INK)


def _draw_orientation(axes: Any, description: Description) -> None:
    """Diagonal of the tensor of the normals, as bars about the isotropic value."""
    dim = description.labels.ndim
    width = 0.8 / len(description.phases)
    for k, (colour, phase) in enumerate(zip(_colours(description), description.phases.values(), strict=True)):
        at = np.arange(dim) + (k - 0.5 * (len(description.phases) - 1)) * width
        axes.bar(at, np.diag(phase.orientation), 0.9 * width, color=colour)
    axes.axhline(1 / dim, color=INK, linewidth=1.0, linestyle=":")
    _finish(axes, "normals of the interface", "", r"$\langle n_i^2 \rangle$")
    axes.set_xticks(range(dim), [f"{'xyz'[axis]}" for axis in range(dim)])
    axes.set_ylim(0, 1)
    axes.text(0.97, 0.95, "dotted: isotropic", transform=axes.transAxes, ha="right", va="top", fontsize=9, color=INK)


def _colours(description: Description) -> list[str]:
    return [LINE_COLOURS[k % len(LINE_COLOURS)] for k in range(len(description.phases))]


def _finish(axes: Any, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
