"""The numbers of a reduced model: what training makes, a file stores and the solver reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.hashing import digest

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReducedPhase:
    """One phase at its cubature points.

    Attributes
    ----------
    index
        Shape (g,); numbers of the points among the phase's quadrature points.
    weights, x
        Shapes (g,) and (g, gdim); positive weights, and where the points are.
    offset
        Shape (g, f); packed local fields without inputs and fluctuation.
    H
        Shape (g, f, m + N); local fields per unit of the packed inputs and of the modes.
    stiffness, start
        Shapes (f, f) and (f,); the law linearized in the undeformed state, ``start + stiffness fields``.
    history
        Shape (b, n, v); modes of the internal variables at all quadrature points, to draw them.
    """

    index: NDArray[np.int64]
    weights: Floats
    x: Floats
    offset: Floats
    H: Floats
    stiffness: Floats
    start: Floats
    history: Floats


@dataclass(frozen=True, eq=False)
class Reduction:
    """A reduced cell.

    With ``x = (E, y)``, the packed inputs and the N reduced unknowns, it has the forces
    ``q(x) = constant + stiffness x + sum_g w_g H_g^T (sigma(e_g) - start - C0 e_g)``, ``e_g = offset_g + H_g x``: the
    law of the undeformed state is integrated once, and only what the stress differs from it at cubature points.

    Attributes
    ----------
    modes
        Shape (N, n_unknowns); fluctuations of the RVE.
    stiffness, constant
        Shapes (m + N, m + N) and (m + N,); those of all phases in the undeformed state.
    phases
        The phases whose law is not linear, by name.
    volume
        Volume of the cell.
    lowest, highest
        Shape (m,); the range of the packed inputs in training.
    """

    modes: Floats
    stiffness: Floats
    constant: Floats
    phases: dict[str, ReducedPhase]
    volume: float
    lowest: Floats
    highest: Floats

    @property
    def n_modes(self) -> int:
        """Number N of modes."""
        return len(self.modes)

    @property
    def n_points(self) -> int:
        """Number of cubature points."""
        return sum(p.weights.size for p in self.phases.values())

    def strength(self, phase: str) -> float:
        """How strongly stresses of unit mean square may push the modes at most, in the mean over these."""
        p = self.phases[phase]
        B = p.H[:, :, p.H.shape[2] - self.n_modes :]
        return float(np.sqrt(np.einsum("g,gfi,gfi->", p.weights, B, B) / max(B.shape[2], 1)))

    def digest(self) -> str:
        """A hash of all its numbers."""
        arrays = [self.modes, self.stiffness, self.constant, np.array([self.volume])]
        arrays += [a for p in self.phases.values() for a in (p.index, p.weights, p.offset, p.H, p.start)]
        return digest(*arrays)
