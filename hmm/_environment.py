"""Load the FEniCSx stack in the right order and refuse one that `hmm` cannot run on."""

from __future__ import annotations

import importlib.util

from mpi4py import MPI  # noqa: F401  must come before any compiled FEniCSx module

SUPPORTED = "0.11"


def load_stack() -> None:
    """Import DOLFINx after MPI and check its version and scalar type.

    Raises
    ------
    EnvironmentMismatch
        If DOLFINx is missing, of another minor version than `SUPPORTED`, or built with complex PETSc.
    """
    from hmm.errors import EnvironmentMismatch

    if importlib.util.find_spec("dolfinx_solver") is not None:
        importlib.import_module("dolfinx_solver")
    if importlib.util.find_spec("dolfinx") is None:
        raise EnvironmentMismatch(
            f"hmm needs DOLFINx {SUPPORTED} and found none: install it with pip install 'fenicsx-hmm[wheels]', "
            f"conda install -c conda-forge fenics-dolfinx={SUPPORTED}, Spack, or use the Docker image"
        )
    import dolfinx
    from petsc4py import PETSc

    check_stack(dolfinx.__version__, PETSc.ScalarType)


def check_stack(version: str, scalar: type) -> None:
    """Raise `EnvironmentMismatch` unless `version` is the supported DOLFINx and `scalar` is real."""
    import numpy as np

    from hmm.errors import EnvironmentMismatch

    if not version.startswith(SUPPORTED + "."):
        raise EnvironmentMismatch(
            f"hmm runs on DOLFINx {SUPPORTED}.x and found {version}: install fenics-dolfinx {SUPPORTED}, "
            "or the release of hmm made for yours"
        )
    if np.issubdtype(scalar, np.complexfloating):
        raise EnvironmentMismatch(
            "this PETSc is built for complex numbers and hmm works with real ones: install the real build "
            "(pip: dolfinx-solver-real; conda: petsc=*=*real*; Docker: source dolfinx-real-mode)"
        )
