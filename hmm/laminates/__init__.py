"""Laminates of homogenized plies.

Classical laminate theory: stiffness, loads and temperature, stresses in the plies, and the load of first-ply failure.
May import effective and below, not FE2. Begin with `plies`, then `laminate` and `criteria`.
"""

from hmm.laminates.criteria import CRITERIA, Strength
from hmm.laminates.laminate import Laminate
from hmm.laminates.plies import Ply
from hmm.laminates.results import LaminateResult, PlyFailure
from hmm.laminates.stacking import Layer, stacked

__all__ = ["CRITERIA", "Laminate", "LaminateResult", "Layer", "Ply", "PlyFailure", "Strength", "stacked"]
