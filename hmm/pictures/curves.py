"""Curves: force against displacement, residuals of Newton solves."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike

from hmm.foundation.errors import InputError, collectively, writing
from hmm.foundation.files import require_writable
from hmm.micro.recovery import Attempt
from hmm.pictures.figure import new_figure

CURVE_COLOURS = ("#1f4e79", "#e07b39", "#6a994e", "#8e6c8a", "#b3261e", "#5b7c99")
REFERENCE_COLOURS = ("#8c510a", "#555555", "#2b8a5b", "#8a2b6b")
FEW = 10
"""Largest number of reference points that are marks."""
STRATEGY_COLOURS = {"line search": "#1f4e79", "substeps": "#e07b39", "elastic start": "#6a994e"}


def plot_curve(
    path: str | Path,
    comm: MPI.Comm,
    x: ArrayLike,
    y: ArrayLike | Mapping[str, ArrayLike],
    xlabel: str,
    ylabel: str,
    bars: ArrayLike | None = None,
    *,
    references: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    log: str = "",
) -> Path:
    """Draw a curve with a mark at each point, such as a force-displacement curve, and references (collective).

    Parameters
    ----------
    path
        The ``.png`` file.
    comm
        The communicator; rank 0 draws.
    x, y
        Shape (n,); used on rank 0. A dictionary of y by name gives several curves with a legend.
    xlabel, ylabel
        Labels of the axes, with units.
    bars
        Shape (n,); half the widths of error bars, drawn as a band around a single curve.
    references
        Known values to compare with, as pairs (x, y) by name: up to ten points are marks, more are a dashed line.
    log
        The axes with a logarithmic scale: ``""``, ``"x"``, ``"y"`` or ``"xy"``.

    Raises
    ------
    InputError
        On all ranks, for another `log`, or `bars` with several curves.
    """
    path, several = Path(path), isinstance(y, Mapping)
    if log not in ("", "x", "y", "xy"):
        raise InputError(f"log = {log!r}: give '', 'x', 'y' or 'xy'")
    if several and bars is not None:
        raise InputError("bars belong to a single curve: give one array as y")
    with collectively(comm):
        if comm.rank == 0:
            require_writable(path.parent)
            figure = new_figure(7, 4.5)
            axes = figure.add_subplot()
            curves = y if isinstance(y, Mapping) else {"_": y}
            for (name, values), colour in zip(curves.items(), cycle(CURVE_COLOURS), strict=False):
                axes.plot(x, values, "-o", color=colour, markersize=5, linewidth=1.8, label=name)
                if bars is not None:
                    low, high = np.asarray(values) - np.asarray(bars), np.asarray(values) + np.asarray(bars)
                    axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0, label="estimated error")
            _add_references(axes, references or {})
            axes.set(**{f"{name}scale": "log" for name in log})
            if several or references or bars is not None:
                axes.legend(frameon=False)
            axes.set_xlabel(xlabel, fontsize=12)
            axes.set_ylabel(ylabel, fontsize=12)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(0.03, 0.06)
            with writing(path):
                figure.savefig(path, dpi=150)
    return path


def _add_references(axes: Any, references: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> None:
    """Known values: few as marks, many as a line."""
    for k, (name, (x, y)) in enumerate(references.items()):
        colour = REFERENCE_COLOURS[k % len(REFERENCE_COLOURS)]
        if np.size(x) <= FEW:
            axes.plot(x, y, "s", color=colour, markersize=10, markerfacecolor="none", label=name)
        else:
            axes.plot(x, y, "--", color=colour, linewidth=1.4, label=name)


def plot_residuals(path: str | Path, residuals: Mapping[int, Sequence[float]]) -> Path:
    """Draw the macro residuals of each load step over its iterations; not collective.

    Parameters
    ----------
    path
        The ``.png`` file.
    residuals
        Relative residuals by number of the step; darker lines are later steps.
    """
    path = Path(path)
    require_writable(path.parent)
    figure = new_figure(7, 4.5)
    axes = figure.add_subplot()
    colours = importlib.import_module("matplotlib").colormaps["viridis_r"]
    steps = list(residuals)
    for k, number in enumerate(steps):
        shade = colours(0.15 + 0.85 * k / max(1, len(steps) - 1))
        label = f"step {number}" if number in (steps[0], steps[-1]) else "_"
        axes.semilogy(
            [max(r, 1e-18) for r in residuals[number]], "-o", color=shade, markersize=3, linewidth=1.2, label=label
        )
    axes.set_xlabel("macro iteration", fontsize=12)
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel("relative macro residual", fontsize=12)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with writing(path):
        figure.savefig(path, dpi=150)
    return path


def plot_attempts(path: str | Path, attempts: Sequence[Attempt], picture: Path | None = None) -> Path:
    """Draw the residual norms of the recovery strategies' Newton solves, beside a picture; not collective.

    Parameters
    ----------
    path
        The ``.png`` file.
    attempts
        The solves, as `hmm.replay` returns them.
    picture
        A ``.png`` file shown on the right, such as one of `plot_rve`.
    """
    path = Path(path)
    require_writable(path.parent)
    figure = new_figure(12 if picture else 7, 5)
    axes = figure.add_subplot(1, 2 if picture else 1, 1)
    named: set[str] = set()
    for attempt in attempts:
        colour = STRATEGY_COLOURS[attempt.strategy]
        label = "_" if attempt.strategy in named else attempt.strategy
        named.add(attempt.strategy)
        axes.semilogy(attempt.norms, "-o", color=colour, markersize=3, linewidth=1.2, alpha=0.7, label=label)
        if attempt.norms:
            mark = "x" if attempt.failure else "s"
            axes.semilogy(len(attempt.norms) - 1, attempt.norms[-1], mark, color=colour, markersize=8)
    axes.set_xlabel("Newton iteration", fontsize=12)
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel("micro residual (cross: failed, square: converged)", fontsize=12)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    if picture:
        right = figure.add_subplot(1, 2, 2)
        right.imshow(importlib.import_module("matplotlib.image").imread(picture))
        right.set_axis_off()
        right.set_title("last iterate", fontsize=12)
    with writing(path):
        figure.savefig(path, dpi=150)
    return path
