"""What a sweep knows of the jobs: the subcommand that runs one, how it is checked, and the numbers it gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.effective.writing import PROPERTIES
from hmm.foundation.errors import InputError
from hmm.jobs.laminates import read_laminate_job
from hmm.jobs.reading import parsed_job, read_job

Check = Callable[[Path, Mapping[str, Any], bool], object]
"""Reads a changed job, of trusted laws or not; an error if it is wrong."""


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Attributes
    ----------
    command
        The subcommand of ``hmm`` that runs it.
    check
        What reads a changed job without running it.
    file
        The file of the results, in JSON.
    numbers
        The numbers in it, by name.
    plain
        Changes of a job that leave out its report and pictures, for keys that it does not give.
    """

    command: str
    check: Check
    file: str
    numbers: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    plain: Mapping[str, Any]

    def values(self, directory: Path) -> dict[str, float]:
        """The numbers that a variant gave.

        Raises
        ------
        InputError
            If there are no results.
        """
        try:
            found = self.numbers(json.loads((directory / self.file).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{directory / self.file} has no results ({error}): run this variant again") from None
        return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


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
    failures = {f"load factor, {f['criterion']}": f["load_factor"] for f in found["load"]["first_failure"]}
    return found["laminate"]["constants"] | failures


def _check_laminate(path: Path, changes: Mapping[str, Any]) -> None:
    """Read the job, unless this would homogenize the cells of its plies."""
    plies = parsed_job(path, MPI.COMM_SELF, changes)[0].get("plies", {})
    if not any("job" in ply for ply in plies.values() if isinstance(ply, Mapping)):
        read_laminate_job(path, changes)


KINDS = {
    "homogenize": Kind(
        "homogenize",
        lambda path, changes, trust: read_job(path, trust_laws=trust, changes=changes),
        PROPERTIES,
        _of_properties,
        {"output.report": False, "mesh_error": False},
    ),
    "laminate": Kind(
        "laminate",
        lambda path, changes, trust: _check_laminate(path, changes),
        "laminate.json",
        _of_laminate,
        {"output.plot": False},
    ),
}
"""The kinds of jobs by name; the section of this name, if there is one, shows the kind of a file."""


def kind_of_job(path: Path) -> tuple[Kind, dict[str, Any]]:
    """The kind of a job file, by its sections, and its table."""
    table, _ = parsed_job(path, MPI.COMM_SELF)
    return next((kind for name, kind in KINDS.items() if name in table), KINDS["homogenize"]), table
