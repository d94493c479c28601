"""The two arguments of a microproblem: the fluctuation field and the macroscopic inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

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


def macro_strain(cell: Cell, *, out_of_plane: bool = False) -> MacroInput:
    """Small macroscopic strain ``E`` (symmetric, dimensionless); its response is the macroscopic Cauchy stress.

    Parameters
    ----------
    cell
        The unit cell.
    out_of_plane
        Give a 2D cell the component 33 as well (generalised plane strain): `E` and the stress then have the shape
        (3, 3), packed as (11, 22, 33, sqrt2*12). Without it E33 is zero (plane strain).
    """
    packing = tensors.plane(cell.dim) if out_of_plane else tensors.symmetric(cell.dim)
    strain = _macro_input(cell, packing, lambda w: ufl.sym(ufl.grad(w)), "strain", "stress")
    return _generalised(strain) if out_of_plane else strain


def macro_deformation_gradient(cell: Cell, *, out_of_plane: bool = False) -> MacroInput:
    """Macroscopic deformation gradient ``F``; its response is the first Piola-Kirchhoff stress ``P``.

    Parameters
    ----------
    cell
        The unit cell.
    out_of_plane
        Give a 2D cell the component 33 as well: `F` and `P` then have the shape (3, 3), packed as (11, 12, 21, 22, 33).
        Without it F33 is one (plane strain).
    """
    packing = tensors.plane_general(cell.dim) if out_of_plane else tensors.general(cell.dim, cell.dim)
    F = _macro_input(cell, packing, ufl.grad, "deformation_gradient", "first Piola-Kirchhoff stress")
    F.reference[:] = F.function.x.array[:] = packing.to_vector(np.eye(packing.shape[0]))
    return _generalised(F) if out_of_plane else replace(F, out_of_plane=1.0)


def macro_gradient(cell: Cell) -> MacroInput:
    """Macroscopic gradient of a scalar (per mesh unit); its response is the conjugate of it in the energy."""
    return _macro_input(cell, tensors.general(cell.dim), ufl.grad, "gradient", "flux")


def macro_temperature(cell: Cell) -> MacroInput:
    """Macroscopic temperature ``T``, the same everywhere in the cell; its response is the conjugate of it.

    A cell is small, so its temperature varies little within it; the variation along a macroscopic gradient is a
    further input, `macro_gradient`.
    """
    return _macro_input(cell, tensors.general(), None, "temperature", "entropy")


def _macro_input(cell: Cell, packing: Packing, operator: Operator | None, name: str, response: str) -> MacroInput:
    function = fem.Function(real_space(cell.mesh, packing.size), name=name)
    return MacroInput(function, packing, operator, name, response, np.zeros(packing.size))


def _generalised(e: MacroInput) -> MacroInput:
    """The input with a component 33 of its own: in a 2D cell the fluctuation has no part in it."""
    derivative, dim = e.operator, e.function.function_space.mesh.geometry.dim
    assert derivative is not None
    return replace(
        e,
        operator=lambda w: tensors.embed(derivative(w)),
        affine=lambda E, x: ufl.as_vector([sum(E[i, j] * x[j] for j in range(dim)) for i in range(dim)]),
    )


def component_names(inputs: Sequence[MacroInput]) -> list[str]:
    """A name for each packed component: its label such as ``"12"``, with the input's name if there are several."""
    several = len(inputs) > 1
    return [
        f"{e.name} {label}".strip() if several or not label else label for e in inputs for label in e.packing.labels
    ]


def find_component(inputs: Sequence[MacroInput], label: str) -> int:
    """Index in the packed vector of a component such as ``"12"``, ``"21"`` (if symmetric) or ``"strain 12"``.

    Raises
    ------
    InputError
        If there is none, or several of that label.
    """
    wanted, found, k = label.strip(), [], 0
    for e in inputs:
        for own in e.packing.labels:
            same = {own, own[::-1]} if e.packing.symmetric else {own}
            if wanted in same | {f"{e.name} {s}".strip() for s in same} and wanted:
                found.append(k)
            k += 1
    if len(found) == 1:
        return found[0]
    what = "is not a macro component" if not found else "could be one of several"
    raise InputError(f"{label!r} {what}: the components are {', '.join(component_names(inputs))}")


def find_components(inputs: Sequence[MacroInput], labels: Iterable[str]) -> list[int]:
    """Indices in the packed vector of components by label.

    Raises
    ------
    InputError
        If one is unknown or named twice, as in ``("12", "21")`` of a symmetric tensor.
    """
    indices: list[int] = []
    for label in labels:
        k = find_component(inputs, label)
        if k in indices:
            raise InputError(f"component {component_names(inputs)[k]} is prescribed twice: name it once")
        indices.append(k)
    return indices


def pack_inputs(inputs: Sequence[MacroInput], E: ArrayLike | Mapping[str, float]) -> NDArray[np.float64]:
    """Packed macroscopic input, shape (m,), of a tensor (single input), a packed vector or components by label."""
    size = sum(e.size for e in inputs)
    if isinstance(E, Mapping):
        vector = np.concatenate([np.zeros(0), *(e.reference for e in inputs)])
        k = find_components(inputs, E)
        vector[k] = np.array(list(E.values()), dtype=float) * factors(inputs)[k]
        return vector
    array = np.asarray(E, dtype=float)
    if array.shape == (size,):
        return array.copy()
    if len(inputs) == 1 and array.shape == inputs[0].packing.shape:
        return inputs[0].packing.to_vector(array)
    name, shape = (inputs[0].name, inputs[0].packing.shape) if inputs else ("input", ())
    raise InputError(
        f"the macroscopic {name} has shape {array.shape}: give a tensor of shape {shape} "
        f"or its packed components, shape ({size},)"
    )


def factors(inputs: Sequence[MacroInput]) -> NDArray[np.float64]:
    """What each packed component is, as a multiple of the tensor's, shape (m,)."""
    return np.array([f for e in inputs for f in e.packing.factors])


def split_vector(inputs: Sequence[MacroInput], vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Packed values, shape (..., m), as one tensor per macro input."""
    ends = np.cumsum([e.size for e in inputs])
    return tuple(e.packing.to_tensor(vector[..., end - e.size : end]) for e, end in zip(inputs, ends, strict=True))
