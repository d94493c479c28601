"""What a microstructure looks like in numbers: fractions, correlations, chords, percolation, orientation, pieces."""

from hmm.descriptors.describe import Description, PhaseDescription, describe
from hmm.descriptors.measures import (
    chord_lengths,
    connected_pieces,
    labels_of,
    orientation_tensor,
    percolation,
    radial_average,
    two_point_correlation,
    volume_fractions,
)

__all__ = [
    "Description",
    "PhaseDescription",
    "chord_lengths",
    "connected_pieces",
    "describe",
    "labels_of",
    "orientation_tensor",
    "percolation",
    "radial_average",
    "two_point_correlation",
    "volume_fractions",
]
