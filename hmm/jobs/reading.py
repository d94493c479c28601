"""Job files: what ``hmm homogenize`` is told, in TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.cells.cell import Cell
from hmm.effective.homogenize import REST
from hmm.effective.physics import PHYSICS
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import read_toml
from hmm.foundation.naming import nearest
from hmm.jobs.cells import CellSource, read_cell
from hmm.jobs.values import (
    LARGEST_INTEGER,
    check_keys,
    check_name,
    choose,
    convert,
    listed,
    make_law,
    quoted_key,
    shown,
)
from hmm.micro.constraints import CONSTRAINTS
from hmm.micro.solvers.described import SOLVERS

OPTIONS = {"degree": int, "out_of_plane": bool, "dt": float, "solver": str, "quadrature_degree": int}
"""What is passed on to `hmm.homogenize`, and its types."""

RANGES = {"degree": (-LARGEST_INTEGER, 8), "quadrature_degree": (0, 30)}
"""What integers may be; beyond, forms take hours to compile. That a degree is 1 at least is for each physics to say."""

KEYS = ("cell", "phases", "physics", "constraint", *OPTIONS, "spread", "output")


DEEPEST_TABLE = 20
"""Levels of tables and lists in a job file."""


@dataclass(frozen=True)
class JobOutput:
    """What is written.

    Attributes
    ----------
    directory
        Where; relative to the job file. None for ``results/NAME`` in the current directory, NAME that of the job file.
    report
        Whether ``report.md`` is written besides ``properties.json``.
    plot
        Whether pictures are drawn.
    fields
        Load cases whose local fields are written, such as ``"11"``.
    """

    directory: str | None = None
    report: bool = True
    plot: bool = True
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Job:
    """A job file that was read and found to be right.

    Attributes
    ----------
    path
        The file.
    source
        Where the cell comes from.
    laws
        The law of each phase; ``"*"`` stands for all others.
    physics, constraint, options
        As for `hmm.homogenize`.
    spread
        Whether the cell is spread over all ranks; else rank 0 solves it alone.
    output
        What is written.
    """

    path: Path
    source: CellSource
    laws: Mapping[str, Any]
    physics: str
    constraint: str
    options: Mapping[str, Any]
    spread: bool
    output: JobOutput

    @property
    def directory(self) -> Path:
        """Where results go."""
        chosen = self.output.directory
        return Path("results", self.path.stem) if chosen is None else self.path.parent / chosen

    def check_phases(self, cell: Cell) -> None:
        """Raise `InputError` if a phase of the cell has no law, or a law no phase."""
        for name in self.laws:
            if name != REST and name not in cell.phases:
                raise InputError(
                    f"{self.path}: [phases.{quoted_key(name)}] is no phase of the cell{nearest(name, cell.phases)}: "
                    f"these are {listed(cell.phases)}"
                )
        missing = [name for name in cell.phases if name not in self.laws]
        if missing and REST not in self.laws:
            raise InputError(
                f"{self.path}: phase {missing[0]!r} of the cell has no law: add [phases.{quoted_key(missing[0])}], "
                'or [phases."*"] for all that are not named'
            )


def read_job(path: str | Path, comm: MPI.Comm = MPI.COMM_SELF, *, trust_laws: bool = False) -> Job:
    """Read a job file and check all of it that can be known without its cell.

    Parameters
    ----------
    path
        The TOML file.
    comm
        Rank 0 of it reads (collective).
    trust_laws
        Whether the job may name laws of the user's own code by dotted path, such as ``law = "mylaws.Gent"``, in modules
        beside the job file or installed. They are imported and run: only for jobs that you trust.

    Raises
    ------
    InputError
        If there is no such file, it is no TOML, a key is unknown or missing, or a value is not understood.
    """
    path = Path(path)
    table = _parsed(path, comm)
    check_keys(table, KEYS, str(path))
    physics = choose(table.get("physics", "elasticity"), PHYSICS, f"{path}: physics")
    options = {name: convert(table[name], kind, f"{path}: {name}") for name, kind in OPTIONS.items() if name in table}
    for name, (low, high) in RANGES.items():
        if not low <= options.get(name, low) <= high:
            raise InputError(f"{path}: {name} = {options[name]} is out of range: give {max(low, 1)} to {high}")
    if "solver" in options:
        choose(options["solver"], SOLVERS, f"{path}: solver")
    with collectively(comm):  # the code of a user's law may be found on some ranks only
        laws = _laws(table.get("phases"), f"{path}: ", PHYSICS[physics].law, path.parent if trust_laws else None)
    return Job(
        path,
        read_cell(table.get("cell"), f"{path}: [cell]", path.parent, physics),
        laws,
        physics,
        choose(table.get("constraint", "periodic"), CONSTRAINTS, f"{path}: constraint"),
        options,
        convert(table.get("spread", False), bool, f"{path}: spread"),
        _output(table.get("output", {}), f"{path}: [output]"),
    )


def _parsed(path: Path, comm: MPI.Comm) -> dict[str, Any]:
    """The table of the file, read on rank 0."""
    table: dict[str, Any] = {}
    with collectively(comm):
        if comm.rank == 0:
            table = read_toml(path, "job file", "'hmm homogenize --example' prints one")
            if _is_deeper(table, DEEPEST_TABLE):  # dotted keys nest without end, and cannot be sent to other ranks
                raise InputError(f"{path} is nested too deeply: no job has more than {DEEPEST_TABLE} levels")
    return dict(comm.bcast(table))


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether tables and lists are nested in each other more than so many times."""
    layer = [value]
    for _ in range(levels):
        inner = (entry.values() if isinstance(entry, dict) else entry for entry in layer)
        layer = [entry for entries in inner for entry in entries if isinstance(entry, dict | list)]
    return bool(layer)


def _laws(table: Any, where: str, default: str, trusted: Path | None) -> dict[str, Any]:
    """The law of each phase."""
    if not isinstance(table, Mapping) or not table:
        raise InputError(f"{where}[phases.NAME] is missing: add one for each phase, with its law and parameters")
    for name in table:
        check_name(name, f"{where}[phases]")
    return {
        name: make_law(of_phase, f"{where}[phases.{quoted_key(name)}]", default, trusted=trusted)
        for name, of_phase in table.items()
    }


def _output(table: Any, where: str) -> JobOutput:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} = {shown(table)} is no table: write directory = ..., report = ... beneath it")
    kinds = {"directory": str, "report": bool, "plot": bool, "fields": tuple[str, ...]}
    check_keys(table, kinds, where)
    return JobOutput(**{name: convert(value, kinds[name], f"{where}: {name}") for name, value in table.items()})
