"""Load steps, with cutback, checkpoints and an orderly stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, cast

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike

from hmm.fe2.problem import MacroProblem, StepStats
from hmm.foundation.console import progress, say
from hmm.foundation.errors import ConvergenceError, HMMError, InputError
from hmm.foundation.options import instance, integer, positive
from hmm.foundation.signals import Watch
from hmm.runs.schedules import Ramp, Schedule, increasing
from hmm.runs.stages import Run, Stage, run_of, values_of_constants


@dataclass(frozen=True)
class Step:
    """A converged and committed load step.

    Attributes
    ----------
    number, total
        This step and how many there are; the first is 1.
    load
        The load at its end; of a schedule with several Constants, a tuple of theirs in its order.
    time
        The instant of its end; None for a ramp without duration.
    stats
        What it took: the sum over its increments, without attempts that failed.
    increments
        Increments in which it was solved: 1 unless the step was cut. (After a restart, those since then.)
    cutbacks
        How often an increment failed and was halved.
    """

    number: int
    total: int
    load: Any
    time: float | None
    stats: StepStats
    increments: int = 1
    cutbacks: int = 0


def steps(
    problem: MacroProblem,
    load: fem.Constant | Schedule,
    target: ArrayLike | None = None,
    n: int | None = None,
    *,
    times: ArrayLike | None = None,
    label: str = "load steps",
    duration: float | None = None,
    max_cutbacks: int = 6,
    checkpoint: str | Path | None = None,
    every: int = 1,
    max_wall_time: float | None = None,
) -> Iterator[Step]:
    """Lead a problem through its loads step by step, solving and committing each (collective).

    ``steps(problem, load, target, n)`` raises one load to its target in n equal steps. ``steps(problem, schedule,
    times)`` follows loads that are any functions of time, see `hmm.schedule`.

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
        A Constant in its forms or boundary values, whose present value is the start; or a `Schedule`.
    target
        The Constant's value after the last step; same shape.
    n
        Number of steps to it.
    times
        Of a schedule, in place of `target` and `n`: when the first step begins and when each step ends, shape (n + 1,).
        Each increment sets ``problem.hom.time_step`` to the time that it takes.
    label
        Text beside the progress bar (shown on rank 0, on a terminal).
    duration
        Time that the n steps to a target take together, in the unit of the laws' rates; sets ``problem.hom.time_step``
        of each increment, for laws that depend on time and for inertia.
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
        `u` and all loads are as of then.
    InputError
        If times go back, a load has the wrong shape, is not finite or occurs nowhere in the problem; if the checkpoint
        does not fit, is damaged, cannot be written or is in use by another run.
    SystemExit
        On all ranks, when the checkpoint is written after a signal to any rank (SIGTERM, SIGINT, SIGHUP, SIGXCPU or
        SIGUSR1; noted only with `checkpoint`) or before `max_wall_time`. The code is 130 after SIGINT (Ctrl-C) and else
        0. Context managers and ``finally`` clauses around the loop do their work.
    """
    instance("problem", problem, MacroProblem, "make it with hmm.MacroProblem")
    _check(max_cutbacks, every, max_wall_time, checkpoint)
    schedule, instants = _asked(load, target, n, times, duration)
    schedule.check(problem, instants)
    title = "" if checkpoint is None else schedule.describe(problem, instants)
    stage = Stage(instants, title, values_of_constants(problem))
    run = None if checkpoint is None else run_of(problem, checkpoint)
    with nullcontext() if run is None else run.alone():
        yield from _loop(problem, schedule, stage, label, 2.0**-max_cutbacks, run, every, max_wall_time)


def _loop(
    problem: MacroProblem,
    schedule: Schedule,
    stage: Stage,
    label: str,
    smallest: float,
    run: Run | None,
    every: int,
    max_wall_time: float | None,
) -> Iterator[Step]:
    """The steps of a stage that are left."""
    if run is not None:
        stage = run.begin(stage, schedule)
    watch = Watch(problem.hom.comm, max_wall_time)
    with watch.listening() if run else nullcontext(), progress(problem.hom.comm, label, stage.n, stage.step) as advance:
        stepper = _Stepper(problem, schedule, stage, smallest, run, watch)
        while not stage.complete:
            step = stepper.step()
            advance()
            yield step
            stepper.close_step(every)


@dataclass
class _Stepper:
    """Takes the steps of a stage."""

    problem: MacroProblem
    schedule: Schedule
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
        time = stage.time() if self.schedule.timed else None
        total = reduce(_together, stats)
        return Step(stage.step + 1, stage.n, self.schedule.value(), time, total, len(stats), cutbacks)

    def close_step(self, every: int) -> None:
        """Count a step as done, when whoever asked for it has seen it."""
        self.stage.step, self.stage.fraction = self.stage.step + 1, 0.0
        if self.run is None:
            return
        if self.stage.step % every == 0 or self.stage.complete:
            self.run.save()
        self._stop_if_asked()

    def _increment(self, size: float) -> StepStats:
        """Solve one increment; if it fails, the loads are again what they were."""
        stage, accepted = self.stage, self.schedule.saved()
        try:
            self.schedule.set(stage.time(stage.fraction + size), self.problem)
            if self.schedule.timed:
                self.problem.hom.time_step = stage.duration(size)
            stats = self.problem.solve()
        except HMMError:
            self.schedule.put_back(accepted)
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
        asked, reached = (self.schedule.name(stage.time(f)) for f in (stage.fraction + size, stage.fraction))
        tried = "" if size == 1.0 else f", not even an increment of {size:g} of it"
        part = f" and {stage.fraction:g} of this one" if stage.fraction else ""
        remedy = "take more steps, or raise max_cutbacks"
        if self.run is not None:  # another number of steps would be another run
            remedy = f"raise max_cutbacks; they are in {self.run.path}"
        return ConvergenceError(
            f"load step {stage.step + 1} of {stage.n} ({asked}) did not converge{tried}: {error}; the "
            f"{stage.step} steps before{part} are kept, at {reached}: {remedy}"
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


def _asked(
    load: object, target: ArrayLike | None, n: int | None, times: ArrayLike | None, duration: float | None
) -> tuple[Schedule, list[float]]:
    """The schedule that is asked for, and its instants."""
    if isinstance(load, Schedule):
        if times is None:
            times, target = target, None
        if target is not None or n is not None or duration is not None or times is None:
            raise InputError(
                "a schedule needs its times, and no target, n or duration: hmm.steps(problem, load, times)"
            )
        return load, increasing("the times of the load steps", times).tolist()
    remedy = "take a dolfinx.fem.Constant that is in the forms or the boundary values, or hmm.schedule(...)"
    instance("load", load, fem.Constant, remedy)
    if target is None or times is not None:
        raise InputError(
            "one Constant needs a target and n steps: hmm.steps(problem, load, target, n); for times, "
            "write hmm.schedule({load: hmm.table(times, values)})"
        )
    n = integer("n = {} load steps", n, 1)
    if duration is not None:
        duration = positive("duration = {} of the load steps", duration)
    end = float(n) if duration is None else duration
    return Ramp(cast(fem.Constant, load), target, end, duration is not None), np.linspace(0.0, end, n + 1).tolist()


def _check(max_cutbacks: int, every: int, max_wall_time: float | None, checkpoint: str | Path | None) -> None:
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
