"""Time series of fields on disk that a continued run goes on with, as ADIOS2 or VTK files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpi4py import MPI

from dolfinx import fem

from hmm.foundation.errors import InputError, collectively, writing
from hmm.foundation.vtu import STEP, PVDFile, is_cellwise, require_lagrange
from hmm.foundation.vtx import VTXFile, clear_the_way, remove_bp

PART = re.compile(r"(_\d+)?\.bp")
"""What follows the name of a series in the names of its ADIOS2 directories."""


class Series:
    """A time series of fields (collective).

    The files are opened by the first `write`. If the run continues, it goes on with the files: those of VTK keep
    earlier steps up to that time; ADIOS2 directories cannot be opened again, so that the next one is ``NAME_2.bp``.
    Otherwise the files of an earlier run, in both formats, are removed.

    Parameters
    ----------
    comm
        The communicator of the mesh.
    stem
        The path without a suffix, in a writable directory.
    format
        ``"bp"`` or ``"vtu"``.
    functions
        Lagrange fields of one degree and DG0 fields.

    Raises
    ------
    InputError
        On all ranks, if something is in the way or a field cannot be written.
    """

    def __init__(self, comm: MPI.Comm, stem: Path, format: str, functions: Sequence[fem.Function]) -> None:
        self.comm, self.stem, self.functions = comm, stem, list(functions)
        self.path = stem.with_name(f"{stem.name}.{'pvd' if format == 'vtu' else 'bp'}")
        self._file: VTXFile | PVDFile | None = None
        self._closed = False
        with collectively(comm):
            require_lagrange(self.path, self.functions)
            if comm.rank == 0:
                with writing(self.path):
                    self._check_place()

    def write(self, time: float, continued: bool = False) -> None:
        """Add the present fields as a time step (collective); `continued` counts for the first one."""
        if self._closed:
            raise InputError(f"{self.path} is closed: a step at time {time:g} cannot be added")
        if self._file is None:
            self._file = self._opened(continued)
        self._file.write(time)

    def close(self) -> None:
        """Close the file (collective); it remains readable."""
        self._closed = True
        if self._file is not None:
            self._file.close()

    def _check_place(self) -> None:
        """Reject a file or a directory in the way."""
        if self.path.suffix == ".bp":
            clear_the_way(self.path)
        elif self.path.is_dir():
            raise InputError(f"cannot write {self.path}, which is a directory: remove it, or give another one")

    def _opened(self, continued: bool) -> VTXFile | PVDFile:
        if not continued:
            with collectively(self.comm):
                if self.comm.rank == 0:
                    with writing(self.stem):
                        self._remove_earlier()
        if self.path.suffix == ".pvd":
            return PVDFile(self.comm, self.path, self.functions, continued)
        if continued:
            parts = [part for part in self._parts() if any(part.iterdir())] if self.comm.rank == 0 else []
            number = self.comm.bcast(max(map(self._number, parts), default=0)) + 1
            self.path = self.path if number == 1 else self.stem.with_name(f"{self.stem.name}_{number}.bp")
        return VTXFile(self.comm, self.path, self.functions)

    def _parts(self) -> list[Path]:
        """The ADIOS2 directories of the series."""
        near = self.stem.parent.glob(f"{self.stem.name}*.bp")
        return [path for path in near if PART.fullmatch(path.name.removeprefix(self.stem.name)) and path.is_dir()]

    def _number(self, part: Path) -> int:
        return int(part.stem.removeprefix(self.stem.name).removeprefix("_") or 1)

    def _remove_earlier(self) -> None:
        """Remove the files of an earlier run, and nothing else."""
        for part in self._parts():
            remove_bp(part)
        self.stem.with_name(self.stem.name + ".pvd").unlink(missing_ok=True)
        if self.stem.is_dir():
            for file in self.stem.iterdir():
                if STEP.fullmatch(file.name):
                    file.unlink()


class Splitting:
    """Macro fields as functions of one Lagrange degree, which can be written together.

    Parameters
    ----------
    fields
        Functions, also of mixed spaces, whose parts are written as ``NAME_0``, ``NAME_1`` and so on.

    Attributes
    ----------
    functions
        What is written. Fields of a lower degree are interpolated into the space of the highest one, exactly.

    Raises
    ------
    InputError
        If a field or a part of it is not in a Lagrange space.
    """

    def __init__(self, fields: Sequence[fem.Function]) -> None:
        self._parts = [part for field in fields for part in _parts(field)]
        require_lagrange(Path("files of VTK"), [own for own, *_ in self._parts])
        if not any(not is_cellwise(own) for own, *_ in self._parts):
            names = ", ".join(own.name for own, *_ in self._parts)
            raise InputError(f"no field of degree 1 or more among {names}: give the macro field too")
        degree = max(own.function_space.ufl_element().embedded_superdegree for own, *_ in self._parts)
        self.functions = [_raised(own, degree) for own, *_ in self._parts]

    def update(self) -> None:
        """Copy the present values."""
        for (own, source, dofs), target in zip(self._parts, self.functions, strict=True):
            if dofs is not None:
                own.x.array[:] = source.x.array[dofs]
            if target is not own:
                target.interpolate(own)


type Part = tuple[fem.Function, fem.Function, Any]


def _parts(field: fem.Function) -> list[Part]:
    """Functions for the parts of a field, each with its source and, of a mixed one, the degrees of freedom in it."""
    space = field.function_space
    if space.ufl_element().block_size > 1 or not space.num_sub_spaces:
        return [(field, field, None)]
    found: list[Part] = []
    for k in range(space.num_sub_spaces):
        own, dofs = space.sub(k).collapse()
        found.append((fem.Function(own, name=f"{field.name}_{k}"), field, dofs))
    return found


def _raised(own: fem.Function, degree: int) -> fem.Function:
    """The function itself, or one of a higher degree for its values."""
    if is_cellwise(own) or own.function_space.ufl_element().embedded_superdegree == degree:
        return own
    raised = fem.functionspace(own.function_space.mesh, ("Lagrange", degree, own.ufl_shape))
    return fem.Function(raised, name=own.name)
