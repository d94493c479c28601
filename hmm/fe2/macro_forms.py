"""The tangent form of a macro problem, and checks of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import ufl
from dolfinx import fem
from ufl.algorithms import expand_derivatives

from hmm.fe2.homogenizer import Homogenizer
from hmm.foundation.errors import InputError
from hmm.foundation.options import instance


def check_arguments(F: object, u: object, hom: object, bcs: object) -> None:
    """Raise `InputError` for arguments of the wrong type and conditions on another space."""
    instance("F", F, ufl.Form, "write the residual in UFL")
    instance("u", u, fem.Function, "give the macro unknown")
    instance("hom", hom, Homogenizer, "make it with hmm.Homogenizer(rve, strain)")
    instance("bcs", bcs, Sequence, "give a list of dolfinx.fem.dirichletbc(...)")
    for bc in cast(Sequence[object], bcs):
        check_condition(cast(fem.Function, u), bc)


def check_condition(u: fem.Function, bc: object) -> None:
    """Raise `InputError` unless a Dirichlet condition is on the space of `u` or a subspace."""
    instance("condition", bc, fem.DirichletBC, "make it with dolfinx.fem.dirichletbc")
    if not u.function_space._cpp_object.contains(cast(fem.DirichletBC, bc).function_space):
        raise InputError("a Dirichlet condition is on another function space than u: create it on u.function_space")


def tangent_form(F: ufl.Form, u: fem.Function, hom: Homogenizer) -> ufl.Form:
    """``dF/du + dF/dSigma [A : d strain]``."""
    du = ufl.TrialFunction(u.function_space)
    inputs = hom.model.inputs
    d_strain = [
        e.packing.pack(expand_derivatives(ufl.derivative(s, u, du))) for e, s in zip(inputs, hom.strains, strict=True)
    ]
    J = ufl.derivative(F, u, du)
    for a, response, row in zip(inputs, hom.responses, hom.tangents, strict=True):
        products = [ufl.dot(tangent, d) for tangent, d in zip(row, d_strain, strict=True)]
        d_response = a.packing.unpack(sum(products[1:], products[0]))
        direction = ufl.TrialFunction(response.function_space)
        J += ufl.replace(expand_derivatives(ufl.derivative(F, response, direction)), {direction: d_response})
    return J
