"""Any micro model, solved at representative points only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError, collectively
from hmm.foundation.options import instance, positive
from hmm.models.all_rows import anywhere, fetched
from hmm.models.asking import answer
from hmm.models.first_order import DEFECT, NOTES, REACH, SOLVES, note, own_errors
from hmm.models.points import Floats, InitialPoint, Points, TangentSource, Variable, products, reference_of
from hmm.models.protocol import (
    Destructible,
    Distributed,
    MicroModel,
    Observable,
    Recoverable,
)
from hmm.models.similarity import Candidates, Rows, corrected, distances, estimated_errors, seeds, worst_of_groups
from hmm.models.single import OnePoint, solve_one
from hmm.models.wrapper import Wrapper

OWN_E, OWN_RESPONSE, SHIFT, ERROR, ACTIVE = "own input", "own response", "shift", "estimated error", "active"
ADDED, ALONE = "added error", "alone"
STEP = (*NOTES, ADDED, ALONE)
OWN = (OWN_E, OWN_RESPONSE, SHIFT, ERROR, ACTIVE, *STEP)
"""What a point remembers beside the model's own variables; the `STEP` ones only within a step."""

OWN_SHARE = 0.1
"""Fraction of the tolerance that a point may be off if it is not solved again in the step; this error has one sign."""

NEGLIGIBLE = 0.01
"""Fraction of the tolerance below which a point follows although the errors of earlier steps have used it up."""

MONOLITHIC_SOLVES = 3
"""Monolithic solves of a point in one step after which it is solved by nested iterations, and leads no others:
its followers would jump with it."""

SHORT = 1e-6
"""Duration of a sudden step, as a part of that of a step."""


class Adaptive(Wrapper, OnePoint):
    """A micro model that is solved at representative points; similar points follow them, corrected to first order.

    A point p whose representative is a answers ``Sigma_p' + (Sigma_a - Sigma_a') + A_a (dE_p - dE_a)``, with the
    responses ``Sigma'`` at the start of the step, the changes ``dE`` of the inputs since then, and the consistent
    tangent ``A_a``. With equal histories this is ``Sigma_a + A_a (E_p - E_a)``.

    Parameters
    ----------
    model
        Any micro model, such as an `hmm.RVE`.
    tolerance
        Largest estimated error of a point's response, in the unit of stress, that errors of earlier steps add to.

    Raises
    ------
    InputError
        If the model is none, is adaptive already or shares each point among several ranks, or the tolerance is not
        positive.

    Notes
    -----
    A step begins with a few points that differ most. In each macro iterate, points are added until the estimated error
    of all others is below the tolerance. A point that was solved in the step also answers to first order until this
    error exceeds a fraction of the tolerance.

    At the end of the step, a point that followed takes over the state of its representative. From then on the model
    sees its input minus a shift: the difference of the inelastic strains, ``E_p - E_a - C^-1 (Sigma_p - Sigma_a)`` with
    the tangent C of the undeformed state (in a sudden step, if answers depend on durations). It is zero for elastic
    points and for models without history. With it, the point unloads from the stress that it has answered. What it
    answers later can differ from that of its own history; the estimate of this difference counts in later steps.

    In a macro problem the points of all ranks are compared, so that the result does not depend on their number, except
    for rounding. Elsewhere (inside another model, or in `solve`), only the rows of one rank share solves.
    """

    def __init__(self, model: MicroModel, tolerance: float) -> None:
        instance("model", model, MicroModel, "give an hmm.RVE or another micro model")
        if isinstance(model, Distributed) and model.comm.size > 1:
            raise InputError(f"Adaptive: each point of the model is shared by {model.comm.size} ranks: make it on one")
        if clash := [name for name in OWN if name in model.variables]:
            raise InputError(f"Adaptive: the model has a variable {clash[0]!r}: give it another name")
        super().__init__(model)
        self.inputs = model.inputs
        self.tolerance = positive("tolerance", tolerance)
        self._reference = reference_of(model.inputs)
        self._sudden: Floats | None = None

    @property
    def variables(self) -> Mapping[str, Variable]:
        """What a point remembers: the model's variables, its input and response there, and the course of the step."""
        vector = (self._reference.size,)
        own = {OWN_E: Variable(vector), OWN_RESPONSE: Variable(vector), SHIFT: Variable(vector, "deferred")}
        own |= {ERROR: Variable((), "deferred"), ACTIVE: Variable((), "deferred")}
        return {**self.model.variables, **own, **dict.fromkeys(STEP, Variable((), "guide"))}

    @property
    def is_collective(self) -> bool:
        """True: points of different ranks are compared."""
        return True

    @property
    def observables(self) -> Mapping[str, int]:
        """The model's, `active` and `estimated_error`."""
        return {**self._model_observables(), "active": 1, "estimated_error": 1}

    def fingerprint(self) -> dict[str, str]:
        """The model's, and that it is adaptive; the tolerance may change in the run."""
        return {**self._model_fingerprint(), "adaptive model": type(self.model).__name__}

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
        self._start = self._sudden = None  # parameters of the model may have changed
        start = self._undeformed()
        assert start.response is not None
        own = {OWN_E: self._reference, OWN_RESPONSE: start.response}
        return InitialPoint({**start.values, **own}, start.response, start.tangent)

    def answer(self, points: Points) -> None:
        """Choose points, solve the model there, and let the others follow (see `hmm.models.MicroModel`; collective)."""
        if anywhere(points.comm, points.failures) or not anywhere(points.comm, points.asked.size):
            return
        if not self._changes(points):
            points.trial.response[points.asked] = points.committed.response[points.asked]
            points.converged[points.asked] = True
            return
        chosen, fresh = self._first(points), np.zeros(points.n, dtype=bool)
        while True:
            self._solve(points, chosen)
            if anywhere(points.comm, points.failures):
                return
            fresh[chosen] = True
            followers, solved, leaders = self._groups(points)
            chosen = self._exceeding(points, followers, leaders)
            if not anywhere(points.comm, chosen.size):
                break
        if anywhere(points.comm, fresh.any()):
            self._renew(points, fresh, followers, solved, leaders)
        else:  # all answers are linear in this iterate, so that the macro residual is too
            rows = points.asked
            points.trial.response[rows] += products(points.tangent[rows], points.E[rows] - points.trial.E[rows])
        self._judge(points, fresh)
        points.count.followed += int(np.isin(followers, points.asked).sum())

    def commit(self, points: Points) -> None:
        """Let the model prepare the end of the step where it was solved; other points take over states (collective)."""
        comm, trial, guides = points.comm, points.trial, points.guides
        rows = np.flatnonzero(guides[SOLVES] > 0)
        inner = self._solved(points, rows)
        inner.dt = points.dt
        with collectively(comm):
            self.model.commit(inner)
        for name in (*inner.deferred, ERROR):
            points.deferred[name] = points.committed.variables[name].copy()
            if name in inner.deferred:
                points.deferred[name][rows] = inner.deferred[name]
        points.deferred[ACTIVE] = (guides[SOLVES] > 0).astype(float)
        follow, solved, leaders = self._groups(points)
        names = [*inner.trial.variables, OWN_E, OWN_RESPONSE]
        arrays = [trial.variables[name] for name in names] + [points.deferred[name] for name in inner.deferred]
        arrays += [guides[name] for name in inner.guides]
        for array, values in zip(arrays, fetched(comm, arrays, solved.rank[leaders], solved.row[leaders]), strict=True):
            array[follow] = values
        points.deferred[SHIFT] = self._shift(points)
        points.deferred[ERROR][follow] += guides[ADDED][follow]
        for name in STEP:
            guides[name][:] = 0.0

    def observe(self, points: Points, name: str) -> Floats:
        """A quantity at the committed state of all rows, shape (n, size)."""
        own = points.committed.variables
        if name in ("active", "estimated_error"):
            return own[ACTIVE if name == "active" else ERROR][:, None].copy()
        assert isinstance(self.model, Observable)
        return self.model.observe(self._solved(points, np.arange(points.n)), name)

    @property
    def _stiffness(self) -> Floats:
        tangent = self._undeformed().tangent
        assert tangent is not None
        return tangent

    def _unloading_stiffness(self, dt: float) -> Floats:
        """Tangent of the undeformed state; of models with rates, in a step that is short against the duration `dt`."""
        if not self.has_rates:
            return self._stiffness
        if self._sudden is None:
            self._sudden = solve_one(self.model, self._reference, dt=SHORT * dt).tangent
        return self._sudden

    @property
    def _has_history(self) -> bool:
        """Whether the answers depend on what was before: of models with deferred variables, on these only."""
        roles = [v.role for v in self.model.variables.values() if np.prod(v.shape)]
        defers = any(v.role == "deferred" for v in self.model.variables.values())
        return ("deferred" if defers else "state") in roles

    def _changes(self, points: Points) -> bool:
        """Whether any answer may differ from that at the start of the step, or its tangent is out of date."""
        if self.has_rates or len(self.parameters):
            return True
        moved, dropped = points.E != points.committed.E, points.tangent_source == TangentSource.DROPPED
        return anywhere(points.comm, moved.any() or dropped.any() or (points.guides[REACH] > 0).any())

    def _first(self, points: Points) -> Rows:
        """The rows to solve first: those with which a step begins, or those that have moved too far since solved.

        If the step is repeated after a failure, these are all rows, so that it succeeds where the model does.
        """
        guides, asked = points.guides, points.asked
        if anywhere(points.comm, (guides[ALONE] + (points.tangent_source != TangentSource.ANSWER)).any()):
            guides[ALONE][:] = 1.0
            return asked
        if anywhere(points.comm, (guides[REACH] > 0).any()):
            return asked[((guides[SOLVES] > 0) & (self._own_errors(points) > self._own_limits(points)))[asked]]
        for name in STEP:
            guides[name][:] = 0.0
        apart = NEGLIGIBLE * self.tolerance
        return seeds(points.comm, self._candidates(points), asked, self._stiffness, self._reference, apart)

    def _own_errors(self, points: Points) -> Floats:
        """Estimated error of each row if it answers to first order from where it was last solved in the step."""
        return own_errors(points.guides, self._size(points.E - self._solved_at(points)))

    def _own_limits(self, points: Points) -> Floats:
        """The largest `_own_errors`: more for points that do not settle, such as those between elastic and plastic."""
        return self.tolerance * np.where(points.guides[SOLVES] > 2 * MONOLITHIC_SOLVES, 1.0, OWN_SHARE)

    def _groups(self, points: Points) -> tuple[Rows, Candidates, Rows]:
        """The rows that follow, all points that were solved, and the representative of each follower among these."""
        solves = points.guides[SOLVES] > 0
        follow, rows = np.flatnonzero(~solves), np.flatnonzero(solves)
        everyone = self._candidates(points)
        mine = replace(everyone, E=self._solved_at(points), response=points.trial.variables[OWN_RESPONSE])
        solved = mine.of(rows).everywhere(points.comm)
        C = self._stiffness
        apart = distances(everyone.features(C)[follow], solved.features(C))
        if not len(solved.key):
            return follow[:0], solved, follow[:0]
        leaders, added = np.argmin(apart, axis=1), points.guides[ADDED]
        added[:] = 0.0
        added[follow] = estimated_errors(everyone, follow, solved, leaders, C)
        unsettled = follow[solved.solves[leaders] > MONOLITHIC_SOLVES]
        added[unsettled] = np.maximum(added[unsettled], 1.01 * self.tolerance)
        return follow, solved, leaders

    def _exceeding(self, points: Points, followers: Rows, leaders: Rows) -> Rows:
        """Of each group, the requested follower with the largest error above the tolerance."""
        error = points.committed.variables[ERROR] + points.guides[ADDED]
        above = self._is_above(points)[followers] & np.isin(followers, points.asked)
        rows = followers[above]
        return rows[worst_of_groups(points.comm, points.keys[rows], error[rows], leaders[above])]

    def _is_above(self, points: Points) -> NDArray[np.bool_]:
        """Whether the estimated error of each row, as a follower, exceeds the tolerance and can be reduced."""
        added = points.guides[ADDED]
        return (points.committed.variables[ERROR] + added > self.tolerance) & (added > NEGLIGIBLE * self.tolerance)

    def _renew(
        self, points: Points, fresh: NDArray[np.bool_], followers: Rows, solved: Candidates, leaders: Rows
    ) -> None:
        """Answer the requested rows that were not solved in this iterate, from the latest solves."""
        asked = np.zeros(points.n, dtype=bool)
        asked[points.asked] = True
        again = np.flatnonzero(asked & ~fresh & (points.guides[SOLVES] > 0))
        moved = points.E[again] - self._solved_at(points)[again]
        gained = products(points.tangent[again], moved)
        points.trial.response[again] = points.trial.variables[OWN_RESPONSE][again] + gained
        rows, leading = followers[asked[followers]], leaders[asked[followers]]
        points.trial.response[rows] = corrected(self._candidates(points), rows, solved, leading)
        points.tangent[rows] = solved.tangent[leading]

    def _judge(self, points: Points, fresh: NDArray[np.bool_]) -> None:
        """Say which of the requested rows have converged: those whose estimated error is below the tolerance."""
        solves = points.guides[SOLVES] > 0
        own = np.where(fresh, points.guides[DEFECT], self._own_errors(points))
        good = np.where(solves, own <= self._own_limits(points), ~self._is_above(points))
        points.converged[points.asked] = good[points.asked]

    def _solve(self, points: Points, rows: Rows) -> None:
        """Solve the model at some rows."""
        guides = points.guides
        often = (guides[SOLVES][rows] >= MONOLITHIC_SOLVES) & (guides[ALONE][rows] == 0)
        for part, algorithm in ((rows[~often], points.algorithm), (rows[often], "nested")):
            if part.size and not points.failures:
                self._ask(points, part, algorithm)

    def _ask(self, points: Points, rows: Rows, algorithm: str) -> None:
        inner = self._solved(points, rows)
        before, response, tangent = inner.trial.E.copy(), inner.trial.response.copy(), inner.tangent.copy()
        inner.ask(points.E[rows] - points.committed.variables[SHIFT][rows], points.dt, algorithm)
        answer(self.model, inner)
        points.count.add(replace(inner.count, solves=0, skipped=0))
        points.seconds[rows] += inner.seconds
        points.failures |= {int(rows[p]): why for p, why in inner.failures.items()}
        if not inner.failures:
            self._take(points, rows, inner)
            moved = inner.trial.E - before
            missed = np.linalg.norm(inner.trial.response - response - products(tangent, moved), axis=1)
            note(points.guides, rows, inner.converged, self._size(moved), missed)

    def _take(self, points: Points, rows: Rows, inner: Points) -> None:
        """Write the answers of the model into their rows."""
        self._keep(points, rows, inner)
        points.trial.variables[OWN_E][rows] = inner.trial.E
        points.trial.variables[OWN_RESPONSE][rows] = inner.trial.response
        points.trial.response[rows], points.tangent[rows] = inner.trial.response, inner.tangent
        dropped = inner.tangent_source == TangentSource.DROPPED
        points.tangent_source[rows] = np.where(dropped, TangentSource.ANSWER, inner.tangent_source)

    def _shift(self, points: Points) -> Floats:
        """Inputs of the rows minus those of the model, once it has the state in which they go on, shape (n, m)."""
        trial = points.trial
        if not self._has_history:
            return np.zeros_like(trial.E)
        compliance = np.linalg.pinv(self._unloading_stiffness(points.dt))
        elastic = (trial.response - trial.variables[OWN_RESPONSE]) @ compliance.T
        return trial.E - trial.variables[OWN_E] - elastic

    def _solved_at(self, points: Points) -> Floats:
        """Input at which each row was last solved, shape (n, m)."""
        return points.trial.variables[OWN_E] + points.committed.variables[SHIFT]

    def _size(self, E: Floats) -> Floats:
        """Size of changes of the input, shape (n,), unit of stress."""
        return np.linalg.norm(E @ self._stiffness.T, axis=1)

    def _candidates(self, points: Points) -> Candidates:
        """All rows of this rank, at the inputs asked for."""
        before, n = points.committed, points.n
        known = (before.E, points.trial.response, before.response, points.tangent)
        return Candidates(
            points.keys, points.E, *known, points.guides[SOLVES], np.full(n, points.comm.rank), np.arange(n)
        )

    def _solved(self, points: Points, rows: Rows) -> Points:
        """Points of the model itself, as they were when some rows were last solved."""
        committed, now = points.committed.variables, points.trial.variables
        inner = self._inner(
            points,
            rows,
            E=committed[OWN_E][rows],
            response=committed[OWN_RESPONSE][rows],
            tangent=points.tangent[rows],
            tangent_source=points.tangent_source[rows],
        )
        inner.trial.E[:], inner.trial.response[:] = now[OWN_E][rows], now[OWN_RESPONSE][rows]
        for name, array in inner.trial.variables.items():
            array[:] = now[name][rows]
        return inner
