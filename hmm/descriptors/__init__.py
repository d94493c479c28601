"""Statistics of a microstructure.

Fractions, correlations, chords, percolation, orientation and pieces of an image. May import cells, pictures and the
foundation, not FE2. Begin with `describe`, then `measures`.
"""

from hmm.descriptors.describe import Description, PhaseDescription, describe
from hmm.descriptors.measures import (
    chord_lengths,
    connected_pieces,
    fabric_tensor,
    labels_of,
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
    "fabric_tensor",
    "labels_of",
    "percolation",
    "radial_average",
    "two_point_correlation",
    "volume_fractions",
]
