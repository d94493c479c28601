"""``hmm report``: the report of results, written again."""

from __future__ import annotations

from mpi4py import MPI

from hmm import reports
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.errors import collectively


def report_command(result: str, /, *, talk: Talk = DEFAULT_TALK) -> dict[str, str]:
    """Write the report of results again, as one HTML file that contains its pictures.

    Parameters
    ----------
    result
        the directory of the results of a job, or of a run that used hmm.RunLog; also of one that was killed

    Examples
    --------
    hmm report results/job
    """
    written: dict[str, str] = {}
    with collectively(MPI.COMM_WORLD):
        if MPI.COMM_WORLD.rank == 0:
            written = {"report": str(reports.report(result))}
            say(MPI.COMM_SELF, f"written: {written['report']}")
    return written
