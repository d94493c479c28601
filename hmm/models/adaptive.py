"""Any micro model, asked at representative points only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.options import instance, integer, positive
from hmm.models.asking import answer, points_of
from hmm.models.points import Floats, InitialPoint, Points, TangentSource, Variable, reference_of
from hmm.models.protocol import (
    Destructible,
    Distributed,
    Fingerprinted,
    MicroModel,
    Observable,
    Parametrized,
    Rated,
    Recoverable,
)
from hmm.models.similarity import Rows, Similarity, nearest, redundant, seeds, worst
from hmm.models.single import PointAnswer, solve_one

LAG, PATH, DURATIONS, ERROR = "steps behind", "inputs since", "durations since", "estimated error"
OWN_E, OWN_RESPONSE, OWN_TANGENT, LEADER = "own input", "own response", "own tangent", "representative"
OWN = (LAG, PATH, DURATIONS, ERROR, OWN_E, OWN_RESPONSE, OWN_TANGENT, LEADER)
"""What a point remembers beside the model's own variables."""

RESTING = -1
"""What stands for the representative of a point that has been one, and need not be one in the next step."""

RESTING_LIMIT = 0.1
"""Fraction of the tolerance below which the error at a representative, answered by the others, makes it rest."""

FIRST_LIMIT = 0.5
"""Fraction of the tolerance to which the representatives of a step are chosen; later only errors above it add more."""


class Adaptive:
    """A micro model that is asked at representative points; similar points follow them, corrected to first order.

    A point p whose representative is a answers ``Sigma_p' + (Sigma_a - Sigma_a') + A_a (dE_p - dE_a)``, with the
    responses ``Sigma'`` at the start of the step, the changes ``dE`` of the inputs since then, and the consistent
    tangent ``A_a``. With equal histories this is ``Sigma_a + A_a (E_p - E_a)``.

    Parameters
    ----------
    model
        Any micro model, such as an `hmm.RVE`.
    tolerance
        Largest estimated error of a point's response, in the unit of stress, that errors of earlier steps add to.
    memory
        Most steps that a point may follow before it is solved again.

    Raises
    ------
    InputError
        If the model is none or shares each point among several ranks, or a number is not positive.

    Notes
    -----
    In each step, representatives are chosen one after another until the estimated error of all other points is below
    half the tolerance. In later iterates of the step a point becomes a representative if its error exceeds the
    tolerance; none ceases to be one before the step ends. A point that follows keeps the state in which it was last
    solved, and its inputs since. If it becomes a representative, the model first solves these steps, so that its
    history is exact. Only rows of the same rank share a solve. The result therefore depends on the number of ranks,
    within the tolerance.
    """

    def __init__(self, model: MicroModel, tolerance: float, *, memory: int = 32) -> None:
        instance("model", model, MicroModel, "give an hmm.RVE or another micro model")
        if isinstance(model, Distributed) and model.comm.size > 1:
            raise InputError(f"Adaptive: each point of the model is shared by {model.comm.size} ranks: make it on one")
        if clash := [name for name in OWN if name in model.variables]:
            raise InputError(f"Adaptive: the model has a variable {clash[0]!r}: give it another name")
        self.model, self.inputs = model, model.inputs
        self.tolerance = positive("tolerance", tolerance)
        self.memory = integer("memory", memory, 1)
        self._reference = reference_of(model.inputs)
        self._start: InitialPoint | None = None

    @property
    def variables(self) -> Mapping[str, Variable]:
        """What a point remembers: the model's variables as last solved, and its path since then."""
        m, n = self._reference.size, self.memory
        own = {LAG: Variable(()), PATH: Variable((n, m)), DURATIONS: Variable((n,)), ERROR: Variable(())}
        own |= {OWN_E: Variable((m,)), OWN_RESPONSE: Variable((m,)), OWN_TANGENT: Variable((m, m), "guide")}
        return {**self.model.variables, **own, LEADER: Variable((), "guide")}

    @property
    def has_rates(self) -> bool:
        """Whether the model's answers depend on the duration of the step."""
        return isinstance(self.model, Rated) and self.model.has_rates

    @property
    def parameters(self) -> Sequence[Any]:
        """The model's."""
        return self.model.parameters if isinstance(self.model, Parametrized) else ()

    @property
    def observables(self) -> Mapping[str, int]:
        """The model's, `active` and `estimated_error`."""
        own = dict(self.model.observables) if isinstance(self.model, Observable) else {}
        return {**own, "active": 1, "estimated_error": 1}

    def fingerprint(self) -> dict[str, str]:
        """The model's, and that it is adaptive; the tolerance may change in the run."""
        own = dict(self.model.fingerprint()) if isinstance(self.model, Fingerprinted) else {}
        return {**own, "adaptive model": f"{type(self.model).__name__}, memory of {self.memory} steps"}

    def forget(self) -> None:
        """Let the model drop what is left of a solve that an exception ended."""
        if isinstance(self.model, Recoverable):
            self.model.forget()

    def check_usable(self) -> None:
        """Raise `InputError` if the model was destroyed."""
        if isinstance(self.model, Destructible):
            self.model.check_usable()

    def initial(self) -> InitialPoint:
        """A point before the first step."""
        start = self._undeformed()
        assert start.response is not None and start.tangent is not None
        own = {OWN_E: self._reference, OWN_RESPONSE: start.response, OWN_TANGENT: start.tangent}
        own[LEADER] = np.array(float(RESTING))
        return InitialPoint({**start.values, **own}, start.response, start.tangent)

    def answer(self, points: Points) -> None:
        """Choose representatives, ask the model at them, and let the others follow (see `hmm.models.MicroModel`)."""
        asked = np.zeros(points.n, dtype=bool)
        asked[points.asked] = True
        leaders = points.guides[LEADER].astype(np.intp) - 1
        is_new, moves = bool((leaders < 0).any()), bool((points.E != points.committed.E).any())
        active = self._present(points, leaders, asked, is_new, moves)
        similarity = self._similarity(points)
        if is_new and moves:
            active[seeds(similarity, active, self._reference.size + 1)] = True
        solve, is_changed = np.flatnonzero(active & asked), is_new
        while True:
            self._solve(points, solve)
            if points.failures:
                return
            similarity = self._similarity(points)
            if is_changed:
                leaders = nearest(similarity, np.flatnonzero(active))
            error = self._error(points, similarity, leaders, active)
            limit = self.tolerance * (FIRST_LIMIT if is_new else 1.0)
            cheap = asked & (points.committed.variables[LAG] == 0)
            solve = worst(similarity, np.where(asked, error, 0.0), leaders, limit, cheap) if moves else solve[:0]
            if not solve.size:
                break
            active[solve] = True
            is_changed = True
        self._follow(points, similarity, leaders, np.flatnonzero(asked & ~active), error)
        if moves:
            points.guides[LEADER][:] = leaders + 1

    def commit(self, points: Points) -> None:
        """Let the model prepare the end of the step at the representatives; other points keep their last state."""
        rows = np.flatnonzero(points.trial.variables[LAG] == 0)
        inner = self._inner(points, rows)
        inner.dt = points.dt
        self.model.commit(inner)
        for name, values in inner.deferred.items():
            points.deferred[name] = points.committed.variables[name].copy()
            points.deferred[name][rows] = values
        points.guides[LEADER][:] = 0
        similarity = self._similarity(points)
        points.guides[LEADER][redundant(similarity, rows, self.tolerance * RESTING_LIMIT)] = RESTING

    def observe(self, points: Points, name: str) -> Floats:
        """A quantity at the committed state of all rows, shape (n, size); the model's are NaN where a point follows."""
        own = points.committed.variables
        if name == "active":
            return (own[LAG] == 0).astype(float)[:, None]
        if name == "estimated_error":
            return own[ERROR][:, None].copy()
        assert isinstance(self.model, Observable)
        rows = np.flatnonzero(own[LAG] == 0)
        values = np.full((points.n, self.observables[name]), np.nan)
        values[rows] = self.model.observe(self._inner(points, rows), name)
        return values

    def solve(self, E: Any, state: Mapping[str, Floats] | None = None, dt: float | None = None) -> PointAnswer:
        """Answer one point (see `hmm.models.solve_one`)."""
        return solve_one(self, E, state, dt)

    def _undeformed(self) -> InitialPoint:
        if self._start is None:
            self._start = points_of(self.model, 1).start
        return self._start

    def _present(
        self, points: Points, leaders: Rows, asked: NDArray[np.bool_], is_new: bool, moves: bool
    ) -> NDArray[np.bool_]:
        """The representatives before any is added.

        Until the inputs move, they are those of the last step. A new choice starts from points that are known already,
        and from those whose memory is full.
        """
        before, now = points.committed.variables[LAG], points.trial.variables[LAG]
        if not is_new:
            return np.asarray(leaders == np.arange(points.n))
        stays = (before == 0) & (points.guides[LEADER] != RESTING)
        if not moves and not stays.any():
            stays[np.argmin(before)] = True
        return stays | (before >= self.memory) | (~asked & (now == 0))

    def _similarity(self, points: Points) -> Similarity:
        A = self._undeformed().tangent
        assert A is not None
        before, response = points.committed.E, points.committed.response
        elastic = [(E - self._reference) @ A.T for E in (points.E, before)]
        features = np.column_stack([*elastic, response])
        return Similarity(features, response, points.E - before, points.trial.response, points.tangent)

    def _error(self, points: Points, similarity: Similarity, leaders: Rows, active: NDArray[np.bool_]) -> Floats:
        """Estimated error of all points, those of the steps before included; zero at representatives."""
        error = np.zeros(points.n)
        rows = np.flatnonzero(~active)
        now = similarity.errors(rows, leaders[rows], np.flatnonzero(active))
        error[rows] = points.committed.variables[ERROR][rows] + now
        return error

    def _solve(self, points: Points, rows: Rows) -> None:
        """Ask the model at some rows."""
        if not rows.size:
            return
        self._catch_up(points, rows)
        if points.failures:
            return
        inner = self._inner(points, rows)
        inner.ask(points.E[rows], points.dt, points.algorithm)
        answer(self.model, inner)
        self._count(points, rows, inner)
        if inner.failures:
            return
        trial, own = points.trial, points.trial.variables
        trial.response[rows], points.tangent[rows] = inner.trial.response, inner.tangent
        for name, values in inner.trial.variables.items():
            own[name][rows] = values
        for name, values in {**inner.guides, OWN_TANGENT: inner.tangent}.items():
            points.guides[name][rows] = values
        own[OWN_E][rows], own[OWN_RESPONSE][rows] = inner.trial.E, inner.trial.response
        for name in (LAG, PATH, DURATIONS, ERROR):
            own[name][rows] = 0.0
        points.tangent_source[rows], points.converged[rows] = inner.tangent_source, inner.converged
        points.notes |= {int(rows[k]): note for k, note in inner.notes.items()}

    def _catch_up(self, points: Points, rows: Rows) -> None:
        """Bring the committed state of rows that have followed up to date.

        This changes how far the state is worked out, not which point it belongs to: it is the same if the step is
        dropped.
        """
        lag = points.committed.variables[LAG][rows].astype(int)
        for steps in np.unique(lag[lag > 0]).tolist():
            late = rows[lag == steps]
            path, durations = (points.committed.variables[k][late] for k in (PATH, DURATIONS))
            inner = self._inner(points, late, trial=False)
            for k in range(steps):
                inner.ask(path[:, k], float(durations[0, k]), "nested")
                answer(self.model, inner)
                if not inner.failures:
                    self._accept(inner)
                if inner.failures:
                    break
            points.count.activations += late.size
            self._count(points, late, inner)
            if points.failures:
                return
            self._keep(points, late, inner)

    def _accept(self, inner: Points) -> None:
        try:
            self.model.commit(inner)
        except ConvergenceError as error:
            inner.failures[0] = str(error)
        else:
            inner.accept()

    def _keep(self, points: Points, rows: Rows, inner: Points) -> None:
        """Write a state that is up to date into the committed and the trial one."""
        committed, trial = points.committed, points.trial
        values: dict[str, Any] = {**inner.committed.variables, OWN_E: inner.committed.E}
        values |= {OWN_RESPONSE: inner.committed.response, **dict.fromkeys((LAG, PATH, DURATIONS, ERROR), 0.0)}
        for name, array in values.items():
            committed.variables[name][rows] = array
            if name in trial.variables:
                trial.variables[name][rows] = array
        committed.response[rows] = inner.committed.response
        for name, array in {**inner.guides, OWN_TANGENT: inner.tangent}.items():
            points.guides[name][rows] = array

    def _count(self, points: Points, rows: Rows, inner: Points) -> None:
        """Take over counters, times and failures."""
        points.count.add(replace(inner.count, solves=0, skipped=0))
        points.seconds[rows] += inner.seconds
        points.failures |= {int(rows[p]): why for p, why in inner.failures.items()}

    def _follow(self, points: Points, similarity: Similarity, leaders: Rows, rows: Rows, error: Floats) -> None:
        """Answer rows from their representatives, and note their inputs."""
        trial, before = points.trial.variables, points.committed.variables
        leading = leaders[rows]
        points.trial.response[rows] = similarity.corrected(rows, leading)
        points.tangent[rows] = points.tangent[leading]
        points.tangent_source[rows] = points.tangent_source[leading]
        points.converged[rows] = points.converged[leading]
        for name, values in trial.items():
            values[rows] = before[name][rows]
        lag = before[LAG][rows].astype(int)
        last = np.minimum(lag, self.memory - 1)
        trial[PATH][rows, last], trial[DURATIONS][rows, last] = points.E[rows], points.dt
        trial[LAG][rows], trial[ERROR][rows] = lag + 1, error[rows]
        points.count.followed += rows.size

    def _inner(self, points: Points, rows: Rows, trial: bool = True) -> Points:
        """Points of the model itself, in the state of some rows."""
        inner = Points(self.model.inputs, self.model.variables, self._undeformed(), rows.size)
        committed, now = points.committed.variables, points.trial.variables
        tangent = points.guides[OWN_TANGENT][rows]
        dropped = ~tangent.any(axis=(1, 2))
        values = {k: v[rows] for k, v in {**committed, **points.guides}.items() if k in inner.variables}
        values |= {"E": committed[OWN_E][rows], "response": committed[OWN_RESPONSE][rows], "tangent": tangent}
        source = np.where(dropped, TangentSource.DROPPED, TangentSource.ANSWER)
        inner.restore({**values, "tangent_source": source})
        if trial:
            inner.trial.E[:], inner.trial.response[:] = now[OWN_E][rows], now[OWN_RESPONSE][rows]
            for name, array in inner.trial.variables.items():
                array[:] = now[name][rows]
        inner.notes = {k: points.notes[p] for k, p in enumerate(rows.tolist()) if p in points.notes}
        return inner
