"""The fluctuation of a cell problem: its fields and their degrees of freedom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError
from hmm.foundation.options import LARGEST_DEGREE, choice, instance, integer


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
        Polynomial degree, or one for each field, such as ``(2, 1)`` for velocity and pressure.
    shape
        Value shape: by default ``(d,)``, a displacement; ``()`` for a temperature or another scalar. Several fields
        need one shape each; by default a vector followed by scalars.
    family
        ``"Lagrange"`` (continuous) or ``"DG"`` (discontinuous), for all fields or for each.

    Returns
    -------
    dolfinx.fem.Function
        The fluctuation, initially zero; a displacement has the unit of the mesh. Several fields are ``ufl.split(w)``.

    Raises
    ------
    InputError
        If the degrees, shapes and families do not define fields.

    Examples
    --------
    >>> w = hmm.fluctuation(cell, degree=(2, 1))  # Taylor-Hood: velocity and pressure  # doctest: +SKIP
    """
    check_cell(cell)
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
        raise InputError(
            f"shape {shape!r} of a fluctuation field must be a tuple: give () for a scalar, (d,) for a vector"
        )
    return basix.ufl.element(str(family), cell.mesh.basix_cell(), degree, shape=shape)


@dataclass(frozen=True, eq=False)
class Field:
    """One of the fields of a fluctuation space, and its degrees of freedom in that space.

    Attributes
    ----------
    number
        Its number among the fields.
    parent
        The space of all fields.
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
        """Number of points that this rank owns; they come first."""
        return int(self.space.dofmap.index_map.size_local)

    @property
    def continuous(self) -> bool:
        """Whether neighbouring cells share its degrees of freedom."""
        return not self.space.ufl_element().discontinuous

    @cached_property
    def dofs(self) -> NDArray[np.int32]:
        """Local degrees of freedom (unrolled) in `parent`, including ghosts."""
        size = self.parent.dofmap.index_map_bs
        return (self.blocks[..., None] * size + np.arange(size)).ravel().astype(np.int32)

    def of(self, w: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """This field of a function or argument on `parent`."""
        return ufl.split(w)[self.number] if self.space is not self.parent else w


def is_mixed(space: fem.FunctionSpace) -> bool:
    """Whether a space consists of several fields."""
    return bool(space.num_sub_spaces > 1 and space.dofmap.bs == 1)


def fields_of(space: fem.FunctionSpace) -> list[Field]:
    """The fields of a space; the space itself if it is not mixed.

    Raises
    ------
    InputError
        If a field is neither Lagrange nor discontinuous Lagrange.
    """
    if not is_mixed(space):
        n = space.dofmap.index_map.size_local + space.dofmap.index_map.num_ghosts
        return [Field(0, space, space, np.arange(n, dtype=np.int32)[:, None])]
    fields = []
    for number in range(space.num_sub_spaces):
        own, dofs = space.sub(number).collapse()
        if is_mixed(own) or own.ufl_element().element_family != basix.ElementFamily.P:
            raise InputError(
                f"field {number} of w is {own.ufl_element()}: use Lagrange or discontinuous Lagrange fields"
            )
        fields.append(Field(number, space, own, np.ravel(dofs).reshape(-1, own.dofmap.bs).astype(np.int32)))
    return fields


Operator = Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr]
"""Maps a fluctuation to its contribution to a local field."""


def component(number: int) -> Operator:
    """The operator that selects one of several fields of a fluctuation, ``ufl.split(w)[number]``."""
    return lambda w: ufl.split(w)[number]


def wall_dofs(cell: Cell, w: fem.Function, *component: int) -> NDArray[np.int32]:
    """Degrees of freedom of a field on the walls of a cell: the mesh boundary inside the lattice cell.

    Parameters
    ----------
    cell
        The unit cell.
    w
        The fluctuation.
    component
        Number of the field and, to select one component, its number; empty for all components of a single field.

    Returns
    -------
    ndarray of int32
        Local degrees of freedom (including ghosts), for ``hmm.RVE(..., fixed_dofs=...)``. Collective.
    """
    space = w.function_space
    for number in component:
        if not 0 <= number < space.num_sub_spaces:
            raise InputError(f"component {component} of w does not exist: w has {space.num_sub_spaces} at that level")
        space = space.sub(number)
    return _unrolled(fem.locate_dofs_topological(space, cell.mesh.topology.dim - 1, cell.wall_facets()), space)


def _unrolled(dofs: NDArray[np.int32], space: fem.FunctionSpace) -> NDArray[np.int32]:
    size = space.dofmap.bs
    return (dofs[:, None] * size + np.arange(size)).ravel().astype(np.int32)


def check_cell(cell: object) -> None:
    """Raise `InputError` if this is not a cell."""
    instance("cell", cell, Cell, "make one with hmm.Cell or hmm.cells")
