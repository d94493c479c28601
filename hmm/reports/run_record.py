"""The record of an FE2 run, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hmm.foundation.errors import InputError
from hmm.foundation.files import regular_file, write_atomically

RECORD = "run.json"


@dataclass(frozen=True)
class StepRecord:
    """One accepted step.

    Attributes
    ----------
    number
        Its number, from 1.
    x, y, bar
        The point of the macro curve and half the width of its error bar; `bar` is None if no error is known.
    iterations, increments, cutbacks
        Macro Newton iterations, increments and halvings.
    residuals
        Relative macro residuals.
    micro
        Counters of micro operations, by name, summed over ranks.
    seconds
        Time since the step before.
    algorithm
        The algorithm that found the solution.
    trouble
        Recovery strategies that were used, in words.
    point_error
        The largest estimated error of a response at a point; None if none is estimated.
    """

    number: int
    x: float
    y: float
    bar: float | None
    iterations: int
    increments: int
    cutbacks: int
    residuals: Sequence[float]
    micro: Mapping[str, int]
    seconds: float
    algorithm: str
    trouble: str
    point_error: float | None


@dataclass(frozen=True)
class WorstRecord:
    """One of the worst RVEs: where it is, its value, the variable that is shown, and the name of its picture."""

    x: Sequence[float]
    value: float
    variable: str
    picture: str


@dataclass
class RunRecord:
    """An FE2 run, as far as its report shows it.

    Attributes
    ----------
    title
        The heading.
    axes
        Labels of the macro curve, with units.
    set_up, phases, made
        Names and values: the problem; the phases of the cells with their fractions and laws; versions and date.
    steps, worst
        The accepted steps, and the worst RVEs of the last one.
    script
        The program that made the run; empty if it was not given.
    repeat
        The command.
    pictures
        Further pictures beside the report, file names by title.
    """

    title: str
    axes: Sequence[str]
    set_up: Mapping[str, str] = field(default_factory=dict)
    phases: Sequence[Sequence[str]] = ()
    made: Mapping[str, str] = field(default_factory=dict)
    steps: list[StepRecord] = field(default_factory=list)
    worst: Sequence[WorstRecord] = ()
    script: str = ""
    repeat: str = ""
    pictures: Mapping[str, str] = field(default_factory=dict)

    def add(self, step: StepRecord) -> None:
        """Add a step. Steps of the same or a larger number belong to an earlier run and are removed."""
        self.steps = [one for one in self.steps if one.number < step.number] + [step]

    def write(self, directory: Path) -> None:
        """Write it atomically into a directory; not collective."""
        write_atomically(directory / RECORD, json.dumps(_finite(asdict(self)), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, directory: Path) -> RunRecord:
        """The record in a directory.

        Raises
        ------
        InputError
            If there is none, or it is damaged.
        """
        path = regular_file(directory / RECORD, "record of a run", "give the directory of an hmm.RunLog")
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            data["steps"] = [StepRecord(**step) for step in data["steps"]]
            data["worst"] = [WorstRecord(**one) for one in data["worst"]]
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no record of a run ({error}): give the directory of an hmm.RunLog") from None


def _finite(value: Any) -> Any:
    """The value with None for numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
