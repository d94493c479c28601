"""``hmm replay``: an RVE that failed is solved again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from mpi4py import MPI

from cyclopts import Parameter

from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.errors import collectively
from hmm.runs.replay import replay


def replay_command(
    dump: str,
    /,
    *,
    trust: bool = False,
    plot: Annotated[Path | None, Parameter(name="--plot", metavar="PNG")] = None,
    talk: Talk = DEFAULT_TALK,
) -> dict[str, Any]:
    """Solve again an RVE that failed in a run.

    Parameters
    ----------
    dump
        the .npz file named in the error message
    trust
        run the code of your own laws; only if you wrote the dump
    plot
        draw the residuals and the deformed cell

    Examples
    --------
    hmm replay hmm_failure_12.npz --plot residuals.png
    """
    result: dict[str, Any] = {}
    with collectively(MPI.COMM_WORLD):
        if MPI.COMM_WORLD.rank == 0:
            done = replay(dump, trust=trust)
            say(MPI.COMM_SELF, str(done))
            result = {"converged": done.converged, "norms": done.norms}
            if plot is not None:
                say(MPI.COMM_SELF, f"drawn in {done.plot(plot)}")
    return result
