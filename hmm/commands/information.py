"""``hmm info``: the versions of everything."""

from __future__ import annotations

import platform
from importlib import metadata

from mpi4py import MPI

import basix
import dolfinx
import ffcx
import numpy as np
from petsc4py import PETSc

from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.mpi_library import order_of_imports
from hmm.foundation.version import VERSION
from hmm.micro.solvers import assembled as linear

OPTIONAL = ("gmsh", "scipy", "pyvista", "matplotlib")


def info_command(*, talk: Talk = DEFAULT_TALK) -> dict[str, str]:
    """Show the versions of hmm and its dependencies.

    Examples
    --------
    hmm info --json
    """
    rows = information()
    width = max(map(len, rows))
    say(MPI.COMM_WORLD, "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items()))
    return rows


def information() -> dict[str, str]:
    """Names and versions of the installed packages, as needed in a bug report."""
    petsc = ".".join(str(part) for part in PETSc.Sys.getVersion())
    precision = f"{np.dtype(PETSc.ScalarType).name} numbers, {8 * np.dtype(PETSc.IntType).itemsize}-bit indices"
    packages = [p for p in (*linear.SOLVER_PACKAGES, *linear.PRECONDITIONER_PACKAGES) if _petsc_has(p)]
    library = MPI.Get_library_version().replace("\x00", "").splitlines()[0]
    world = MPI.COMM_WORLD.size
    return {
        "hmm": VERSION,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "DOLFINx": f"{dolfinx.__version__} (ADIOS2 {'yes' if dolfinx.has_adios2 else 'no'})",
        "Basix, FFCx, UFL": f"{basix.__version__}, {ffcx.__version__}, {_version('fenics-ufl')}",
        "PETSc": f"{petsc}, {precision}",
        "PETSc packages": ", ".join(packages) or "none",
        "MPI": f"{' '.join(library.split())}; {world} rank{'s' if world > 1 else ''}; mpi4py {_version('mpi4py')}",
        **({"imports": order} if (order := order_of_imports()) else {}),
        "NumPy": np.__version__,
        **{name: _version(name) for name in OPTIONAL},
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _petsc_has(package: str) -> bool:
    return bool(PETSc.Sys.hasExternalPackage(package))
