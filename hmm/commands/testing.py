"""``hmm test``: the stress-strain curve of a cell."""

from __future__ import annotations

from typing import Any

from mpi4py import MPI

from hmm import jobs
from hmm.commands.homogenizing import Changes, Directory, TrustLaws, job_given, print_example, to_its_end
from hmm.commands.talking import DEFAULT_TALK, Talk


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
        print_example("load_test")
        return None
    with to_its_end(job := job_given(job, "test")):
        read = jobs.read_load_test(job, MPI.COMM_WORLD, trust_laws=trust_laws, changes=jobs.changes_of(changes))
        curve = jobs.run_load_test(read, output)
    return None if curve is None else curve.to_dict()
