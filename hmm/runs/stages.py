"""The progress of a run of load steps, in memory and in a checkpoint file."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hmm.fe2.problem import MacroProblem
from hmm.foundation.console import say
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import require_writable
from hmm.foundation.hdf5 import require_h5py
from hmm.foundation.locking import sole
from hmm.runs import checkpoint
from hmm.runs.fingerprint import constants_of, present_values
from hmm.runs.schedules import Schedule


@dataclass
class Stage:
    """The steps of one call of `hmm.steps`, and their progress.

    Attributes
    ----------
    times
        The start of the first step and the end of each step.
    title
        Description of the loads, see `hmm.runs.schedules.Schedule.describe`.
    constants
        Values of the Constants before the first step.
    step
        Number of completed steps.
    fraction
        Completed fraction of the next step.
    increment
        Size of the next increment, as a fraction of a step.
    successes
        Number of successive increments of this size that succeeded.
    present
        Present values of the Constants.
    values
        Checksums of Functions and Dirichlet conditions before the first step (see
        `hmm.runs.fingerprint.present_values`).
    reached
        Their present checksums.
    """

    times: list[float]
    title: str
    constants: list[Any]
    step: int = 0
    fraction: float = 0.0
    increment: float = 1.0
    successes: int = 0
    present: list[Any] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    reached: dict[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of steps."""
        return len(self.times) - 1

    def time(self, fraction: float | None = None) -> float:
        """The time at a `fraction` of the present step; by default, at the completed fraction."""
        done = self.fraction if fraction is None else fraction
        if done == 0.0 or self.complete:
            return self.times[self.step]
        start, end = self.times[self.step : self.step + 2]
        return end if done == 1.0 else start + (end - start) * done

    def duration(self, size: float) -> float:
        """Duration of an increment of the present step."""
        return (self.times[self.step + 1] - self.times[self.step]) * size

    @property
    def complete(self) -> bool:
        """Whether all steps are completed."""
        return self.step == self.n

    def __str__(self) -> str:
        return self.title


class Run:
    """The stages of one problem in one checkpoint file, in the order of the calls of `hmm.steps`.

    Parameters
    ----------
    problem
        The problem.
    path
        The file.
    """

    def __init__(self, problem: MacroProblem, path: Path) -> None:
        self._problem = weakref.ref(problem)
        self.path = path
        self.stages: list[Stage] = []
        self.longest = 0.0
        self._changed = False
        self._ahead = True  # whether the file may contain steps of an earlier process
        self._identity: Mapping[str, str] = {}
        self._values: Mapping[str, str] = {}  # those of the problem when it was last restored from the file

    @property
    def problem(self) -> MacroProblem:
        """The problem."""
        problem = self._problem()
        assert problem is not None
        return problem

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the file while the body runs, so that no other run writes it (collective).

        Raises
        ------
        InputError
            On all ranks, if the file cannot be written or is in use by another run.
        """
        comm = self.problem.hom.comm
        with collectively(comm):
            require_h5py()
            if comm.rank == 0:
                require_writable(self.path.parent)
        with sole(self.path, "checkpoint file", comm):
            yield

    def begin(self, stage: Stage, schedule: Schedule) -> Stage:
        """Begin a stage; if the file already contains it, restore its state (collective).

        Returns
        -------
        Stage
            The stage with its progress.
        """
        comm = self.problem.hom.comm
        self._identity = self._identity or checkpoint.identify(self.problem)
        stage.values = present_values(self.problem)
        index = len(self.stages)
        recorded = self._recorded() if self._ahead else []
        if index < len(recorded):
            self._require_same(recorded[index], stage)
            stage = recorded[index]
            checkpoint.load(self.path, self.problem, self._identity)
            for constant, value in zip(constants_of(self.problem), stage.present, strict=True):
                constant.value = value if np.ndim(value) == 0 else np.array(value)
            if stage.step or stage.fraction:
                schedule.set(stage.time(), self.problem)
            self._values = present_values(self.problem)
            self._warn_of_changes(stage)
            say(comm, self._welcome(stage, schedule, last=index == len(recorded) - 1))
        self._ahead = index < len(recorded) - 1
        self.stages.append(stage)
        return stage

    def changed(self) -> None:
        """Note that an increment was accepted."""
        self._changed = True

    def save(self) -> None:
        """Write the checkpoint if there is a new accepted state (collective)."""
        if not self._changed:
            return
        self.stages[-1].present = values_of_constants(self.problem)
        self.stages[-1].reached = present_values(self.problem)
        note = {"stages": [asdict(stage) for stage in self.stages]}
        checkpoint.save(self.path, self.problem, note, self._identity)
        self._changed = False

    def _recorded(self) -> list[Stage]:
        comm = self.problem.hom.comm
        if not comm.bcast(self.path.exists()):
            return []
        note = checkpoint.read_note(self.path, self.problem, self._identity)
        if "stages" not in note:
            raise InputError(
                f"{self.path} was not written by hmm.steps: read it with hmm.checkpoint.load, or give another file"
            )
        return [Stage(**fields) for fields in note["stages"]]

    def _require_same(self, recorded: Stage, asked: Stage) -> None:
        which = f"part {len(self.stages) + 1} of the run in {self.path}"
        remedy = "repeat the call that wrote it to continue, or give another file (or remove this one) to start over"
        if recorded.title != asked.title:
            raise InputError(f"{which} is {recorded}, and this call asks for {asked}: {remedy}")
        if recorded.constants != asked.constants:
            raise InputError(
                f"{which} began with the Constants {recorded.constants}, and this call with {asked.constants}: {remedy}"
            )
        for name in {**recorded.values, **asked.values}:
            wanted, found = recorded.values.get(name, "not there"), asked.values.get(name, "not there")
            now = self._values.get(name), recorded.reached.get(name)  # a loop that is skipped may have changed it
            if found not in (wanted, *now):
                raise InputError(f"{which} began with the {name} of {wanted}, and this call with {found}: {remedy}")

    def _warn_of_changes(self, stage: Stage) -> None:
        """Warn of changes by the loop that a checkpoint does not restore, if steps remain."""
        changed = [name for name, value in stage.reached.items() if self._values.get(name) != value]
        if changed and not stage.complete and self.problem.hom.comm.rank == 0:
            logging.getLogger("hmm").warning(
                "%s: the loop had changed the %s, which a checkpoint does not restore: the next step uses the present "
                "value; set it before the call to the last value of the earlier run",
                self.path,
                " and the ".join(changed),
            )

    def _welcome(self, stage: Stage, schedule: Schedule, last: bool) -> str:
        if stage.complete or not last:
            text = f"{self.path}: the {stage} are done"
            return text + ("; remove the file to repeat them" if last else ", and more after them")
        part = f" and {stage.fraction:.3g} of the next one" if stage.fraction else ""
        where = schedule.name(stage.time())
        return f"{self.path}: continuing after step {stage.step} of {stage.n}{part}, at {where}"


_runs: weakref.WeakKeyDictionary[MacroProblem, dict[Path, Run]] = weakref.WeakKeyDictionary()


def run_of(problem: MacroProblem, path: str | Path) -> Run:
    """The run of a problem and a file, the same object for each call."""
    path = Path(path).absolute()
    return _runs.setdefault(problem, {}).setdefault(path, Run(problem, path))


def values_of_constants(problem: MacroProblem) -> list[Any]:
    """Values of the Constants in the macro form, the macro inputs and the models, as numbers or nested lists."""
    return [np.asarray(constant.value).tolist() for constant in constants_of(problem)]
