"""Representative size of a random material.

Statistics of random cells of several sizes. May import effective and below. Begin with `sizes`, then `statistics`.
"""

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
