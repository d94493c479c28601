"""``hmm schema``: job files for editors."""

from __future__ import annotations

import json
from typing import Any, Literal

from mpi4py import MPI

from hmm import jobs
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say


def schema_command(job: Literal["run", "homogenize"], /, *, talk: Talk = DEFAULT_TALK) -> dict[str, Any]:
    """Print the JSON Schema of a job file, with which an editor completes and checks its keys.

    Parameters
    ----------
    job
        run or homogenize, the subcommand that takes the file

    Examples
    --------
    hmm schema run > run.schema.json
    """
    found = jobs.json_schema(job)
    say(MPI.COMM_WORLD, json.dumps(found, indent=1))
    return found
