"""``hmm check``: whether a job file is right, and what it will take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from mpi4py import MPI

from cyclopts import Parameter

from hmm import jobs
from hmm.commands.homogenizing import TrustLaws
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import print_table, say
from hmm.foundation.errors import collectively
from hmm.sweeps.kinds import kind_of_job

NoDraw = Annotated[bool, Parameter(name="--no-draw")]
"""The flag that leaves pictures out."""


def check_command(
    job: Path, /, *, no_draw: NoDraw = False, trust_laws: TrustLaws = False, talk: Talk = DEFAULT_TALK
) -> dict[str, Any]:
    """Check a job file without running it: sizes, memory and time, and pictures of its set-up.

    The meshes are made, and each cell is solved once. Memory and time are estimates from that.

    Parameters
    ----------
    job
        the job file; those of hmm test and hmm laminate are read only
    no_draw
        do not draw the macro mesh with its groups and the cells
    trust_laws
        run the code of laws that the job names by dotted path, such as law = 'mylaws.Gent'

    Examples
    --------
    hmm check beam.toml
    hmm check beam.toml --no-draw --json
    """
    found: dict[str, Any] = {}
    with collectively(MPI.COMM_WORLD):
        if MPI.COMM_WORLD.rank == 0:
            found = _estimated(job, not no_draw, trust_laws)
    return found


def _estimated(job: Path, draw: bool, trust_laws: bool) -> dict[str, Any]:
    """The estimate, printed; on one rank."""
    kind, _ = kind_of_job(job)
    read = kind.read(job, {}, trust_laws)
    estimates: dict[str, Callable[..., jobs.JobEstimate]] = {"run": jobs.estimate_run, "homogenize": jobs.estimate_cell}
    if kind.command not in estimates:
        say(MPI.COMM_SELF, f"{job}: the job for hmm {kind.command} is valid")
        return {}
    found = estimates[kind.command](read, read.directory if draw else None)
    print_table(MPI.COMM_SELF, f"{job}: the job is valid", ["", "estimate"], list(found.rows.items()))
    if found.pictures:
        say(MPI.COMM_SELF, "\n".join(["drawn in", *(f"  {path}" for path in found.pictures)]))
    return found.to_dict()
