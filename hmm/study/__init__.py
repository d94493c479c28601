"""How large a piece of a random material represents it: an ensemble of cells over sizes and realisations."""

from hmm.study.properties import Property, conductivity, stiffness, yield_onset
from hmm.study.result import PowerLaw, RepresentativeSize, Sample
from hmm.study.sizes import representative_size

__all__ = [
    "PowerLaw",
    "Property",
    "RepresentativeSize",
    "Sample",
    "conductivity",
    "representative_size",
    "stiffness",
    "yield_onset",
]
