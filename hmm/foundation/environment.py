"""Load the FEniCSx stack in the right order, and reject an unsupported one."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType

from mpi4py import MPI  # must come before any compiled FEniCSx module

SUPPORTED = "0.11"

SPARE_COMMUNICATORS = 48
"""Free communicators that an RVE needs; a cell and its RVE use about 16."""


def load_stack() -> None:
    """Import DOLFINx after MPI and check its version and scalar type.

    Raises
    ------
    EnvironmentMismatch
        If DOLFINx is missing, has another minor version than `SUPPORTED`, or is built with complex PETSc. If it is not
        caught, the program ends with this line instead of a traceback.
    """
    from hmm.foundation.errors import EnvironmentMismatch

    try:
        _load_stack()
    except EnvironmentMismatch:
        sys.excepthook = _print_one_line
        raise


def _print_one_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An exception hook that prints an unsupported stack as one line on rank 0; other exceptions as usual."""
    from hmm.foundation.errors import EnvironmentMismatch

    if not isinstance(error, EnvironmentMismatch):
        sys.__excepthook__(kind, error, traceback)
    elif MPI.COMM_WORLD.rank == 0:
        print(f"error: {error}", file=sys.stderr, flush=True)


def _load_stack() -> None:
    from hmm.foundation.errors import EnvironmentMismatch

    if importlib.util.find_spec("dolfinx_solver") is not None:
        importlib.import_module("dolfinx_solver")
    if importlib.util.find_spec("dolfinx") is None:
        raise EnvironmentMismatch(
            f"hmm needs DOLFINx {SUPPORTED} and found none: install it with pip install 'fenicsx-hmm[wheels]', "
            f"conda install -c conda-forge fenics-dolfinx={SUPPORTED}, Spack, or use the Docker image"
        )
    from hmm.foundation.signals import restore_handlers

    with _petsc_option("-no_signal_handler"):  # it would print a long message at each signal
        import dolfinx
        from petsc4py import PETSc

    restore_handlers()
    check_stack(dolfinx.__version__, PETSc.ScalarType)
    with _hidden("numba"):
        import dolfinx.fem.petsc


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Hide a package while the body runs.

    If `dolfinx.fem.petsc` finds numba, it loads the PETSc library with global symbols, through llvmlite. The HDF5 in
    that library then receives calls for those of h5py and netCDF4, which fail with "Not a datatype". hmm does not need
    numba; programs that do can import it before or after.
    """
    absent = object()
    before: ModuleType | object | None = sys.modules.get(name, absent)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is absent:
            del sys.modules[name]
        else:
            sys.modules[name] = before  # type: ignore[assignment]


@contextmanager
def _petsc_option(option: str) -> Iterator[None]:
    """Add an option to the environment while PETSc starts in the body."""
    before = os.environ.get("PETSC_OPTIONS")
    os.environ["PETSC_OPTIONS"] = f"{before or ''} {option}"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PETSC_OPTIONS"]
        else:
            os.environ["PETSC_OPTIONS"] = before


def check_stack(version: str, scalar: type) -> None:
    """Raise `EnvironmentMismatch` unless `version` is the supported DOLFINx and `scalar` is real."""
    import numpy as np

    from hmm.foundation.errors import EnvironmentMismatch

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


def require_communicators() -> None:
    """Raise `HMMError` if this process is running out of MPI communicators, since libraries abort without them.

    MPICH has 2,048 per process.
    """
    from hmm.foundation.errors import HMMError

    spare: list[MPI.Comm] = []
    try:
        spare.extend(MPI.COMM_SELF.Dup() for _ in range(SPARE_COMMUNICATORS))
    except MPI.Exception:
        raise HMMError(
            f"rank {MPI.COMM_WORLD.rank} has no MPI communicators left for another RVE, which takes about 16 of the "
            "2,048 of MPICH: let points share an RVE, drop those no longer needed, destroy() problems on several ranks"
        ) from None
    finally:
        for comm in spare:
            comm.Free()
