"""Gmsh sessions; the only module that starts Gmsh."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from mpi4py import MPI

from dolfinx import io

from hmm.foundation.errors import EnvironmentMismatch, HMMError, collectively
from hmm.foundation.signals import restore_handlers

OPTIONS = {
    "General.Terminal": 0,
    "General.NumThreads": 1,
    "Mesh.Algorithm": 1,
    "Mesh.Algorithm3D": 1,
    "Mesh.RandomSeed": 1,
    "Mesh.MeshSizeExtendFromBoundary": 0,
    "Mesh.MeshSizeFromPoints": 0,
    "Mesh.MeshSizeFromCurvature": 0,
    "Mesh.Optimize": 1,
}
"""Gmsh options of every session: silent, and the same mesh from the same input."""


@contextmanager
def session(name: str) -> Iterator[Any]:
    """A separate Gmsh model, in the running Gmsh session if there is one.

    After the body, also after an exception, the model is removed, the previous options and current model are restored,
    and Gmsh is finalized if it was started here.

    Parameters
    ----------
    name
        Name of the model.

    Yields
    ------
    gmsh.model
        The model interface; the new model is the current one.
    """
    gmsh = _import_gmsh()
    with ExitStack() as stack:
        if gmsh.isInitialized():
            stack.callback(gmsh.model.setCurrent, gmsh.model.getCurrent())
        else:
            gmsh.initialize(readConfigFiles=False, interruptible=False)
            restore_handlers()
            stack.callback(gmsh.finalize)
        for option, value in OPTIONS.items():
            stack.callback(gmsh.option.setNumber, option, gmsh.option.getNumber(option))
            gmsh.option.setNumber(option, value)
        gmsh.model.add(name)
        stack.callback(gmsh.model.remove)
        yield gmsh.model


def distribute(draw: Callable[[Any], object], comm: MPI.Comm, dim: int) -> io.gmsh.MeshData:
    """The mesh that `draw` leaves in a Gmsh model on rank 0, distributed over `comm`; collective.

    Parameters
    ----------
    draw
        Called on rank 0 with ``gmsh.model``; leaves there a mesh whose cells are in physical groups.
    comm
        Communicator of the mesh.
    dim
        Geometric dimension.

    Raises
    ------
    HMMError
        On every rank, if rank 0 could not draw or mesh.
    """
    with ExitStack() as stack:
        model = None
        with collectively(comm), gmsh_errors():
            if comm.rank == 0:
                model = stack.enter_context(session("hmm unit cell"))
                draw(model)
                model.mesh.renumberNodes()
        return io.gmsh.model_to_mesh(model, comm, 0, gdim=dim)


@contextmanager
def gmsh_errors() -> Iterator[None]:
    """Convert any exception of the body (Gmsh raises bare `Exception`) into an `HMMError`."""
    try:
        yield
    except HMMError:
        raise
    except Exception as error:
        raise HMMError(
            f"gmsh could not mesh the cell ({error}): change mesh_size, seed or the geometry slightly"
        ) from error


def _import_gmsh() -> ModuleType:
    try:
        import gmsh
    except (ImportError, OSError) as error:
        raise EnvironmentMismatch(
            f"gmsh cannot be imported ({error}): install it with `pip install gmsh`, and the system libraries it "
            "needs with `apt install libglu1-mesa libxcursor1 libxinerama1 libxft2`"
        ) from error
    return gmsh
