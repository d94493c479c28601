"""The local fields of unit load cases, computed on request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hmm.micro.local_fields import LocalFields
from hmm.micro.response import PointState
from hmm.micro.rve import RVE
from hmm.micro.views import local_fields
from hmm.models.components import factors, find_component

SMALL = 1e-6
"""Size of the load case for the difference quotients of the fields of a nonlinear cell."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A cell solved in its undeformed state, and its load cases.

    Attributes
    ----------
    rve
        The cell problem.
    state
        Its state.
    """

    rve: RVE
    state: PointState

    @cached_property
    def sensitivity(self) -> NDArray[np.float64]:
        """Derivatives of the unknowns with respect to the macroscopic input, shape (m, n_unknowns) (collective)."""
        rve = self.rve
        rve.load(self.state, rve.reference)
        rve.system.linearize()
        return rve.system.condense().sensitivity

    def fields(self, component: str) -> LocalFields:
        """Local fields per unit of a macroscopic component such as ``"11"`` (collective); see `EffectiveProperties`.

        For a nonlinear cell this is a difference quotient: the fields at a load of `SMALL` minus those without load.
        """
        rve = self.rve
        step = 1.0 if rve.forms.is_linear else SMALL
        unit = np.zeros(rve.n_inputs)
        pair = {component, component[::-1]} if rve.inputs[0].kind == "deformation_gradient" else {component}
        for label in pair:
            k = find_component(rve.inputs, label)
            unit[k] = step * factors(rve.inputs)[k]
        moved = PointState(self.state.z + unit @ self.sensitivity, self.state.history)
        fields = local_fields(rve, moved, rve.reference + unit)
        if not rve.forms.is_linear:
            _differentiate(fields, local_fields(rve, self.state, rve.reference), step)
        return fields


def _differentiate(fields: LocalFields, unloaded: LocalFields, step: float) -> None:
    """Subtract the fields without load and divide by the load."""
    pairs = [(fields.displacement, unloaded.displacement)]
    pairs += [(field, unloaded.cellwise[name]) for name, field in fields.cellwise.items() if name != "phase"]
    for field, at_rest in pairs:
        field.x.array[:] = (field.x.array - at_rest.x.array) / step
