"""A program that ends in different ways: `python ends_program.py WAY`; it prints "up" on each rank before."""

import hmm  # isort: skip

import resource
import sys
import time
from pathlib import Path

from mpi4py import MPI

from support.macro_tools import beam, composite

COMM = MPI.COMM_WORLD
hmm.errors.GRACE = 1.0


def wait() -> None:
    while True:
        time.sleep(0.1)


def full_disk(folder: Path) -> None:
    """Write results until a file may not grow any more."""
    body = beam(composite(), cells=(2, 1))
    with hmm.Output(folder, body.hom, body.u) as output:
        output.write(0.0)
        longest = max(file.stat().st_size for file in output.path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (longest + 1000, resource.RLIM_INFINITY))
        output.write(1.0)


def main() -> None:
    way = sys.argv[1]
    print("up", flush=True)
    if way == "full disk":
        full_disk(Path(sys.argv[2]))
    if COMM.rank == COMM.size - 1:
        if way == "wait":
            wait()
        raise {"HMMError": hmm.InputError, "other": KeyError}[way]("size = -1")
    COMM.barrier()  # the last rank never comes


if __name__ == "__main__":
    if sys.argv[1] == "early" and COMM.rank == COMM.size - 1:
        raise KeyboardInterrupt
    hmm.errors.run(main)
