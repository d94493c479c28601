"""Load steps, with cutback, checkpoints and an orderly stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.fe2.problem import MacroProblem, StepStats
from hmm.foundation.console import progress, say
from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.options import instance, integer, numbers, positive
from hmm.foundation.signals import Watch
from hmm.runs.stages import Run, Stage, run_of, values_of_constants


@dataclass(frozen=True)
class Step:
    """A converged and committed load step.

    Attributes
    ----------
    number, total
        This step and how many there are; the first is 1.
    load
        The load at its end.
    stats
        What it took: the sum over its increments, without attempts that failed.
    increments
        Increments in which it was solved: 1 unless the step was cut. (After a restart, those since then.)
    cutbacks
        How often an increment failed and was halved.
    """

    number: int
    total: int
    load: float | NDArray[np.float64]
    stats: StepStats
    increments: int = 1
    cutbacks: int = 0


def steps(
    problem: MacroProblem,
    load: fem.Constant,
    target: ArrayLike,
    n: int,
    *,
    label: str = "load steps",
    duration: float | None = None,
    max_cutbacks: int = 6,
    checkpoint: str | Path | None = None,
    every: int = 1,
    max_wall_time: float | None = None,
) -> Iterator[Step]:
    """Raise a load to its target in equal steps, solving and committing each (collective).

    A step that does not converge is halved, and halved again if need be; after two increments in a row that do, their
    size is doubled. The loop sees only the steps asked for.

    With `checkpoint`, the same call continues where the file's run has stopped, on any number of ranks, and yields the
    steps that are left. A step counts as done when the loop's body has ended: killed inside it, a run does that step
    again. Several calls with the same problem and file are parts of one run, told apart by their order.

    Parameters
    ----------
    problem
        The macro problem.
    load
        A Constant in its forms or boundary values; its present value is the start.
    target
        Its value after the last step; same shape.
    n
        Number of steps.
    label
        Text beside the progress bar (shown on rank 0, on a terminal).
    duration
        Time that the n steps take together, in the unit of the laws' rates; sets ``problem.hom.time_step`` of each
        increment, if any law depends on time.
    max_cutbacks
        How often a step may be halved: no increment is smaller than ``2**-max_cutbacks`` of it.
    checkpoint
        An HDF5 file that holds the whole state, see `hmm.checkpoint.save`; needs h5py.
    every
        Steps between two checkpoints; one is also written after the last step and wherever the run stops.
    max_wall_time
        Seconds since `hmm` was imported; the run stops when the next increment would likely exceed them, judged by the
        longest so far. At least one increment is done. Needs `checkpoint`.

    Yields
    ------
    Step
        After each accepted step.

    Raises
    ------
    ConvergenceError
        Names the step, the worst point and its macro input. What was accepted before is kept, also in the checkpoint;
        `u` and `load` are as of then.
    InputError
        If the checkpoint does not fit, is damaged, cannot be written or is in use by another run.
    SystemExit
        On all ranks, when the checkpoint is written after a signal to any rank (SIGTERM, SIGINT, SIGHUP, SIGXCPU or
        SIGUSR1; noted only with `checkpoint`) or before `max_wall_time`. The code is 130 after SIGINT (Ctrl-C) and else
        0. Context managers and ``finally`` clauses around the loop do their work.
    """
    instance("problem", problem, MacroProblem, "make it with hmm.MacroProblem")
    instance("load", load, fem.Constant, "take a dolfinx.fem.Constant that is in the forms or the boundary values")
    _check(n, max_cutbacks, every, max_wall_time, checkpoint)
    stage = _stage(problem, load, target, n, duration)
    run = None if checkpoint is None else run_of(problem, checkpoint)
    with nullcontext() if run is None else run.alone():
        yield from _loop(problem, load, stage, label, 2.0**-max_cutbacks, run, every, max_wall_time)


def _loop(
    problem: MacroProblem,
    load: fem.Constant,
    stage: Stage,
    label: str,
    smallest: float,
    run: Run | None,
    every: int,
    max_wall_time: float | None,
) -> Iterator[Step]:
    """The steps of a stage that are left."""
    if run is not None:
        stage = run.begin(stage, load)
    watch = Watch(problem.hom.comm, max_wall_time)
    with watch.listening() if run else nullcontext(), progress(problem.hom.comm, label, stage.n, stage.step) as advance:
        stepper = _Stepper(problem, load, stage, smallest, run, watch)
        while not stage.complete:
            step = stepper.step()
            advance()
            yield step
            stepper.close_step(every)


@dataclass
class _Stepper:
    """Takes the steps of a stage."""

    problem: MacroProblem
    load: fem.Constant
    stage: Stage
    smallest: float
    run: Run | None
    watch: Watch

    def __post_init__(self) -> None:
        if self.run is not None:
            self.watch.longest = self.run.longest
            if self.watch.longest and not self.stage.complete:  # an earlier part of the run has been timed
                self.watch.start()
                self._stop_if_asked()

    def step(self) -> Step:
        """Take the next step, in as many increments as it needs."""
        stage, cutbacks = self.stage, 0
        stats: list[StepStats] = []
        while stage.fraction < 1.0:
            if stats:
                self._stop_if_asked()
            size = min(stage.increment, 1.0 - stage.fraction)
            try:
                stats.append(self._increment(size))
            except ConvergenceError as error:
                if size <= self.smallest:
                    raise self._given_up(size, error) from None
                stage.increment, stage.successes = size / 2, 0
                cutbacks += 1
        value = self.load.value
        load = value.item() if value.shape == () else value.copy()
        return Step(stage.step + 1, stage.n, load, reduce(_together, stats), len(stats), cutbacks)

    def close_step(self, every: int) -> None:
        """Count a step as done, when whoever asked for it has seen it."""
        self.stage.step, self.stage.fraction = self.stage.step + 1, 0.0
        if self.run is None:
            return
        if self.stage.step % every == 0 or self.stage.complete:
            self.run.save()
        self._stop_if_asked()

    def _increment(self, size: float) -> StepStats:
        """Solve one increment; if it fails, the load is again what it was."""
        stage, hom = self.stage, self.problem.hom
        accepted = np.array(self.load.value)
        self.load.value = stage.load(stage.fraction + size)
        if stage.duration is not None:
            hom.time_step = stage.duration / stage.n * size
        try:
            stats = self.problem.solve()
        except ConvergenceError:
            self.load.value = accepted
            raise
        stage.fraction += size
        stage.successes += 1
        if stage.successes == 2:
            stage.increment, stage.successes = min(1.0, 2 * stage.increment), 0
        if self.run is not None:
            self.run.changed()
        return stats

    def _given_up(self, size: float, error: ConvergenceError) -> ConvergenceError:
        """What to say when no smaller increment may be tried; what was accepted is saved."""
        stage = self.stage
        if self.run is not None:
            self.run.save()
        reached = stage.load(stage.fraction + size).tolist()
        tried = "" if size == 1.0 else f", not even an increment of {size:g} of it"
        part = f" and {stage.fraction:g} of this one" if stage.fraction else ""
        remedy = "take more steps, or raise max_cutbacks"
        if self.run is not None:  # another number of steps would be another run
            remedy = f"raise max_cutbacks; they are in {self.run.path}"
        return ConvergenceError(
            f"load step {stage.step + 1} of {stage.n} (load {reached}) did not converge{tried}: {error}; the "
            f"{stage.step} steps before{part} are kept, at load {self.load.value.tolist()}: {remedy}"
        )

    def _stop_if_asked(self) -> None:
        """Leave the program if there is reason to, with everything on the disk (collective)."""
        if self.run is None:
            return
        stage = self.stage
        reason = self.watch.reason(more=not stage.complete)
        self.run.longest = self.watch.longest
        if not reason:
            return
        self.run.save()
        part = f" and {stage.fraction:g} of the next one" if stage.fraction else ""
        say(
            self.problem.hom.comm,
            f"stopping: {reason}; {stage.step} of {stage.n} steps{part} are in {self.run.path}: run the same command "
            "again to continue",
        )
        raise SystemExit(self.watch.code)


def _stage(problem: MacroProblem, load: fem.Constant, target: ArrayLike, n: int, duration: float | None) -> Stage:
    start, end = np.array(load.value, dtype=float), numbers("the target of the load", target)
    if start.shape != end.shape:
        raise InputError(f"the load has shape {start.shape} and its target {end.shape}: they must agree")
    if not np.isfinite(end).all():
        raise InputError(f"the target of the load is {end.tolist()}: give finite numbers")
    if duration is not None:
        duration = positive("duration = {} of the load steps", duration)
    return Stage(start.tolist(), end.tolist(), int(n), duration, values_of_constants(problem))


def _check(n: int, max_cutbacks: int, every: int, max_wall_time: float | None, checkpoint: str | Path | None) -> None:
    integer("n = {} load steps", n, 1)
    integer("max_cutbacks", max_cutbacks, 0, 50)
    integer("every = {} steps between two checkpoints", every, 1)
    if checkpoint is not None:
        instance("checkpoint", checkpoint, (str, Path), "give the path of an HDF5 file")
    if max_wall_time is None:
        return
    positive("max_wall_time = {} seconds", max_wall_time)
    if checkpoint is None:
        raise InputError(f"max_wall_time = {max_wall_time} needs a file to continue from: give checkpoint=...")


def _together(a: StepStats, b: StepStats) -> StepStats:
    """What two increments took, one after the other."""
    algorithm = a.algorithm if a.algorithm == b.algorithm else "nested"
    return StepStats(
        a.iterations + b.iterations,
        a.residuals + b.residuals,
        add(a.micro, b.micro),
        algorithm,
        a.fallbacks + b.fallbacks,
    )
