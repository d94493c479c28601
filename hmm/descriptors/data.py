"""What is known of an image: the descriptors of each phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PhaseDescription:
    """One phase of an image; lengths are in voxels.

    Attributes
    ----------
    fraction
        Volume fraction.
    n_pieces
        Number of connected pieces.
    percolates
        Whether the phase percolates along each axis.
    correlation
        Distances and radially averaged two-point correlation, each of shape (n,).
    chords
        Lengths of the chords along each axis.
    orientation
        Tensor of the interface's normals, shape (d, d).
    specific_surface
        Interface area per volume, in units of the inverse voxel edge, from the slope of the correlation along the axes:
        ``-4 S2'(0)`` in 3D (Debye et al. 1957), ``-pi S2'(0)`` in 2D; exact for isotropic interfaces.
    """

    fraction: float
    n_pieces: int
    percolates: tuple[bool, ...]
    correlation: tuple[Floats, Floats]
    chords: tuple[NDArray[np.int64], ...]
    orientation: Floats
    specific_surface: float

    @property
    def mean_chord(self) -> tuple[float, ...]:
        """Mean chord length along each axis; NaN where there are none."""
        return tuple(float(c.mean()) if c.size else float("nan") for c in self.chords)


@dataclass(frozen=True, eq=False)
class DescriptionData:
    """The descriptors of an image, without tables and pictures.

    Attributes
    ----------
    labels
        Shape (nx, ny) or (nx, ny, nz).
    labels_of_phases
        Label of each phase.
    phases
        The description of each phase.
    periodic
        Whether the image was assumed to be periodic.
    """

    labels: NDArray[np.int64]
    labels_of_phases: Mapping[str, int]
    phases: Mapping[str, PhaseDescription]
    periodic: bool
