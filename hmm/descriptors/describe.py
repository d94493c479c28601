"""All descriptors of an image: as numbers, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hmm.descriptors.data import DescriptionData, PhaseDescription
from hmm.descriptors.measures import (
    Labelled,
    chord_lengths,
    connected_pieces,
    fabric_tensor,
    labels_of,
    percolation,
    phases_of,
    radial_average,
    two_point_correlation,
)
from hmm.descriptors.picture import draw_description
from hmm.foundation.errors import InputError


@dataclass(frozen=True, eq=False)
class Description(DescriptionData):
    """The descriptors of an image, from `describe`: the attributes of `DescriptionData`, shown and drawn."""

    def table(self) -> Table:
        """A table for rich, one row per phase."""
        shape = " x ".join(map(str, self.labels.shape))
        table = Table(title=f"{shape} voxels, {'periodic' if self.periodic else 'not periodic'}", title_justify="left")
        for title in ("phase", "fraction", "pieces", "percolates", "mean chord", "surface", "normals"):
            table.add_column(title, justify="left" if title == "phase" else "right")
        for name, phase in self.phases.items():
            table.add_row(
                Text(name),
                f"{phase.fraction:.4f}",
                str(phase.n_pieces),
                " ".join(axis for axis, yes in zip("xyz", phase.percolates, strict=False) if yes) or "no",
                " ".join(f"{length:.3g}" for length in phase.mean_chord),
                f"{phase.specific_surface:.3g}",
                " ".join(f"{value:.2f}" for value in np.diag(phase.orientation)),
            )
        return table

    def __str__(self) -> str:
        console = Console(width=100, color_system=None)
        with console.capture() as captured:
            console.print(self.table())
        return captured.get().rstrip()

    def plot(self, path: str | Path) -> Path:
        """Draw the image, its correlations, chords and orientation in one picture; not collective."""
        return draw_description(self, Path(path))


def describe(image: Labelled, phases: Mapping[str, int] | None = None, periodic: bool = True) -> Description:
    """All descriptors of an image.

    Parameters
    ----------
    image
        An array of labels, shape (nx, ny) or (nx, ny, nz), or a cell whose `Cell.grid` is complete.
    phases
        Label of each phase name; by default those of the cell, or all labels.
    periodic
        Whether the image is periodic.

    Raises
    ------
    InputError
        If a phase is not in the image, or the image is not a label array.
    """
    labels, names = labels_of(image), phases_of(image, phases)
    for name, label in names.items():
        if not (labels == label).any():
            raise InputError(f"phase {name!r} (label {label}) is not in the image: it has {np.unique(labels).tolist()}")
    found: dict[str, Any] = {name: _describe_phase(labels, label, periodic) for name, label in names.items()}
    return Description(labels, names, found, periodic)


def _describe_phase(labels: NDArray[np.int64], label: int, periodic: bool) -> PhaseDescription:
    S2 = two_point_correlation(labels, label, periodic)
    steps = np.minimum(np.eye(labels.ndim, dtype=int), np.array(S2.shape) - 1)
    slope = np.mean([S2.flat[0] - S2[tuple(step)] for step in steps])
    return PhaseDescription(
        fraction=float(np.mean(labels == label)),
        n_pieces=len(connected_pieces(labels, label, periodic)),
        percolates=percolation(labels, label, periodic),
        correlation=radial_average(S2, min(labels.shape) // 2),
        chords=tuple(chord_lengths(labels, label, axis, periodic) for axis in range(labels.ndim)),
        orientation=fabric_tensor(labels, label, periodic=periodic),
        specific_surface=float((np.pi if labels.ndim == 2 else 4.0) * slope),
    )
