"""Effective properties of a cell.

The result of `hmm.homogenize`, with tables, pictures and reports. May import checks, descriptors, pictures, micro and
below, not FE2. Begin with `homogenize`, then `data` (the numbers and the quantities derived from them) and
`properties`, which shows and writes them.
"""

from hmm.effective.constants import Extremes
from hmm.effective.data import EffectiveData
from hmm.effective.export import export
from hmm.effective.homogenize import by_phase, homogenize
from hmm.effective.limits import Limits
from hmm.effective.physics import PHYSICS, Physics, Problem
from hmm.effective.properties import EffectiveProperties
from hmm.effective.symmetry import (
    TOLERANCE,
    Symmetry,
    polar_invariants,
    symmetry_of_matrix,
    symmetry_of_stiffness,
)

__all__ = [
    "PHYSICS",
    "TOLERANCE",
    "EffectiveData",
    "EffectiveProperties",
    "Extremes",
    "Limits",
    "Physics",
    "Problem",
    "Symmetry",
    "by_phase",
    "export",
    "homogenize",
    "polar_invariants",
    "symmetry_of_matrix",
    "symmetry_of_stiffness",
]
