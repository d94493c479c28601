"""Internal variables of a phase, in a cell and in the state of a point."""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.cells.cell import Cell
from hmm.foundation import tensors
from hmm.foundation.forms import (
    compile_expression,
    quadrature_points,
    quadrature_space,
    quadrature_weights,
    tagged_cells,
)
from hmm.laws import Law, Local, State


class History:
    """Internal variables of one phase, at the quadrature points of its owned cells.

    A state row contains, cell by cell and point by point, the packed variables in the order of ``law.internal``.

    Parameters
    ----------
    cell
        The unit cell.
    tag
        Tag of the phase.
    law
        Its law; must have internal variables.
    degree
        Quadrature degree.

    Attributes
    ----------
    blocks
        The range of each variable in those of a point.
    new
        The packed variables at the end of the step, as UFL; set by `compile_update`.
    """

    def __init__(self, cell: Cell, tag: int, law: Law, degree: int) -> None:
        self.law = law
        self.packings = law.internal(cell.dim)
        self.mesh = cell.mesh
        self.blocks = tensors.blocks(self.packings)
        self.n_variables = self.blocks.size
        self._points = quadrature_points(cell.mesh, degree)
        self.function = fem.Function(quadrature_space(cell.mesh, degree, (self.n_variables,)), name="history")
        self.cells = tagged_cells(cell.phase_tags, tag)
        points = self.function.function_space.dofmap.list[self.cells].ravel()
        self._slots = (points[:, None] * self.n_variables + np.arange(self.n_variables)).ravel()
        weights = quadrature_weights(cell.mesh, degree, self.cells).ravel()
        self._shares = weights / cell.comm.allreduce(weights.sum())
        self.new: ufl.core.expr.Expr | None = None
        self._update: fem.Expression | None = None

    @property
    def size(self) -> int:
        """Length of a state row."""
        return self._slots.size

    @property
    def old(self) -> State:
        """The internal variables of the last accepted step, as UFL tensors."""
        return tensors.unpack_all(self.packings, self.function)

    def load(self, row: NDArray[np.float64]) -> None:
        """Copy a state row, shape (size,), into the coefficient of the forms."""
        self.function.x.array[self._slots] = row

    def compile_update(self, at: Local) -> None:
        """Compile the update of the law for the local fields."""
        self.new = tensors.pack_all(self.packings, self.law.update(at))
        self._update = compile_expression(self.new, self._points)

    def updated(self) -> NDArray[np.float64]:
        """The state row, shape (size,), at the end of the loaded step."""
        assert self._update is not None
        return self._update.eval(self.mesh, self.cells).ravel()

    def advance_first(self) -> None:
        """Make the end of the loaded step the start of the next one in the first cell only."""
        assert self._update is not None
        first = self._update.eval(self.mesh, self.cells[:1]).ravel()
        self.function.x.array[self._slots[: first.size]] = first

    def view(self, row: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """Packed values of one variable in a state row, shape (n_points, packing.size)."""
        return row.reshape(-1, self.n_variables)[:, self.blocks[name]]

    def average(self, row: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        """Average over this rank's share of the phase, shape (packing.size,), of one variable in a state row."""
        return self._shares @ self.view(row, name)
