"""The picture of a description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmm.descriptors.data import DescriptionData
from hmm.foundation.errors import writing
from hmm.foundation.files import require_writable
from hmm.pictures.figure import new_figure
from hmm.pictures.style import INK, PHASE_COLOURS

LINE_COLOURS = ("#7b93ab", *PHASE_COLOURS[1:])
"""As for areas, but dark enough for lines."""


def draw_description(description: DescriptionData, path: Path) -> Path:
    """Image, correlations, chords and orientation side by side."""
    require_writable(path.parent)
    figure = new_figure(12.5, 7.4)
    grid = figure.add_gridspec(2, 3, width_ratios=(1.75, 1, 1))
    _draw_image(figure, grid[:, 0], description)
    _draw_correlations(figure.add_subplot(grid[0, 1]), description)
    _draw_orientation(figure.add_subplot(grid[0, 2]), description)
    _draw_chords(figure, [grid[1, 1], grid[1, 2]], description)
    with writing(path):
        figure.savefig(path, dpi=130)
    return path


def _draw_image(figure: Any, place: Any, description: DescriptionData) -> None:
    """The image, or in 3D three central sections, with a legend of fractions."""
    from matplotlib.patches import Patch

    names = list(description.phases)
    labels = description.labels
    number = np.full(labels.shape, np.nan)
    for k, label in enumerate(description.labels_of_phases.values()):
        number[labels == label] = k % len(PHASE_COLOURS)
    patches = [
        Patch(color=PHASE_COLOURS[k % len(PHASE_COLOURS)], label=f"{_literal(name)}  {100 * phase.fraction:.1f} %")
        for k, (name, phase) in enumerate(description.phases.items())
    ]
    if labels.ndim == 2:
        part = place.subgridspec(2, 1, height_ratios=(1, 0.1))
        _show(figure.add_subplot(part[0]), number, "x", "y")
        legend, columns = figure.add_subplot(part[1]), min(len(names), 3 if sum(map(len, names)) < 24 else 2)
    else:
        quarters = place.subgridspec(2, 2)
        middle = [n // 2 for n in labels.shape]
        for spot, axis in (((0, 0), 2), ((0, 1), 0), ((1, 0), 1)):
            a, b = (k for k in range(3) if k != axis)
            axes = figure.add_subplot(quarters[spot])
            _show(axes, np.take(number, middle[axis], axis), "xyz"[a], "xyz"[b])
            axes.set_title(f"{'xyz'[axis]} = {middle[axis]}", fontsize=10, color=INK)
        legend, columns = figure.add_subplot(quarters[1, 1]), 1
    legend.axis("off")
    box = legend.legend(handles=patches, loc="center", ncols=columns, frameon=False, fontsize=11, columnspacing=1.2)
    box.set_in_layout(False)  # or it would push the picture aside


def _show(axes: Any, number: Any, x: str, y: str) -> None:
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(PHASE_COLOURS)
    extent = (0, number.shape[0], 0, number.shape[1])
    limits = {"vmin": -0.5, "vmax": len(PHASE_COLOURS) - 0.5}
    axes.imshow(number.T, origin="lower", cmap=colours, extent=extent, interpolation="nearest", **limits)
    axes.set_xlabel(f"{x} in voxels")
    axes.set_ylabel(f"{y} in voxels")


def _draw_correlations(axes: Any, description: DescriptionData) -> None:
    for colour, (name, phase) in zip(_colours(description), description.phases.items(), strict=True):
        r, S2 = phase.correlation
        axes.plot(r, S2, color=colour, linewidth=2.0, label=_literal(name))
        axes.axhline(phase.fraction**2, color=colour, linewidth=1.0, linestyle=":")
    _finish(axes, "two-point correlation", "distance in voxels", r"$S_2$")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.text(0.97, 0.95, "dotted: fraction²", transform=axes.transAxes, ha="right", va="top", fontsize=9, color=INK)


def _draw_chords(figure: Any, places: list[Any], description: DescriptionData) -> None:
    """Distribution of chords along x and y: the share of the total length in chords of each length."""
    found = np.concatenate([chords for phase in description.phases.values() for chords in phase.chords])
    limit = max(10, int(np.quantile(found, 0.995)) + 1) if found.size else 10
    width = max(1, round(limit / 18))
    bins = np.arange(0.5, limit + width + 0.5, width)
    axes: Any = None
    for axis, place in enumerate(places):
        axes = figure.add_subplot(place, sharey=axes)
        for colour, phase in zip(_colours(description), description.phases.values(), strict=True):
            lengths = phase.chords[axis]
            if lengths.size:
                share = np.histogram(lengths, bins, weights=lengths)[0] / (lengths.sum() * width)
                axes.plot(0.5 * (bins[1:] + bins[:-1]), share, color=colour, linewidth=2.0)
                axes.axvline(lengths.mean(), color=colour, linewidth=1.0, linestyle=":")
        _finish(axes, f"chords along {'xyz'[axis]}", "length in voxels", "share of the length" if axis == 0 else "")
        axes.set_xlim(0, limit)
        axes.text(0.97, 0.95, "dotted: mean", transform=axes.transAxes, ha="right", va="top", fontsize=9, color=INK)
    axes.set_ylim(bottom=0)  # of both, which share it, now that both are drawn


def _draw_orientation(axes: Any, description: DescriptionData) -> None:
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


def _colours(description: DescriptionData) -> list[str]:
    return [LINE_COLOURS[k % len(LINE_COLOURS)] for k in range(len(description.phases))]


def _finish(axes: Any, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def _literal(name: str) -> str:
    """The name without formulas for Matplotlib; a leading underscore would remove it from the legend."""
    return (" " * name.startswith("_")) + name.replace("$", r"\$")
