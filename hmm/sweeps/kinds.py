"""What a sweep knows of the jobs: the subcommand that runs one, how it is checked, and the numbers it gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.effective.writing import PROPERTIES
from hmm.foundation.errors import InputError
from hmm.jobs.changes import path_of
from hmm.jobs.fe2.reading import read_run
from hmm.jobs.fe2.running import run_fe2
from hmm.jobs.laminates import read_laminate_job
from hmm.jobs.load_test import read_load_test
from hmm.jobs.load_testing import run_load_test
from hmm.jobs.reading import read_job
from hmm.jobs.running import run_job
from hmm.jobs.tables import parsed_job

Read = Callable[[Path, Mapping[str, Any], bool], Any]
"""Reads a changed job, of trusted laws or not; an error if it is wrong."""


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Attributes
    ----------
    command
        The subcommand of ``hmm`` that runs it.
    section
        A section that only these jobs have.
    read, run
        Reads a changed job; runs it in this process, with the results in a directory.
    file
        The file of the results, in JSON.
    numbers
        The numbers in it, by name.
    plain
        Changes of a job that leave out its report and pictures, for keys that it does not give.
    curve
        The curve in the file, for jobs that have one.
    spread
        Changes of a job that let several ranks share its cell, for keys that it does not give.
    """

    command: str
    section: str
    read: Read
    run: Callable[[Any, Path], object]
    file: str
    numbers: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    plain: Mapping[str, Any]
    curve: Callable[[Mapping[str, Any]], list[float]] | None = None
    spread: Mapping[str, Any] = field(default_factory=dict)

    def check(self, path: Path, changes: Mapping[str, Any], trust_laws: bool) -> None:
        """Read a changed job, unless this would homogenize the cells of its plies.

        Raises
        ------
        InputError
            If it is wrong.
        """
        plies = parsed_job(path, MPI.COMM_SELF, changes=changes)[0].get("plies", {}).values()
        if not any("job" in ply for ply in plies if isinstance(ply, Mapping)):
            self.read(path, changes, trust_laws)

    def values(self, directory: Path) -> dict[str, float]:
        """The numbers that a variant gave.

        Raises
        ------
        InputError
            If there are no results.
        """
        try:
            found = self.numbers(self._found(directory))
        except (KeyError, TypeError) as error:
            raise InputError(f"{directory / self.file} is damaged ({error!r}): run this variant again") from None
        return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}

    def points(self, directory: Path) -> list[float]:
        """The curve that a variant gave."""
        return [] if self.curve is None else [float(value) for value in self.curve(self._found(directory))]

    def _found(self, directory: Path) -> dict[str, Any]:
        """The file of the results."""
        try:
            return dict(json.loads((directory / self.file).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{directory / self.file} has no results ({error}): run this variant again") from None


def _of_properties(found: Mapping[str, Any]) -> dict[str, Any]:
    """Constants, thermal expansion and heat capacity."""
    values = dict(found["constants"])
    expansion = found.get("thermal_expansion")
    if expansion is not None:
        factors = [1.0 if label[0] == label[1] else 2**0.5 for label in found["labels"]]
        pairs = zip(found["labels"], expansion, factors, strict=True)
        values |= {f"alpha{label}": None if v is None else v / factor for label, v, factor in pairs}
    return values | ({} if found.get("heat_capacity") is None else {"heat capacity": found["heat_capacity"]})


def _of_laminate(found: Mapping[str, Any]) -> dict[str, Any]:
    """Constants, and the load factor of each criterion."""
    failures = {f"load factor {f['criterion']}": f["load_factor"] for f in found["load"]["first_failure"]}
    return found["laminate"]["constants"] | failures


KINDS = (
    Kind(
        "run",
        "mesh",
        lambda path, changes, trust: read_run(path, trust_laws=trust, changes=changes),
        lambda job, where: run_fe2(job, where, MPI.COMM_SELF, overwrite=True),
        "summary.json",
        lambda found: {name: value for name, value in found["last"].items() if name not in ("step", "time")},
        {},
    ),
    Kind(
        "test",
        "test",
        lambda path, changes, trust: read_load_test(path, trust_laws=trust, changes=changes),
        lambda test, where: run_load_test(test, where, MPI.COMM_SELF),
        "test.json",
        lambda found: found["summary"],
        {"output.plot": False, "output.report": False, "test.fields": "none"},
        lambda found: found["curve"][found["driven"][1]],
        {"spread": True},
    ),
    Kind(
        "laminate",
        "laminate",
        lambda path, changes, trust: read_laminate_job(path, changes),
        lambda job, where: job.write(where),
        "laminate.json",
        _of_laminate,
        {"output.plot": False, "output.report": False},
    ),
    Kind(
        "homogenize",
        "cell",
        lambda path, changes, trust: read_job(path, trust_laws=trust, changes=changes),
        lambda job, where: run_job(job, where, MPI.COMM_SELF),
        PROPERTIES,
        _of_properties,
        {"output.report": False, "mesh_error": False},
        spread={"spread": True},
    ),
)
"""The kinds of jobs; a file is of the first kind whose section it has."""


def kind_of_job(path: Path) -> tuple[Kind, dict[str, Any]]:
    """The kind of a job file, by its sections, and its table; one for homogenization if it has none of them."""
    table, _ = parsed_job(path, MPI.COMM_SELF)
    return next((kind for kind in KINDS if kind.section in table), KINDS[-1]), table


def plain_changes(kind: Kind, table: Mapping[str, Any]) -> dict[str, Any]:
    """Changes that leave out the report and the pictures of a job, unless it asks for them itself."""
    return not_given(kind.plain, table)


def not_given(changes: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """The changes of keys that a job does not give."""
    return {key: value for key, value in changes.items() if given(table, key) is None}


def given(table: Mapping[str, Any], key: str) -> Any:
    """The value that a job gives to a dotted key; None if it gives none."""
    inner: Any = table
    for name in path_of(key):
        if not isinstance(inner, Mapping) or name not in inner:
            return None
        inner = inner[name]
    return inner
