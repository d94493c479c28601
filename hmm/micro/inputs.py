"""The macroscopic inputs of a cell problem, and their contributions to local fields."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import ArrayLike

from hmm.cells.cell import Cell
from hmm.cells.connectivity import pieces
from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.forms import real_space
from hmm.foundation.options import instance, integer, numbers
from hmm.foundation.tensors import Packing
from hmm.micro.fluctuation import Operator, check_cell, component
from hmm.models.points import Input

Expr = ufl.core.expr.Expr

Contribution = Callable[[Expr, Expr], Expr]
"""Maps a macroscopic tensor and the position to the contribution to a local field, in UFL."""


@dataclass(frozen=True, eq=False)
class MacroInput(Input):
    """One macroscopic input ``E``: a tensor, stored as packed real numbers on the cell.

    It adds ``contribution(E, x) + operator(w)`` to a local field. A local field is the sum over all inputs that act on
    it. Laws receive the local fields by name.

    Attributes
    ----------
    function
        The packed numbers, a Function on a real space.
    packing
        How they are packed.
    operator
        The derivative of the fluctuation that is added to it, such as ``lambda w: sym(grad(w))``, or None.
    name
        Its unique name, such as ``"strain"``.
    response
        Name of the conjugate response, such as ``"stress"``.
    reference
        The packed value in the undeformed state.
    affine
        The field whose derivative is the input, such as ``lambda E, x: dot(E, x)``: ``operator(affine(E, x)) = E``.
    out_of_plane
        The entry 33 that laws receive in a 2D cell: 0 for a strain, 1 for a deformation gradient.
    component
        Which field of `w` it acts on, if `w` has several (see `hmm.fluctuation`).
    micro
        Further local fields, of the fluctuation only, for laws that ask for them (see `hmm.RVE`): an operator on `w`
        for each name.
    kind
        The name of its local field in laws that are not renamed (see `hmm.laws.rename`), such as ``"gradient"``; empty
        for a user-defined input.
    target
        Name of the local field that it adds to, if not its own.
    contribution
        Its contribution to the local field; None for the tensor itself.
    """

    function: fem.Function
    operator: Operator | None
    affine: Contribution = ufl.dot
    out_of_plane: float = 0.0
    component: int | None = None
    micro: Mapping[str, Operator] = field(default_factory=dict)
    kind: str = ""
    target: str | None = None
    contribution: Contribution | None = None

    @property
    def field(self) -> str:
        """Name of the local field that it adds to."""
        return self.target or self.name

    @property
    def tensor(self) -> Expr:
        """The macroscopic input as a UFL tensor."""
        return self.packing.unpack(self.function)

    @property
    def added(self) -> Expr:
        """The contribution to the local field, as a UFL tensor."""
        if self.contribution is None:
            return self.tensor
        return ufl.as_ufl(self.contribution(self.tensor, ufl.SpatialCoordinate(self.function.function_space.mesh)))

    @property
    def dropped(self) -> tuple[tuple[int, ...], ...]:
        """Entries of a tensor of its shape that a 2D cell cannot have: shear between the plane and axis 3."""
        return self.packing.dropped if self.function.function_space.mesh.geometry.dim == 2 else ()

    def of(self, w: Expr) -> Expr:
        """The field of `w` that it acts on."""
        return w if self.component is None else component(self.component)(w)

    def local(self, w: Expr) -> Expr:
        """The local field ``E + D w`` as a UFL tensor; with several inputs on one field, the part of this input."""
        return self.added if self.operator is None else self.added + self.operator(self.of(w))

    def local_3d(self, w: Expr) -> Expr:
        """The local field that laws receive: tensors have shape (3, 3) in 2D cells too."""
        return tensors.embed(self.local(w), self.out_of_plane)

    def variation(self, v: Expr) -> Expr:
        """The variation of `local_3d` for a variation `v` of the fluctuation; needs an operator."""
        assert self.operator is not None
        return tensors.embed(self.operator(self.of(v)))

    def macro_variation(self, v: Expr) -> Expr:
        """The variation of `local_3d` for a variation `v` of the packed numbers."""
        if self.contribution is None:
            return tensors.embed(self.packing.unpack(v))
        return tensors.embed(ufl.derivative(self.added, self.function, v))


def macro_input(
    cell: Cell,
    packing: Packing,
    name: str,
    *,
    field: str,
    contribution: Contribution | None = None,
    response: str | None = None,
    reference: ArrayLike = 0.0,
) -> MacroInput:
    """A further macroscopic input that adds to the local field of another one, such as an eigenstrain.

    With this input A, the local field is ``E + contribution(A, x) + D w``. The response to A is the average of the
    local responses, multiplied by the derivative of the contribution. Response and tangent are exact.

    Parameters
    ----------
    cell
        The unit cell.
    packing
        The packing of its tensor from `hmm.tensors`, such as ``tensors.symmetric(2)``, or ``tensors.general()`` for a
        scalar.
    name
        Its unique name.
    field
        The local field that it adds to: the name of the input that defines it, such as ``"strain"``.
    contribution
        What it adds, in UFL, of its tensor and the position; the tensor itself by default. Where it acts in one phase
        only, multiply it with a Function that is one there.
    response
        Name of its response; ``"NAME response"`` by default.
    reference
        Its value in the undeformed state: a number, or the packed components, shape (m,).

    Examples
    --------
    >>> e = hmm.macro_input(  # doctest: +SKIP
    ...     cell, tensors.symmetric(2), "eigenstrain", field="strain", contribution=lambda e, x: -e
    ... )
    """
    check_cell(cell)
    instance("packing", packing, Packing, "make it with hmm.tensors.symmetric or hmm.tensors.general")
    start = numbers("reference", reference)
    if start.shape not in ((), (packing.size,)):
        raise InputError(f"reference of shape {start.shape}: give a number or {packing.size} packed components")
    response = f"{name} response" if response is None else response
    made = _macro_input(cell, packing, None, response, name)
    made.reference[:] = made.function.x.array[:] = start
    return replace(made, target=_checked_name(field), contribution=contribution)


def macro_strain(
    cell: Cell, component: int | None = None, *, out_of_plane: bool = False, name: str = "strain"
) -> MacroInput:
    """Small macroscopic strain ``E`` (symmetric, dimensionless); its response is the macroscopic Cauchy stress.

    Parameters
    ----------
    cell
        The unit cell.
    component
        Number of the displacement among the fields of the fluctuation, if there are several.
    out_of_plane
        Add the component 33 in a 2D cell (generalised plane strain): `E` and the stress have shape (3, 3), packed as
        (11, 22, 33, sqrt2*12). Otherwise E33 is zero (plane strain).
    name
        Its unique name, also the name of the local field (see `hmm.laws.rename`).
    """
    check_cell(cell)
    packing = tensors.plane(cell.dim) if out_of_plane else tensors.symmetric(cell.dim)
    strain = _macro_input(cell, packing, lambda u: ufl.sym(ufl.grad(u)), "stress", name, component, "strain")
    return _generalised(strain) if out_of_plane else strain


def macro_deformation_gradient(
    cell: Cell, component: int | None = None, *, out_of_plane: bool = False, name: str = "deformation_gradient"
) -> MacroInput:
    """Macroscopic deformation gradient ``F``; its response is the first Piola-Kirchhoff stress ``P``.

    Parameters
    ----------
    cell
        The unit cell.
    component
        Number of the displacement among the fields of the fluctuation, if there are several.
    out_of_plane
        Add the component 33 in a 2D cell: `F` and `P` have shape (3, 3), packed as (11, 12, 21, 22, 33). Otherwise F33
        is one (plane strain).
    name
        Its unique name, also the name of the local field (see `hmm.laws.rename`).
    """
    check_cell(cell)
    packing = tensors.plane_general(cell.dim) if out_of_plane else tensors.general(cell.dim, cell.dim)
    response, kind = "first Piola-Kirchhoff stress", "deformation_gradient"
    F = _macro_input(cell, packing, ufl.grad, response, name, component, kind)
    F.reference[:] = F.function.x.array[:] = packing.to_vector(np.eye(packing.shape[0]))
    return _generalised(F) if out_of_plane else replace(F, out_of_plane=1.0)


def macro_gradient(cell: Cell, component: int | None = None, *, name: str = "gradient") -> MacroInput:
    """Macroscopic gradient of a scalar (per mesh unit); its response is the conjugate flux.

    Parameters
    ----------
    cell
        The unit cell.
    component
        Number of the scalar among the fields of the fluctuation, if there are several.
    name
        Its unique name, such as ``"concentration"``, also the name of the local field. A law for a ``gradient`` uses
        it as ``hmm.laws.rename(law, gradient="concentration")``.
    """
    check_cell(cell)
    return _macro_input(cell, tensors.general(cell.dim), ufl.grad, "flux", name, component, "gradient")


def macro_temperature(cell: Cell, reference: float = 0.0, *, name: str = "temperature") -> MacroInput:
    """Macroscopic temperature ``T``, uniform in the cell; its response is the conjugate entropy.

    `reference` is the temperature of the undeformed state; positive for laws of absolute temperature. `name` is the
    unique name, also of the local field (see `hmm.laws.rename`).

    A cell is small, so its temperature hardly varies within it. The variation along a macroscopic gradient is a further
    input, `macro_gradient`.
    """
    check_cell(cell)
    numbers("reference", reference)
    T = _macro_input(cell, tensors.general(), None, "entropy", name, kind="temperature")
    T.reference[:] = T.function.x.array[:] = reference
    return T


def macro_pressure_gradient(
    cell: Cell, velocity: int = 0, pressure: int = 1, *, name: str = "pressure_gradient"
) -> MacroInput:
    """Macroscopic pressure gradient ``G`` of a slow flow; its response is minus the mean velocity, ``K G / mu``.

    The local pressure is ``G.x`` plus a fluctuation; the permeability is the tangent times the viscosity. Laws receive
    the ``pressure_gradient``, the ``velocity`` and the ``strain_rate`` (see `hmm.laws.Stokes`). The mean is taken over
    |Y|, which includes the solid that is not meshed (superficial velocity).

    Parameters
    ----------
    cell
        The unit cell; only the fluid is meshed.
    velocity, pressure
        Numbers of the two fields of the fluctuation.
    name
        Its unique name, also the name of the local field (see `hmm.laws.rename`).

    Raises
    ------
    InputError
        If the fluid does not percolate in any direction of the lattice. If it does not percolate in some directions
        only, a warning names them; the permeability is zero there.
    """
    check_cell(cell)
    _check_percolation(cell)
    kind, response = "pressure_gradient", "minus mean velocity"
    G = _macro_input(cell, tensors.general(cell.dim), ufl.grad, response, name, pressure, kind)
    u = component(velocity)
    return replace(G, micro={"velocity": u, "strain_rate": lambda w: ufl.sym(ufl.grad(u(w)))})


def _check_percolation(cell: Cell) -> None:
    """Raise `InputError` if a fluid percolates in no direction of the lattice; warn if only in some (collective)."""
    is_open = pieces(cell).open_directions
    if not is_open.size:
        raise InputError(
            "the fluid does not percolate in any direction of the lattice, so its permeability is zero: mesh connected "
            "pores"
        )
    if closed := sorted(set(range(cell.dim)) - set(is_open.tolist())):
        logging.getLogger("hmm").warning(
            "the fluid does not percolate along lattice vector%s %s: its permeability is zero there",
            "s" * (len(closed) > 1),
            " and ".join(str(axis + 1) for axis in closed),
        )


def _macro_input(
    cell: Cell,
    packing: Packing,
    operator: Operator | None,
    response: str,
    name: str,
    component: int | None = None,
    kind: str = "",
) -> MacroInput:
    if component is not None:
        integer("component", component, 0)
    function = fem.Function(real_space(cell.mesh, packing.size), name=_checked_name(name))
    zero = np.zeros(packing.size)
    return MacroInput(name, response, packing, zero, function, operator, component=component, kind=kind)


def _checked_name(name: object) -> str:
    """The name of an input or a local field."""
    if not isinstance(name, str) or not name or name != name.strip():
        raise InputError(f"name = {name!r} of a macro input must be text, such as 'concentration'")
    return name


def _generalised(e: MacroInput) -> MacroInput:
    """The input with an independent component 33, to which the fluctuation of a 2D cell does not contribute."""
    derivative, dim = e.operator, e.function.function_space.mesh.geometry.dim
    assert derivative is not None
    return replace(
        e,
        operator=lambda w: tensors.embed(derivative(w)),
        affine=lambda E, x: ufl.as_vector([sum(E[i, j] * x[j] for j in range(dim)) for i in range(dim)]),
    )
