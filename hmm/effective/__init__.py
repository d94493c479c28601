"""Effective properties of a cell: what `hmm.homogenize` finds, and what can be made of it."""

from hmm.effective.constants import Extremes
from hmm.effective.homogenize import homogenize
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
    "EffectiveProperties",
    "Extremes",
    "Limits",
    "Physics",
    "Problem",
    "Symmetry",
    "homogenize",
    "polar_invariants",
    "symmetry_of_matrix",
    "symmetry_of_stiffness",
]
