"""Newton's method for the cell problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, Failure
from hmm.micro.protocols import Linearizable, NewtonOptions

EPS = float(np.finfo(float).eps)

OVERSHOOT = 10.0
"""How many times the forces of a converged cell those met on the way may be, for its residual to be measured by them.

In a stiff inclusion the forces of a first guess are those of the stiff phase, whatever the cell's are.
"""

DOUBTFUL = 1e-7
"""Residual, as a fraction of the forces, beyond which the cell's accuracy is looked at."""


@dataclass(frozen=True)
class NewtonResult:
    """How Newton's method went.

    Attributes
    ----------
    iterations, residuals
        How many iterations and residuals it took.
    norms
        Residual norm at each iterate.
    failure
        Why it did not converge, or None.
    is_doubtful
        Whether rounding alone may have left more in the residual than `DOUBTFUL` of the forces in the cell.
    """

    iterations: int
    residuals: int
    norms: tuple[float, ...]
    failure: Failure | None = None
    is_doubtful: bool = False

    @property
    def converged(self) -> bool:
        """Whether it converged."""
        return self.failure is None


def newton(
    rve: Linearizable, z: NDArray[np.float64], E: NDArray[np.float64], options: NewtonOptions, scale: float = 0.0
) -> NewtonResult:
    """Solve ``R_w(z, E) = 0`` for `z`, in place, from the value it has; the history must be loaded.

    Parameters
    ----------
    rve
        The cell problem; left loaded at the last iterate.
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
    known, scale = scale, max(scale, norms[0])
    residuals = 1
    n = options.max_iterations
    for iteration in range(n + 1):
        if not np.isfinite(norms[-1]):
            return NewtonResult(iteration, residuals, tuple(norms), Failure(rve.why_not_a_number()))
        forces = max(known, rve.force_scale())
        scale = max(scale, forces)
        rounding = max(rve.roundoff(E), 10 * EPS * scale)
        enough = max(options.rtol * scale, rounding)
        tolerance = max(options.rtol * min(scale, OVERSHOOT * forces), rounding)
        polishing = norms[-1] <= enough
        stagnates = len(norms) > 1 and norms[-1] > 0.5 * norms[-2]
        if norms[-1] <= tolerance or (polishing and (stagnates or iteration == n)):
            doubtful = max(norms[-1], rounding) > DOUBTFUL * forces
            return NewtonResult(iteration, residuals, tuple(norms), is_doubtful=doubtful)
        if iteration == n:
            break
        try:
            rve.linearize()
            d = rve.correction(residual, _forcing(norms, tolerance))
        except ConvergenceError as error:
            return NewtonResult(iteration, residuals, tuple(norms), Failure(str(error)))
        before = z.copy() if polishing else z
        norm, tries = _step(rve, z, E, d, norms[-1], 0 if polishing else options.max_halvings)
        if polishing and not norm < norms[-1]:  # as good as it gets
            z[:] = before
            rve.load(z, E)
            norm, tries = rve.norm(rve.residual()), tries + 1
        norms.append(norm)
        residuals += tries
    reason = f"micro residual {norms[-1]:.3g} after {n} iterations, tolerance {tolerance:.3g}"
    return NewtonResult(n, residuals, tuple(norms), Failure(reason))


def _forcing(norms: list[float], tolerance: float) -> float:
    """Relative residual to which an iterative solver should solve for the next step.

    Enough for quadratic convergence, and not more than is left to do (Eisenstat and Walker 1996, choice 2).
    """
    quadratic = 0.9 * (norms[-1] / norms[-2]) ** 2 if len(norms) > 1 else 0.03
    return max(min(0.03, quadratic), 0.3 * tolerance / norms[-1])


def _step(
    rve: Linearizable,
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
