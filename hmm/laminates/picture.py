"""The stresses of a laminate through its thickness, drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmm.foundation.errors import writing
from hmm.foundation.files import require_writable
from hmm.laminates.results import LaminateResult
from hmm.pictures.figure import new_figure
from hmm.pictures.style import PHASE_COLOURS

TITLES = ("along the fibres, σ1", "across the fibres, σ2", "in shear, σ12")


def draw_laminate(result: LaminateResult, path: Path) -> Path:
    """Draw the stresses in ply axes over z, layer by layer; not collective.

    Parameters
    ----------
    result
        From `Laminate.under`.
    path
        The ``.png`` file.
    """
    require_writable(path.parent)
    figure = new_figure(11, 4.8)
    angles = sorted({layer.angle for layer in result.layers})
    colours = {angle: PHASE_COLOURS[k % len(PHASE_COLOURS)] for k, angle in enumerate(angles)}
    all_axes = figure.subplots(1, 3, sharey=True)
    z, largest = result.levels, float(np.abs(result.stress).max())
    for k, (axes, title) in enumerate(zip(all_axes, TITLES, strict=True)):
        stress = result.stress[:, :, k]
        for layer, low, high in zip(result.layers, z[:-1], z[1:], strict=True):
            axes.axhspan(low, high, color=colours[layer.angle], alpha=0.35, linewidth=0)
        axes.plot(stress.ravel(), np.column_stack([z[:-1], z[1:]]).ravel(), color="#1f4e79", linewidth=1.8)
        axes.axvline(0.0, color="#808080", linewidth=0.8)
        if np.abs(stress).max() <= 1e-9 * largest:
            axes.set_xlim(-largest or -1.0, largest or 1.0)  # no picture of rounding errors
        axes.set_xlabel(f"stress {title}", fontsize=12)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(z[0], z[-1])
        axes.locator_params(axis="x", nbins=5)
    all_axes[0].set_ylabel("z", fontsize=12)
    patches = [all_axes[-1].fill_between([], [], color=colour, alpha=0.35) for colour in colours.values()]
    figure.legend(patches, [f"{a:g}°" for a in angles], title="plies", loc="outside right upper", frameon=False)
    with writing(path):
        figure.savefig(path, dpi=150)
    return path
