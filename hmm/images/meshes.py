"""Mesh files of other programs as cells."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mpi4py import MPI

import numpy as np
from dolfinx.cpp.io import perm_gmsh, perm_vtk
from dolfinx.mesh import CellType
from numpy.typing import ArrayLike, NDArray

from hmm.cells._arrays import mesh_from_arrays
from hmm.cells._checks import available_memory
from hmm.cells.cell import Cell
from hmm.cells.elements import check_mesh
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import check_plain_hdf5, regular_file
from hmm.images.abaqus import read_abaqus
from hmm.images.msh import dimension, read_msh
from hmm.images.readers import require

KINDS = {
    "triangle": ("triangle", 1),
    "triangle6": ("triangle", 2),
    "quad": ("quadrilateral", 1),
    "quad9": ("quadrilateral", 2),
    "tetra": ("tetrahedron", 1),
    "tetra10": ("tetrahedron", 2),
    "hexahedron": ("hexahedron", 1),
    "hexahedron27": ("hexahedron", 2),
}
"""Supported cell types of meshio, with DOLFINx's name and the geometry degree."""

CUBIC = {
    "triangle10": ("triangle", 3),
    "quad16": ("quadrilateral", 3),
    "tetra20": ("tetrahedron", 3),
    "hexahedron64": ("hexahedron", 3),
}
"""The same, for files of Gmsh only: other formats do not agree on the order of the nodes."""

BYTES_PER_BYTE = 5
"""Approximate memory per byte of a mesh file while it is read."""

DIMENSION = {"triangle": 2, "quadrilateral": 2, "tetrahedron": 3, "hexahedron": 3}

BY_MESHIO = {
    *(".vtk", ".vtu", ".xdmf", ".xmf", ".med", ".cgns", ".h5m", ".hmf", ".e", ".exo", ".ex2"),
    *(".bdf", ".fem", ".nas", ".mesh", ".meshb", ".su2", ".avs", ".mdpa", ".tec", ".f3grid", ".vol", ".ugrid"),
}
"""Suffixes of the formats that meshio reads from one file; others may read further files."""


def mesh_cell(
    path: str | Path,
    phases: Mapping[str, int | str] | None = None,
    *,
    tags: str | None = None,
    lattice: ArrayLike | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A cell from a mesh file: Gmsh (.msh), Abaqus (.inp), or a format of meshio such as .vtu or .xdmf.

    Parameters
    ----------
    path
        The file. Its elements of the highest dimension, all of one type, are the cell.
    phases
        For each phase name its number in the cell data `tags`, or its set (an Abaqus ELSET, a Gmsh physical group) by
        name. By default all named sets of the file. If one set contains another, as a set ALL does, an element belongs
        to the inner one; sets that overlap in another way are refused.
    tags
        Name of the integer cell data that identify the phases; optional if there is only one such array.
    lattice
        Shape (d, d), rows the lattice vectors; the bounding box of the mesh by default.
    comm
        Communicator of the cell's mesh; rank 0 reads.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, would read other files, has elements of several types or wrong
        ones (see `hmm.cells.elements.check_mesh`), or does not name the phases.
    EnvironmentMismatch
        If meshio is needed and not installed.
    """
    return _cell(path, _load, phases, tags, lattice, comm)


def msh_cell(
    path: str | Path, lattice: ArrayLike | None = None, comm: MPI.Comm = MPI.COMM_SELF, dim: int | None = None
) -> Cell:
    """A cell from a Gmsh file, whatever its suffix, whose physical groups of top dimension are the phases.

    Parameters
    ----------
    path
        The file.
    lattice
        Shape (d, d), rows the lattice vectors; the bounding box of the mesh by default.
    comm
        Communicator of the cell's mesh.
    dim
        Geometric dimension, if it is to be checked: that of the elements.

    Raises
    ------
    InputError
        If there is no such file, it names no phases, or is no mesh (see `mesh_cell`).

    Notes
    -----
    The file is read without Gmsh, for which it could be a script that runs commands.
    """
    cell = _cell(path, read_msh, None, None, lattice, comm)
    if dim is not None and dim != cell.dim:
        raise InputError(f"dim = {dim!r} is not the dimension of {path}: its elements have the dimension {cell.dim}")
    return cell


def _cell(
    path: str | Path,
    load: Callable[[Path], Any],
    phases: Mapping[str, int | str] | None,
    tags: str | None,
    lattice: ArrayLike | None,
    comm: MPI.Comm,
) -> Cell:
    """The cell in the mesh file that `load` reads; as `mesh_cell`."""
    arrays = None
    with collectively(comm):
        if comm.rank == 0:
            file = regular_file(path, "mesh file", "give the path of a mesh")
            if (size := file.stat().st_size * BYTES_PER_BYTE) > available_memory():
                raise InputError(f"{file} takes {size / 1e9:.3g} GB to read, more than is free: give a smaller mesh")
            arrays = _arrays(file, load(file), phases, tags)
    nothing: Any = (None, None, None, None, None)
    points, elements, numbers, kind, names = arrays or nothing
    kind, names = comm.bcast((kind, names))
    shape, degree = kind
    mesh, cell_tags = mesh_from_arrays(points, elements, numbers, shape, comm, degree)
    if lattice is None:
        return Cell.box(mesh, cell_tags, names)
    return Cell(mesh, cell_tags, names, np.asarray(lattice, dtype=float))


def _arrays(
    path: Path, mesh: Any, phases: Mapping[str, int | str] | None, tags: str | None
) -> tuple[Any, Any, Any, tuple[str, int], Any]:
    """Points, elements, tags, cell type with geometry degree, and the tag of each phase name."""
    of_gmsh = getattr(mesh, "order", "vtk") == "gmsh"
    kinds = KINDS | CUBIC if of_gmsh else KINDS
    kind, blocks = solid_blocks(path, mesh, kinds)
    numbers, names = _tagged(path, mesh, blocks, phases, tags)
    shape, degree = kinds[kind]
    nodes = np.concatenate([np.asarray(mesh.cells[k].data, dtype=np.int64) for k in blocks])
    permutation = perm_gmsh if of_gmsh else perm_vtk
    elements = nodes[:, permutation(getattr(CellType, shape), nodes.shape[1])]
    points = np.asarray(mesh.points, dtype=float)
    dim = DIMENSION[shape]
    if dim == 2 and points.shape[1] == 3:
        used = points[np.unique(elements[(elements >= 0) & (elements < len(points))])]
        if len(used) and np.ptp(used[:, 2]) > 1e-12 * np.ptp(used):
            raise InputError(f"{path} has {kind} elements in space: a cell is plane, or made of solid elements")
    check_mesh(str(path), points[:, :dim], elements, shape, degree)
    used, elements = np.unique(elements, return_inverse=True)
    return points[used, :dim], elements.reshape(nodes.shape), numbers, (shape, degree), names


def _load(path: Path) -> Any:
    """The mesh in the file, with the attributes of ``meshio.Mesh``."""
    suffix = path.suffix.lower()
    if suffix == ".msh":
        return read_msh(path)
    if suffix == ".inp":
        return read_abaqus(path)
    if suffix not in BY_MESHIO:
        known = ", ".join(sorted([".msh", ".inp", *BY_MESHIO]))
        raise InputError(f"{path} cannot be read by meshio as a mesh in one file: give one of {known}")
    meshio = require("meshio", f"reading {path.name}")
    _refuse_other_files(path)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # it also prints what it does not know
            return meshio.read(path)
    except SystemExit as error:  # meshio leaves the interpreter when it does not know a file
        raise InputError(f"{path} cannot be read by meshio: is it one of its formats, and complete?") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read by meshio ({reason}): is the file complete?") from error


def _refuse_other_files(path: Path) -> None:
    """Raise an `InputError` if meshio would read an unexpected file, or one without end."""
    parts = [path]
    if path.suffix.lower() in (".xdmf", ".xmf"):
        try:
            items = list(ElementTree.parse(path).getroot().iter("DataItem"))
        except ElementTree.ParseError as error:
            raise InputError(f"{path} cannot be read by meshio ({error}): is the file complete?") from None
        if any(item.get("Format", "") == "Binary" for item in items):
            raise InputError(f"{path} keeps its data in binary files: write them into an HDF5 file beside it")
        texts = {(item.text or "").strip().split(":")[0] for item in items if item.get("Format") == "HDF"}
        parts = [_beside(path, name) for name in sorted(texts)]
    for part in parts:
        with part.open("rb") as file:
            of_hdf5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
        if part != path and not of_hdf5:
            raise InputError(f"{path} keeps its data in {part}, which is no HDF5 file: give one beside it")
        if of_hdf5 and (size := check_plain_hdf5(part, "mesh file")) > available_memory():
            raise InputError(
                f"{part} holds {size / 1e9:.3g} GB, more than the memory that is free: give a smaller mesh"
            )


def _beside(path: Path, name: str) -> Path:
    """The file `name` in the folder of `path` or below it."""
    inner = os.path.normpath(name)
    if os.path.isabs(inner) or inner.startswith(".."):
        raise InputError(f"{path} keeps its data in {name!r}, outside its folder: put the file beside it")
    return regular_file(path.parent / inner, f"data file of {path}", "put it beside the mesh file")


def solid_blocks(path: Path, mesh: Any, kinds: Mapping[str, tuple[str, int]]) -> tuple[str, list[int]]:
    """The type of the elements of highest dimension, and the blocks of meshio that hold them."""
    found = {block.type for block in mesh.cells if block.type in kinds and len(block.data)}
    present = sorted({block.type for block in mesh.cells if len(block.data)})
    top = max((DIMENSION[kinds[kind][0]] for kind in found), default=0)
    highest = sorted(kind for kind in found if DIMENSION[kinds[kind][0]] == top)
    others = [kind for kind in present if kind not in kinds and dimension(kind) >= top]
    if len(highest) != 1 or others:
        raise InputError(f"{path} has elements {present}: give a mesh of one type out of {', '.join(kinds)}")
    return highest[0], [k for k, block in enumerate(mesh.cells) if block.type == highest[0]]


def _tagged(
    path: Path, mesh: Any, blocks: list[int], phases: Mapping[str, int | str] | None, tags: str | None
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """A tag for each element, and the tag of each phase."""
    sizes = [len(mesh.cells[k].data) for k in blocks]
    starts = np.cumsum([0, *sizes])
    sets: dict[str, NDArray[np.int64]] = {}
    for name, parts in mesh.cell_sets.items():
        inside = [
            start + np.asarray(parts[k], dtype=np.int64)
            for start, k in zip(starts[:-1], blocks, strict=True)
            if len(parts) > k and parts[k] is not None
        ]
        if (
            not name.startswith("gmsh:")
            and (members := np.unique(np.concatenate([np.zeros(0, np.int64), *inside]))).size
        ):
            sets[name] = members
    if phases is None:
        if not sets:
            raise InputError(f"{path} has no named sets of elements: give phases={{name: number in the cell data}}")
        return _by_sets(path, sets, {name: name for name in sets}, int(starts[-1]), mesh, True)
    _check_phases(path, phases, sets)
    if all(isinstance(tag, str) for tag in phases.values()):
        return _by_sets(path, sets, phases, int(starts[-1]), mesh, False)  # type: ignore[arg-type]
    data = _integer_data(path, mesh, blocks, tags)
    return data, {name: int(tag) for name, tag in phases.items()}


def _check_phases(path: Path, phases: Mapping[str, int | str], sets: Mapping[str, Any]) -> None:
    """Raise an `InputError` unless the phases are all numbers, or all sets of the file."""
    if not isinstance(phases, Mapping) or not phases:
        raise InputError(f"phases = {phases!r} names no phases: give {{name: number}} or {{name: set}}")
    by_name = [isinstance(tag, str) for tag in phases.values()]
    if any(by_name) and not all(by_name):
        raise InputError(f"phases = {dict(phases)} mixes numbers and sets: give numbers only, or sets only")
    for name, wanted in phases.items():
        if isinstance(wanted, str) and wanted not in sets:
            raise InputError(f"phase {name!r} is the set {wanted!r}, but {path} has the sets {sorted(sets)}")
        if not isinstance(wanted, str) and (isinstance(wanted, bool) or not isinstance(wanted, int | np.integer)):
            raise InputError(f"phase {name!r} = {wanted!r} is not a number in the cell data: give an integer")


def _by_sets(
    path: Path, sets: Mapping[str, NDArray[np.int64]], phases: Mapping[str, str], size: int, mesh: Any, default: bool
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """A tag for each element: the phase of the innermost set that has it; without `default` each phase has some."""
    owner = np.full(size, -1)
    names = sorted(phases, key=lambda name: len(sets[phases[name]]))
    for k, name in enumerate(names):
        inside = sets[phases[name]]
        for inner in {int(n) for n in owner[inside] if n >= 0}:
            lesser = sets[phases[names[inner]]]
            common = np.intersect1d(lesser, inside, assume_unique=True).size
            if common < len(lesser) or len(lesser) == len(inside):
                raise InputError(
                    f"{path}: {common} elements are in the set {phases[names[inner]]!r} and in {phases[name]!r}: "
                    "an element has one phase, give phases={name: set} with disjoint or nested sets"
                )
        own = inside[owner[inside] < 0]
        if not own.size and not default:
            raise InputError(f"phase {name!r}: the set {phases[name]!r} of {path} has no elements beside the others")
        owner[own] = k
    if (owner < 0).any():
        raise InputError(f"{path} has {(owner < 0).sum()} elements in none of the sets {list(phases.values())}")
    given = getattr(mesh, "set_tags", {})
    found = [name for name in phases if (owner == names.index(name)).any()]
    tags = {name: given.get(phases[name], 0) for name in found}
    if len(set(tags.values())) < len(tags) or not all(tags.values()):
        tags = {name: number for number, name in enumerate(found, start=1)}
    return np.array([tags.get(name, 0) for name in names], dtype=np.int32)[owner], tags


def _integer_data(path: Path, mesh: Any, blocks: list[int], tags: str | None) -> NDArray[np.int32]:
    """The cell data of the given name, or the only ones that are integers."""
    arrays = {name: np.concatenate([parts[k] for k in blocks]) for name, parts in mesh.cell_data.items()}
    if not arrays and getattr(mesh, "order", "vtk") == "gmsh":
        raise InputError(f"{path} has elements in several physical groups: give phases={{name: name of a group}}")
    whole = {n: a for n, a in arrays.items() if a.ndim == 1 and np.isfinite(a).all() and np.all(a == np.round(a))}
    if tags is None and "gmsh:physical" in whole:
        tags = "gmsh:physical"
    if tags is None and len(whole) == 1:
        (tags,) = whole
    if tags not in whole:
        asked = "several arrays of integers" if tags is None else f"no integer cell data {tags!r}"
        raise InputError(f"{path} has {asked if whole else 'no integer cell data'}: give tags= as one of {list(whole)}")
    return whole[tags].astype(np.int32)
