"""How large a piece of a random material represents it: an ensemble of cells over sizes and realisations."""

from hmm.study.properties import Property, conductivity, stiffness, yield_onset
from hmm.study.result import RepresentativeSize
from hmm.study.sizes import representative_size
from hmm.study.statistics import Sample, VariancePowerLaw

__all__ = [
    "Property",
    "RepresentativeSize",
    "Sample",
    "VariancePowerLaw",
    "conductivity",
    "representative_size",
    "stiffness",
    "yield_onset",
]
