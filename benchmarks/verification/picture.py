"""The picture of docs/verification.md: the largest error of each case and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .running import Result

SMALLEST = 1e-16
"""Errors are drawn as at least this, roundoff."""


def write(path: Path, results: Sequence[Result]) -> list[Path]:
    """Draw it; nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    drawn = [r for r in results if r.worst is not None]
    figure = Figure(figsize=(8, 1.2 + 0.19 * len(drawn)), layout="constrained")
    axes = figure.add_subplot()
    for i, r in enumerate(drawn):
        error = max(r.worst.error, SMALLEST)
        colour = "#1f5f99" if r.passed else "#c0392b"
        axes.plot([error, r.case.tolerance], [i, i], color=colour, alpha=0.25, linewidth=3, solid_capstyle="butt")
        axes.plot(error, i, "o", color=colour, markersize=5)
        axes.plot(r.case.tolerance, i, "|", color="#444444", markersize=9, markeredgewidth=1.5)
    axes.set(xscale="log", xlabel="relative error (dot) and what is allowed (bar)", ylim=(len(drawn) - 0.4, -0.6))
    axes.set_yticks(range(len(drawn)), [r.case.name for r in drawn], fontsize=7.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return [path]
