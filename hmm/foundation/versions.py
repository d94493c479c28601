"""Versions of hmm and of what it stands on."""

from __future__ import annotations

import platform
from importlib import metadata

from mpi4py import MPI

import basix
import dolfinx
import ffcx
import numpy as np
from petsc4py import PETSc

from hmm.foundation.version import VERSION


def versions() -> dict[str, str]:
    """Names and versions of the packages that results depend on."""
    petsc = ".".join(str(part) for part in PETSc.Sys.getVersion())
    precision = f"{np.dtype(PETSc.ScalarType).name} numbers, {8 * np.dtype(PETSc.IntType).itemsize}-bit indices"
    return {
        "hmm": VERSION,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "DOLFINx": f"{dolfinx.__version__} (ADIOS2 {'yes' if dolfinx.has_adios2 else 'no'})",
        "Basix, FFCx, UFL": f"{basix.__version__}, {ffcx.__version__}, {version_of('fenics-ufl')}",
        "PETSc": f"{petsc}, {precision}",
        "MPI": f"{_mpi()}; mpi4py {version_of('mpi4py')}",
        "NumPy": np.__version__,
        "gmsh": version_of("gmsh"),
    }


def version_of(distribution: str) -> str:
    """The version of an installed distribution, or ``"not installed"``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _mpi() -> str:
    library = MPI.Get_library_version().replace("\x00", "").splitlines()[0]
    world = MPI.COMM_WORLD.size
    return f"{' '.join(library.split())}; {world} rank{'s' if world > 1 else ''}"
