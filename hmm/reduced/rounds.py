"""The course of a training: which paths are solved, and how accurate the model of them is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, collectively
from hmm.micro.rve import RVE
from hmm.models.asking import points_of
from hmm.models.components import component_names
from hmm.reduced.greedy import choose_paths, estimate
from hmm.reduced.measuring import Followed, follow_reduced, path_errors, seconds_per_step
from hmm.reduced.model import ReducedModel
from hmm.reduced.paths import TrainingPath
from hmm.reduced.phases import CellPoints
from hmm.reduced.reducing import Accuracy, Basis, reduce_cell
from hmm.reduced.reduction import Reduction
from hmm.reduced.report import CUBATURE, MODES, TRAINING_SET, WORST, TrainingReport
from hmm.reduced.snapshots import Follower, Snapshots

Floats = NDArray[np.float64]
Known = list[tuple[TrainingPath, Snapshots]]
Made = tuple[Reduction, TrainingReport]

FIRST = 4
"""Paths of the first round; each later one adds half of those before."""

LOOK = 8
"""Paths that are looked at in a round, for each that is then solved."""

MARGIN = 0.5
"""The part of the tolerance that the errors on the training paths may take."""

GROWTH = 1.5
"""Factor by which modes become more."""

COARSE = 10.0
"""What cubature may miss at first, relative to the tolerance."""

FINER = 0.5
"""Factor by which cubature becomes more accurate."""

FINEST = 1e-7
"""The part of the forces that cubature misses at least."""

SOME = 2
"""Paths on which it is measured whether cubature limits the model."""


@dataclass
class Training:
    """Paths, and what is known of them.

    Attributes
    ----------
    rve, cell
        The RVE and its points.
    follower
        Solves paths.
    paths, unseen
        All training paths, and the blind ones.
    solved, snapshots
        Numbers of the training paths that were solved, and, on rank 0, their snapshots.
    tested
        On rank 0, those of the blind paths.
    expected
        Number of each training path that was looked at -> its estimated error then.
    """

    rve: RVE
    cell: CellPoints
    follower: Follower
    paths: list[TrainingPath]
    unseen: list[TrainingPath]
    solved: list[int] = field(default_factory=list)
    snapshots: list[Snapshots] = field(default_factory=list)
    expected: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.comm = self.follower.comm
        self.tested = self.follower(self.unseen)

    def solve(self, chosen: Sequence[int]) -> None:
        """Solve training paths (collective)."""
        self.snapshots += self.follower([self.paths[k] for k in chosen], self.cell)
        self.solved += chosen
        with collectively(self.comm):
            if self.snapshots and not any(len(s.E) for s in self.snapshots):
                why = self.snapshots[0].failure
                raise ConvergenceError(f"no step of {len(self.solved)} training paths converged: {why}")

    def promising(self, n: int) -> list[int]:
        """Up to `n` paths to look at: those that were never looked at, then those with the largest errors then."""
        left = [k for k in range(len(self.paths)) if k not in self.solved]
        return sorted(left, key=lambda k: (-self.expected.get(k, np.inf), k))[:n]

    def elastic(self, paths: Sequence[TrainingPath]) -> tuple[Floats, list[Followed]]:
        """What the elastic cell answers: its modes, and responses and their factors along paths."""
        start = self.rve.initial()
        moves = [path.E - self.rve.reference for path in paths]
        found = [Followed(np.asarray(start.response) + E @ np.asarray(start.tangent).T, E) for E in moves]
        return np.asarray(start.values["sensitivity"]), found

    @property
    def known(self) -> Known:
        """The steps of training paths that converged."""
        return _converged([self.paths[k] for k in self.solved], self.snapshots)

    @property
    def blind(self) -> Known:
        """The steps of blind paths that converged."""
        return _converged(self.unseen, self.tested)

    def basis(self, most: Accuracy) -> Basis:
        """Modes of what is known; rank 0 only."""
        return Basis.of(self.rve, self.cell, self.snapshots, most.modes, most.energy)

    def model(self, accuracy: Accuracy, basis: Basis | None = None) -> ReducedModel:
        """A model of what is known, not yet measured and of unlimited range; rank 0 only."""
        reduction = reduce_cell(self.rve, self.cell, basis or self.basis(accuracy), accuracy)
        everywhere = np.full(self.rve.n_inputs, np.inf)
        unlimited = replace(reduction, lowest=-everywhere, highest=everywhere)
        return ReducedModel(self.rve, unlimited, self._sizes(reduction))

    def measure(self, model: ReducedModel, tolerance: float = 0.0, limit: str = "") -> Made:
        """The reduction of a model, with its range, and its report; rank 0 only."""
        report = replace(
            model.report,
            training=float(path_errors(model, self.known).max()),
            tolerance=tolerance,
            bytes=points_of(model, 1).nbytes_per_point,
        )
        if self.blind:
            errors = path_errors(model, self.blind)
            full = sum(s.seconds * len(s.E) for _, s in self.blind) / sum(len(s.E) for _, s in self.blind)
            speed_up = full / seconds_per_step(model, [path for path, _ in self.blind])
            report = replace(report, median=float(np.median(errors)), worst=float(errors.max()), speed_up=speed_up)
        report = replace(report, limit="" if report.is_met else limit)
        lowest, highest = (np.array([row[k] for row in report.ranges]) for k in (1, 2))
        return replace(model.reduction, lowest=lowest, highest=highest), report

    def _sizes(self, reduction: Reduction) -> TrainingReport:
        """The report of a model before it is measured."""
        nan = float("nan")
        names = component_names(self.rve.inputs)
        failures = [f"path {k}, {s.failure}" for k, s in zip(self.solved, self.snapshots, strict=True) if s.failure]
        failures += [f"blind path {k}, {s.failure}" for k, s in enumerate(self.tested) if s.failure]
        return TrainingReport(
            modes=reduction.n_modes,
            points=reduction.n_points,
            unknowns=self.rve.n_unknowns,
            quadrature_points=sum(p.n for p in self.cell.phases.values()),
            paths=len(self.known),
            offered=len(self.paths),
            blind=len(self.blind),
            training=nan,
            median=nan,
            worst=nan,
            speed_up=nan,
            bytes=0,
            full_bytes=points_of(self.rve, 1).nbytes_per_point,
            ranges=tuple(zip(names, reduction.lowest.tolist(), reduction.highest.tolist(), strict=True)),
            failures=tuple(failures),
        )


def _converged(paths: Sequence[TrainingPath], snapshots: Sequence[Snapshots]) -> Known:
    """Paths up to the last step that converged, with what the RVE did along them."""
    pairs = zip(paths, snapshots, strict=True)
    return [(path.start(len(s.E)), s) for path, s in pairs if len(s.E)]


def train_on_all(training: Training, accuracy: Accuracy) -> Made | None:
    """A model of all paths (collective); None but on rank 0."""
    training.solve(range(len(training.paths)))
    with collectively(training.comm):
        return training.measure(training.model(accuracy)) if training.comm.rank == 0 else None


def train_to_tolerance(training: Training, most: Accuracy, tolerance: float, budget: int) -> Made | None:
    """A model of as few paths, modes and points as meet a tolerance, or the best one (collective); None but on rank 0.

    Parameters
    ----------
    training
        The paths; none is solved.
    most
        How accurate to become at most.
    tolerance
        Median of the errors on the blind paths; the worst one may be `WORST` times as large.
    budget
        How many paths to solve at most.
    """
    comm, rounds = training.comm, Rounds(training, most, tolerance)
    done = False
    while not done:
        n = len(training.solved) // 2 or FIRST
        training.solve(_next(training, rounds.model, min(n, budget - len(training.solved))))
        with collectively(comm):
            done = rounds.improve() if comm.rank == 0 else False
        done = comm.bcast(done) or len(training.solved) >= budget
    with collectively(comm):
        return None if rounds.best is None else training.measure(rounds.best, tolerance, rounds.limit)


class Rounds:
    """The models of the rounds, on rank 0.

    Parameters
    ----------
    training, most, tolerance
        As in `train_to_tolerance`.

    Attributes
    ----------
    model
        The model of the last round.
    best, limit
        The model with the smallest errors on the blind paths, and what limits it.
    """

    def __init__(self, training: Training, most: Accuracy, tolerance: float) -> None:
        self.training, self.most, self.tolerance = training, most, tolerance
        modes = min(most.modes, 2 * training.rve.n_inputs)
        self.accuracy = replace(most, modes=modes, integrals=max(most.integrals, COARSE * tolerance))
        self.model: ReducedModel | None = None
        self.best: ReducedModel | None = None
        self.limit, self._error = TRAINING_SET, np.inf

    def improve(self) -> bool:
        """Make the model of all that is solved; return whether it is good enough, or more paths would not help."""
        self.model, limit = self._fitted()
        error, before = self._size(path_errors(self.model, self.training.blind)), self._error
        if error < before or self.best is None:
            self.best, self.limit, self._error = self.model, limit, error
        return error <= 1.0 or (limit != TRAINING_SET and error > 0.9 * before)

    def _fitted(self) -> tuple[ReducedModel, str]:
        """A model that is accurate on the training paths, and what limits it."""
        known, sizes, basis = self.training.known, None, self.training.basis(self.most)
        while True:
            model = self.training.model(self.accuracy, basis)
            errors = path_errors(model, known)
            if self._size(errors) <= MARGIN:
                return model, TRAINING_SET
            limit, before = self._limit(errors, known, basis), sizes
            sizes = model.report.modes, model.report.points
            if sizes == before or not self._refine(limit):
                return model, limit

    def _limit(self, errors: Floats, known: Known, basis: Basis) -> str:
        """Whether the model of all quadrature points is much better on the paths of the largest errors."""
        exact = self.training.model(replace(self.accuracy, all_points=True), basis)
        better = path_errors(exact, [known[k] for k in np.argsort(errors)[-SOME:]])
        return CUBATURE if better.max() < errors.max() / 2 else MODES

    def _refine(self, limit: str) -> bool:
        """Become more accurate; return whether that is possible."""
        now = self.accuracy
        if limit == MODES:
            self.accuracy = replace(now, modes=min(int(np.ceil(GROWTH * now.modes)), self.most.modes))
        else:
            self.accuracy = replace(now, integrals=max(FINER * now.integrals, FINEST))
        return self.accuracy != now

    def _size(self, errors: Floats) -> float:
        """Errors in terms of the tolerance: at most one where it is met."""
        return float(max(np.median(errors), errors.max() / WORST)) / self.tolerance


def _next(training: Training, model: ReducedModel | None, n: int) -> list[int]:
    """Numbers of the paths to solve in the next round, at most `n` (collective)."""
    comm, looked_at = training.comm, training.promising(LOOK * n)
    paths = [training.paths[k] for k in looked_at]
    with collectively(comm):
        answers = None if model is None else (model.reduction.modes, follow_reduced(model, paths))
    modes, answered = comm.bcast(answers) or training.elastic(paths)
    with collectively(comm):
        mine = range(comm.rank, len(paths), comm.size)
        own = [(k, estimate(training.rve, paths[k], answered[k].y @ modes, answered[k].response)) for k in mine]
    everyones = sorted((pair for part in comm.allgather(own) for pair in part), key=lambda pair: pair[0])
    found = [estimated for _, estimated in everyones]
    training.expected |= {k: estimated.error for k, estimated in zip(looked_at, found, strict=True)}
    return [looked_at[k] for k in comm.bcast(choose_paths(found, n))]
