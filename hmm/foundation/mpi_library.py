"""Let the binary wheel of DOLFINx find MPI without mpi4py: ``python -m hmm.foundation.mpi_library`` makes two links.

The compiled modules of that wheel look for ``libmpi.so.12`` in ``dolfinx_solver/lib``, but the wheel of MPICH installs
it in ``lib`` of the environment. mpi4py knows that place. Without the links, DOLFINx and PETSc can be imported
after mpi4py, but not before it.
"""

from __future__ import annotations

import os
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from mpi4py import MPI

from hmm.foundation.console import say
from hmm.foundation.errors import EnvironmentMismatch, run

LIBRARY = "libmpi.so.12"
PARTS = (LIBRARY, "mpich")
"""The library, and the folder beside it from which it loads libfabric and UCX."""

COMMAND = "python -m hmm.foundation.mpi_library"


def wheel_folder() -> Path | None:
    """Return the folder in which the wheel of DOLFINx looks for libraries; None if DOLFINx is no wheel."""
    spec = find_spec("dolfinx_solver")
    return Path(spec.origin).parent / "lib" if spec is not None and spec.origin else None


def library() -> Path | None:
    """Return the MPI library that the wheel of MPICH installed; None if it is not installed."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())).resolve() for file in files if file.name == LIBRARY]
    return found[0] if found else None


def link_mpi(folder: Path) -> None:
    """Link the library of MPICH's wheel, and the libraries it loads, into `folder`.

    Existing links are replaced. Files that are no links remain: they belong to the wheel.

    Raises
    ------
    EnvironmentMismatch
        If MPICH's wheel is not installed, or the folder cannot be written.
    """
    source = library()
    if source is None:
        raise EnvironmentMismatch(
            f"{folder} needs {LIBRARY} of MPICH and found none: pip install 'fenicsx-hmm[wheels]'"
        )
    try:
        for name in PARTS:
            link = folder / name
            if link.is_symlink():
                link.unlink()
            elif link.exists():
                continue
            link.symlink_to(os.path.relpath(source.parent / name, folder))
    except OSError as error:
        raise EnvironmentMismatch(
            f"cannot link {link} to {source.parent / name} ({error.strerror}): run '{COMMAND}' as the owner of "
            "this environment, or import mpi4py before dolfinx"
        ) from error


def order_of_imports() -> str | None:
    """Say whether DOLFINx can be imported before mpi4py; None if it is no wheel and the order does not matter."""
    folder = wheel_folder()
    if folder is None:
        return None
    if all((folder / name).exists() for name in PARTS):
        return "any order of mpi4py and dolfinx"
    return f"import mpi4py before dolfinx, or run once: {COMMAND}"


def link_environment() -> None:
    """Make the links in this environment, if DOLFINx is a wheel."""
    folder = wheel_folder()
    if folder is not None and MPI.COMM_WORLD.rank == 0:
        link_mpi(folder)
    say(MPI.COMM_WORLD, order_of_imports() or "DOLFINx is no wheel here: nothing to do")


if __name__ == "__main__":
    run(link_environment)
