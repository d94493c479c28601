"""The physics of `hmm.homogenize`: fields, macroscopic inputs and laws, and the meaning of the tangent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError
from hmm.foundation.naming import require_known
from hmm.laws import Fourier, Law, Stokes, ThermoElastic
from hmm.laws.base import value_of
from hmm.micro.advice import mandel_stiffness
from hmm.micro.fluctuation import fluctuation, wall_dofs
from hmm.micro.inputs import (
    MacroInput,
    macro_deformation_gradient,
    macro_gradient,
    macro_pressure_gradient,
    macro_strain,
    macro_temperature,
)
from hmm.micro.rve import RVE

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """A cell problem, as arguments of `hmm.RVE`."""

    w: fem.Function
    inputs: list[MacroInput]
    laws: Mapping[str, Law]
    fixed_dofs: ArrayLike = ()


@dataclass(frozen=True, eq=False)
class Physics:
    """One physics.

    Attributes
    ----------
    quantity
        Name of the tensor: ``"stiffness"``, ``"conductivity"`` or ``"permeability"``.
    law
        Name of the law if only parameters are given for a phase.
    degree
        Default degree of the fluctuation.
    set_up
        Returns the cell problem for the cell, the laws, the degree and `out_of_plane`.
    read
        Returns the attributes of `hmm.EffectiveProperties` for the RVE and its tangent.
    of_phase
        Returns the part of the tangent of a phase that enters the bounds on the tensor; None if there are no bounds.
    """

    quantity: str
    law: str
    degree: int
    set_up: Callable[[Cell, Mapping[str, Any], int, bool], Problem]
    read: Callable[[RVE, Floats], dict[str, Any]]
    of_phase: Callable[[RVE, Floats], Floats] | None = field(default=None)


# -- elasticity ------------------------------------------------------------------------------------------------------


def _elasticity(cell: Cell, laws: Mapping[str, Any], degree: int, out_of_plane: bool) -> Problem:
    """Small strain, or the deformation gradient if the laws are of this field."""
    answered = {phase: tuple(getattr(law, "fields", ())) for phase, law in laws.items()}
    kinds = set(answered.values())
    out_of_plane = out_of_plane and cell.dim == 2
    if kinds == {("deformation_gradient",)}:
        E = macro_deformation_gradient(cell, out_of_plane=out_of_plane)
    elif kinds == {("strain",)}:
        E = macro_strain(cell, out_of_plane=out_of_plane)
    else:
        said = ", ".join(f"{phase!r} {' and '.join(fields) or 'nothing'}" for phase, fields in answered.items())
        raise InputError(
            f"elasticity needs laws that all answer strain, or all deformation_gradient, and of the phases {said} is "
            "answered: take other laws or another physics"
        )
    return Problem(fluctuation(cell, degree), [E], laws)


def _stiffness(rve: RVE, tangent: Floats) -> Floats:
    """The Mandel stiffness; for a deformation gradient at F = I, the part for symmetric gradients."""
    return mandel_stiffness(rve.inputs[0].packing, tangent)


# -- thermo-elasticity -----------------------------------------------------------------------------------------------


def _thermoelasticity(cell: Cell, laws: Mapping[str, Any], degree: int, out_of_plane: bool) -> Problem:
    other = [phase for phase, law in laws.items() if not isinstance(law, ThermoElastic)]
    if other:
        raise InputError(
            f"the law of phase {other[0]!r} is {laws[other[0]]!r}: thermoelasticity needs hmm.laws.ThermoElastic"
        )
    silent = [phase for phase, law in laws.items() if law.conductivity is None]
    if 0 < len(silent) < len(laws):
        raise InputError(
            f"the law of phase {silent[0]!r} has no conductivity, but others have one: give it for all phases, or for "
            "none if only the expansion is needed"
        )
    T0 = {phase: value_of(law.reference_temperature) for phase, law in laws.items()}
    if len(set(T0.values())) > 1:
        raise InputError(f"the reference temperatures {T0} of the phases differ: give the same for all")
    conducts, out_of_plane = not silent, out_of_plane and cell.dim == 2
    T = macro_temperature(cell, reference=next(iter(T0.values())))
    if not conducts:
        return Problem(fluctuation(cell, degree), [macro_strain(cell, out_of_plane=out_of_plane), T], laws)
    strain = macro_strain(cell, component=0, out_of_plane=out_of_plane)
    return Problem(fluctuation(cell, (degree, degree)), [strain, T, macro_gradient(cell, component=1)], laws)


def _thermal_properties(rve: RVE, tangent: Floats) -> dict[str, Any]:
    strain, T, *further = rve.problem.blocks.values()
    T0 = float(rve.reference[T][0])
    laws: Any = rve.law.values()
    found: dict[str, Any] = {"tensor": tangent[strain, strain], "thermal_stress": -tangent[strain, T][:, 0]}
    for gradient in further:
        found["conductivity"] = tangent[gradient, gradient]
    if all(value_of(law.heat_capacity) for law in laws):
        found["heat_capacity"] = T0 * float(tangent[T, T][0, 0])
    return found


# -- conduction and flow ---------------------------------------------------------------------------------------------


def _conduction(cell: Cell, laws: Mapping[str, Any], degree: int, out_of_plane: bool) -> Problem:
    made = {phase: _fourier(phase, value, cell.dim) for phase, value in laws.items()}
    return Problem(fluctuation(cell, degree, shape=()), [macro_gradient(cell)], made)


def _fourier(phase: str, value: ArrayLike | Law, dim: int) -> Law:
    """The law of a phase, given as a law, a number or a matrix."""
    if isinstance(value, Law):
        return value
    k = np.asarray(value, dtype=float)
    k = k * np.eye(dim) if k.ndim == 0 else k
    if k.shape != (dim, dim) or not np.allclose(k, k.T) or not np.linalg.eigvalsh(k)[0] > 0:
        raise InputError(
            f"conductivity {np.asarray(value).tolist()} of phase {phase!r} must be a positive number or a symmetric "
            f"positive definite ({dim}, {dim}) matrix"
        )
    return Fourier(k.tolist())


def _flow(cell: Cell, laws: Mapping[str, Any], degree: int, out_of_plane: bool) -> Problem:
    fluids = {phase: law if isinstance(law, Law) else Stokes(law) for phase, law in laws.items()}
    other = [phase for phase, law in fluids.items() if not isinstance(law, Stokes)]
    if other:
        raise InputError(f"the law of phase {other[0]!r} is {laws[other[0]]!r}: flow needs hmm.laws.Stokes")
    viscosities = {phase: law.viscosity for phase, law in fluids.items() if isinstance(law, Stokes)}
    if len(set(viscosities.values())) > 1:
        raise InputError(f"the viscosities {viscosities} differ, but a permeability is that of one fluid: give one")
    if degree < 2:
        raise InputError(f"degree = {degree} of the velocity must be 2 or more: the degree of the pressure is one less")
    w = fluctuation(cell, (degree, degree - 1))
    walls = wall_dofs(cell, w, 0)
    if cell.comm.allreduce(len(walls)) == 0:
        raise InputError("the fluid fills the cell, which has no walls: leave out the solid with void=")
    return Problem(w, [macro_pressure_gradient(cell)], fluids, walls)


def _permeability(rve: RVE, tangent: Floats) -> dict[str, Any]:
    fluid: Any = next(iter(rve.law.values()))
    return {"tensor": fluid.viscosity * tangent}


PHYSICS: dict[str, Physics] = {
    "elasticity": Physics(
        "stiffness", "Elastic", 1, _elasticity, lambda rve, A: {"tensor": _stiffness(rve, A)}, _stiffness
    ),
    "conduction": Physics("conductivity", "Fourier", 1, _conduction, lambda _, A: {"tensor": A}, lambda _, A: A),
    "thermoelasticity": Physics(
        *("stiffness", "ThermoElastic", 1, _thermoelasticity, _thermal_properties),
        lambda rve, A: A[: rve.inputs[0].size, : rve.inputs[0].size],
    ),
    "flow": Physics("permeability", "Stokes", 2, _flow, _permeability),
}
"""All physics of `hmm.homogenize`, by name."""


def physics_of(name: str) -> Physics:
    """The physics of this name; otherwise an `InputError` lists all names."""
    require_known("physics", name, PHYSICS)
    return PHYSICS[name]
