"""Curves: force against displacement, residuals of Newton solves."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike

from hmm.foundation.errors import collectively, writing
from hmm.foundation.files import require_writable
from hmm.micro.recovery import Attempt
from hmm.pictures.figure import new_figure

STRATEGY_COLOURS = {"line search": "#1f4e79", "substeps": "#e07b39", "elastic start": "#6a994e"}


def plot_curve(
    path: str | Path,
    comm: MPI.Comm,
    x: ArrayLike,
    y: ArrayLike,
    xlabel: str,
    ylabel: str,
    bars: ArrayLike | None = None,
) -> Path:
    """Draw a curve with a mark at each point, such as a force-displacement curve (collective).

    Parameters
    ----------
    path
        The ``.png`` file.
    comm
        The communicator; rank 0 draws.
    x, y
        Shape (n,); used on rank 0.
    xlabel, ylabel
        Labels of the axes, with units.
    bars
        Shape (n,); half the widths of error bars, drawn as a band.
    """
    path = Path(path)
    with collectively(comm):
        if comm.rank == 0:
            require_writable(path.parent)
            figure = new_figure(7, 4.5)
            axes = figure.add_subplot()
            axes.plot(x, y, "-o", color="#1f4e79", markersize=5, linewidth=1.8)
            if bars is not None:
                low, high = np.asarray(y) - np.asarray(bars), np.asarray(y) + np.asarray(bars)
                axes.fill_between(x, low, high, color="#1f4e79", alpha=0.25, linewidth=0, label="estimated error")
                axes.legend(frameon=False)
            axes.set_xlabel(xlabel, fontsize=12)
            axes.set_ylabel(ylabel, fontsize=12)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.margins(0.03, 0.06)
            with writing(path):
                figure.savefig(path, dpi=150)
    return path


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
