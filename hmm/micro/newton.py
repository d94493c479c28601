"""Newton's method for the cell problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, Failure
from hmm.micro.protocols import Linearizable, NewtonOptions

EPS = float(np.finfo(float).eps)

OVERSHOOT = 10.0
"""The reference force of a residual may exceed the forces of the converged cell by at most this factor.

The forces of a first guess may be much larger, such as those of a stiff inclusion in a soft cell.
"""

DOUBTFUL = 1e-7
"""Relative residual above which the accuracy of the cell is checked."""


@dataclass(frozen=True)
class NewtonResult:
    """The result of Newton's method.

    Attributes
    ----------
    iterations, residuals
        Numbers of iterations and of residual evaluations.
    norms
        Residual norm at each iterate.
    failure
        The reason why it did not converge, or None.
    is_doubtful
        Whether the rounding error of the residual may exceed `DOUBTFUL` times the forces in the cell.
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
    """Solve ``R_w(z, E) = 0`` for `z`, in place, from its present value; the history must be loaded.

    Parameters
    ----------
    rve
        The cell problem; the last iterate stays loaded.
    z
        Shape (rve.n_unknowns,); first guess on input, solution on output.
    E
        Shape (m,); packed macroscopic input.
    options
        Tolerances.
    scale
        Reference force from earlier on the path.

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
        if polishing and not norm < norms[-1]:  # cannot be reduced further
            z[:] = before
            rve.load(z, E)
            norm, tries = rve.norm(rve.residual()), tries + 1
        norms.append(norm)
        residuals += tries
    reason = f"micro residual {norms[-1]:.3g} after {n} iterations, tolerance {tolerance:.3g}"
    return NewtonResult(n, residuals, tuple(norms), Failure(reason))


def _forcing(norms: list[float], tolerance: float) -> float:
    """Relative tolerance of an iterative solver for the next Newton step (Eisenstat and Walker 1996, choice 2).

    It preserves quadratic convergence without solving more accurately than necessary.
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
    """Change `z` by ``-d``, halved until the residual decreases; return the new norm and the number of trials."""
    for halving in range(max_halvings + 1):
        length = 0.5**halving
        trial = z - d * length
        rve.load(trial, E)
        new = rve.norm(rve.residual())
        if new <= (1 - 1e-4 * length) * norm:
            break
    z[:] = trial
    return new, halving + 1
