"""Local unknowns: implicit constitutive updates, solved at each quadrature point when the cell is loaded.

A law may have local unknowns with equations ``r(x, fields) = 0`` at each point, such as a plastic multiplier without
closed form. They are solved outside the forms, for all points at once. The forms contain

    x*(fields) = x - J^-1 r(x, fields),        J = dr/dx,

with the solution x and the inverse Jacobian as coefficients. The value of x* is x, and its derivative in UFL is
``dx*/dfields = -J^-1 dr/dfields`` (implicit function theorem). Hence tangents are exact, and a law only defines r.
"""

from __future__ import annotations

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.cells.cell import Cell
from hmm.foundation import tensors
from hmm.foundation.forms import compile_expression, quadrature_points, quadrature_space, tagged_cells
from hmm.laws.base import ImplicitLaw, Local

TOLERANCE = 1e-10
"""Largest entry of a converged residual. x* contains one more Newton step, which squares the error."""

STAGNATION = 1e-8
"""A residual below this also counts as converged if rounding prevents a further decrease."""

MAX_ITERATIONS, MAX_HALVINGS = 60, 12


class LocalProblem:
    """Local unknowns of one phase, at the quadrature points of its owned cells.

    Parameters
    ----------
    cell
        The unit cell.
    tag
        Tag of the phase.
    law
        Its law.
    degree
        Quadrature degree.
    at
        The arguments of the law, without unknowns.

    Attributes
    ----------
    expressions
        The packed residual and first guess, as UFL.
    n_failed
        Number of points whose equations were not solved when the cell was last loaded. Their unknowns are NaN, as are
        then the residual and the response of the cell.
    """

    def __init__(self, cell: Cell, tag: int, law: ImplicitLaw, degree: int, at: Local) -> None:
        self.mesh, self.n_failed = cell.mesh, 0
        self.packings = law.unknowns(cell.dim)
        self.n = n = tensors.blocks(self.packings).size
        points = quadrature_points(cell.mesh, degree)
        self.x = fem.Function(quadrature_space(cell.mesh, degree, (n,)), name="unknowns")
        self.inverse = fem.Function(quadrature_space(cell.mesh, degree, (n * n,)), name="inverse_jacobian")
        self.cells = tagged_cells(cell.phase_tags, tag)
        self._slots = self.x.function_space.dofmap.list[self.cells]
        variable = ufl.variable(self.x)
        r = tensors.pack_all(self.packings, law.residual(at.solving(tensors.unpack_all(self.packings, variable))))
        J = ufl.diff(r, variable)
        entries = [r[i] for i in range(n)] + [J[i, j] for i in range(n) for j in range(n)]
        self._equations = compile_expression(ufl.as_vector(entries), points)
        guess = tensors.pack_all(self.packings, law.guess(at))
        self._guess = compile_expression(guess, points)
        self.expressions = r, guess
        r = tensors.pack_all(self.packings, law.residual(at.solving(tensors.unpack_all(self.packings, self.x))))
        step = [sum(self.inverse[n * i + j] * r[j] for j in range(n)) for i in range(n)]
        self.at = at.solving(tensors.unpack_all(self.packings, ufl.as_vector([self.x[i] - step[i] for i in range(n)])))

    @property
    def functions(self) -> tuple[fem.Function, fem.Function]:
        """The coefficients that `solve` sets."""
        return self.x, self.inverse

    def solve(self) -> None:
        """Solve for the unknowns at the loaded point by Newton's method with line search.

        Points are independent. Nothing is raised, because other ranks may not have failed.
        """
        if not self.cells.size:
            return
        with np.errstate(all="ignore"):
            x = self._guess.eval(self.mesh, self.cells).reshape(*self._slots.shape, self.n)
            r, J = self._evaluate(x, np.arange(self.cells.size))
            norm = _size(r)
            stuck = np.zeros(norm.shape, dtype=bool)
            for _ in range(MAX_ITERATIONS):
                todo = np.flatnonzero((~(norm <= TOLERANCE) & ~stuck).any(axis=1))
                if not todo.size:
                    break
                self._step(x, r, J, norm, stuck, todo)
            failed = ~(norm <= STAGNATION)
        self.n_failed = int(failed.sum())
        x[failed] = np.nan
        self._store(x, _inverse(J))

    def _step(
        self,
        x: NDArray[np.float64],
        r: NDArray[np.float64],
        J: NDArray[np.float64],
        norm: NDArray[np.float64],
        stuck: NDArray[np.bool_],
        todo: NDArray[np.intp],
    ) -> None:
        """One Newton step in the cells `todo`; `stuck` where no step length reduces the residual."""
        d = np.einsum("cpij,cpj->cpi", _inverse(J[todo]), r[todo])
        stuck[todo] |= ~np.isfinite(d).all(axis=2)
        waiting = ~(norm[todo] <= TOLERANCE) & ~stuck[todo]
        d[~waiting] = 0.0
        cells, length = todo, 1.0
        for _ in range(MAX_HALVINGS):
            trial = x[cells] - length * d
            new_r, new_J = self._evaluate(trial, cells)
            better = waiting & (_size(new_r) < norm[cells])
            accepted = np.zeros(norm.shape, dtype=bool)
            accepted[cells] = better
            x[accepted], r[accepted], J[accepted] = trial[better], new_r[better], new_J[better]
            norm[accepted] = _size(new_r)[better]
            waiting &= ~better
            keep = waiting.any(axis=1)
            cells, waiting, d, length = cells[keep], waiting[keep], d[keep], length / 2
            if not cells.size:
                return
        stuck[cells] |= waiting

    def _evaluate(
        self, x: NDArray[np.float64], cells: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Residual, shape (n_cells, n_points, n), and Jacobian, shape (n_cells, n_points, n, n), in some cells."""
        self.x.x.array.reshape(-1, self.n)[self._slots[cells]] = x
        values = self._equations.eval(self.mesh, self.cells[cells]).reshape(*x.shape[:2], self.n + self.n**2)
        return values[..., : self.n].copy(), values[..., self.n :].reshape(*x.shape, self.n).copy()

    def _store(self, x: NDArray[np.float64], inverse: NDArray[np.float64]) -> None:
        self.x.x.array.reshape(-1, self.n)[self._slots] = x
        self.inverse.x.array.reshape(-1, self.n**2)[self._slots] = inverse.reshape(*x.shape[:2], self.n**2)


def local_problem(cell: Cell, tag: int, law: object, degree: int, at: Local) -> LocalProblem | None:
    """The local problem of a law, or None if it has no local unknowns."""
    if not isinstance(law, ImplicitLaw) or not law.unknowns(cell.dim):
        return None
    return LocalProblem(cell, tag, law, degree, at)


def _size(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest entry of each residual; NaN if any is."""
    return np.abs(r).max(axis=-1)


def _inverse(J: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse matrices, NaN where there is none."""
    determinant = np.linalg.det(J)
    singular = ~np.isfinite(determinant) | (determinant == 0)
    inverse = np.linalg.inv(np.where(singular[..., None, None], np.eye(J.shape[-1]), J))
    inverse[singular] = np.nan
    return inverse
