"""Choose training paths one after another: those on which the present model errs most come next.

The estimate of the error at a step is what one Newton step of the RVE, from the state that the reduced model gives it,
would change in the response. It is a residual, weighted by how it acts on the response, and needs no solution of the
RVE; the internal variables follow from the laws at all quadrature points.

Sources: Haasdonk and Ohlberger, *ESAIM: M2AN* 42 (2008) 277 (POD-greedy: a path as one sample, an estimate from the
residual); Becker and Rannacher, *Acta Numerica* 10 (2001) 1 (residuals weighted by the quantity of interest). The paths
of one round are chosen by a pivoted Cholesky decomposition of their corrections, so that they differ from each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError
from hmm.micro.rve import RVE
from hmm.reduced.paths import TrainingPath

Floats = NDArray[np.float64]

SAMPLES = 3
"""Steps of a path at which the error is estimated."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a reduced model misses on a path, at the sampled step at which it misses most.

    Attributes
    ----------
    error
        Estimated error of the response, relative to the largest response on the path; inf if there is none.
    correction
        Shape (n_unknowns,); what the Newton step changes in the fluctuation.
    """

    error: float
    correction: Floats


def estimate(rve: RVE, path: TrainingPath, z: Floats, response: Floats) -> Estimate:
    """Error of a reduced model along a path.

    Parameters
    ----------
    rve
        The RVE.
    path
        The path.
    z, response
        Shapes (n_steps, n_unknowns) and (n_steps, m); fluctuations and responses of the reduced model.
    """
    system, history = rve.system, np.zeros(rve.n_history)
    sampled = set(np.linspace(len(path.E), 0, SAMPLES, endpoint=False).round().astype(int) - 1)
    misses: list[tuple[float, Floats]] = []
    for step, (E, dt) in enumerate(zip(path.E, path.durations.tolist(), strict=True)):
        rve.time_step = dt
        system.load_history(history)
        system.load(z[step], E)
        if step in sampled:
            try:
                misses.append(_miss(rve, response[step]))
            except ConvergenceError:
                misses.append((np.inf, np.zeros(rve.n_unknowns)))
        history = system.updated_history()
    miss, correction = max(misses, key=lambda pair: pair[0])
    return Estimate(miss / (float(np.linalg.norm(response, axis=1).max()) or 1.0), correction)


def _miss(rve: RVE, response: Floats) -> tuple[float, Floats]:
    """Estimated error of a response at the loaded point, and the correction of the fluctuation."""
    system = rve.system
    residual = system.residual().copy()
    better = system.response()
    if not np.isfinite(residual).all():
        raise ConvergenceError(system.why_not_a_number())
    system.linearize()
    condensed = system.condense(residual)
    assert condensed.correction is not None and condensed.drop is not None
    return float(np.linalg.norm(better - condensed.drop - response)), condensed.correction


def choose_paths(found: Sequence[Estimate], n: int) -> list[int]:
    """Up to `n` of the paths with the largest errors, and not the same as each other: first those without an answer."""
    chosen = [k for k, e in enumerate(found) if not np.isfinite(e.error)][:n]
    rows = np.stack([e.correction for e in found])
    rows *= (np.array([0.0 if k in chosen else e.error for k, e in enumerate(found)]) / _norms(rows))[:, None]
    left = np.einsum("ki,ki->k", rows, rows)
    while len(chosen) < min(n, len(found)):
        left[chosen] = -1.0
        pivot = int(np.argmax(left))
        direction = rows[pivot] / _norms(rows[pivot])
        rows = rows - (rows @ direction)[:, None] * direction
        left = np.einsum("ki,ki->k", rows, rows)
        chosen.append(pivot)
    return chosen


def _norms(rows: Floats) -> Floats:
    norms = np.linalg.norm(rows, axis=-1)
    return np.where(norms > 0, norms, 1.0)
