"""Laws with axes in rotated axes."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import ufl

from hmm.laws.anisotropic import Anisotropic
from hmm.laws.base import Law
from hmm.laws.combined import Combined
from hmm.laws.fibrous import HolzapfelGasserOgden
from hmm.laws.thermoelastic import ThermoElastic


def rotated_law[L: Law](law: L, rotation: ufl.core.expr.Expr) -> L:
    """A law in rotated axes, if it has axes; other laws are unchanged.

    Parameters
    ----------
    law
        The law; a constant rotation of its own is applied first.
    rotation
        Shape (3, 3), a field of rotations.
    """
    if isinstance(law, Anisotropic | HolzapfelGasserOgden):
        own = law.rotation
        both = rotation if own is None else ufl.dot(rotation, ufl.as_tensor(own))
        return cast(L, replace(law, rotation=both))
    if isinstance(law, Combined):
        return cast(L, replace(law, parts=tuple(rotated_law(part, rotation) for part in law.parts)))
    if isinstance(law, ThermoElastic) and isinstance(law.elastic, Anisotropic):
        return cast(L, replace(law, elastic=rotated_law(law.elastic, rotation)))
    return law
