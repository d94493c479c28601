"""The two arguments of a microproblem: the fluctuation field and the macroscopic inputs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.cells.cell import Cell
from hmm.cells.connectivity import pieces
from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.forms import real_space
from hmm.foundation.options import LARGEST_DEGREE, choice, instance, integer, numbers
from hmm.foundation.tensors import Packing
from hmm.models.points import Input


def fluctuation(
    cell: Cell,
    degree: int | Sequence[int] = 1,
    shape: tuple[int, ...] | Sequence[tuple[int, ...]] | None = None,
    family: str | Sequence[str] = "Lagrange",
) -> fem.Function:
    """The fluctuation ``w``: a field on the cell, or several fields if `degree` is a sequence.

    Parameters
    ----------
    cell
        The unit cell.
    degree
        Polynomial degree; one for each field if there are several, ``(2, 1)`` for a velocity and its pressure.
    shape
        Value shape; a displacement ``(d,)`` by default, ``()`` for a temperature or another scalar. For several fields
        one each, a vector followed by scalars by default.
    family
        ``"Lagrange"`` (continuous) or ``"DG"`` (discontinuous); one for all fields, or one each.

    Returns
    -------
    dolfinx.fem.Function
        Zero, in the unit of the mesh for a displacement. The fields of several are ``ufl.split(w)``.

    Raises
    ------
    InputError
        If the degrees, shapes and families do not make fields.

    Examples
    --------
    >>> w = hmm.fluctuation(cell, degree=(2, 1))  # Taylor-Hood: velocity and pressure  # doctest: +SKIP
    """
    _check_cell(cell)
    if not isinstance(degree, Sequence) or isinstance(degree, str):
        space = fem.functionspace(cell.mesh, _element(cell, degree, (cell.dim,) if shape is None else shape, family))
        return fem.Function(space, name="w")
    shapes = [(cell.dim,), *[()] * (len(degree) - 1)] if shape is None else list(shape)
    families = list(repeat(family, len(degree))) if isinstance(family, str) else list(family)
    if not len(degree) == len(shapes) == len(families) or len(degree) < 2:
        raise InputError(
            f"{len(degree)} degrees, {len(shapes)} shapes, {len(families)} families of the fluctuation: "
            "give one of each for each of two or more fields"
        )
    elements = [_element(cell, *of_field) for of_field in zip(degree, shapes, families, strict=True)]
    return fem.Function(fem.functionspace(cell.mesh, basix.ufl.mixed_element(elements)), name="w")


def _element(cell: Cell, degree: int, shape: object, family: object) -> basix.ufl._ElementBase:
    lowest = {"Lagrange": 1, "DG": 0}
    choice("family {} of the fluctuation field", family, lowest)
    integer("degree {} of the fluctuation field", degree, lowest[str(family)], LARGEST_DEGREE)
    if not isinstance(shape, tuple):
        raise InputError(f"shape {shape!r} of a fluctuation field is no shape: give () for a scalar, (d,) for a vector")
    return basix.ufl.element(str(family), cell.mesh.basix_cell(), degree, shape=shape)


@dataclass(frozen=True, eq=False)
class Field:
    """One of the fields of a fluctuation space: where its points lie in the whole.

    Attributes
    ----------
    number
        Its place among the fields.
    parent
        The whole space.
    space
        Its own space: `parent` itself if that is not mixed.
    blocks
        Shape (n_points, k); local blocks of `parent` of each local point of `space` (ghosts included). In a space that
        is not mixed a point is one block.
    """

    number: int
    parent: fem.FunctionSpace
    space: fem.FunctionSpace
    blocks: NDArray[np.int32]

    @property
    def n_owned(self) -> int:
        """Points owned by this rank; they come first."""
        return int(self.space.dofmap.index_map.size_local)

    @property
    def continuous(self) -> bool:
        """Whether neighbouring cells share its dofs."""
        return not self.space.ufl_element().discontinuous

    @cached_property
    def dofs(self) -> NDArray[np.int32]:
        """Local dofs (unrolled) of `parent`, ghosts included."""
        size = self.parent.dofmap.index_map_bs
        return (self.blocks[..., None] * size + np.arange(size)).ravel().astype(np.int32)

    def of(self, w: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """This field of a function or an argument on `parent`."""
        return ufl.split(w)[self.number] if self.space is not self.parent else w


def is_mixed(space: fem.FunctionSpace) -> bool:
    """Whether a space is one of several fields."""
    return bool(space.num_sub_spaces > 1 and space.dofmap.bs == 1)


def fields_of(space: fem.FunctionSpace) -> list[Field]:
    """The fields of a space; the space itself if it is not mixed.

    Raises
    ------
    InputError
        If a field has no dofs at points: neither Lagrange nor discontinuous.
    """
    if not is_mixed(space):
        n = space.dofmap.index_map.size_local + space.dofmap.index_map.num_ghosts
        return [Field(0, space, space, np.arange(n, dtype=np.int32)[:, None])]
    fields = []
    for number in range(space.num_sub_spaces):
        own, dofs = space.sub(number).collapse()
        if is_mixed(own) or own.ufl_element().element_family != basix.ElementFamily.P:
            raise InputError(
                f"field {number} of w is {own.ufl_element()}: take Lagrange or discontinuous Lagrange fields"
            )
        fields.append(Field(number, space, own, np.ravel(dofs).reshape(-1, own.dofmap.bs).astype(np.int32)))
    return fields


Operator = Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr]
"""From a fluctuation to the local field it adds to."""


@dataclass(frozen=True, eq=False)
class MacroInput(Input):
    """One macroscopic input ``E``: real numbers on the cell and the tensor they stand for.

    It acts on one field of `w`, to which `operator` and `micro` are applied.

    Attributes
    ----------
    function
        The packed numbers, a Function on a real space.
    packing
        How they are packed.
    operator
        The derivative of the fluctuation that adds to it, such as ``lambda w: sym(grad(w))``, or None if nothing does.
    name
        What it is, such as ``"strain"``: the name by which laws ask for the local field.
    response
        Name of the conjugate response, such as ``"stress"``.
    reference
        The packed value of the undeformed state.
    affine
        The field whose derivative is the input, such as ``lambda E, x: dot(E, x)``: ``operator(affine(E, x)) = E``.
    out_of_plane
        What a tensor of a 2D cell has in the entry 33 when laws get it: 0 for a strain, 1 for a deformation gradient.
    component
        Which field of `w` it acts on, if `w` has several (see `hmm.fluctuation`).
    micro
        Further local fields, of the fluctuation alone, that laws may ask for by name (see `hmm.RVE`): an operator on
        `w` for each.
    """

    function: fem.Function
    operator: Operator | None
    affine: Callable[[ufl.core.expr.Expr, ufl.core.expr.Expr], ufl.core.expr.Expr] = ufl.dot
    out_of_plane: float = 0.0
    component: int | None = None
    micro: Mapping[str, Operator] = field(default_factory=dict)

    @property
    def tensor(self) -> ufl.core.expr.Expr:
        """The macroscopic input as a UFL tensor."""
        return self.packing.unpack(self.function)

    @property
    def dropped(self) -> tuple[tuple[int, ...], ...]:
        """Entries of a tensor of its shape that a 2D cell cannot have: shear between the plane and axis 3."""
        return self.packing.dropped if self.function.function_space.mesh.geometry.dim == 2 else ()

    def of(self, w: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """The field of `w` it acts on."""
        return w if self.component is None else component(self.component)(w)

    def local(self, w: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """The local field ``E + D w`` as a UFL tensor."""
        return self.tensor if self.operator is None else self.tensor + self.operator(self.of(w))

    def local_3d(self, w: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """The local field as laws get it: tensors have the shape (3, 3) in 2D cells too."""
        return tensors.embed(self.local(w), self.out_of_plane)

    def variation(self, v: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """What a variation `v` of the fluctuation adds to `local_3d`; there must be an operator."""
        assert self.operator is not None
        return tensors.embed(self.operator(self.of(v)))

    def macro_variation(self, v: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """What a variation `v` of the packed numbers adds to `local_3d`."""
        return tensors.embed(self.packing.unpack(v))


def component(number: int) -> Operator:
    """The operator that takes one field of a fluctuation of several, ``ufl.split(w)[number]``."""
    return lambda w: ufl.split(w)[number]


def macro_strain(cell: Cell, component: int | None = None, *, out_of_plane: bool = False) -> MacroInput:
    """Small macroscopic strain ``E`` (symmetric, dimensionless); its response is the macroscopic Cauchy stress.

    Parameters
    ----------
    cell
        The unit cell.
    component
        Which field of the fluctuation is the displacement, if there are several.
    out_of_plane
        Give a 2D cell the component 33 as well (generalised plane strain): `E` and the stress then have the shape
        (3, 3), packed as (11, 22, 33, sqrt2*12). Without it E33 is zero (plane strain).
    """
    _check_cell(cell)
    packing = tensors.plane(cell.dim) if out_of_plane else tensors.symmetric(cell.dim)
    strain = _macro_input(cell, packing, lambda u: ufl.sym(ufl.grad(u)), "strain", "stress", component)
    return _generalised(strain) if out_of_plane else strain


def macro_deformation_gradient(cell: Cell, component: int | None = None, *, out_of_plane: bool = False) -> MacroInput:
    """Macroscopic deformation gradient ``F``; its response is the first Piola-Kirchhoff stress ``P``.

    Parameters
    ----------
    cell
        The unit cell.
    component
        Which field of the fluctuation is the displacement, if there are several.
    out_of_plane
        Give a 2D cell the component 33 as well: `F` and `P` then have the shape (3, 3), packed as (11, 12, 21, 22, 33).
        Without it F33 is one (plane strain).
    """
    _check_cell(cell)
    packing = tensors.plane_general(cell.dim) if out_of_plane else tensors.general(cell.dim, cell.dim)
    name, response = "deformation_gradient", "first Piola-Kirchhoff stress"
    F = _macro_input(cell, packing, ufl.grad, name, response, component)
    F.reference[:] = F.function.x.array[:] = packing.to_vector(np.eye(packing.shape[0]))
    return _generalised(F) if out_of_plane else replace(F, out_of_plane=1.0)


def macro_gradient(cell: Cell, component: int | None = None) -> MacroInput:
    """Macroscopic gradient of a scalar (per mesh unit); its response is the conjugate of it in the energy.

    Parameters
    ----------
    cell
        The unit cell.
    component
        Which field of the fluctuation is the scalar, if there are several.
    """
    _check_cell(cell)
    return _macro_input(cell, tensors.general(cell.dim), ufl.grad, "gradient", "flux", component)


def macro_temperature(cell: Cell, reference: float = 0.0) -> MacroInput:
    """Macroscopic temperature ``T``, the same everywhere in the cell; its response is the conjugate of it.

    `reference` is its value in the undeformed state, where a body begins; positive for laws of absolute temperature.

    A cell is small, so its temperature varies little within it; the variation along a macroscopic gradient is a
    further input, `macro_gradient`.
    """
    _check_cell(cell)
    numbers("reference", reference)
    T = _macro_input(cell, tensors.general(), None, "temperature", "entropy")
    T.reference[:] = T.function.x.array[:] = reference
    return T


def macro_pressure_gradient(cell: Cell, velocity: int = 0, pressure: int = 1) -> MacroInput:
    """Macroscopic pressure gradient ``G`` of a slow flow; its response is minus the mean velocity, ``K G / mu``.

    The local pressure is ``G.x`` and a fluctuation, so that the permeability is the tangent times the viscosity. Laws
    get the ``pressure_gradient``, the ``velocity`` and the ``strain_rate`` (see `hmm.laws.Stokes`). The mean is over
    |Y|: what is not meshed counts as solid (superficial velocity).

    Parameters
    ----------
    cell
        The unit cell; its mesh is that of the fluid.
    velocity, pressure
        Which fields of the fluctuation they are.

    Raises
    ------
    InputError
        If the fluid is enclosed: no part of it leads through the repeated cell. Where it is closed in some lattice
        directions only, a warning says so, and the permeability is zero there.
    """
    _check_cell(cell)
    _check_percolation(cell)
    G = _macro_input(cell, tensors.general(cell.dim), ufl.grad, "pressure_gradient", "minus mean velocity", pressure)
    u = component(velocity)
    return replace(G, micro={"velocity": u, "strain_rate": lambda w: ufl.sym(ufl.grad(u(w)))})


def _check_percolation(cell: Cell) -> None:
    """Raise `InputError` if a fluid is closed in all directions of the lattice, warn if in some (collective)."""
    is_open = pieces(cell).open_directions
    if not is_open.size:
        raise InputError(
            "the fluid does not percolate: no part of it leads through the repeated cell, its permeability is zero; "
            "mesh the pores that are connected"
        )
    if closed := sorted(set(range(cell.dim)) - set(is_open.tolist())):
        logging.getLogger("hmm").warning(
            "the fluid does not percolate along lattice vector%s %s: its permeability is zero there",
            "s" * (len(closed) > 1),
            " and ".join(str(axis + 1) for axis in closed),
        )


def _check_cell(cell: object) -> None:
    instance("cell", cell, Cell, "make one with hmm.Cell or hmm.cells")


def _macro_input(
    cell: Cell,
    packing: Packing,
    operator: Operator | None,
    name: str,
    response: str,
    component: int | None = None,
) -> MacroInput:
    if component is not None:
        integer("component", component, 0)
    function = fem.Function(real_space(cell.mesh, packing.size), name=name)
    return MacroInput(name, response, packing, np.zeros(packing.size), function, operator, component=component)


def _generalised(e: MacroInput) -> MacroInput:
    """The input with a component 33 of its own: in a 2D cell the fluctuation has no part in it."""
    derivative, dim = e.operator, e.function.function_space.mesh.geometry.dim
    assert derivative is not None
    return replace(
        e,
        operator=lambda w: tensors.embed(derivative(w)),
        affine=lambda E, x: ufl.as_vector([sum(E[i, j] * x[j] for j in range(dim)) for i in range(dim)]),
    )


def held_on_walls(cell: Cell, w: fem.Function, *component: int) -> NDArray[np.int32]:
    """Dofs of a field on the walls of a cell: where its mesh ends inside the lattice cell.

    Parameters
    ----------
    cell
        The unit cell.
    w
        The fluctuation.
    component
        Numbers of the field and, if only that is held, of its component; nothing for all of a `w` of one field.

    Returns
    -------
    ndarray of int32
        Local dofs (ghosts included), for ``hmm.RVE(..., held=...)``. Collective.
    """
    space = w.function_space
    for number in component:
        if not 0 <= number < space.num_sub_spaces:
            raise InputError(f"component {component} of w does not exist: it has {space.num_sub_spaces} at that place")
        space = space.sub(number)
    return _unrolled(fem.locate_dofs_topological(space, cell.mesh.topology.dim - 1, cell.wall_facets()), space)


def _unrolled(dofs: NDArray[np.int32], space: fem.FunctionSpace) -> NDArray[np.int32]:
    size = space.dofmap.bs
    return (dofs[:, None] * size + np.arange(size)).ravel().astype(np.int32)
