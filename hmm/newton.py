"""Newton's method for the microproblem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmm.errors import ConvergenceError
from hmm.options import integer, positive

if TYPE_CHECKING:
    from hmm.microproblem import Microproblem


@dataclass(frozen=True)
class NewtonOptions:
    """Tolerances of a micro solve.

    Attributes
    ----------
    rtol
        The residual may be this fraction of the largest nodal forces met, taken before opposite faces cancel (see
        `hmm.RVE.force_scale`).
    max_iterations
        Most Newton iterations.
    max_halvings
        Most halvings of a step that does not lower the residual. Without them Newton's method cycles in porous plastic
        cells, where a full first step overshoots.
    max_cuts
        At a macro point, most halvings of the step of a cell that does not converge in one go, which is then solved in
        substeps (see `hmm.ladder`); 0 for none. `RVE.solve` takes no substeps.
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


@dataclass(frozen=True)
class NewtonResult:
    """Whether Newton's method converged, in how many iterations and residuals, and why not.

    Attributes
    ----------
    norms
        Residual norm at each iterate.
    """

    converged: bool
    iterations: int
    residuals: int
    norms: tuple[float, ...]
    reason: str = ""


def newton(
    rve: Microproblem, z: NDArray[np.float64], E: NDArray[np.float64], options: NewtonOptions, scale: float = 0.0
) -> NewtonResult:
    """Solve ``R_w(z, E) = 0`` for `z`, in place, from the value it has; the history must be loaded.

    Parameters
    ----------
    rve
        The microproblem; left loaded at the last iterate.
    z
        Shape (rve.n_unknowns,); first guess in, solution out.
    E
        Shape (m,); packed macroscopic input.
    options
        Tolerances.
    scale
        Nodal forces met earlier on the path, to which the residual may be compared.

    Returns
    -------
    NewtonResult
        Never raises for a failed solve; the caller decides together with the other ranks.
    """
    rve.load(z, E)
    residual = rve.residual()
    norms = [rve.norm(residual)]
    scale = max(scale, norms[0])
    residuals = 1
    n = options.max_iterations
    for iteration in range(n + 1):
        if not np.isfinite(norms[-1]):
            return NewtonResult(False, iteration, residuals, tuple(norms), rve.why_not_a_number())
        scale = max(scale, rve.force_scale())
        tolerance = max(options.rtol * scale, rve.roundoff(E))
        if norms[-1] <= tolerance:
            return NewtonResult(True, iteration, residuals, tuple(norms))
        if iteration == n:
            break
        try:
            rve.linearize()
            d = rve.correction(residual, _forcing(norms, tolerance))
        except ConvergenceError as error:
            return NewtonResult(False, iteration, residuals, tuple(norms), str(error))
        norm, tries = _step(rve, z, E, d, norms[-1], options.max_halvings)
        norms.append(norm)
        residuals += tries
    reason = f"micro residual {norms[-1]:.3g} after {n} iterations, tolerance {tolerance:.3g}"
    return NewtonResult(False, n, residuals, tuple(norms), reason)


def _forcing(norms: list[float], tolerance: float) -> float:
    """Relative residual to which an iterative solver should solve for the next step.

    Enough for quadratic convergence, and not more than is left to do (Eisenstat and Walker 1996, choice 2).
    """
    quadratic = 0.9 * (norms[-1] / norms[-2]) ** 2 if len(norms) > 1 else 0.03
    return max(min(0.03, quadratic), 0.3 * tolerance / norms[-1])


def _step(
    rve: Microproblem,
    z: NDArray[np.float64],
    E: NDArray[np.float64],
    d: NDArray[np.float64],
    norm: float,
    max_halvings: int,
) -> tuple[float, int]:
    """Move `z` by ``-d``, halved until the residual falls; return the new norm and the number of tries."""
    for halving in range(max_halvings + 1):
        length = 0.5**halving
        trial = z - d * length
        rve.load(trial, E)
        new = rve.norm(rve.residual())
        if new <= (1 - 1e-4 * length) * norm:
            break
    z[:] = trial
    return new, halving + 1
