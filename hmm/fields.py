"""The two arguments of a microproblem: the fluctuation field and the macroscopic inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
        The derivative of the fluctuation that adds to it, such as ``lambda w: sym(grad(w))``.
    name
        What it is, for messages, such as ``"strain"``.
    response
        Name of the conjugate response, such as ``"stress"``.
    reference
        The packed value of the undeformed state.
    affine
        The field whose derivative is the input, such as ``lambda E, x: dot(E, x)``: ``operator(affine(E, x)) = E``.
    """

    function: fem.Function
    packing: Packing
    operator: Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr]
    name: str
    response: str
    reference: NDArray[np.float64]
    affine: Callable[[ufl.core.expr.Expr, ufl.core.expr.Expr], ufl.core.expr.Expr] = ufl.dot

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
        return self.tensor + self.operator(w)


def macro_strain(cell: Cell) -> MacroInput:
    """Small macroscopic strain ``E`` (symmetric, dimensionless); its response is the macroscopic Cauchy stress."""
    packing = tensors.symmetric(cell.dim)
    return _macro_input(cell, packing, lambda w: ufl.sym(ufl.grad(w)), "strain", "stress", np.zeros(packing.size))


def macro_deformation_gradient(cell: Cell) -> MacroInput:
    """Macroscopic deformation gradient ``F``; its response is the first Piola-Kirchhoff stress ``P``."""
    packing = tensors.general(cell.dim, cell.dim)
    identity = np.eye(cell.dim).ravel()
    return _macro_input(cell, packing, ufl.grad, "deformation gradient", "first Piola-Kirchhoff stress", identity)


def macro_gradient(cell: Cell) -> MacroInput:
    """Macroscopic gradient of a scalar (per mesh unit); its response is the conjugate of it in the energy."""
    packing = tensors.general(cell.dim)
    return _macro_input(cell, packing, ufl.grad, "gradient", "flux", np.zeros(packing.size))


def _macro_input(
    cell: Cell,
    packing: Packing,
    operator: Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr],
    name: str,
    response: str,
    reference: NDArray[np.float64],
) -> MacroInput:
    function = fem.Function(real_space(cell.mesh, packing.size), name=name)
    function.x.array[:] = reference
    return MacroInput(function, packing, operator, name, response, reference)
