"""A reduced model that watches its error, and is replaced by the full RVE where this is too large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, HMMError, InputError, collectively
from hmm.foundation.options import instance, integer, positive
from hmm.micro.inputs import MacroInput
from hmm.micro.local_fields import LocalFields
from hmm.micro.rve import RVE
from hmm.models.all_rows import anywhere
from hmm.models.asking import answer
from hmm.models.points import Floats, InitialPoint, Points, TangentSource, Variable, input_blocks
from hmm.models.single import OnePoint
from hmm.reduced.enrichment import (
    LEARNT,
    MODEL,
    EnrichedModels,
    Enrichment,
    as_seen_by,
    carried_over,
    largest,
    number_of,
    paths_to_learn,
    replace_variables,
    rounded,
)
from hmm.reduced.error_estimate import ErrorEstimator
from hmm.reduced.followers import Followers
from hmm.reduced.full_states import FullStates
from hmm.reduced.model import ReducedModel
from hmm.reduced.paths import TrainingPath
from hmm.reduced.strain_path import StrainPaths

FULL, ERROR = "solved in full", "estimated error"
"""Variables of a point: whether the full RVE answers it, and the estimated error of its response."""

BACK = 0.25
"""A point is answered by the reduced model again when the error of this is below this part of the tolerance."""


class Controlled(OnePoint):
    """A reduced model whose error is estimated in each step; points with a large error are solved by the full RVE.

    Parameters
    ----------
    reduced
        The reduced model.
    rve
        The RVE it was made of.
    tolerance
        Largest estimated error of a point's response, in the unit of stress (Frobenius norm of the first response):
        from the next step on, the full RVE answers a point whose error is larger.
    memory
        Steps that the strain path of a point keeps. When it is full, the two steps are joined that change the path
        least.
    enrich
        How to retrain the reduced model within the job, on paths of points above the tolerance; by default it stays as
        it is.

    Attributes
    ----------
    reduced
        The present reduced model.
    n_full, n_back
        How often a point was given to the full RVE, and back to the reduced model.
    n_enriched
        How often the reduced model was retrained.

    Raises
    ------
    InputError
        If `reduced` is not a model of this RVE, or a number is not positive.

    Notes
    -----
    The error is estimated when a step is accepted, see `hmm.reduced.error_estimate.ErrorEstimator`: it contains what
    the modes and the cubature miss, and what earlier steps left in the history. It is signed. At points that are
    solved in full the reduced model goes on beside the RVE, so that its error is known there.

    A point stores its strain path, from which the full state is worked out when it is needed: when a point is given to
    the full RVE, and for a restarted run or a point that came from another rank. The states of the last step are kept
    in the model, so that this happens once.
    """

    def __init__(
        self,
        reduced: ReducedModel,
        rve: RVE,
        tolerance: float,
        *,
        memory: int = 128,
        enrich: Enrichment | None = None,
    ) -> None:
        instance("reduced", reduced, ReducedModel, "make it with hmm.reduced.train")
        instance("rve", rve, RVE, "give the RVE that the reduced model was made of")
        _check_same(reduced, rve)
        self.reduced, self.rve = reduced, rve
        self.tolerance = positive("tolerance", tolerance)
        self.paths = StrainPaths(integer("memory", memory, 3), rve.n_inputs)
        self.estimator = ErrorEstimator(rve, reduced.reduction)
        self.followers = Followers(reduced, self.estimator, self.paths)
        self._first = next(iter(input_blocks(rve.inputs).values()))
        self._full = FullStates(rve, self.paths)
        self._fingerprint = dict(reduced.fingerprint())
        if enrich is not None:
            instance("enrich", enrich, Enrichment, "make it with hmm.reduced.Enrichment")
        self._models = None if enrich is None else EnrichedModels(reduced, enrich)
        self.n_full = self.n_back = self.n_enriched = 0

    # -- as a micro model ------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[MacroInput, ...]:
        """The macroscopic inputs of the RVE."""
        return self.rve.inputs

    @property
    def variables(self) -> Mapping[str, Variable]:
        """What a point remembers: the variables of the reduced model, its strain path, and its error."""
        own = {FULL: Variable((), "deferred"), ERROR: Variable((self.rve.n_inputs,), "deferred")}
        if self._models is None:
            return {**self.reduced.variables, **self.paths.variables, **own}
        own |= {MODEL: Variable((), "deferred"), LEARNT: Variable((), "deferred")}
        return {**self._models.variables, **self.paths.variables, **own}

    @property
    def has_rates(self) -> bool:
        """Whether the laws depend on the duration of the step."""
        return self.rve.has_rates

    @property
    def parameters(self) -> Sequence[Any]:
        """The parameters of the RVE."""
        return self.rve.parameters

    def initial(self) -> InitialPoint:
        """The undeformed point."""
        return InitialPoint({MODEL: np.array(float(self._models.number))}) if self._models else InitialPoint()

    @property
    def is_collective(self) -> bool:
        """Whether the reduced model is enriched, with paths of points of all ranks."""
        return self._models is not None

    def answer(self, points: Points) -> None:
        """Answer the requested rows, by the reduced model or the full RVE (see `hmm.models.MicroModel`)."""
        asked = points.asked
        try:
            self._enrich(points)
        except HMMError as error:  # on all ranks
            points.failures |= dict.fromkeys(asked.tolist(), str(error))
            return
        in_full = points.committed.variables[FULL][asked] > 0
        with as_seen_by(self.reduced, points):
            self._ask_reduced(points, asked[~in_full])
        for row in asked[in_full].tolist():
            if points.failures:
                return
            self._solve(points, row)

    def commit(self, points: Points) -> None:
        """Prepare the end of the step: history, strain path, estimated errors, and who answers each point next."""
        self._use_model_of(points)
        with as_seen_by(self.reduced, points):
            self._commit(points)
        if self._models is not None:
            own = points.committed.variables
            points.deferred |= {MODEL: own[MODEL].copy(), LEARNT: own[LEARNT] * points.deferred[FULL]}

    def _commit(self, points: Points) -> None:
        in_full = np.flatnonzero(points.committed.variables[FULL] > 0)
        missed = self._compare(points, in_full)
        with _without_full(points):
            self.reduced.commit(points)
        before = self.paths.keys(points.committed.variables)
        points.deferred |= self.paths.extended(points)
        after = self.paths.keys(points.deferred)
        self._commit_full(points, in_full, after)
        own = np.setdiff1d(np.arange(points.n), in_full)
        error = np.zeros_like(points.trial.response)
        error[own] = self.followers.follow(points, own, before, after) - points.trial.response[own]
        self._decide(points, in_full, missed, error, after)

    def errors(self, points: Points) -> Floats:
        """Estimated errors of the committed responses: what is to be added to them, shape (n, m)."""
        return points.committed.variables[ERROR].copy()

    # -- capabilities ----------------------------------------------------------------------------------------------

    @property
    def observables(self) -> Mapping[str, int]:
        """Those of the RVE, `in_full` and `estimated_error`."""
        return {**self.rve.observables, "in_full": 1, "estimated_error": 1}

    def observe(self, points: Points, name: str) -> Floats:
        """A quantity at the committed state of all rows, shape (n, size)."""
        own = points.committed.variables
        if name == "in_full":
            return own[FULL][:, None].copy()
        if name == "estimated_error":
            return self._size(own[ERROR])[:, None]
        self._use_model_of(points)
        with as_seen_by(self.reduced, points):
            values = self.reduced.observe(points, name)
        for row in np.flatnonzero(own[FULL] > 0).tolist():
            values[row] = self.rve.observe(self._full.of(points.committed.variables, row), name)[0]
        return values

    def view(self, points: Points, row: int) -> LocalFields:
        """The fields inside a row at its committed state; reconstructed unless the RVE answered it."""
        if points.committed.variables[FULL][row]:
            return self.rve.view(self._full.of(points.committed.variables, row), 0)
        self._use_model_of(points)
        with as_seen_by(self.reduced, points):
            return self.reduced.view(points, row)

    def fingerprint(self) -> Mapping[str, str]:
        """That of the reduced model, and the steps that are stored; the tolerance may change in the run."""
        enriched = "" if self._models is None else f", enriched {self._models.options.times} times at most"
        return {**self._fingerprint, "controlled": f"strain paths of {self.paths.memory} steps{enriched}"}

    def forget(self) -> None:
        """Discard what remains of a solve that an exception interrupted."""
        self.rve.forget()
        self._full.known.clear()

    def check_usable(self) -> None:
        """Raise `InputError` if the RVE was destroyed."""
        self.rve.check_usable()

    # -- enrichment ------------------------------------------------------------------------------------------------

    def _use_model_of(self, points: Points) -> None:
        """Use the model that the rows belong to: another one after a restart."""
        if self._models is not None and points.n:
            self._use(self._models, self._models.number_of(points), {})

    def _use(self, models: EnrichedModels, number: int, y: Mapping[bytes, Floats]) -> None:
        if number != models.number:
            models.use(number)
            self.reduced = models.model
            self.followers.use(self.reduced, y)

    def _enrich(self, points: Points) -> None:
        """Before a step, retrain the reduced model on paths of points that were given to the RVE (collective)."""
        own, comm, models = points.committed.variables, points.comm, self._models
        if models is None:
            return
        new = np.flatnonzero((own[FULL] > 0) & (own[LEARNT] == 0))
        number, n_new = largest(comm, models.number_of(points), new.size)
        if anywhere(comm, number != models.number):
            with collectively(comm):
                self._use(models, number, {})
        if not n_new or models.is_exhausted:
            return
        own[LEARNT][new] = 1.0
        candidates = [rounded(TrainingPath(*self.paths.of(own, row)), self.rve.reference) for row in new.tolist()]
        chosen = paths_to_learn(comm, self._size(own[ERROR][new]), points.keys[new].tolist(), candidates)
        model = models.retrain(comm, chosen)
        moved = None if model is None else carried_over(comm, model, self.paths, points)
        if model is None or moved is None:
            return
        self._take_over(points, moved, new)
        own[MODEL][:] = number_of(model)
        self.n_enriched += 1
        y = moved.committed.variables["y"]
        self._use(models, number_of(model), dict(zip(self.paths.keys(own), y, strict=True)))

    def _take_over(self, points: Points, moved: Points, new: NDArray[np.intp]) -> None:
        """Go on from the answers of another model; `new` rows stay with it where it is good enough."""
        own = points.committed.variables
        replace_variables(points, moved)
        better = points.committed.response + own[ERROR]
        by_reduced = own[FULL] == 0
        by_reduced[new] = True
        for place in (points.committed, points.trial):
            place.response[by_reduced] = moved.committed.response[by_reduced]
        points.tangent[by_reduced] = moved.tangent[by_reduced]
        own[ERROR][by_reduced] = (better - points.committed.response)[by_reduced]
        good = new[self._size(own[ERROR][new]) <= self.tolerance]
        own[FULL][good], own[LEARNT][good] = 0.0, 0.0
        self.n_full -= good.size

    # -- parts -----------------------------------------------------------------------------------------------------

    def _ask_reduced(self, points: Points, rows: NDArray[np.intp]) -> None:
        """Let the reduced model answer some rows."""
        if not rows.size:
            return
        asked, points.asked = points.asked, rows
        try:
            with _without_full(points):
                self.reduced.answer(points)
        finally:
            points.asked = asked

    def _solve(self, points: Points, row: int) -> None:
        """Let the full RVE answer a row."""
        one = points.notes.get(row)
        if one is None:
            try:
                one = points.notes[row] = self._full.of(points.committed.variables, row)
            except ConvergenceError as error:
                points.failures[row] = str(error)
                return
            elastic = points.tangent_source[row] == TangentSource.UNDEFORMED
            if elastic or (one.trial.E != one.committed.E).any():
                one.revert(elastic)
        one.ask(points.E[[row]], points.dt, points.algorithm)
        answer(self.rve, one)
        points.count.add(replace(one.count, solves=0, skipped=0))
        one.count = type(one.count)()
        points.seconds[row] = one.seconds[0]
        points.trial.response[row], points.tangent[row] = one.trial.response[0], one.tangent[0]
        points.tangent_source[row], points.converged[row] = one.tangent_source[0], one.converged[0]
        points.failures |= dict.fromkeys([row] if one.failures else [], one.failures.get(0, ""))

    def _compare(self, points: Points, rows: NDArray[np.intp]) -> Floats:
        """How far the reduced model, which goes on at rows that the RVE answers, is off; shape (k, m)."""
        answered: tuple[NDArray[Any], ...] = (
            points.trial.response,
            points.tangent,
            points.tangent_source,
            points.converged,
        )
        kept = [array[rows].copy() for array in answered]
        algorithm, points.algorithm = points.algorithm, "nested"
        self._ask_reduced(points, rows)
        points.algorithm = algorithm
        missed = kept[0] - points.trial.response[rows]
        missed[[row in points.failures for row in rows.tolist()]] = np.inf
        points.failures.clear()
        for array, values in zip(answered, kept, strict=True):
            array[rows] = values
        return missed

    def _commit_full(self, points: Points, rows: NDArray[np.intp], keys: Sequence[bytes]) -> None:
        """Accept the full states of some rows; those of other rows are dropped."""
        kept = {}
        for row in rows.tolist():
            one = points.notes[row] if row in points.notes else self._repeated(points, row)
            self.rve.commit(one)
            one.accept()
            kept[keys[row]] = one
        self._full.known = kept

    def _repeated(self, points: Points, row: int) -> Points:
        """The full RVE at the trial input of a row that was not asked in this step."""
        self._solve(points, row)
        if row in points.failures:
            raise ConvergenceError(f"point {row}: {points.failures[row]}")
        return points.notes[row]

    def _decide(
        self, points: Points, in_full: NDArray[np.intp], missed: Floats, error: Floats, keys: Sequence[bytes]
    ) -> None:
        """Note the errors, and choose who answers each point in the next step."""
        next_full = points.committed.variables[FULL].copy()
        to_full = (next_full == 0) & (self._size(error) > self.tolerance)
        to_reduced = in_full[self._size(missed) < BACK * self.tolerance]
        for row in to_reduced.tolist():
            self.followers.put(keys[row], self._full.known[keys[row]], points.trial.variables["y"][row])
        next_full[to_full], next_full[to_reduced] = 1.0, 0.0
        self.n_full, self.n_back = self.n_full + int(to_full.sum()), self.n_back + to_reduced.size
        points.deferred |= {FULL: next_full, ERROR: error}

    def _size(self, error: Floats) -> Floats:
        return np.asarray(np.linalg.norm(error[:, self._first], axis=1))


def _check_same(reduced: ReducedModel, rve: RVE) -> None:
    """Raise `InputError` unless a reduced model was made of this RVE."""
    if reduced.rve is rve:
        return
    own, other = dict(rve.fingerprint()), dict(reduced.rve.fingerprint())
    for what in dict.fromkeys([*own, *other]):
        if own.get(what) != other.get(what):
            raise InputError(
                f"the reduced model is of another RVE: its {what} is {other.get(what)}, and here it is "
                f"{own.get(what)}; give the RVE it was made of"
            )


@contextmanager
def _without_full(points: Points) -> Iterator[None]:
    """The notes of the reduced model alone, without those of the full RVE."""
    in_full = {row: note for row, note in points.notes.items() if isinstance(note, Points)}
    points.notes = {row: note for row, note in points.notes.items() if row not in in_full}
    try:
        yield
    finally:
        points.notes |= in_full
