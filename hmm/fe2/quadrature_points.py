"""The integration points of a macro mesh, and fields at these points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx.mesh import Mesh
from numpy.typing import ArrayLike, NDArray
from ufl.algorithms import expand_derivatives, extract_coefficients
from ufl.classes import Grad
from ufl.corealg.traversal import unique_pre_traversal

from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_expression, highest_degree, owned_cells, quadrature_points, stiffness_degree

type MacroField = float | ArrayLike | Callable[[NDArray[np.float64]], ArrayLike] | ufl.core.expr.Expr
"""A field over the macro mesh: a constant, a function of the coordinates (shape (3, n), as DOLFINx gives them) whose
result has the points along its last axis, or UFL such as a Function."""


class MacroPoints:
    """The integration points of the macro cells that a rank owns.

    Parameters
    ----------
    mesh
        The macro mesh.
    degree
        Degree of the quadrature rule.

    Attributes
    ----------
    cells
        Shape (n_cells,); the owned macro cells.
    rule
        Shape (n, tdim); the points in the reference cell.
    x
        Shape (n_points, gdim); the coordinates.
    keys
        Shape (n_points,); number of each point, independent of the number of ranks: number of its macro cell in the
        input mesh times points per cell, plus number in the cell.
    """

    def __init__(self, mesh: Mesh, degree: int) -> None:
        self.mesh, self.degree = mesh, degree
        self.comm: MPI.Comm = mesh.comm
        self.cells = owned_cells(mesh)
        self.rule = quadrature_points(mesh, degree)
        n = len(self.rule)
        self.x = self.evaluate(ufl.SpatialCoordinate(mesh))  # at once: compiling is collective, and errors name x
        self.keys = (self.original_cells[:, None] * n + np.arange(n)).ravel()

    @property
    def n(self) -> int:
        """Number of points."""
        return self.cells.size * len(self.rule)

    @property
    def original_cells(self) -> NDArray[np.int64]:
        """Number of each owned cell in the input mesh, shape (n_cells,)."""
        return np.asarray(self.mesh.topology.original_cell_index, dtype=np.int64)[self.cells]

    def evaluate(self, expression: ufl.core.expr.Expr) -> NDArray[np.float64]:
        """Values of UFL, shape (n_points, ...)."""
        values = compile_expression(expression, self.rule).eval(self.mesh, self.cells)
        return np.asarray(values).reshape(self.n, *expression.ufl_shape)

    def values(self, field: MacroField | Any, name: str, *shapes: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of a field at the points, shape (n_points, ...).

        Parameters
        ----------
        field
            The field. Objects with ``as_matrix``, such as a SciPy rotation, are replaced by their matrices.
        name
            Its name in error messages.
        shapes
            The allowed shapes of a value.

        Raises
        ------
        InputError
            If a value has another shape, is not a finite number, or belongs to another mesh.
        """
        if isinstance(field, ufl.core.expr.Expr):
            domain = ufl.domain.extract_unique_domain(field)
            if domain != self.mesh.ufl_domain():
                where = "no mesh: give a number" if domain is None else "another mesh: give one on the macro mesh"
                raise InputError(f"{name} is UFL on {where}")
            values = self.evaluate(field)
        elif callable(field):
            values = self._of_function(field(np.pad(self.x.T, [(0, 3 - self.x.shape[1]), (0, 0)])), name)
        else:
            constant = _array(field, name)
            values = np.broadcast_to(constant, (self.n, *constant.shape))
        if values.shape[1:] not in shapes:
            raise InputError(
                f"{name} has values of shape {values.shape[1:]}: give one of {', '.join(map(str, shapes))}"
            )
        bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if bad.size:
            raise InputError(f"{name} is not a finite number at {self.describe(bad[0])}")
        return values

    def describe(self, point: int) -> str:
        """The coordinates of a point, for messages."""
        return f"({', '.join(f'{c:.4g}' for c in self.x[point])})"

    def _of_function(self, result: Any, name: str) -> NDArray[np.float64]:
        """The result of a function of x, with points as first axis."""
        array = _array(result, name)
        if hasattr(result, "as_matrix"):  # SciPy has the points first, or a single rotation
            array = np.moveaxis(array, 0, -1) if array.ndim == 3 else np.repeat(array[..., None], self.n, axis=-1)
        if array.ndim and array.shape[-1] != self.n:
            raise InputError(
                f"{name} returned an array of shape {array.shape} for {self.n} points: return one value for each along "
                "the last axis"
            )
        return np.moveaxis(array, -1, 0) if array.ndim else np.full(self.n, float(array))


def sufficient_degree(mesh: Mesh, strains: Sequence[ufl.core.expr.Expr]) -> int:
    """Degree of the quadrature rule for which the macro elements have no hourglass modes.

    The rule integrates the linear stiffness exactly, see `hmm.foundation.forms.stiffness_degree`. It depends on the
    highest degree of the differentiated Functions and of the geometry. A method of degree k then keeps its order, also
    with terms of lower derivatives (Ciarlet 1978, theorem 4.1.6). Without derivatives the matrix is a mass matrix, with
    polynomials of degree 2k.

    Parameters
    ----------
    mesh
        The macro mesh.
    strains
        The macroscopic inputs as UFL.
    """
    expanded = [expand_derivatives(strain) for strain in strains]
    nodes = [node for strain in expanded for node in unique_pre_traversal(strain)]
    moved = {f for node in nodes if isinstance(node, Grad) for f in extract_coefficients(node)}
    used = moved or {f for strain in expanded for f in extract_coefficients(strain)}
    k = max(highest_degree(f.function_space) for f in used)
    if any(f.ufl_element().has_custom_quadrature for f in used):  # values at the points of a rule of that degree
        return k
    return stiffness_degree(mesh, k if moved else k + 1)


def _array(given: Any, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(given.as_matrix() if hasattr(given, "as_matrix") else given, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} = {given!r} is not a field: give numbers, a function of x or UFL") from None
