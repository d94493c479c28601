"""``hmm test``: the stress-strain curve of a cell."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from hmm import jobs
from hmm.commands.homogenizing import Changes, Directory, TrustLaws, to_its_end
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.errors import InputError


def test_command(
    job: str | None = None,
    /,
    *,
    output: Directory = None,
    example: bool = False,
    trust_laws: TrustLaws = False,
    changes: Changes = (),
    talk: Talk = DEFAULT_TALK,
) -> dict[str, Any] | None:
    """Load a cell in tension, shear or two directions, once or in cycles: its stress-strain curve and local fields.

    Parameters
    ----------
    job
        the job file, in TOML: see docs/load_tests.md
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
    hmm test --example > tension.toml
    hmm test tension.toml --set test.load=shear --set test.cycles=2
    """
    if example:
        say(MPI.COMM_WORLD, jobs.example("load_test").rstrip())
        return None
    if job is None:
        raise InputError("hmm test needs a job file: 'hmm test --example > job.toml' writes one")
    with to_its_end(job):
        read = jobs.read_load_test(job, MPI.COMM_WORLD, trust_laws=trust_laws, changes=jobs.changes_of(changes))
        curve = jobs.run_load_test(read, output)
    return None if curve is None else curve.to_dict()
