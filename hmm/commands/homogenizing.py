"""``hmm homogenize``: effective properties of the cell in a job file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from mpi4py import MPI

from cyclopts import Parameter

from hmm import jobs
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.errors import HMMError, InputError
from hmm.foundation.signals import Interrupted

TrustLaws = Annotated[bool, Parameter(name="--trust-laws")]
"""The flag that allows the code of a user's laws."""

Changes = Annotated[tuple[str, ...], Parameter(name="--set", metavar="KEY=VALUE", consume_multiple=False)]
"""Changes of keys of the job."""

Directory = Annotated[Path | None, Parameter(name="--output", metavar="DIR")]
"""The directory of the results."""


def homogenize_command(
    job: str | None = None,
    /,
    *,
    output: Directory = None,
    example: bool = False,
    trust_laws: TrustLaws = False,
    changes: Changes = (),
    talk: Talk = DEFAULT_TALK,
) -> dict[str, Any] | None:
    """Compute the effective properties of the cell that a job file describes.

    Parameters
    ----------
    job
        the job file, in TOML: see docs/effective.md
    output
        directory of the results, instead of that in the job
    example
        print a job file to start from
    trust_laws
        run the code of laws that the job names by dotted path, such as law = 'mylaws.Gent'
    changes
        value of a key of the job instead of that in the file; repeat it for several keys

    Examples
    --------
    hmm homogenize --example > job.toml
    hmm homogenize job.toml --output results/mine
    hmm homogenize job.toml --set phases.fibre.young=240 --set cell.volume_fraction=0.5
    """
    if example:
        print_example("example")
        return None
    with to_its_end(job := job_given(job, "homogenize")):
        found = jobs.run_job(
            jobs.read_job(job, MPI.COMM_WORLD, trust_laws=trust_laws, changes=jobs.changes_of(changes)), output
        )
    return None if found is None else found.to_dict()


def print_example(name: str) -> None:
    """Print a job file to start from (collective)."""
    say(MPI.COMM_WORLD, jobs.example(name).rstrip())


def job_given(job: str | None, command: str) -> str:
    """The job file of a command; raises if none is given."""
    if job is None:
        raise InputError(f"hmm {command} needs a job file: 'hmm {command} --example > job.toml' writes one")
    return job


@contextmanager
def to_its_end(job: str) -> Iterator[None]:
    """Raise an error if the program ends during a job, even with exit code 0."""
    try:
        yield
    except Interrupted:
        raise
    except SystemExit as end:
        raise HMMError(
            f"{job}: something ended the program (exit code {end.code}) before it wrote all results"
        ) from end
