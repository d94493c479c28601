"""A setting against a memory leak of UCX in MPI; imported before MPI starts."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

KEPT = "UCX_RCACHE_MAX_UNRELEASED"
"""The setting of UCX that limits its queue of unmapped memory, in bytes of that memory; by default unlimited."""


def bound_unmapped() -> None:
    """Let UCX in the wheel of MPICH clear its queue every 16 MB of unmapped memory, unless the environment sets this.

    UCX intercepts `munmap` for its cache of registered memory. In UCX 1.20.1 each call adds 144 bytes to a queue that
    is normally never cleared, and Python often unmaps 16 kB pieces of its stack. The setting has an effect only if
    `mpi4py.MPI` was not imported before. Other, older versions of UCX may not know it and would print a warning.
    """
    try:
        version("mpich")
    except PackageNotFoundError:
        return
    os.environ.setdefault(KEPT, "16m")
