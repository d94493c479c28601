"""Solve one step of a small FE2 problem; each rank appends the names of what it compiled to a file of its own."""

import sys
from pathlib import Path

from mpi4py import MPI

from hmm.foundation.forms import compilations
from support.macro_tools import beam, composite

problem = beam(composite(), cells=(2, 1))
problem.reactions([-0.01])
Path(sys.argv[1], f"rank{MPI.COMM_WORLD.rank}").write_text("\n".join(compilations()))
