"""Retrain a reduced model within a job, on the strain paths of points that it could not answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike

from hmm.foundation.console import warn
from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.options import instance, integer
from hmm.models.asking import points_of
from hmm.models.points import Floats, Points, Variable
from hmm.reduced.followers import replayed
from hmm.reduced.model import ReducedModel, load_model
from hmm.reduced.paths import TrainingPath
from hmm.reduced.storage import read_paths, save_model
from hmm.reduced.strain_path import StrainPaths
from hmm.reduced.training import train

MODEL, LEARNT = "reduced model", "learnt"
"""Variables of a point: number of its model, and whether the model was trained since the point is solved in full."""

PATHS = 8
"""Most paths that are learnt at a time."""

ALIKE = 0.05
"""Paths differ less that differ by less than this part of their largest input: one of them is learnt."""

GROWTH = 1.5
"""Room for cubature points, relative to those of the first model, if these are more than `points=`."""


@dataclass(frozen=True, eq=False)
class Enrichment:
    """How `Controlled` makes its reduced model better within a job.

    Before the step after one in which points exceeded the tolerance, the RVE is solved along the strain paths of up to
    `PATHS` of them, those with the largest errors that differ from each other. A model is trained on these paths and
    all earlier ones. The state of each point follows from its stored strain path; points that the new model answers
    well enough stay with it. The ranks of the macro problem share the work, and the model does not depend on their
    number.

    Attributes
    ----------
    paths
        The paths that the reduced model was trained on.
    checkpoint
        The folder that keeps solved paths, as in `hmm.reduced.train`; paths that are there already are not solved
        again. Each new model is saved there too. A run that continues from a checkpoint of the macro problem finds it.
    times
        How often the model is retrained at most.
    modes
        By how many modes it may grow each time.
    points, energy, integrals, dt
        As in `hmm.reduced.train`.
    """

    paths: Sequence[TrainingPath | ArrayLike]
    checkpoint: str | Path
    times: int = 3
    modes: int = 8
    points: int = 200
    energy: float = 1e-7
    integrals: float = 1e-3
    dt: float = 0.0

    def __post_init__(self) -> None:
        instance("checkpoint", self.checkpoint, (str, Path), "give the path of a folder")
        for name in ("times", "modes"):
            integer(name, getattr(self, name), 1)


class EnrichedModels:
    """The models of a job, by their numbers: 0 is the first one, others are digits of the hash of their reductions.

    Parameters
    ----------
    base
        The first model.
    options
        How to enrich it.

    Attributes
    ----------
    number, model
        The present model.
    learnt
        For each number, the paths of the job that the model was trained on, as many as each time.
    """

    def __init__(self, base: ReducedModel, options: Enrichment) -> None:
        self.base, self.options = base, options
        self.number, self.model = 0, base
        self._models = {0: base}
        self.learnt: dict[int, list[list[TrainingPath]]] = {0: []}

    @property
    def variables(self) -> dict[str, Variable]:
        """The variables of a reduced point, with room for those of all models to come."""
        found, rve = dict(self.base.variables), self.base.rve
        N = self.base.reduction.n_modes + self.options.times * self.options.modes
        shapes = {"y": (N,), "history": (self._history,), "sensitivity": (N, rve.n_inputs)}
        return {name: Variable(shapes[name], v.role) for name, v in found.items()}

    @property
    def _history(self) -> int:
        """Room for the internal variables of a point."""
        size = 0
        for p in self.base.reduction.phases.values():
            points = max(self.options.points + 1, int(GROWTH * p.weights.size))
            size += min(points, p.history.shape[1]) * p.history.shape[2]
        return size

    def number_of(self, points: Points) -> int:
        """Number of the model of some points, or 0 if there are none."""
        return int(points.committed.variables[MODEL][0]) if points.n else 0

    @property
    def is_exhausted(self) -> bool:
        """Whether the model was retrained as often as allowed."""
        return len(self.learnt[self.number]) >= self.options.times

    def use(self, number: int) -> None:
        """Make the model with a number the present one; it is read if necessary."""
        if number not in self._models:
            self._read(number)
        self.number, self.model = number, self._models[number]

    def retrain(self, comm: MPI.Comm, paths: list[TrainingPath]) -> ReducedModel | None:
        """A model of further paths, or None if there is none (collective)."""
        o, learnt = self.options, [*self.learnt[self.number], paths]
        try:
            model = train(
                self.base.rve,
                [*o.paths, *(path for some in learnt for path in some)],
                modes=self.model.reduction.n_modes + o.modes - self._n_elastic,
                points=o.points,
                energy=o.energy,
                integrals=o.integrals,
                dt=o.dt,
                checkpoint=o.checkpoint,
                comm=comm,
            )
        except ConvergenceError as error:
            self._warn(comm, str(error))
            return None
        room = self.variables
        if any(v.shape > room[name].shape for name, v in model.variables.items()):
            self._warn(comm, "it has too many cubature points: lower points=")
            return None
        self._keep(comm, model, learnt)
        return model

    @property
    def _n_elastic(self) -> int:
        """Modes that do not count in `modes=` of the training: as many as inputs at most."""
        return min(self.base.rve.n_inputs, self.base.reduction.n_modes)

    def _warn(self, comm: MPI.Comm, why: str) -> None:
        if comm.rank == 0:
            warn(f"the reduced model was not enriched: {why}")

    def _keep(self, comm: MPI.Comm, model: ReducedModel, learnt: list[list[TrainingPath]]) -> None:
        number = number_of(model)
        self._models[number], self.learnt[number] = model, learnt
        if comm.rank == 0:
            save_model(self._file(number), model.rve, model.reduction, model.report, learnt)

    def _read(self, number: int) -> None:
        file = self._file(number)
        if not file.exists():
            raise InputError(
                f"points of the checkpoint belong to the enriched model {file}, which is not there: give the folder "
                "where the run kept it as checkpoint= of the Enrichment"
            )
        model = load_model(file, self.base.rve)
        if number_of(model) != number:
            raise InputError(f"{file} holds another model than its name says: give the folder where the run kept it")
        self._models[number], self.learnt[number] = model, read_paths(file)

    def _file(self, number: int) -> Path:
        return Path(self.options.checkpoint) / f"enriched-{number:012x}.h5"


def number_of(model: ReducedModel) -> int:
    """Twelve digits of the hash of a model; a float holds them exactly."""
    return int(model.reduction.digest()[:12], 16)


def largest(comm: MPI.Comm, *numbers: int) -> list[int]:
    """The largest of each of some numbers on all ranks (collective)."""
    return [max(column) for column in zip(*comm.allgather(numbers), strict=True)]


def paths_to_learn(
    comm: MPI.Comm, sizes: Floats, keys: Sequence[int], paths: Sequence[TrainingPath]
) -> list[TrainingPath]:
    """The paths of all ranks with the largest errors that differ from each other (collective).

    Parameters
    ----------
    comm
        The ranks.
    sizes, keys, paths
        Sizes of the errors of this rank's candidates, numbers of their rows among those of all ranks, and their paths.
    """
    own = sorted(zip([-float(f"{size:.3g}") for size in sizes], keys, paths, strict=True), key=lambda c: c[:2])
    everyones = sorted((c for part in comm.allgather(own) for c in part), key=lambda c: c[:2])
    chosen: list[TrainingPath] = []
    for _, _, path in everyones:
        if len(chosen) < PATHS and not any(_alike(path, other) for other in chosen):
            chosen.append(path)
    return chosen


def rounded(path: TrainingPath, reference: Floats) -> TrainingPath:
    """A path to three or four digits, so that rounding errors of a macro problem do not change what is learnt."""
    move = path.E - reference
    grid = 1e-3 * 10.0 ** np.floor(np.log10(np.abs(move).max(initial=0.0) or 1.0))
    return TrainingPath(reference + grid * np.round(move / grid), path.durations.copy())


def _alike(a: TrainingPath, b: TrainingPath) -> bool:
    return a.E.shape == b.E.shape and bool(np.abs(a.E - b.E).max() <= ALIKE * np.abs(b.E).max())


def carried_over(comm: MPI.Comm, model: ReducedModel, paths: StrainPaths, points: Points) -> Points | None:
    """Points of another model at the end of the stored strain paths of all rows; or None, with a warning (collective).

    Each rank does its own rows. There are none if the model does not answer one of them on any rank.
    """
    found, own, failure = points_of(model, points.n), points.committed.variables, ""
    try:
        for rows in paths.alike(own, range(points.n)):
            *_, last = replayed(model, *paths.stacked(own, rows))
            for name, values in last.persistent().items():
                found.persistent()[name][rows] = values
    except ConvergenceError as error:
        failure = str(error)
    everyones = [why for why in comm.allgather(failure) if why]
    if everyones and comm.rank == 0:
        warn(f"the reduced model was enriched, and is not used: {everyones[0]}")
    return None if everyones else found


def replace_variables(points: Points, moved: Points) -> None:
    """Write the variables of a model into the room for them; trial and committed states alike."""
    for name in moved.variables:
        for place, others in (
            (points.committed.variables, moved.committed.variables),
            (points.trial.variables, moved.committed.variables),
            (points.guides, moved.guides),
        ):
            if name in place and name in others:
                place[name][...] = 0.0
                place[name][(slice(None), *map(slice, others[name].shape[1:]))] = others[name]


@contextmanager
def as_seen_by(model: ReducedModel, points: Points) -> Iterator[None]:
    """Within it, points have only so many numbers as this model remembers; what is deferred is filled up with zeros."""
    places = (points.committed.variables, points.trial.variables, points.guides)
    whole, start = [dict(place) for place in places], points.start
    shapes = {name: tuple(map(slice, v.shape)) for name, v in model.variables.items()}
    for place in places:
        place.update({name: place[name][(slice(None), *s)] for name, s in shapes.items() if name in place})
    values = {name: value[shapes[name]] if name in shapes else value for name, value in start.values.items()}
    points.start = replace(start, values=values)
    try:
        yield
    finally:
        for place, arrays in zip(places, whole, strict=True):
            place.update(arrays)
        points.start = start
        for name in set(points.deferred) & set(shapes):
            filled = np.zeros_like(points.committed.variables[name])
            filled[(slice(None), *shapes[name])] = points.deferred[name]
            points.deferred[name] = filled
