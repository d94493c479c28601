"""What Newton's method asks of a cell problem, in arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.options import integer, positive
from hmm.micro.response import Condensed


@dataclass(frozen=True)
class NewtonOptions:
    """Tolerances of a micro solve.

    Attributes
    ----------
    rtol
        The residual may be this fraction of the largest nodal forces met, taken before opposite faces cancel. If those
        are more than ten times the forces that are left in the end, it is lowered to this fraction of ten times the
        latter as far as rounding allows.
    max_iterations
        Most Newton iterations.
    max_halvings
        Most halvings of a step that does not lower the residual. Without them Newton's method cycles in porous plastic
        cells, where a full first step overshoots.
    max_cuts
        At a macro point, most halvings of the step of a cell that does not converge in one go, which is then solved in
        substeps (see `hmm.micro.recovery`); 0 for none. `RVE.solve` takes no substeps.
    """

    rtol: float = 1e-8
    max_iterations: int = 25
    max_halvings: int = 8
    max_cuts: int = 6

    def __post_init__(self) -> None:
        positive("rtol of NewtonOptions", self.rtol, below=1.0)
        integer("max_iterations of NewtonOptions", self.max_iterations, 1)
        integer("max_halvings of NewtonOptions", self.max_halvings, 0)
        integer("max_cuts of NewtonOptions", self.max_cuts, 0)


@runtime_checkable
class Linearizable(Protocol):
    """A nonlinear system ``R(z, E) = 0`` with a response, that can be loaded with one point at a time and condensed.

    `hmm.RVE` and an `hmm.MixedControl` around one are such systems. What is unknown at a point is a row `z`: in an
    `hmm.RVE` the fluctuation; in an `hmm.MixedControl` also the macroscopic components whose responses are prescribed.
    """

    newton_options: NewtonOptions

    @property
    def n_factorizations(self) -> int:
        """Factorizations so far."""
        ...

    @property
    def comm(self) -> MPI.Comm:
        """Communicator of the ranks that share the unknowns."""
        ...

    @property
    def n_inputs(self) -> int:
        """Number m of macroscopic components that are given."""
        ...

    @property
    def n_unknowns(self) -> int:
        """Unknowns of this rank."""
        ...

    @property
    def n_history(self) -> int:
        """Internal variables of this rank."""
        ...

    @property
    def reference(self) -> NDArray[np.float64]:
        """Packed macroscopic input of the undeformed state, shape (m,)."""
        ...

    @property
    def time_step(self) -> float:
        """Duration of the step."""
        ...

    @time_step.setter
    def time_step(self, dt: float) -> None: ...

    def load_history(self, history: NDArray[np.float64]) -> None:
        """Make these the internal variables at the start of the step."""
        ...

    def load(self, z: NDArray[np.float64], E: NDArray[np.float64]) -> None:
        """Make (z, E) the point at which everything is evaluated."""
        ...

    def residual(self) -> NDArray[np.float64]:
        """Residual, shape (n_unknowns,), at the loaded point (a view, overwritten by the next call)."""
        ...

    def norm(self, residual: NDArray[np.float64]) -> float:
        """Norm of a residual over all ranks of the cell."""
        ...

    def why_not_a_number(self) -> str:
        """Why the residual at the loaded point is not a number (collective on the cell's ranks)."""
        ...

    def why_unstable(self) -> str:
        """What a failed solve may come from at the loaded point, to be added to its reason; or nothing (collective)."""
        ...

    def verify(self) -> None:
        """Warn or raise `ConvergenceError` if the last condensed tangent is not as exact as it must be (collective)."""
        ...

    def force_scale(self) -> float:
        """Forces with which the last residual is compared."""
        ...

    def roundoff(self, E: NDArray[np.float64]) -> float:
        """What rounding leaves in a residual."""
        ...

    def response(self) -> NDArray[np.float64]:
        """Macroscopic response, shape (m,), at the point of the last residual."""
        ...

    def linearize(self) -> None:
        """Assemble and factorize the tangent at the loaded point."""
        ...

    def forget(self) -> None:
        """Drop what is left of a solve that an exception ended."""
        ...

    def correction(self, residual: NDArray[np.float64], rtol: float) -> NDArray[np.float64]:
        """Newton correction, shape (n_unknowns,), to a relative residual `rtol` if iterative."""
        ...

    def condense(self, residual: NDArray[np.float64] | None = None) -> Condensed:
        """The linearized cell seen from outside."""
        ...

    def updated_history(self) -> NDArray[np.float64]:
        """Internal variables at the end of the loaded step."""
        ...
