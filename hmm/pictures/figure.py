"""Figures of Matplotlib, drawn without a screen."""

from __future__ import annotations

from typing import Any

from hmm.pictures.packages import require_package


def new_figure(width: float, height: float) -> Any:
    """An empty figure of a size in inches, with a constrained layout."""
    require_package("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
