"""``hmm serve``: a job as a model for packages for uncertainty quantification."""

from __future__ import annotations

from typing import Annotated, Any

from mpi4py import MPI

from cyclopts import Parameter

from hmm.commands.homogenizing import TrustLaws
from hmm.commands.sweeping import Outputs
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.errors import InputError
from hmm.sweeps import JobFunction, JobServer
from hmm.sweeps.server import LOOPBACK, MODEL, PORT


def serve_command(
    job: str,
    /,
    *,
    vary: Annotated[tuple[str, ...], Parameter(name="--vary", metavar="KEY", consume_multiple=False)] = (),
    outputs: Outputs = "",
    workers: int = 1,
    port: int = PORT,
    host: str = LOOPBACK,
    trust_laws: TrustLaws = False,
    talk: Talk = DEFAULT_TALK,
) -> dict[str, Any]:
    """Answer UM-Bridge clients: the values of some keys of a job go in, results come out.

    The model is named forward. It has one input, the values of the keys, and one output, the results; the curve of a
    load test is an output of its own. Ctrl-C ends the server.

    Parameters
    ----------
    job
        the job file of hmm homogenize or another command: see docs/sweeps.md
    vary
        a key that is an argument; repeat it for several keys
    outputs
        the results, such as E1,nu12, or curve for a load test; by default all numbers
    workers
        number of processes, which evaluate at the same time
    port
        where the server listens, by default 4242; 0 for any free port
    host
        the address at which it listens; by default only programs on this machine reach it
    trust_laws
        run the code of laws that the job names by dotted path, such as law = 'mylaws.Gent'

    Examples
    --------
    hmm serve job.toml --vary phases.fibre.young --vary cell.volume_fraction --outputs E1,nu12
    hmm serve cycles.toml --vary phases.matrix.yield_stress --outputs curve --workers 4
    """
    if MPI.COMM_WORLD.size > 1:
        raise InputError("hmm serve starts its own processes: run it without mpirun, with --workers")
    names = [name.strip() for name in outputs.split(",") if name.strip()]
    with JobServer(lambda: JobFunction(job, vary, names, workers=workers, trust_laws=trust_laws), host, port) as server:
        results = ", ".join(server.function.outputs)
        say(MPI.COMM_SELF, f"{server.url}, model {MODEL!r}: ({', '.join(vary)}) -> ({results})")
        server.serve_forever()
    return {}
