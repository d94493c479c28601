"""The results of a sweep over the key that varies most, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmm.foundation.errors import writing
from hmm.foundation.files import require_writable
from hmm.pictures.figure import new_figure
from hmm.pictures.style import COLOURS
from hmm.sweeps.sweep import SweepResult

PANELS = 6
"""Largest number of outputs that are drawn."""

LINES = 8
"""Largest number of lines that a legend names."""


def draw_sweep(result: SweepResult, path: Path, names: Sequence[str] = ()) -> Path:
    """Draw each output over one varied key, with a line for each combination of the others; not collective.

    Parameters
    ----------
    result
        From `run_sweep`.
    path
        The ``.png`` file.
    names
        The outputs; by default the first ones.
    """
    import matplotlib as mpl

    require_writable(path.parent)
    outputs = result.chosen(names)[:PANELS]
    axes = sorted(result.sweep.axes, key=lambda axis: (not axis.is_numeric, -len(axis.values)))
    lines = _lines(result, axes[0].key)
    columns = min(3, len(outputs))
    rows = -(-len(outputs) // columns)
    figure = new_figure(4.4 * columns + 2.0 * (len(lines) > 1), 3.4 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = mpl.colormaps[COLOURS]
    for panel, name in zip(panels, outputs, strict=False):
        for k, (label, points) in enumerate(lines.items()):
            x, y = zip(*((p[0], p[1].get(name)) for p in points), strict=True)
            panel.plot(
                x, y, "-o", markersize=4, linewidth=1.5, color=colours(0.9 * k / max(len(lines) - 1, 1)), label=label
            )
        panel.set_xlabel(axes[0].key, fontsize=11)
        panel.set_ylabel(name, fontsize=11)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(outputs) :]:
        panel.set_axis_off()
    if 1 < len(lines) <= LINES:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    with writing(path):
        figure.savefig(path, dpi=150)
    return path


def _lines(result: SweepResult, key: str) -> dict[str, list[tuple[Any, Mapping[str, float]]]]:
    """The points of each line, by its label."""
    lines: dict[str, list[tuple[Any, Mapping[str, float]]]] = {}
    for variant, values in zip(result.sweep.variants, result.values, strict=True):
        if values is None:
            continue
        others = {k: v for k, v in variant.changes.items() if k != key} if not _together(result) else {}
        label = ", ".join(f"{k.rpartition('.')[2]} = {v}" for k, v in others.items())
        x = variant.changes[key]
        lines.setdefault(label, []).append((x if isinstance(x, int | float) else str(x), values))
    return lines


def _together(result: SweepResult) -> bool:
    """Whether all keys vary together, so that the results lie on one line."""
    counts = {len(axis.values) for axis in result.sweep.axes}
    return counts == {len(result.sweep.variants)}
