"""The macroscopic inputs as UFL expressions of the macro field."""

from __future__ import annotations

from collections.abc import Sequence

import ufl
from dolfinx.mesh import Mesh
from ufl.algorithms import expand_derivatives, expand_indices

from hmm.foundation.errors import InputError
from hmm.foundation.options import instance
from hmm.models.components import NO_SHEAR_13
from hmm.models.points import Input


def check_inputs(inputs: tuple[Input, ...], strains: tuple[ufl.core.expr.Expr, ...]) -> None:
    """Raise `InputError` unless the expressions match the inputs of the model in shape and components."""
    if len(inputs) != len(strains):
        raise InputError(
            f"the micro model has {len(inputs)} macro inputs and got {len(strains)} expressions: give one for each"
        )
    for e, strain in zip(inputs, strains, strict=True):
        instance(f"the macro {e.name}", strain, ufl.core.expr.Expr, "write it in UFL, such as sym(grad(u))")
        if strain.ufl_shape != e.packing.shape:
            raise InputError(
                f"the macro {e.name} has shape {strain.ufl_shape}, but the micro model's has {e.packing.shape}: "
                "macro and micro dimension must agree"
            )
        lost = [f"{i + 1}{j + 1}" for i, j in e.dropped if not _vanishes(strain[i, j])]
        if lost:
            raise InputError(f"the macro {e.name} has the components {', '.join(lost)}, which {NO_SHEAR_13}")


def _vanishes(scalar: ufl.core.expr.Expr) -> bool:
    """Whether a component is zero in UFL."""
    return isinstance(expand_indices(expand_derivatives(scalar)), ufl.constantvalue.Zero)


def mesh_of(strains: Sequence[ufl.core.expr.Expr]) -> Mesh:
    """The macro mesh: that of the first Function in the expressions."""
    for strain in strains:
        for coefficient in ufl.algorithms.extract_coefficients(strain):
            return coefficient.function_space.mesh
    raise InputError("the macro strain contains no Function: write it with the macro unknown, such as sym(grad(u))")
