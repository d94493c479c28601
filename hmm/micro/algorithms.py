"""How one point answers a macro iterate: `nested`, or `monolithic` with a tangent predictor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.micro.recovery import ELASTIC_START, climb, recover
from hmm.micro.protocols import Microproblem
from hmm.micro.point_states import MicroState


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
    line_searches
        Halvings of a micro Newton step.
    substeps
        Micro solves over a part of the step, of points that failed in one go (see `hmm.micro.recovery`).
    elastic_starts
        Micro solves from an elastic first guess.
    climbs
        Points whose joint Newton step failed, and which were converged on their own.
    rejections
        Points without an answer in the end: their macro iterate is rejected on all ranks.
    """

    solves: int = 0
    skipped: int = 0
    residuals: int = 0
    factorizations: int = 0
    right_hand_sides: int = 0
    line_searches: int = 0
    substeps: int = 0
    elastic_starts: int = 0
    climbs: int = 0
    rejections: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(**{k: v + getattr(other, k) for k, v in asdict(self).items()})

    def __sub__(self, other: Counters) -> Counters:
        return Counters(**{k: v - getattr(other, k) for k, v in asdict(self).items()})

    def copy(self) -> Counters:
        """A copy that no longer counts."""
        return Counters(**asdict(self))


def monolithic(rve: Microproblem, states: MicroState, p: int, E: NDArray[np.float64], count: Counters) -> str:
    """One step of the joint Newton method for the macro field and all fluctuations, micro unknowns condensed.

    The fluctuation follows the macro iterate by the last tangent, ``w += X dE``. If the residual is then below its
    tolerance and the response followed that tangent too, the point answers without factorization; otherwise one Newton
    step is condensed into the answer, ``Sigma - M d / |Y|`` with ``d = K^-1 R_w``, and the fluctuation moves by ``-d``
    for the next iterate. (In a homogeneous cell the residual is always zero, whatever the tangent does.)

    A point that meets an exception or what is not a number begins anew from its committed state and answers this
    iterate as `nested` does, and so does one that is in substeps; the others go on.
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
    if _is_answered(states, p, E, count):
        return ""
    if p not in states.substeps:
        try:
            reason = _joint_step(rve, states, p, E, count)
        except Exception as error:
            reason = recover(rve, error)
        if not reason:
            return ""
        states.restart(p)
    count.climbs += 1
    return _converge(rve, states, p, E, count)


def nested(rve: Microproblem, states: MicroState, p: int, E: NDArray[np.float64], count: Counters) -> str:
    """Converge the RVE of a point for each macro iterate, starting from the tangent predictor (see `hmm.micro.recovery`).

    Parameters and result are those of `monolithic`.
    """
    return "" if _is_answered(states, p, E, count) else _converge(rve, states, p, E, count)


def _is_answered(states: MicroState, p: int, E: NDArray[np.float64], count: Counters) -> bool:
    """Count a point that is asked; whether it has the answer already."""
    answered = bool(states.settled[p]) and np.array_equal(E, states.E[p])
    count.solves += 1
    count.skipped += answered
    return answered


def _joint_step(rve: Microproblem, states: MicroState, p: int, E: NDArray[np.float64], count: Counters) -> str:
    """What `monolithic` does as long as all goes well; if not, why, and the trial state of the point is then spoilt."""
    dE = E - states.E[p]
    z = states.z[p]
    z += dE @ states.sensitivity[p]
    states.E[p] = E
    rve.load_history(states.history[p])
    rve.load(z, E)
    residual = rve.residual()
    count.residuals += 1
    norm, scale = rve.norm(residual), rve.force_scale()
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
    finite = all(np.isfinite(a).all() for a in (z, states.response[p], condensed.tangent, condensed.sensitivity))
    return "" if finite else "the micro response or its tangent is not a number"


def _converge(rve: Microproblem, states: MicroState, p: int, E: NDArray[np.float64], count: Counters) -> str:
    """Solve the RVE of a point to the end."""
    factorized, substeps = rve.n_factorizations, states.substeps.get(p)
    guess = states.z[p] + (E - states.E[p]) @ states.sensitivity[p]
    answer = climb(rve, states.start(p), E, guess, substeps.ends if substeps else ())
    count.factorizations += rve.n_factorizations - factorized
    for attempt in answer.attempts:
        count.residuals += attempt.residuals
        count.right_hand_sides += max(len(attempt.norms) - 1, 0) + (0 if attempt.reason else rve.n_inputs)
        count.line_searches += attempt.halvings
        count.substeps += attempt.end - attempt.start < 1.0
        count.elastic_starts += attempt.rung == ELASTIC_START
    if answer.solved is None:
        states.settled[p] = False
    else:
        unmoved = len(answer.attempts) == 1 and len(answer.attempts[0].norms) == 1
        states.accept(p, E, answer.solved, answer.substeps, keep_tangent=unmoved and bool(states.elastic_start[p]))
    return answer.reason


Algorithm = Callable[[Microproblem, MicroState, int, NDArray[np.float64], Counters], str]

ALGORITHMS: dict[str, Algorithm] = {"monolithic": monolithic, "nested": nested}
