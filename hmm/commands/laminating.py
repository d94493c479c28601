"""``hmm laminate``: stiffness, ply stresses and first-ply failure of a laminate."""

from __future__ import annotations

from typing import Any

from hmm import jobs
from hmm.commands.homogenizing import Changes, Directory, to_its_end
from hmm.commands.talking import DEFAULT_TALK, Talk


def laminate_command(
    job: str, /, *, output: Directory = None, changes: Changes = (), talk: Talk = DEFAULT_TALK
) -> dict[str, Any]:
    """Compute the stiffness, the ply stresses and the first failure of a laminate.

    The plies are given by constants, by properties.json of a homogenized cell, or by a job that is homogenized first.

    Parameters
    ----------
    job
        the job file, in TOML: see docs/laminates.md
    output
        directory of the results, instead of that in the job
    changes
        value of a key of the job instead of that in the file; repeat it for several keys

    Examples
    --------
    hmm laminate demos/jobs/laminate.toml
    hmm laminate job.toml --json
    """
    with to_its_end(job):
        found = jobs.read_laminate_job(job, jobs.changes_of(changes))
        jobs.run_laminate_job(found, output)
    return found.to_dict()
