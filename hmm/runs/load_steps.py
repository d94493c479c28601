"""Load steps with cutback, checkpoints and controlled stop."""

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
        Number of this step, from 1, and of all steps.
    load
        The load at its end; for a schedule with several Constants, a tuple of their values in its order.
    time
        The time at its end; None for a ramp without duration.
    stats
        Statistics: the sum over its increments, without failed attempts.
    increments
        Number of increments: 1 without cutback. (After a restart, the increments since then.)
    cutbacks
        Number of increments that failed and were halved.
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
    """Apply loads step by step; solve and accept each step (collective).

    ``steps(problem, load, target, n)`` changes one load to its target in n equal steps. ``steps(problem, schedule,
    times)`` applies loads that are functions of time, see `hmm.schedule`.

    An increment that does not converge is halved, repeatedly if necessary (cutback). After two successful increments,
    the size is doubled. Your loop receives the requested steps only.

    With `checkpoint`, the same call continues the run in the file, on any number of ranks, and yields the remaining
    steps. A step is complete when the body of the loop has ended; a run that is killed before repeats that step.
    Several calls with the same problem and file are parts of one run, identified by their order.

    Parameters
    ----------
    problem
        The macro problem.
    load
        A Constant in the forms or boundary values, which starts from its present value; or a `Schedule`.
    target
        The value of the Constant after the last step; same shape.
    n
        Number of steps.
    times
        For a schedule, in place of `target` and `n`: start of the first step and end of each step, shape (n + 1,). Each
        increment sets ``problem.hom.time_step`` to its duration.
    label
        Label of the progress bar (on rank 0, in a terminal).
    duration
        Total duration of the n steps, in the unit of time of the laws; it sets ``problem.hom.time_step`` of each
        increment, for rate-dependent laws and inertia.
    max_cutbacks
        Maximum number of halvings: an increment is at least ``2**-max_cutbacks`` of the step.
    checkpoint
        An HDF5 file for the complete state, see `hmm.checkpoint.save`; needs h5py.
    every
        Steps between two checkpoints; a checkpoint is also written after the last step and when the run stops.
    max_wall_time
        Limit in seconds since the import of `hmm`. The run stops if another increment as long as the longest so far
        would exceed it, but solves at least one increment. Needs `checkpoint`.

    Yields
    ------
    Step
        After each accepted step.

    Raises
    ------
    ConvergenceError
        Names the step, the worst point and its macroscopic input. All accepted increments are kept, also in the
        checkpoint; `u` and all loads have the values of the last one.
    InputError
        If times do not increase; if a load has the wrong shape, is not finite or does not occur in the problem; if the
        checkpoint belongs to another problem, is damaged, cannot be written or is in use by another run.
    SystemExit
        With `checkpoint`, on all ranks, after a signal to any rank (SIGTERM, SIGINT, SIGHUP, SIGXCPU or SIGUSR1) or
        before `max_wall_time`, when the checkpoint is written. The exit code is 130 after SIGINT (Ctrl-C), otherwise 0.
        Context managers and ``finally`` clauses around the loop are executed.
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
    """The remaining steps of a stage."""
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
    """Solves the steps of a stage."""

    problem: MacroProblem
    schedule: Schedule
    stage: Stage
    smallest: float
    run: Run | None
    watch: Watch

    def __post_init__(self) -> None:
        if self.run is not None:
            self.watch.longest = self.run.longest
            if self.watch.longest and not self.stage.complete:  # an earlier part of the run has measured it
                self.watch.start()
                self._stop_if_asked()

    def step(self) -> Step:
        """Solve the next step in as many increments as necessary."""
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
        """Complete a step after the body of the loop has ended."""
        self.stage.step, self.stage.fraction = self.stage.step + 1, 0.0
        if self.run is None:
            return
        if self.stage.step % every == 0 or self.stage.complete:
            self.run.save()
        self._stop_if_asked()

    def _increment(self, size: float) -> StepStats:
        """Solve one increment; restore the loads if it fails."""
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
        """The error when no smaller increment is allowed; saves the accepted state."""
        stage = self.stage
        if self.run is not None:
            self.run.save()
        asked, reached = (self.schedule.name(stage.time(f)) for f in (stage.fraction + size, stage.fraction))
        tried = "" if size == 1.0 else f", not even an increment of {size:g} of it"
        part = f" and {stage.fraction:g} of this one" if stage.fraction else ""
        remedy = "use more steps, or raise max_cutbacks"
        if self.run is not None:  # with another number of steps, the checkpoint does not match
            remedy = f"raise max_cutbacks; they are in {self.run.path}"
        return ConvergenceError(
            f"load step {stage.step + 1} of {stage.n} ({asked}) did not converge{tried}: {error}; the "
            f"{stage.step} steps before{part} are kept, at {reached}: {remedy}"
        )

    def _stop_if_asked(self) -> None:
        """Write the checkpoint and leave the program if there is a reason to stop (collective)."""
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
    """The schedule of the arguments, and its times."""
    if isinstance(load, Schedule):
        if times is None:
            times, target = target, None
        if target is not None or n is not None or duration is not None or times is None:
            raise InputError(
                "a schedule needs its times, and no target, n or duration: hmm.steps(problem, load, times)"
            )
        return load, increasing("the times of the load steps", times).tolist()
    remedy = "use a dolfinx.fem.Constant of the forms or the boundary values, or hmm.schedule(...)"
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
    """Statistics of two successive increments."""
    algorithm = a.algorithm if a.algorithm == b.algorithm else "nested"
    return StepStats(
        a.iterations + b.iterations,
        a.residuals + b.residuals,
        add(a.micro, b.micro),
        algorithm,
        a.fallbacks + b.fallbacks,
        b.error,
    )
