"""The system of a cell under mixed control: some macroscopic components are unknowns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, InputError
from hmm.micro.loaded_cell import LoadedCell
from hmm.micro.response import Condensed
from hmm.micro.system import CellSystem
from hmm.models.controlled import SINGULAR, Components

Floats = NDArray[np.float64]


class BorderedSystem:
    """The system of a cell bordered by the equations of prescribed responses (`hmm.micro.protocols.Linearizable`).

    Unknowns are those of the cell, followed on the last rank by the free macroscopic components. With ``c`` for the
    given and ``f`` for the free components, Newton's method solves ``R_w = 0`` and ``Sigma_f = prescribed``; with the
    condensed tangent ``A`` of the cell, the tangent is the Schur complement ``A_cc - A_cf A_ff^-1 A_fc``. Residuals of
    stresses are multiplied by ``|Y|^((d-1)/d)``, so that they have the unit and the magnitude of nodal forces.

    Parameters
    ----------
    system
        The system of the cell.
    components
        Which components are given, free and fixed.

    Attributes
    ----------
    prescribed
        Shape (n_free,); packed responses of the free components.
    E, responses, tangent
        Shapes (m,), (m,) and (m, m); all components of the loaded point, of its last response and of its last tangent.
    """

    def __init__(self, system: CellSystem, components: Components) -> None:
        self.system, self.components = system, components
        self.newton_options, self.comm = system.newton_options, system.comm
        problem = system.problem
        self._is_last = self.comm.rank == self.comm.size - 1
        self._scale = problem.cell.volume ** (1 - 1 / problem.cell.dim)
        weights = problem.blocks.join(
            {e.name: np.full(e.size, system.loaded.residual_weight(e)) for e in problem.inputs}
        )
        self._weights = weights[components.free]
        self.prescribed = np.zeros(components.free.size)
        self.E = problem.reference.copy()
        self.responses = np.zeros(problem.n_inputs)
        self.tangent = np.zeros((problem.n_inputs, problem.n_inputs))
        self._residual = np.zeros(self.n_unknowns)
        self._is_checked = False

    @property
    def loaded(self) -> LoadedCell:
        """The cell with the loaded point."""
        return self.system.loaded

    @property
    def n_inputs(self) -> int:
        """Number m of given components."""
        return self.components.given.size

    @property
    def n_free(self) -> int:
        """Number of free components."""
        return self.components.free.size

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns of this rank: those of the cell and, on the last rank, the free components."""
        return self.system.n_unknowns + (self.n_free if self._is_last else 0)

    @property
    def n_history(self) -> int:
        """Number of internal variables of this rank."""
        return self.system.n_history

    @property
    def n_factorizations(self) -> int:
        """Number of factorizations of the stiffness so far."""
        return self.system.n_factorizations

    @property
    def reference(self) -> Floats:
        """Packed input of the undeformed state, shape (m,)."""
        return self.system.reference[self.components.given]

    @property
    def time_step(self) -> float:
        """Duration of the step."""
        return self.system.time_step

    @time_step.setter
    def time_step(self, dt: float) -> None:
        self.system.time_step = dt

    def load_history(self, history: Floats) -> None:
        """Set the internal variables at the start of the step."""
        self.system.load_history(history)

    def load(self, z: Floats, E: Floats) -> None:
        """Load the point (z, E), shapes (n_unknowns,) and (m,), at which everything is evaluated."""
        n = self.system.n_unknowns
        self.E[self.components.given] = E
        free = z[n:] if self._is_last else np.zeros(self.n_free)
        self.E[self.components.free] = self.loaded.reduced.sum(free)
        self.system.load(z[:n], self.E)

    def residual(self) -> Floats:
        """Residual, shape (n_unknowns,), at the loaded point: forces, then the defects of the prescribed responses.

        A view, overwritten by the next call.
        """
        forces = self.system.residual()
        self.responses = self.system.response()
        lacking = self._scale * (self.responses[self.components.free] - self.prescribed)
        self._residual[:] = self.joined(forces, lacking)
        return self._residual

    def norm(self, residual: Floats) -> float:
        """Euclidean norm of a residual over all ranks of the cell."""
        n, reduced = self.system.n_unknowns, self.loaded.reduced
        free = self._weights * residual[n:] if self._is_last else np.zeros(0)
        return float(np.hypot(self.system.norm(residual[:n]), np.sqrt(reduced.sum(float(free @ free)))))

    def why_not_a_number(self) -> str:
        """The reason why the residual at the loaded point is not a number."""
        return self.system.why_not_a_number()

    def why_unstable(self) -> str:
        """A possible cause of a failed solve at the loaded point."""
        return self.system.why_unstable()

    def verify(self) -> None:
        """Warn or raise if the cell's last condensed tangent is not sufficiently accurate."""
        self.system.verify()

    def force_scale(self) -> float:
        """Norm of the nodal forces and of the prescribed stresses as forces."""
        forces = self._scale * self._weights * self.prescribed
        return float(np.hypot(self.system.force_scale(), np.linalg.norm(forces)))

    def roundoff(self, E: Floats) -> float:
        """Bound on the rounding error of a residual at the loaded point."""
        return self.system.roundoff(self.E)

    def response(self) -> Floats:
        """Responses, shape (m,), of the given components at the point of the last `residual`; a new array."""
        return self.responses[self.components.given]

    def linearize(self) -> None:
        """Assemble and factorize the cell's tangent at the loaded point."""
        self.system.linearize()

    def forget(self) -> None:
        """Discard what remains of a solve that an exception interrupted."""
        self.system.forget()

    def updated_history(self) -> Floats:
        """Internal variables at the end of the loaded step."""
        return self.system.updated_history()

    def correction(self, residual: Floats, rtol: float) -> Floats:
        """Newton correction of the bordered system, shape (n_unknowns,)."""
        correction = self.condense(residual).correction
        assert correction is not None
        return correction

    def condense(self, residual: Floats | None = None) -> Condensed:
        """Condense the linearized cell and then its free components.

        Raises
        ------
        InputError
            If the undeformed cell has no stiffness against a free component.
        ConvergenceError
            If the loaded cell no longer has any.
        """
        n, c, f = self.system.n_unknowns, self.components.given, self.components.free
        cell = self.system.condense(None if residual is None else residual[:n])
        self.tangent = A = cell.tangent
        self._check_stiffness(A)
        inverse = np.linalg.inv(A[np.ix_(f, f)])
        follow = -inverse @ A[np.ix_(f, c)]  # dE_f / dE_c
        tangent = A[np.ix_(c, c)] + A[np.ix_(c, f)] @ follow
        rows = cell.sensitivity[c] + follow.T @ cell.sensitivity[f]
        sensitivity = np.hstack([rows, follow.T]) if self._is_last else rows
        if residual is None:
            return Condensed(tangent, sensitivity)
        assert cell.correction is not None and cell.drop is not None
        lacking = self.loaded.reduced.sum(residual[n:] if self._is_last else np.zeros(f.size)) / self._scale
        back = inverse @ (lacking - cell.drop[f])
        correction = self.joined(cell.correction + back @ cell.sensitivity[f], back)
        return Condensed(tangent, sensitivity, correction, cell.drop[c] + A[np.ix_(c, f)] @ back)

    def joined(self, fluctuation: Floats, free: Floats) -> Floats:
        """This rank's share of a vector of all unknowns, a new array."""
        return np.concatenate([fluctuation, free]) if self._is_last else fluctuation.copy()

    def _check_stiffness(self, A: Floats) -> None:
        """Raise an error unless the responses determine the free components."""
        first, self._is_checked = not self._is_checked, True
        if not self.n_free:
            return
        unit, f = self._unit(A), self.components.free
        _, values, vectors = np.linalg.svd((A / np.outer(unit, unit))[np.ix_(f, f)])
        if values[-1] > SINGULAR:
            return
        weak = [self.components.names[k] for k, share in zip(f, np.abs(vectors[-1]), strict=True) if share > 0.3]
        message = (
            f"the cell has no stiffness against the component {' with '.join(weak)}, so that no response can be "
            "prescribed there: prescribe the strain instead"
        )
        raise InputError(message) if first else ConvergenceError(message)

    def _unit(self, A: Floats) -> Floats:
        """Root of the largest stiffness of the macro input to which each component belongs, shape (all components,)."""
        blocks = self.system.problem.blocks.values()
        sizes = [(b.stop - b.start, float(np.abs(A[b, b]).max()) or 1.0) for b in blocks]
        return np.concatenate([np.full(n, size**0.5) for n, size in sizes])
