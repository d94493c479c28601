"""Recovery of a reduced point that does not converge: substeps and elastic start, as for the RVE."""

from __future__ import annotations

from dataclasses import replace

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError
from hmm.micro.protocols import NewtonOptions
from hmm.micro.response import Condensed
from hmm.reduced.batch import RTOL
from hmm.reduced.compiled_cells import CellAnswers, CompiledCells

Floats = NDArray[np.float64]


class SingleCell:
    """A reduced cell loaded with one point, for `hmm.micro.recovery.solve_step` (see `hmm.micro.protocols`).

    Parameters
    ----------
    cells
        The reduced cell.
    volume
        Volume of the cell.
    reference
        Shape (m,); packed macroscopic input of the undeformed state.
    options
        Newton options of the RVE; the tolerance is that of reduced points.
    """

    def __init__(self, cells: CompiledCells, volume: float, reference: Floats, options: NewtonOptions) -> None:
        self._cells, self._volume, self.reference = cells, volume, reference
        self.newton_options = replace(options, rtol=RTOL)
        self.comm, self.n_factorizations, self.time_step = MPI.COMM_SELF, 0, 0.0
        self.n_inputs, self.n_unknowns, self.n_history = cells.m, cells.N, cells.history
        self._x, self._old = np.zeros((1, cells.m + cells.N)), np.zeros((1, cells.history))
        self._found: CellAnswers | None = None

    def load_history(self, history: Floats) -> None:
        """Set the internal variables at the start of the step."""
        self._old, self._found = history[None].copy(), None

    def load(self, z: Floats, E: Floats) -> None:
        """Load the point."""
        self._x, self._found = np.concatenate([E, z])[None], None

    def residual(self) -> Floats:
        """Residual at the loaded point."""
        return self._answers.residuals[0]

    def norm(self, residual: Floats) -> float:
        """Euclidean norm."""
        return float(np.linalg.norm(residual))

    def force_scale(self) -> float:
        """The force of which a residual is small that is below the relative tolerance; it includes rounding."""
        return float(self._answers.small[0]) / self.newton_options.rtol

    def roundoff(self, E: Floats) -> float:
        """Nothing more: see `force_scale`."""
        return 0.0

    def response(self) -> Floats:
        """Macroscopic response."""
        return self._answers.forces[0, : self.n_inputs] / self._volume

    def linearize(self) -> None:
        """Count the factorization, which came with the residual, and see whether it succeeded."""
        self.n_factorizations += 1
        if not np.isfinite(self._answers.sensitivity).all():
            raise ConvergenceError("the reduced tangent is singular")

    def correction(self, residual: Floats, rtol: float) -> Floats:
        """Newton correction."""
        return self._answers.step[0]

    def condense(self, residual: Floats | None = None) -> Condensed:
        """The linearized cell after condensation."""
        at = self._answers
        return Condensed(at.tangent[0] / self._volume, at.sensitivity[0].T, at.step[0], at.drop[0] / self._volume)

    def updated_history(self) -> Floats:
        """Internal variables at the end of the loaded step."""
        return self._cells.updated(self._x, self._old, self.time_step)[0]

    def why_not_a_number(self) -> str:
        """The reason why the residual is not a number."""
        return "the residual of the reduced cell is not a number"

    def why_unstable(self) -> str:
        """Nothing is known."""
        return ""

    def verify(self) -> None:
        """Tangents are exact to rounding."""

    def forget(self) -> None:
        """Nothing stays from an interrupted solve."""
        self._found = None

    @property
    def _answers(self) -> CellAnswers:
        """What the loaded point answers, with its condensed tangent."""
        if self._found is None:
            self._found = self._cells.condensed(self._x, self._old, self.time_step, RTOL)
        return self._found
