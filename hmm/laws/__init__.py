"""Constitutive laws in UFL.

Responses and internal variables of every law, see docs/laws.md. May import the foundation. Begin with `base`, which
defines a law, and `elastic`; `plastic` is the first with internal variables.
"""

from hmm.laws.anisotropic import Anisotropic
from hmm.laws.base import ImplicitLaw, Law, Local, Memoryless, State
from hmm.laws.combined import Combined, combine
from hmm.laws.damage import Damage
from hmm.laws.elastic import Elastic
from hmm.laws.fibrous import HolzapfelGasserOgden
from hmm.laws.fluid import Stokes
from hmm.laws.granular import DruckerPrager
from hmm.laws.hardening import ArmstrongFrederick, Hardening, Linear, Perzyna, PowerLaw, Voce
from hmm.laws.hyperelastic import Hyperelastic, MooneyRivlin, NeoHooke, Ogden, SaintVenant
from hmm.laws.kernel import LawKernel
from hmm.laws.material_point import MaterialCurve, material_point
from hmm.laws.plastic import J2
from hmm.laws.renaming import Renamed, rename
from hmm.laws.rigid import Rigid
from hmm.laws.thermal import Fourier
from hmm.laws.thermoelastic import ThermoElastic
from hmm.laws.viscous import GeneralizedMaxwell

__all__ = [
    "J2",
    "Anisotropic",
    "ArmstrongFrederick",
    "Combined",
    "Damage",
    "DruckerPrager",
    "Elastic",
    "Fourier",
    "GeneralizedMaxwell",
    "Hardening",
    "HolzapfelGasserOgden",
    "Hyperelastic",
    "ImplicitLaw",
    "Law",
    "LawKernel",
    "Linear",
    "Local",
    "MaterialCurve",
    "Memoryless",
    "MooneyRivlin",
    "NeoHooke",
    "Ogden",
    "Perzyna",
    "PowerLaw",
    "Renamed",
    "Rigid",
    "SaintVenant",
    "State",
    "Stokes",
    "ThermoElastic",
    "Voce",
    "combine",
    "material_point",
    "rename",
]
