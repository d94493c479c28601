"""Solve one step of a small FE2 problem; each rank appends the names of what it compiled to a file of its own."""

import sys
from pathlib import Path

import hmm  # isort: skip  (before the helpers: it starts MPI)
from hmm.forms import compilations
from macro_tools import beam, composite
from mpi4py import MPI

problem = beam(composite(), cells=(2, 1))
problem.reactions([-0.01])
Path(sys.argv[1], f"rank{MPI.COMM_WORLD.rank}").write_text("\n".join(compilations()))
