"""``hmm run``: FE2 from a job file."""

from __future__ import annotations

from typing import Annotated, Any

from mpi4py import MPI

from cyclopts import Parameter

from hmm import jobs
from hmm.commands.homogenizing import Changes, Directory, TrustLaws
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say

Overwrite = Annotated[bool, Parameter(name="--overwrite")]
"""The flag that allows results to be replaced."""


def run_command(
    job: str,
    /,
    *,
    output: Directory = None,
    overwrite: Overwrite = False,
    show_python: Annotated[bool, Parameter(name="--show-python")] = False,
    trust_laws: TrustLaws = False,
    changes: Changes = (),
    talk: Talk = DEFAULT_TALK,
) -> dict[str, Any] | None:
    """Solve the macro problem that a job file describes, with a cell at each integration point (FE2).

    A run that was interrupted, by Ctrl-C for instance, is continued by the same command.

    Parameters
    ----------
    job
        the job file, in TOML: see docs/running_jobs.md
    output
        directory of the results, instead of that in the job
    overwrite
        replace the results of another run
    show_python
        print the same job as a program in Python, and do nothing else
    trust_laws
        run the code of laws that the job names by dotted path, such as law = 'mylaws.Gent'
    changes
        value of a key of the job instead of that in the file; repeat it for several keys

    Examples
    --------
    hmm run beam.toml
    mpirun -n 4 hmm run beam.toml --output results/mine --overwrite
    hmm run beam.toml --set time.steps=20 --output results/fine
    hmm run beam.toml --show-python > beam.py
    """
    read = jobs.read_run(job, MPI.COMM_WORLD, trust_laws=trust_laws, changes=jobs.changes_of(changes))
    if show_python:
        say(MPI.COMM_WORLD, jobs.python_of(read).rstrip())
        return None
    return jobs.run_fe2(read, output, overwrite=overwrite).to_dict()
