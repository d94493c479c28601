"""The picture of a study of sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmm.foundation.errors import writing
from hmm.foundation.files import require_writable
from hmm.pictures.figure import new_figure
from hmm.pictures.style import INK
from hmm.study.statistics import SizeStatistics

COLOURS = {"minimal": "#6a994e", "periodic": "#1f4e79", "dirichlet": "#e07b39"}


def draw_study(result: SizeStatistics, path: Path) -> Path:
    """Means, variances and the error of n realisations side by side, against the size."""
    require_writable(path.parent)
    figure = new_figure(13.5, 4.5)
    means, variances, errors = figure.subplots(1, 3)
    _draw_means(means, result)
    _draw_variances(variances, result)
    _draw_errors(errors, result)
    with writing(path):
        figure.savefig(path, dpi=130)
    return path


def _draw_means(axes: Any, result: SizeStatistics) -> None:
    """Each cell as a dot, the mean of each size with its confidence interval."""
    sizes = np.array(result.sizes)
    shifts = np.linspace(-0.025, 0.025, len(result.samples)) if len(result.samples) > 1 else [0.0]
    for shift, (name, samples) in zip(shifts, result.samples.items(), strict=True):
        x = sizes * np.exp(shift)
        for at, s in zip(x, samples, strict=True):
            axes.plot(np.full(s.n, at), s.values, ".", color=COLOURS[name], alpha=0.25, markersize=4, mew=0)
        bars = [s.half_width for s in samples]
        y = [s.mean for s in samples]
        axes.errorbar(x, y, bars, color=COLOURS[name], marker="o", markersize=5, linewidth=2, capsize=4, label=name)
    _finish(axes, result, "means with 95 % confidence", result.name)
    axes.legend(frameon=False, fontsize=10)


def _draw_variances(axes: Any, result: SizeStatistics) -> None:
    x = np.geomspace(result.sizes[0] / 1.15, result.sizes[-1] * 1.15, 50)
    for name, samples in result.samples.items():
        law, used = result.fits[name], [s for s in samples if s.variance > 0]
        axes.plot([s.size for s in used], [s.variance for s in used], "o", color=COLOURS[name], markersize=5)
        if law is not None:
            label = rf"{name}: $\alpha$ = {law.alpha:.2f} ± {law.alpha_error:.2f}"
            axes.plot(x, [law.variance(d**result.dim) for d in x], color=COLOURS[name], linewidth=1.6, label=label)
    if any(result.fits.values()):
        axes.set_yscale("log")
        axes.legend(frameon=False, fontsize=10, loc="lower left")
    _finish(axes, result, r"variance of one cell $\sim V^{-\alpha}$", "variance")


def _draw_errors(axes: Any, result: SizeStatistics) -> None:
    """Error of the mean of n cells, for the default constraint."""
    has_law = result.fits[result.constraint] is not None
    x = np.geomspace(result.sizes[0], 2 * result.sizes[-1], 50) if has_law else np.array(result.sizes)
    for n, colour in ((1, "#1f4e79"), (10, "#5b8bb5"), (100, "#a9c3da")):
        y = [100 * result.error(d, n) for d in x]
        axes.plot(x, y, color=colour, linewidth=2, label=f"{n} cell" if n == 1 else f"{n} cells")
    if min(y) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhline(1.0, color=INK, linewidth=1.0, linestyle=":")
    if has_law:
        axes.axvspan(result.sizes[-1], x[-1], color="#eeeeee", zorder=0, linewidth=0)
        place = {"transform": axes.get_xaxis_transform(), "fontsize": 9, "color": "#777777", "va": "bottom"}
        axes.text(x[-1] / 1.02, 0.02, "extrapolated", ha="right", **place)
    _finish(axes, result, f"error of the mean, {result.constraint}", "% with 95 % confidence")
    axes.set_xlim(x[0], x[-1])
    axes.legend(frameon=False, fontsize=10)


def _finish(axes: Any, result: SizeStatistics, title: str, y: str) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xticks(result.sizes, [f"{d:g}" for d in result.sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel("size")
    axes.set_ylabel(y)
    axes.grid(color="#e6e6e6", linewidth=0.8, which="major")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
