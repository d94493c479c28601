"""Job files in TOML for ``hmm homogenize``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.cells.cell import Cell
from hmm.effective.homogenize import REST
from hmm.effective.physics import PHYSICS
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.naming import nearest
from hmm.jobs.cells import CellSource, read_cell
from hmm.jobs.defaults import defaults_of
from hmm.jobs.schema import OPTIONS, HomogenizeFile
from hmm.jobs.sections import keys_of, validated
from hmm.jobs.tables import parsed_job
from hmm.jobs.values import (
    check_name,
    listed,
    make_law,
    quoted_key,
)

KEYS = tuple(keys_of(HomogenizeFile))
"""The keys of a job."""


@dataclass(frozen=True)
class JobOutput:
    """The output of a job.

    Attributes
    ----------
    directory
        Directory of the results, relative to the job file. None for ``results/NAME`` in the current
        directory, with the name of the job file.
    report
        Whether ``report.html`` and ``report.md`` are written in addition to ``properties.json``.
    plot
        Whether pictures are drawn.
    fields
        Load cases whose local fields are written, such as ``"11"``.
    format
        ``"bp"`` (ADIOS2) or ``"vtu"`` (VTK) for the local fields.
    """

    directory: str | None = None
    report: bool = True
    plot: bool = True
    fields: tuple[str, ...] = ()
    format: str = "bp"


@dataclass(frozen=True, eq=False)
class Job:
    """A job file that was read and checked.

    Attributes
    ----------
    path
        The file.
    source
        The source of the cell.
    laws
        The law of each phase; ``"*"`` stands for all other phases.
    physics, constraint, options
        As for `hmm.homogenize`.
    spread
        Whether the cell is distributed over all ranks; otherwise rank 0 solves it alone.
    output
        The results to write.
    text
        The file as it was read.
    defaults
        Parameters that it leaves at their defaults, names and values.
    """

    path: Path
    source: CellSource
    laws: Mapping[str, Any]
    physics: str
    constraint: str
    options: Mapping[str, Any]
    spread: bool
    output: JobOutput
    text: str = ""
    defaults: Sequence[tuple[str, str]] = ()

    @property
    def directory(self) -> Path:
        """Directory of the results."""
        chosen = self.output.directory
        return Path("results", self.path.stem) if chosen is None else self.path.parent / chosen

    def check_phases(self, cell: Cell) -> None:
        """Raise `InputError` if a phase of the cell has no law, or a law has no phase."""
        check_phases(self.path, self.laws, cell)


def check_phases(where: object, laws: Mapping[str, Any], cell: Cell) -> None:
    """Raise `InputError` if a phase of the cell has no law, or a law has no phase."""
    for name in laws:
        if name != REST and name not in cell.phases:
            raise InputError(
                f"{where}: [phases.{quoted_key(name)}] is not a phase of the cell{nearest(name, cell.phases)}: "
                f"the phases are {listed(cell.phases)}"
            )
    missing = [name for name in cell.phases if name not in laws]
    if missing and REST not in laws:
        raise InputError(
            f"{where}: phase {missing[0]!r} of the cell has no law: add [phases.{quoted_key(missing[0])}], "
            'or [phases."*"] for all other phases'
        )


def read_job(
    path: str | Path,
    comm: MPI.Comm = MPI.COMM_SELF,
    *,
    trust_laws: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Job:
    """Read a job file and check everything that does not depend on its cell.

    Parameters
    ----------
    path
        The TOML file.
    comm
        The communicator; its rank 0 reads (collective).
    trust_laws
        Whether the job may name laws of the user's own code by dotted path, such as ``law = "mylaws.Gent"``, in modules
        in the folder of the job file or installed. Their code is run, so use this only for jobs that you trust.
    changes
        Values of keys that replace those in the file, by dotted key, such as ``{"phases.fibre.young": 100.0}``.

    Raises
    ------
    InputError
        If there is no such file, it is not valid TOML, a key is unknown or missing, or a value is invalid.
    """
    path = Path(path)
    return job_of(path, *parsed_job(path, comm, changes=changes), comm, trust_laws)


def job_of(path: Path, table: Mapping[str, Any], text: str, comm: MPI.Comm, trust_laws: bool) -> Job:
    """The job that a table describes; the other arguments are as for `read_job` (collective)."""
    asked = validated(HomogenizeFile, table, str(path))
    physics = asked.physics
    options = {name: value for name in OPTIONS if (value := getattr(asked, name)) is not None}
    with collectively(comm):  # the code of a user's law may exist on some ranks only
        laws = read_laws(table.get("phases"), f"{path}: [", PHYSICS[physics].law, path.parent if trust_laws else None)
    source = read_cell(table.get("cell"), f"{path}: [cell]", path.parent, physics)
    return Job(
        path,
        source,
        laws,
        physics,
        asked.constraint,
        options,
        asked.spread,
        JobOutput(**{**dict(asked.output), "fields": tuple(asked.output.fields)}),
        text,
        defaults_of(table, physics, PHYSICS[physics].law),
    )


def read_laws(table: Any, where: str, default: str, trusted: Path | None) -> dict[str, Any]:
    """The law of each phase.

    Parameters
    ----------
    table
        The table of the phases.
    where
        The name of this table up to ``phases]`` in errors, such as ``"job.toml: ["``.
    default
        The law of phases that name none.
    trusted
        As for `hmm.jobs.values.make_law`.
    """
    if not isinstance(table, Mapping) or not table:
        raise InputError(f"{where}phases.NAME] is missing: add one for each phase, with its law and parameters")
    for name in table:
        check_name(name, f"{where}phases]")
    return {
        name: make_law(of_phase, f"{where}phases.{quoted_key(name)}]", default, trusted=trusted)
        for name, of_phase in table.items()
    }
