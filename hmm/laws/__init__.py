"""Constitutive laws: stress and internal variables, all in UFL."""

from hmm.laws.base import Law, Local, State
from hmm.laws.elastic import Elastic
from hmm.laws.fluid import Stokes
from hmm.laws.plastic import J2

__all__ = ["J2", "Elastic", "Law", "Local", "State", "Stokes"]
