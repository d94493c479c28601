"""How one point answers a macro iterate: `nested`, or `monolithic` with a tangent predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.newton import newton
from hmm.rve import RVE
from hmm.state import MicroState


@dataclass
class Counters:
    """Micro operations.

    Attributes
    ----------
    solves
        Points asked for a response.
    skipped
        Points that answered without any work, because nothing had changed.
    residuals
        Evaluations of a micro residual.
    factorizations
        Factorizations of a micro tangent.
    right_hand_sides
        Right-hand sides solved for.
    """

    solves: int = 0
    skipped: int = 0
    residuals: int = 0
    factorizations: int = 0
    right_hand_sides: int = 0

    def __sub__(self, other: Counters) -> Counters:
        return Counters(**{k: v - getattr(other, k) for k, v in asdict(self).items()})

    def copy(self) -> Counters:
        """A copy that no longer counts."""
        return Counters(**asdict(self))


def monolithic(rve: RVE, states: MicroState, p: int, E: NDArray[np.float64], count: Counters) -> str:
    """One step of the joint Newton method for the macro field and all fluctuations, micro unknowns condensed.

    The fluctuation follows the macro iterate by the last tangent, ``w += X dE``. If the residual is then below its
    tolerance and the response followed that tangent too, the point answers without factorization; otherwise one Newton
    step is condensed into the answer, ``Sigma - M d / |Y|`` with ``d = K^-1 R_w``, and the fluctuation moves by ``-d``
    for the next iterate. (In a homogeneous cell the residual is always zero, whatever the tangent does.)
    Source: Lange, Huetter, Kiefer, *Comput. Methods Appl. Mech. Engrg.* 382 (2021) 113886.

    Parameters
    ----------
    rve
        The microproblem.
    states
        Its points; row `p` is changed.
    p
        The point.
    E
        Shape (m,); packed macroscopic input of the new iterate.
    count
        Counters to add to.

    Returns
    -------
    str
        Empty, or why the point failed.
    """
    count.solves += 1
    dE = E - states.E[p]
    if states.settled[p] and not dE.any():
        count.skipped += 1
        return ""
    z = states.z[p]
    z += dE @ states.sensitivity[p]
    states.E[p] = E
    rve.load_history(states.history[p])
    rve.load(z, E)
    residual = rve.residual()
    count.residuals += 1
    norm, scale = rve.reduced.norm(residual), rve.force_scale()
    change = states.tangent[p] @ dE
    predicted = states.response[p] + change
    states.response[p] = rve.response()
    if not np.isfinite(norm):
        return rve.why_not_a_number()
    states.scale[p] = max(states.committed_scale[p], scale)
    rtol, rounding = rve.newton_options.rtol, rve.roundoff(E)
    states.settled[p] = norm <= max(rtol * states.scale[p], rounding)
    miss = np.linalg.norm(states.response[p] - predicted)
    size = np.linalg.norm(states.response[p]) + np.linalg.norm(change)
    if states.settled[p] and miss <= rtol * size and not states.stale[p]:
        return ""
    factorized = rve.n_factorizations
    rve.linearize()
    condensed = rve.condense(residual)
    count.factorizations += rve.n_factorizations - factorized
    count.right_hand_sides += rve.n_inputs + 1
    z -= condensed.correction
    states.response[p] -= condensed.drop
    states.sensitivity[p], states.tangent[p] = condensed.sensitivity, condensed.tangent
    states.stale[p] = False
    return ""


def nested(rve: RVE, states: MicroState, p: int, E: NDArray[np.float64], count: Counters) -> str:
    """Converge the RVE of a point for each macro iterate, starting from the tangent predictor.

    Parameters and result are those of `monolithic`.
    """
    count.solves += 1
    dE = E - states.E[p]
    if states.settled[p] and not dE.any():
        count.skipped += 1
        return ""
    z = states.z[p] + dE @ states.sensitivity[p]
    rve.load_history(states.history[p])
    factorized = rve.n_factorizations
    result = newton(rve, z, E, rve.newton_options, states.committed_scale[p])
    count.residuals += result.residuals
    count.right_hand_sides += result.iterations
    if result.converged:
        states.z[p], states.E[p] = z, E
        states.scale[p] = max(states.committed_scale[p], rve.force_scale())
        states.response[p] = rve.response()
        rve.linearize()
        condensed = rve.condense()
        states.sensitivity[p], states.tangent[p] = condensed.sensitivity, condensed.tangent
        states.stale[p] = False
        count.right_hand_sides += rve.n_inputs
    count.factorizations += rve.n_factorizations - factorized
    states.settled[p] = result.converged
    return result.reason


Algorithm = Callable[[RVE, MicroState, int, NDArray[np.float64], Counters], str]

ALGORITHMS: dict[str, Algorithm] = {"monolithic": monolithic, "nested": nested}
