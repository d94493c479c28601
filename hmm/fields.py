"""The two arguments of a microproblem: the fluctuation field and the macroscopic inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm import tensors
from hmm.cell import Cell
from hmm.errors import InputError
from hmm.forms import real_space
from hmm.tensors import Packing


def fluctuation(cell: Cell, degree: int = 1, shape: tuple[int, ...] | None = None) -> fem.Function:
    """The fluctuation field ``w``: a continuous Lagrange field on the cell.

    Parameters
    ----------
    cell
        The unit cell.
    degree
        Polynomial degree.
    shape
        Value shape; a displacement ``(d,)`` by default, ``()`` for a temperature or another scalar.

    Returns
    -------
    dolfinx.fem.Function
        Zero, in the unit of the mesh for a displacement.
    """
    if degree < 1:
        raise InputError(f"degree {degree} of the fluctuation field must be at least 1")
    space = fem.functionspace(cell.mesh, ("Lagrange", degree, (cell.dim,) if shape is None else shape))
    return fem.Function(space, name="w")


Operator = Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr]
"""From a fluctuation to the local field it adds to."""


@dataclass(frozen=True, eq=False)
class MacroInput:
    """One macroscopic input ``E``: real numbers on the cell and the tensor they stand for.

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
    """

    function: fem.Function
    packing: Packing
    operator: Operator | None
    name: str
    response: str
    reference: NDArray[np.float64]
    affine: Callable[[ufl.core.expr.Expr, ufl.core.expr.Expr], ufl.core.expr.Expr] = ufl.dot
    out_of_plane: float = 0.0

    @property
    def tensor(self) -> ufl.core.expr.Expr:
        """The macroscopic input as a UFL tensor."""
        return self.packing.unpack(self.function)

    @property
    def size(self) -> int:
        """Number of components m."""
        return self.packing.size

    def local(self, w: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """The local field ``E + D w`` as a UFL tensor."""
        return self.tensor if self.operator is None else self.tensor + self.operator(w)

    def local_3d(self, w: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """The local field as laws get it: tensors have the shape (3, 3) in 2D cells too."""
        return tensors.embed(self.local(w), self.out_of_plane)

    def variation(self, v: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """What a variation `v` of the fluctuation adds to `local_3d`; there must be an operator."""
        assert self.operator is not None
        return tensors.embed(self.operator(v))

    def macro_variation(self, v: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """What a variation `v` of the packed numbers adds to `local_3d`."""
        return tensors.embed(self.packing.unpack(v))


def macro_strain(cell: Cell) -> MacroInput:
    """Small macroscopic strain ``E`` (symmetric, dimensionless); its response is the macroscopic Cauchy stress."""
    packing = tensors.symmetric(cell.dim)
    return _macro_input(cell, packing, lambda w: ufl.sym(ufl.grad(w)), "strain", "stress")


def macro_deformation_gradient(cell: Cell) -> MacroInput:
    """Macroscopic deformation gradient ``F``; its response is the first Piola-Kirchhoff stress ``P``."""
    packing = tensors.general(cell.dim, cell.dim)
    F = _macro_input(cell, packing, ufl.grad, "deformation_gradient", "first Piola-Kirchhoff stress")
    F.reference[:] = F.function.x.array[:] = np.eye(cell.dim).ravel()
    return replace(F, out_of_plane=1.0)


def macro_gradient(cell: Cell) -> MacroInput:
    """Macroscopic gradient of a scalar (per mesh unit); its response is the conjugate of it in the energy."""
    return _macro_input(cell, tensors.general(cell.dim), ufl.grad, "gradient", "flux")


def macro_temperature(cell: Cell, reference: float = 0.0) -> MacroInput:
    """Macroscopic temperature ``T``, the same everywhere in the cell; its response is the conjugate of it.

    `reference` is its value in the undeformed state, where a body begins; positive for laws of absolute temperature.

    A cell is small, so its temperature varies little within it; the variation along a macroscopic gradient is a
    further input, `macro_gradient`.
    """
    T = _macro_input(cell, tensors.general(), None, "temperature", "entropy")
    T.reference[:] = T.function.x.array[:] = reference
    return T


def _macro_input(cell: Cell, packing: Packing, operator: Operator | None, name: str, response: str) -> MacroInput:
    function = fem.Function(real_space(cell.mesh, packing.size), name=name)
    return MacroInput(function, packing, operator, name, response, np.zeros(packing.size))
