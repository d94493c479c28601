"""Save a macro problem with all its RVEs, and go on from there on any number of ranks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dolfinx
import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.problem import MacroProblem
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.version import VERSION
from hmm.parallel.state_ordering import as_rows
from hmm.runs import storage
from hmm.runs.fingerprint import difference, problem_fingerprint


def save(
    path: str | Path, problem: MacroProblem, note: Mapping[str, object] | None = None, identity: Identity | None = None
) -> None:
    """Write the accepted state of a problem and of all its RVEs to an HDF5 file (collective).

    The file holds each point's state by the number of its macro cell in the mesh's input and of its quadrature point,
    and the macro fields by macro cell; nothing in it depends on the number of ranks. It is written beside the old one,
    which it replaces in one instant when it is whole and on the disk: killed at any moment, one good file is left.

    Parameters
    ----------
    path
        The file, where all ranks see it.
    problem
        The problem, between two solves.
    note
        What `load` is to give back; anything that `json` can write.
    identity
        What `identify` gave, if the problem's coefficients have changed since; found anew by default.

    Raises
    ------
    InputError
        On all ranks, if it cannot be written. The old file is then untouched.
    EnvironmentMismatch
        If h5py is not installed.
    """
    hom = problem.hom
    header = {
        "identity": dict(identity or identify(problem)),
        "versions": _versions(),
        "scale": problem.accepted_scale.tolist(),
        "note": dict(note or {}),
    }
    cells = np.asarray(hom.mesh.topology.original_cell_index)[hom.cells].astype(np.int64)
    fields = {name: _by_cell(field)[hom.cells] for name, field in problem.accepted_fields().items()}
    tables = [storage.RowTable("fields", cells, fields), *_state_tables(hom)]
    storage.write(Path(path), hom.comm, header, tables)


def load(path: str | Path, problem: MacroProblem, identity: Identity | None = None) -> dict[str, Any]:
    """Put a problem and all its RVEs into the state of a checkpoint (collective).

    Parameters
    ----------
    path
        The file.
    problem
        A problem made by the same script, on any number of ranks.
    identity
        As in `save`.

    Returns
    -------
    dict
        The note given to `save`.

    Raises
    ------
    InputError
        On all ranks, if the file is damaged or belongs to something else; the problem is then untouched.
    """
    path = Path(path)
    header = _header(path, problem, identity)
    hom, fields = problem.hom, problem.accepted_fields()
    layouts, keys = hom.row_layouts, hom.state_keys()
    with collectively(hom.comm):
        for k, (layout, states) in enumerate(zip(layouts, hom.batches.points, strict=True)):
            for rows, values in storage.read(path, _table_name(k), keys[k], layout.like(states.persistent())):
                states.restore(layout.share(values), rows)
        cells = np.asarray(hom.mesh.topology.original_cell_index).astype(np.int64)
        like = {name: _by_cell(field) for name, field in fields.items()}
        for rows, values in storage.read(path, "fields", cells, like):
            for name, field in fields.items():
                field.x.array[_dofs(field)[rows]] = values[name]
    problem.restore(fields, header["scale"])
    return dict(header["note"])


def read_note(path: str | Path, problem: MacroProblem, identity: Identity | None = None) -> dict[str, Any]:
    """The note of a checkpoint that fits the problem, which is left as it is (collective); raises as `load` does."""
    return dict(_header(Path(path), problem, identity)["note"])


def _state_tables(hom: Homogenizer) -> list[storage.RowTable]:
    """The states of each kind of RVE; those of a group are on its first rank (collective)."""
    leads, tables = hom.comm.rank == hom.ensemble.leader, []
    kinds = zip(hom.state_keys(), hom.row_layouts, hom.batches.points, strict=True)
    for k, (keys, layout, states) in enumerate(kinds):
        rows = layout.gathered(states.persistent())
        tables.append(storage.RowTable(_table_name(k), keys if leads else keys[:0], rows))
    return tables


def _table_name(kind: int) -> str:
    return f"points of kind {kind}" if kind else "points"


Identity = Mapping[str, str]
"""What must be the same for a checkpoint to be read; see `hmm.runs.fingerprint`."""


def identify(problem: MacroProblem) -> dict[str, str]:
    """What a checkpoint of this problem can only be read by (collective).

    Raises
    ------
    InputError
        On all ranks, if the problem is one that a checkpoint cannot hold.
    """
    space = problem.u.function_space
    if space.element.needs_dof_transformations:
        raise InputError(
            f"a checkpoint cannot hold the macro field {problem.u.name!r} of {space.ufl_element()}, whose dofs change "
            "sign with the numbering: use a Lagrange space"
        )
    return problem_fingerprint(problem)


def _header(path: Path, problem: MacroProblem, identity: Identity | None) -> dict[str, Any]:
    """What is in the file beside arrays, checked to be whole and to belong to the problem (collective)."""
    header = storage.read_header(path, problem.hom.comm)
    mine, written = dict(identity or identify(problem)), header["identity"]
    if name := difference(written, mine):
        raise InputError(
            f"{path} does not belong to this run: the {name} is {written.get(name, 'not there')} in it and "
            f"{mine.get(name, 'not there')} here; continue with the script that wrote it, or give another file"
        )
    if header["versions"] != _versions() and problem.hom.comm.rank == 0:
        logging.getLogger("hmm").warning(
            "%s was written with %s and is continued with %s", path, header["versions"], _versions()
        )
    return header


def _versions() -> dict[str, str]:
    return {"hmm": VERSION, "dolfinx": dolfinx.__version__}


def _dofs(field: fem.Function) -> NDArray[np.int64]:
    """Positions in the field's array of the dofs of each local cell, shape (n_cells, n_dofs)."""
    space = field.function_space
    size = space.dofmap.bs
    blocks = np.asarray(space.dofmap.list, dtype=np.int64)
    return as_rows(blocks[:, :, None] * size + np.arange(size))


def _by_cell(field: fem.Function) -> NDArray[np.float64]:
    """Values of the dofs of each local cell, ghosts included, in the order of the reference element."""
    return field.x.array[_dofs(field)]
