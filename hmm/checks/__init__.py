"""Checks of what the theory requires.

Checks of a cell, a law or a two-scale computation. May import fe2 and below. Begin with `averages` (Hill-Mandel) and
`tangents`.
"""

from hmm.checks.averages import hill_mandel_defect
from hmm.checks.effective import BoundsReport, respects_bounds, tangent_asymmetry
from hmm.checks.scales import ScaleSeparation, TimeScales, scale_separation, time_scales
from hmm.checks.tangents import TangentCheck, tangent, tangent_error
from hmm.checks.thermodynamics import Dissipation, dissipation

__all__ = [
    "BoundsReport",
    "Dissipation",
    "ScaleSeparation",
    "TangentCheck",
    "TimeScales",
    "dissipation",
    "hill_mandel_defect",
    "respects_bounds",
    "scale_separation",
    "tangent",
    "tangent_asymmetry",
    "tangent_error",
    "time_scales",
]
