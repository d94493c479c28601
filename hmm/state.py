"""The state of many points: rows of arrays, trial and committed."""

from __future__ import annotations

import numpy as np

from hmm.microproblem import Microproblem


class MicroState:
    """State of the points a rank works on, one row a point.

    Attributes
    ----------
    z
        Shape (n_points, n_unknowns); reduced fluctuations, trial.
    E
        Shape (n_points, m); macroscopic inputs that `z` belongs to, trial.
    history
        Shape (n_points, n_history); internal variables at the start of the step. They change only at `commit`.
    sensitivity
        Shape (n_points, m, n_unknowns); ``-(K^-1 L)^T`` of each point's last factorization: the tangent predictor.
    response, tangent
        Shapes (n_points, m) and (n_points, m, m); what the macro problem sees.
    settled
        Shape (n_points,); whether the micro residual was below its tolerance at the last evaluation.
    scale
        Shape (n_points,); the nodal forces to which residuals are compared: the largest of the accepted steps and of
        the last iterate. What a diverging iterate met does not count.
    stale
        Shape (n_points,); whether `sensitivity` and `tangent` belong to a step that was dropped.
    """

    def __init__(self, rve: Microproblem, n_points: int) -> None:
        m, n = rve.n_inputs, rve.n_unknowns
        start = rve.initial_state()
        rve.load_history(start.history)
        rve.load(start.z, rve.reference)
        rve.residual()
        rve.linearize()
        virgin = rve.condense()
        self.z = np.tile(start.z, (n_points, 1))
        self.E = np.tile(rve.reference, (n_points, 1))
        self.history = np.tile(start.history, (n_points, 1))
        self.sensitivity = np.broadcast_to(virgin.sensitivity, (n_points, m, n)).copy()
        self.response = np.tile(rve.response(), (n_points, 1))
        self.tangent = np.tile(virgin.tangent, (n_points, 1, 1))
        self.settled = np.zeros(n_points, dtype=bool)
        self.scale = np.zeros(n_points)
        self.stale = np.zeros(n_points, dtype=bool)
        self.committed_scale = self.scale.copy()
        self._committed_z = self.z.copy()
        self._committed_E = self.E.copy()
        self._committed_response = self.response.copy()

    @property
    def n_points(self) -> int:
        """Number of points."""
        return self.E.shape[0]

    @property
    def nbytes_per_point(self) -> int:
        """Memory of one point, in bytes."""
        arrays = [v for v in vars(self).values() if isinstance(v, np.ndarray)]
        return sum(a.nbytes for a in arrays) // max(self.n_points, 1)

    def commit(self, rve: Microproblem) -> None:
        """Accept the trial state: update each point's internal variables and make its fields the committed ones."""
        self._committed_z[:] = self.z
        self._committed_E[:] = self.E
        self._committed_response[:] = self.response
        self.committed_scale[:] = self.scale
        self.settled[:] = False  # with another history, time or parameter the same input has another answer
        if not rve.n_history:
            return
        for p in range(self.n_points):
            rve.load_history(self.history[p])
            rve.load(self.z[p], self.E[p])
            self.history[p] = rve.updated_history()

    def revert(self) -> None:
        """Drop the trial state and go back to the committed one."""
        self.z[:] = self._committed_z
        self.E[:] = self._committed_E
        self.response[:] = self._committed_response
        self.scale[:] = self.committed_scale
        self.sensitivity[:] = 0.0
        self.settled[:] = False
        self.stale[:] = True
