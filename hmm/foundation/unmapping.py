"""Memory that MPI keeps for each piece of memory a program gives back; imported before MPI starts."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

KEPT = "UCX_RCACHE_MAX_UNRELEASED"
"""The setting of UCX that bounds its queue of returned memory, in bytes of that memory; endless by default."""


def bound_unmapped() -> None:
    """Let the UCX in MPICH's wheel clear its queue every 16 MB of returned memory, unless the environment says else.

    UCX watches `munmap` for its cache of registered memory. With UCX 1.20.1 each call leaves 144 bytes in a queue that
    nothing clears in a usual run, and Python returns the 16 kB pieces of its stack often. The setting has an effect
    only if `mpi4py.MPI` was not imported before. Older UCX from elsewhere may not know it and would warn of it.
    """
    try:
        version("mpich")
    except PackageNotFoundError:
        return
    os.environ.setdefault(KEPT, "16m")
