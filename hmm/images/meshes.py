"""Mesh files of other programs as cells, read by meshio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpi4py import MPI

import numpy as np
from dolfinx.cpp.io import perm_vtk
from dolfinx.mesh import CellType
from numpy.typing import ArrayLike, NDArray

from hmm.cells._arrays import mesh_from_arrays
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError, collectively
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
"""Cell types of meshio that a cell can have: DOLFINx's name and the geometry degree."""

DIMENSION = {"triangle": 2, "quadrilateral": 2, "tetrahedron": 3, "hexahedron": 3}


def mesh_cell(
    path: str | Path,
    phases: Mapping[str, int | str] | None = None,
    *,
    tags: str | None = None,
    lattice: ArrayLike | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A cell from a mesh file in a format of meshio, such as .vtu, .inp, .xdmf or .msh.

    Parameters
    ----------
    path
        The file. Its elements of the highest dimension, all of one type, are the cell.
    phases
        For each phase name its number in the cell data `tags`, or its set (an Abaqus ELSET, a Gmsh physical group) by
        name. By default the sets of the file; a Gmsh file is then read by Gmsh.
    tags
        Name of the integer cell data that tell the phases apart; may be left out if there is only one such array.
    lattice
        Shape (d, d), rows the lattice vectors; the bounding box of the mesh by default.
    comm
        Communicator of the cell's mesh; rank 0 reads.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, has elements of several types, or does not name the phases.
    EnvironmentMismatch
        If meshio is not installed.
    """
    path = Path(path)
    if path.suffix == ".msh" and phases is None:
        return Cell.from_msh(path, lattice, comm)
    arrays = None
    with collectively(comm):
        if comm.rank == 0:
            arrays = _read(path, phases, tags)
    nothing: Any = (None, None, None, None, None)
    points, elements, numbers, kind, names = arrays or nothing
    kind, names = comm.bcast((kind, names))
    shape, degree = KINDS[kind]
    mesh, cell_tags = mesh_from_arrays(points, elements, numbers, shape, comm, degree)
    if lattice is None:
        return Cell.box(mesh, cell_tags, names)
    return Cell(mesh, cell_tags, names, np.asarray(lattice, dtype=float))


def _read(path: Path, phases: Mapping[str, int | str] | None, tags: str | None) -> tuple[Any, Any, Any, str, Any]:
    """Points, elements, tags, meshio's name of the cell type, and the tag of each phase name."""
    if not path.is_file():
        raise InputError(f"there is no mesh file {path}: give the path of a mesh that meshio reads")
    meshio = require("meshio", f"reading {path.name}")
    try:
        mesh = meshio.read(path)
    except SystemExit as error:  # meshio leaves the interpreter when it does not know a file
        raise InputError(f"{path} cannot be read by meshio: is it one of its formats, and complete?") from error
    except Exception as error:
        raise InputError(f"{path} cannot be read by meshio ({' '.join(str(error).split())})") from error
    kind, blocks = _solid_blocks(path, mesh)
    numbers, names = _tagged(path, mesh, blocks, phases, tags)
    shape = KINDS[kind][0]
    nodes = np.concatenate([mesh.cells[k].data for k in blocks])
    elements = nodes[:, perm_vtk(getattr(CellType, shape), nodes.shape[1])]
    used, elements = np.unique(elements, return_inverse=True)
    points = mesh.points[used]
    dim = DIMENSION[shape]
    if dim == 2 and points.shape[1] == 3 and np.ptp(points[:, 2]) > 1e-12 * np.ptp(points):
        raise InputError(f"{path} has {kind} elements in space: a cell is plane, or made of solid elements")
    return points[:, :dim].astype(float), elements.reshape(nodes.shape), numbers, kind, names


def _solid_blocks(path: Path, mesh: Any) -> tuple[str, list[int]]:
    """The type of the elements of highest dimension, and the blocks of meshio that hold them."""
    found = {block.type for block in mesh.cells if block.type in KINDS}
    top = max((DIMENSION[KINDS[kind][0]] for kind in found), default=0)
    kinds = sorted(kind for kind in found if DIMENSION[KINDS[kind][0]] == top)
    if len(kinds) != 1:
        present = sorted({block.type for block in mesh.cells})
        raise InputError(f"{path} has elements {present}: give a mesh of one type out of {', '.join(KINDS)}")
    return kinds[0], [k for k, block in enumerate(mesh.cells) if block.type == kinds[0]]


def _tagged(
    path: Path, mesh: Any, blocks: list[int], phases: Mapping[str, int | str] | None, tags: str | None
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """A tag for each element, and the tag of each phase."""
    sets = {name: [parts[k] for k in blocks] for name, parts in mesh.cell_sets.items()}
    sets = {name: parts for name, parts in sets.items() if any(p is not None and len(p) for p in parts)}
    if phases is None:
        phases = {name: name for name in sets if not name.startswith("gmsh:")}
        if not phases:
            raise InputError(f"{path} has no named sets of elements: give phases={{name: number in the cell data}}")
    if not all(isinstance(tag, str) for tag in phases.values()):
        data = _integer_data(path, mesh, blocks, tags)
        return data, {name: int(tag) for name, tag in phases.items()}
    sizes = [len(mesh.cells[k].data) for k in blocks]
    starts = np.cumsum([0, *sizes])
    numbers = np.zeros(sum(sizes), dtype=np.int32)
    for number, (name, wanted) in enumerate(phases.items(), start=1):
        if wanted not in sets:
            raise InputError(f"phase {name!r} is the set {wanted!r}, but {path} has the sets {sorted(sets)}")
        for start, part in zip(starts, sets[str(wanted)], strict=False):
            if part is not None:
                numbers[start + np.asarray(part, dtype=int)] = number
    if (numbers == 0).any():
        raise InputError(f"{path} has {(numbers == 0).sum()} elements in none of the sets {list(phases.values())}")
    return numbers, {name: number for number, name in enumerate(phases, start=1)}


def _integer_data(path: Path, mesh: Any, blocks: list[int], tags: str | None) -> NDArray[np.int32]:
    """The cell data of the given name, or the only ones that are integers."""
    arrays = {name: np.concatenate([parts[k] for k in blocks]) for name, parts in mesh.cell_data.items()}
    whole = {n: a for n, a in arrays.items() if a.ndim == 1 and np.isfinite(a).all() and np.all(a == np.round(a))}
    if tags is None and "gmsh:physical" in whole:
        tags = "gmsh:physical"
    if tags is None and len(whole) == 1:
        (tags,) = whole
    if tags not in whole:
        asked = "several arrays of integers" if tags is None else f"no integer cell data {tags!r}"
        raise InputError(f"{path} has {asked if whole else 'no integer cell data'}: give tags= as one of {list(whole)}")
    return whole[tags].astype(np.int32)
