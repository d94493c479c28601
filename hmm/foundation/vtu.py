"""Output of fields as .vtu files of VTK, which ParaView, PyVista and VisIt read, with a .pvd index of time steps."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mpi4py import MPI

import numpy as np
from dolfinx import fem
from dolfinx.plot import vtk_mesh
from numpy.typing import NDArray

from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import replacing, require_writable, write_atomically
from hmm.foundation.forms import owned_cells

type NamedArrays = Mapping[str, NDArray[Any]]

NAMES = {"float64": "Float64", "int64": "Int64", "uint8": "UInt8"}
STEP = re.compile(r"\d{6}(_\d+)?\.p?vtu")
"""Names of the files of a step."""


@dataclass(frozen=True, eq=False)
class MeshPiece:
    """The elements of this rank with their values, as VTK has them.

    Attributes
    ----------
    points
        Shape (n, 3).
    connectivity, offsets, types
        Points of each element one after another, where those of each element end, and VTK's numbers of the types.
    at_points, of_cells
        Shape (n,) or (n, 3) or (n, 9), by name.
    """

    points: NDArray[np.float64]
    connectivity: NDArray[np.int64]
    offsets: NDArray[np.int64]
    types: NDArray[np.uint8]
    at_points: NamedArrays
    of_cells: NamedArrays

    @classmethod
    def of(cls, functions: Sequence[fem.Function]) -> MeshPiece:
        """The owned cells with Lagrange fields of one degree, of which there is at least one, and DG0 fields."""
        lagrange = [f for f in functions if not is_cellwise(f)]
        space = lagrange[0].function_space
        cells = owned_cells(space.mesh)
        topology, types, points = vtk_mesh(space, cells)  # type: ignore[arg-type]
        rows = topology.reshape(len(cells), -1)[:, 1:] if len(cells) else np.zeros((0, 1), dtype=np.int32)
        return cls(
            *(np.asarray(points, dtype=np.float64), rows.ravel().astype(np.int64)),
            *(rows.shape[1] * np.arange(1, len(cells) + 1, dtype=np.int64), types.astype(np.uint8)),
            {f.name: _as_vtk(f, _nodal(f, space, len(points))) for f in lagrange},
            {f.name: _as_vtk(f, _rows(f)[f.function_space.dofmap.list[cells, 0]]) for f in functions if is_cellwise(f)},
        )

    def write(self, path: Path) -> None:
        """Write the elements as one .vtu file, in binary, atomically; not collective."""
        grid = ElementTree.Element("UnstructuredGrid")
        sizes = {"NumberOfPoints": str(len(self.points)), "NumberOfCells": str(len(self.types))}
        piece, blobs = ElementTree.SubElement(grid, "Piece", sizes), list[bytes]()
        cells: NamedArrays = {"connectivity": self.connectivity, "offsets": self.offsets, "types": self.types}
        groups: list[tuple[str, NamedArrays]] = [
            *(("PointData", self.at_points), ("CellData", self.of_cells)),
            *(("Points", {"Points": self.points}), ("Cells", cells)),
        ]
        start = 0
        for group, arrays in groups:
            element = ElementTree.SubElement(piece, group)
            for name, values in arrays.items():
                described = _described(name, values) | {"format": "appended", "offset": str(start)}
                ElementTree.SubElement(element, "DataArray", described)
                blobs.append(np.uint64(values.nbytes).tobytes() + np.ascontiguousarray(values).tobytes())
                start += len(blobs[-1])
        head = _document("UnstructuredGrid", grid).removesuffix("</VTKFile>")
        with replacing(path) as part, part.open("wb") as file:
            file.write(head.encode() + b'<AppendedData encoding="raw">_')
            file.writelines(blobs)
            file.write(b"</AppendedData></VTKFile>\n")

    def summary(self, files: Sequence[str]) -> str:
        """The .pvtu file that joins the pieces of several ranks."""
        grid = ElementTree.Element("PUnstructuredGrid", {"GhostLevel": "0"})
        for group, arrays in (("PPointData", self.at_points), ("PCellData", self.of_cells)):
            element = ElementTree.SubElement(grid, group)
            for name, values in arrays.items():
                ElementTree.SubElement(element, "PDataArray", _described(name, values))
        ElementTree.SubElement(ElementTree.SubElement(grid, "PPoints"), "PDataArray", _described("Points", self.points))
        for file in files:
            ElementTree.SubElement(grid, "Piece", {"Source": file})
        return _document("PUnstructuredGrid", grid)


def write_vtu(comm: MPI.Comm, path: Path, functions: Sequence[fem.Function]) -> Path:
    """Write fields as one .vtu file; from several ranks one for each and a .pvtu file that joins them (collective).

    Parameters
    ----------
    comm
        The communicator of the mesh.
    path
        The ``.vtu`` file, in a writable directory.
    functions
        Lagrange fields of one degree and DG0 fields.

    Returns
    -------
    pathlib.Path
        The file to open.
    """
    with collectively(comm):
        require_lagrange(path, functions)
        piece = MeshPiece.of(functions)
        own = path if comm.size == 1 else path.with_name(f"{path.stem}_{comm.rank}.vtu")
        piece.write(own)
    if comm.size == 1:
        return path
    with collectively(comm):
        if comm.rank == 0:
            write_atomically(
                path.with_suffix(".pvtu"), piece.summary([f"{path.stem}_{k}.vtu" for k in range(comm.size)])
            )
    return path.with_suffix(".pvtu")


class PVDFile:
    """Time series of fields: an index ``NAME.pvd``, and the files of the steps in the folder ``NAME`` (collective).

    Each step is complete on disk when `write` returns. Files of earlier runs in the folder are removed.

    Parameters
    ----------
    comm
        The communicator of the mesh.
    path
        The ``.pvd`` file, in a writable directory.
    functions
        Lagrange fields of one degree and DG0 fields.
    continued
        Whether earlier steps in the file remain, up to the first time that is written.

    Raises
    ------
    InputError
        On all ranks, if the place cannot be written to or an earlier index is damaged.
    """

    def __init__(self, comm: MPI.Comm, path: Path, functions: Sequence[fem.Function], continued: bool = False) -> None:
        self.comm, self.path, self.functions, self._closed = comm, path, functions, False
        self.steps: list[tuple[float, str]] = []
        with collectively(comm):
            require_lagrange(path, functions)
            if comm.rank == 0:
                require_writable(self.folder)
                self.steps = read_pvd(path) if continued and path.exists() else []
                self._number = max((int(Path(file).name[:6]) for _, file in self.steps), default=-1)
        self._number = comm.bcast(self._number if comm.rank == 0 else None)

    @property
    def folder(self) -> Path:
        """The folder of the files of the steps."""
        return self.path.with_suffix("")

    def write(self, time: float) -> None:
        """Add the present fields as a step (collective). Earlier steps of the same or a later time are removed.

        Raises
        ------
        InputError
            On all ranks, if the file cannot be written or was closed; earlier steps remain.
        """
        if self._closed:
            raise InputError(f"{self.path} is closed: a step at time {time:g} cannot be added")
        self._number += 1
        written = write_vtu(self.comm, self.folder / f"{self._number:06d}.vtu", self.functions)
        with collectively(self.comm):
            if self.comm.rank == 0:
                entry = (float(time), f"{self.folder.name}/{written.name}")
                self.steps = [step for step in self.steps if step[0] < time] + [entry]
                write_atomically(self.path, _pvd(self.steps))
                self._remove_others()

    def close(self) -> None:
        """Refuse further steps."""
        self._closed = True

    def _remove_others(self) -> None:
        """Remove files of steps that the index does not name."""
        named = {Path(file).name[:6] for _, file in self.steps}
        for file in self.folder.iterdir():
            if STEP.fullmatch(file.name) and file.name[:6] not in named:
                file.unlink()


def read_pvd(path: Path) -> list[tuple[float, str]]:
    """Times and files, relative to its directory, of a .pvd index.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        found = ElementTree.parse(path).iter("DataSet")
        steps = [(float(one.attrib["timestep"]), one.attrib["file"]) for one in found]
        if all(STEP.fullmatch(Path(file).name) for _, file in steps):
            return steps
        reason: object = "it names other files"
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        reason = error
    raise InputError(f"{path} is damaged ({reason}): remove it, or give another directory")


def require_lagrange(path: Path, functions: Sequence[fem.Function]) -> None:
    """Raise `InputError` if a field is neither of a Lagrange space nor constant in each cell."""
    for f in functions:
        element = f.function_space.ufl_element()
        if element.family_name != "P" or (not is_cellwise(f) and element.discontinuous):
            raise InputError(f"cannot write {f.name!r} of {element} to {path}: give a field in a Lagrange space")


def is_cellwise(f: fem.Function) -> bool:
    """Whether a field has one value in each cell."""
    return bool(f.function_space.ufl_element().embedded_superdegree == 0)


def _rows(f: fem.Function) -> NDArray[np.float64]:
    """One row of values for each node."""
    return np.asarray(f.x.array).reshape(-1, f.function_space.dofmap.bs)


def _nodal(f: fem.Function, space: fem.FunctionSpace, n: int) -> NDArray[np.float64]:
    """Values of a field at the nodes of another space of the same degree."""
    values, rows = np.zeros((n, f.function_space.dofmap.bs)), _rows(f)
    values[space.dofmap.list] = rows[f.function_space.dofmap.list]
    return values


def _as_vtk(f: fem.Function, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scalars, vectors of 3 and tensors of 9 components."""
    shape, n = f.ufl_shape, len(values)
    if len(shape) == 1 and shape[0] <= 3:
        return np.pad(values, ((0, 0), (0, 3 - shape[0])))
    if len(shape) == 2 and max(shape) <= 3:
        return np.pad(values.reshape(n, *shape), ((0, 0), (0, 3 - shape[0]), (0, 3 - shape[1]))).reshape(n, 9)
    return values.ravel() if not shape else values


def _described(name: str, values: NDArray[Any]) -> dict[str, str]:
    components = str(values.shape[1] if values.ndim == 2 else 1)
    return {"type": NAMES[values.dtype.name], "Name": name, "NumberOfComponents": components}


def _document(kind: str, content: ElementTree.Element) -> str:
    """A VTK file in XML, of the byte order of this machine."""
    order = "LittleEndian" if np.little_endian else "BigEndian"
    head = {"type": kind, "version": "1.0", "byte_order": order, "header_type": "UInt64"}
    root = ElementTree.Element("VTKFile", head)
    root.append(content)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _pvd(steps: Sequence[tuple[float, str]]) -> str:
    """The index of the steps."""
    collection = ElementTree.Element("Collection")
    for time, file in steps:
        ElementTree.SubElement(collection, "DataSet", {"timestep": repr(time), "part": "0", "file": file})
    return _document("Collection", collection) + os.linesep
