"""Output of fields for ParaView with ADIOS2; free space is checked first, since ADIOS2 aborts if it cannot write."""

from __future__ import annotations

import ctypes
import math
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mpi4py import MPI

from dolfinx import fem, has_adios2
from dolfinx import io as dolfinx_io

from hmm.foundation.errors import EnvironmentMismatch, InputError, collectively, writing

SLACK = 1 << 16
"""Size in bytes of the metadata of a step: names, extrema, index."""


class VTXFile:
    """Time series of one Lagrange field and any number of DG0 fields in an ADIOS2 directory (collective).

    It is written in BP4, which all ParaView versions read. Use it as a context manager.

    Parameters
    ----------
    comm
        The communicator of the mesh.
    path
        The ``.bp`` directory, in a writable directory.
    functions
        The fields.

    Raises
    ------
    InputError
        On all ranks, if the path is blocked or the fields cannot be written.
    EnvironmentMismatch
        If DOLFINx is built without ADIOS2.
    """

    def __init__(self, comm: MPI.Comm, path: Path, functions: list[fem.Function]) -> None:
        if not has_adios2:
            raise EnvironmentMismatch(
                f"cannot write {path}: this DOLFINx is built without ADIOS2; install one that has it"
            )
        self.comm, self.path = comm, path
        self._step = SLACK + comm.allreduce(_bytes(functions))
        with collectively(comm):
            if comm.rank == 0:
                clear_the_way(path)
                self._require_room()
        try:
            self._writer: Any = dolfinx_io.VTXWriter(comm, path, functions, engine="BP4")
        except RuntimeError as error:
            element = functions[0].function_space.ufl_element()
            raise InputError(
                f"cannot write {functions[0].name!r} of {element} to {path} ({error}): give a field in a Lagrange space"
            ) from None

    def write(self, time: float) -> None:
        """Add the present fields as a step (collective).

        Raises
        ------
        InputError
            On all ranks, if the disk is full; earlier steps remain readable. If it becomes full during the output, on
            one rank: `hmm.foundation.errors.run` then ends the others.
        """
        if self._writer is None:
            raise InputError(f"{self.path} is closed: a step at time {time:g} cannot be added")
        with collectively(self.comm):
            if self.comm.rank == 0:
                self._require_room()
        try:
            self._writer.write(time)
        except RuntimeError as error:
            self._abandon()
            raise InputError(f"cannot write {self.path} ({_last_words(error)}): free disk space") from None

    def close(self) -> None:
        """Close the directory (collective); it remains readable."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.close()
        except RuntimeError as error:
            self._writer = writer
            self._abandon()
            raise InputError(f"cannot write {self.path} ({_last_words(error)}): free disk space") from None

    def __enter__(self) -> VTXFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _abandon(self) -> None:
        """Keep the writer alive: its destructor would try to write again, and abort the process."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._writer._cpp_object))
        self._writer = None

    def _require_room(self) -> None:
        """Allocate the space of one more step at the end of the longest file, and free it again."""
        longest = max((file.stat().st_size for file in self.path.iterdir()), default=0)
        with writing(self.path), tempfile.TemporaryFile(dir=self.path) as file:
            os.posix_fallocate(file.fileno(), longest, self._step)


OF_ADIOS2 = re.compile(r"data\.\d+|m?md\.\d+|md\.idx|profiling\.json")
"""Names of files in an ADIOS2 directory."""


def remove_bp(path: Path) -> None:
    """Remove an ADIOS2 directory, if there is nothing else in it."""
    if path.is_dir() and all(OF_ADIOS2.fullmatch(file.name) and file.is_file() for file in path.iterdir()):
        shutil.rmtree(path)


def clear_the_way(path: Path) -> None:
    """Create the directory, and check that no directory has the name of a file of ADIOS2."""
    with writing(path):
        path.mkdir(exist_ok=True)
        for found in path.iterdir():
            if found.is_dir():
                raise InputError(f"cannot write {path} ({found.name} in it is a directory): remove it")


def _bytes(functions: list[fem.Function]) -> int:
    """Bytes of a step on this rank: values of vectors and tensors with 3 and 9 components, nodes and cells."""
    mesh = functions[0].function_space.mesh
    cells = sum(len(dofmap) * (dofmap.shape[1] + 1) for dofmap in mesh.geometry.dofmaps)
    nodes = max(len(mesh.geometry.x), *(f.x.array.size // f.function_space.dofmap.bs for f in functions))
    values = 0
    for f in functions:
        size = math.prod(f.ufl_shape)
        values += f.x.array.size // size * (1 if size == 1 else 3 if size <= 3 else 9)
    return 8 * (values + 5 * nodes + 2 * cells)


def _last_words(error: RuntimeError) -> str:
    """The message of ADIOS2, without colours and names."""
    return str(error).partition("\n")[0].rpartition(" : ")[2].replace("\x1b[0m", "").strip()
