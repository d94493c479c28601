"""The interface of a cell problem for Newton's method, with arrays only."""

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
        Relative tolerance of the residual. The reference is the largest nodal force on the path, before those of
        opposite faces cancel; it is limited to ten times the force of the converged cell as far as rounding allows.
    max_iterations
        Maximum number of Newton iterations.
    max_halvings
        Maximum number of halvings of a Newton step that does not reduce the residual. Without the line search, Newton's
        method can cycle in porous plastic cells.
    max_cuts
        Maximum number of halvings of the step at an integration point whose cell problem does not converge and is then
        solved in substeps (see `hmm.micro.recovery`); 0 for none. `RVE.solve` uses no substeps.
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
    """A nonlinear system ``R(z, E) = 0`` with a response, which is loaded with one point at a time and condensed.

    The systems of `hmm.RVE` and `hmm.MixedControl` are examples. The unknowns `z` of a point are the fluctuation and,
    under mixed control, the free macroscopic components.
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
        """Number m of given macroscopic components."""
        ...

    @property
    def n_unknowns(self) -> int:
        """Unknowns of this rank."""
        ...

    @property
    def n_history(self) -> int:
        """Number of internal variables of this rank."""
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
        """Set the internal variables at the start of the step."""
        ...

    def load(self, z: NDArray[np.float64], E: NDArray[np.float64]) -> None:
        """Load the point (z, E), at which everything is evaluated."""
        ...

    def residual(self) -> NDArray[np.float64]:
        """Residual, shape (n_unknowns,), at the loaded point (a view, overwritten by the next call)."""
        ...

    def norm(self, residual: NDArray[np.float64]) -> float:
        """Norm of a residual over all ranks of the cell."""
        ...

    def why_not_a_number(self) -> str:
        """The reason why the residual at the loaded point is not a number (collective on the cell's ranks)."""
        ...

    def why_unstable(self) -> str:
        """A possible cause of a failed solve, to be added to its message; or empty (collective)."""
        ...

    def verify(self) -> None:
        """Warn or raise `ConvergenceError` if the last condensed tangent is not sufficiently accurate (collective)."""
        ...

    def force_scale(self) -> float:
        """Reference force of the last residual."""
        ...

    def roundoff(self, E: NDArray[np.float64]) -> float:
        """Bound on the rounding error of a residual."""
        ...

    def response(self) -> NDArray[np.float64]:
        """Macroscopic response, shape (m,), at the point of the last residual."""
        ...

    def linearize(self) -> None:
        """Assemble and factorize the tangent at the loaded point."""
        ...

    def forget(self) -> None:
        """Discard what remains of a solve that an exception interrupted."""
        ...

    def correction(self, residual: NDArray[np.float64], rtol: float) -> NDArray[np.float64]:
        """Newton correction, shape (n_unknowns,), to a relative residual `rtol` if iterative."""
        ...

    def condense(self, residual: NDArray[np.float64] | None = None) -> Condensed:
        """The linearized cell after condensation."""
        ...

    def updated_history(self) -> NDArray[np.float64]:
        """Internal variables at the end of the loaded step."""
        ...
