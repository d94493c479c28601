"""``hmm new``: a small project to start from."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from mpi4py import MPI

from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.errors import InputError, collectively, writing
from hmm.foundation.files import require_writable

MARK = ".in"
"""The end of the names of templates that are programs, which are not modules of hmm."""


def new_command(
    kind: Literal["fe2", "cell", "study", "law"], directory: Path | None = None, /, *, talk: Talk = DEFAULT_TALK
) -> dict[str, list[str]]:
    """Write a small commented project that runs.

    Parameters
    ----------
    kind
        fe2 (a macro problem), cell (effective properties), study (representative size) or law (a law of your own)
    directory
        where; by default a folder of that name

    Examples
    --------
    hmm new fe2 beam
    hmm new law
    """
    where, written = Path(kind) if directory is None else directory, []
    with collectively(MPI.COMM_WORLD):
        if MPI.COMM_WORLD.rank == 0:
            written = _write(kind, where)
    if written:
        say(MPI.COMM_WORLD, "\n".join(["Written:", *(f"  {path}" for path in written), "", _next_steps(where)]))
    return {"written": [str(path) for path in written]}


def _templates(kind: str) -> list[Traversable]:
    return sorted(resources.files("hmm.commands").joinpath("templates", kind).iterdir(), key=lambda file: file.name)


def _write(kind: str, where: Path) -> list[Path]:
    """Write the files of a project, unless one of them exists."""
    files = {where / file.name.removesuffix(MARK): file for file in _templates(kind) if not file.name.startswith("_")}
    require_writable(where)
    for path in files:
        if path.exists():
            raise InputError(f"{path} exists: give another directory, hmm new {kind} DIR")
    for path, file in files.items():
        with writing(path):
            path.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    return list(files)


def _next_steps(where: Path) -> str:
    """What the README of a project says."""
    lines = (where / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [f"  {line.strip()}" for line in lines if line.startswith("    ")]
    return "\n".join([f"Next, in {where}:", *commands])
