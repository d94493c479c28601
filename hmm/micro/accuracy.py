"""Accuracy of the condensed tangent of a cell, verified in double precision for any solver.

The tangent ``A = (D - M K^-1 L) / |Y|`` is a difference. If a stiff phase lies in a soft one, both terms are of the
order of the stiff phase, and the difference is of the order of the soft one. Errors of the solver and of rounding are
therefore amplified by the contrast.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError
from hmm.micro.definition import CellProblem
from hmm.micro.reduced_system import ReducedSystem
from hmm.micro.solvers.assembled import MicroSolver
from hmm.models.components import component_names

_LOG = logging.getLogger("hmm")
Floats = NDArray[np.float64]

REQUESTED = 1e-6
"""Relative error of a component of the tangent above which a warning is given."""

REFUSED = 1e-2
"""Relative error above which the tangent is rejected."""

NEGLIGIBLE = 1e-8
"""In a cell of one phase, components below this fraction of the largest one of their input need not be accurate.

They are small because no solid connects opposite faces; with several phases, the reason may be a soft phase.
"""

STAGE = 1e-2
"""Relative residual of one stage of `solve_refined`."""

MOST_STAGES = 12


@dataclass(frozen=True, eq=False)
class Tangents:
    """Accuracy of the condensed tangents of a cell.

    Attributes
    ----------
    problem
        The cell problem.
    reduced
        Its reduced system.
    symmetric
        Whether they must be symmetric.
    """

    problem: CellProblem
    reduced: ReducedSystem
    symmetric: bool

    def sizes(self, diagonal: Floats) -> Floats:
        """Magnitudes, shape (m,), to which errors of the components of a tangent with this diagonal are compared."""
        size = np.abs(diagonal)
        for part in self.problem.blocks.values():
            floor = NEGLIGIBLE * size[part].max() if len(self.problem.cell.phases) == 1 else 0.0
            size[part] = np.maximum(size[part], floor)
        return np.where(size > 0, size, np.inf)  # zero, which is correct

    def asymmetry(self, A: Floats, size: Floats) -> Floats:
        """Asymmetry of each row of a matrix that must be symmetric, shape (m,), relative to the `size`."""
        if not self.symmetric:
            return np.zeros(len(A))
        return np.asarray((np.abs(A - A.T) / np.sqrt(np.outer(size, size))).max(axis=1))

    def solve_refined(
        self, solver: MicroSolver, L: Floats, M: Floats, D: Floats, replaceable: bool
    ) -> tuple[Floats, Floats]:
        """Columns ``K^-1 L`` by an iterative solver, in stages until the tangent has converged.

        Each stage solves for the residual of the previous one, computed in double precision with the exact tangent.
        Hence neither the tolerance of the solver nor an operator in single precision limits the accuracy. The first
        stages together reach the tolerance of the solver.

        Parameters
        ----------
        solver
            The solver.
        L, M
            Shape (n_unknowns, m); right-hand sides, and the factors of the solution in the tangent.
        D
            Shape (m,); diagonal of ``D``.
        replaceable
            Whether a direct solver can replace this one.

        Returns
        -------
        columns
            Shape (n_unknowns, m).
        errors
            Shape (m,); error estimates of the diagonal of ``M^T K^-1 L``.

        Raises
        ------
        ConvergenceError
            If the solver fails, or the error exceeds `REQUESTED` and a direct solver can replace it.
        """
        columns = np.array([solver.solve(column, solver.rtol / STAGE) for column in L.T]).T
        last, vain = np.inf, 0
        more = np.empty_like(columns)
        for _ in range(MOST_STAGES):
            for rhs, column, change in zip(L.T, columns.T, more.T, strict=True):  # one by one: little memory
                change[:] = solver.solve(rhs - solver.apply(column), STAGE)
                column += change
            changes, sums = self.reduced.sum(np.array([M.T @ more, M.T @ columns]))
            size = self.sizes(D - sums.diagonal())
            worst = max(np.max(np.abs(changes.diagonal()) / size), self.asymmetry(sums, size).max())
            vain += not worst < 0.5 * last
            if worst <= REQUESTED or vain > 2:
                break
            last = worst
        if worst > REQUESTED and replaceable:
            raise ConvergenceError(f"the micro solver leaves a relative error of {worst:.0e} in the tangent")
        return columns, np.abs(changes.diagonal()) * (STAGE if worst <= REQUESTED else 1.0)

    def complaint(self, A: Floats, errors: Floats, rounding: Floats) -> str | None:
        """A warning about a tangent, shape (m, m), that is not sufficiently accurate; or None.

        Parameters
        ----------
        A
            Shape (m, m); the tangent.
        errors
            Shape (m,); errors of its diagonal.
        rounding
            Shape (m,); bound on rounding errors in components that should be zero.

        Raises
        ------
        ConvergenceError
            If the relative error of a component exceeds `REFUSED`.
        """
        if not np.isfinite(A).all():
            return None
        size = self.sizes(A.diagonal())
        relative = np.maximum(errors / size, self.asymmetry(A, size))
        nothing = np.abs(A.diagonal()) <= rounding
        refused = (relative > REFUSED) & (~nothing | (nothing.all() and len(self.problem.cell.phases) > 1))
        worst = int(np.argmax(np.where(refused, relative, 0.0) if refused.any() else relative))
        if relative[worst] <= REQUESTED:
            return None
        message = (
            f"the component {component_names(self.problem.inputs)[worst]} of the cell's tangent has a relative "
            f"error of about {min(relative[worst], 1.0):.0e}: the phases differ too much for double precision; "
            "use a contrast of 1e9 or less, or replace a soft phase by void"
        )
        if refused.any():
            raise ConvergenceError(message)
        return message
