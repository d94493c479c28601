"""The tables of job files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import read_toml
from hmm.jobs.changes import changed

DEEPEST_TABLE = 20
"""Largest depth of nested tables and lists in a job file."""


def parsed_job(
    path: Path,
    comm: MPI.Comm,
    remedy: str = "'hmm homogenize --example' prints one",
    changes: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], str]:
    """The table of a job file with some keys changed, and its text, read on rank 0 (collective).

    Parameters
    ----------
    path
        The file.
    comm
        The communicator.
    remedy
        What to do if there is no such file, for the error.
    changes
        Values of keys that replace those in the file, by dotted key.

    Raises
    ------
    InputError
        On all ranks, if there is no such file, it is not valid TOML or nested too deeply, or a changed key is in no
        section of it.
    """
    table: dict[str, Any] = {}
    text = ""
    with collectively(comm):
        if comm.rank == 0:
            table = read_toml(path, "job file", remedy)
            if _is_deeper(table, DEEPEST_TABLE):  # dotted keys nest without limit; MPI cannot send them
                raise InputError(f"{path} is nested too deeply: no job has more than {DEEPEST_TABLE} levels")
            table = changed(table, changes or {}, str(path))
            lines = [f"# changed: {key} = {value}\n" for key, value in (changes or {}).items()]
            text = path.read_text(encoding="utf-8-sig") + "\n" * bool(lines) + "".join(lines)
    table, text = comm.bcast((table, text))
    return table, text


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether tables and lists are nested in more than `levels` levels."""
    layer = [value]
    for _ in range(levels):
        inner = (entry.values() if isinstance(entry, dict) else entry for entry in layer)
        layer = [entry for entries in inner for entry in entries if isinstance(entry, dict | list)]
    return bool(layer)
