"""Save a macro problem with all points, and restart it on any number of ranks."""

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
    """Write the accepted state of a problem and of all its points to an HDF5 file (collective).

    The state of a point is stored by the number of its macro cell in the input mesh and of its integration point, the
    macro fields by macro cell; nothing depends on the number of ranks. A new file replaces the old one by renaming when
    it is complete on disk, so that one valid file remains if the run is killed.

    Parameters
    ----------
    path
        The file, accessible to all ranks.
    problem
        The problem, between two solves.
    note
        Data that `load` returns; anything that `json` can write.
    identity
        The result of `identify`, if coefficients of the problem have changed since; by default determined now.

    Raises
    ------
    InputError
        On all ranks, if the file cannot be written. The old file is then unchanged.
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
    """Restore a problem and all its points from a checkpoint (collective).

    Parameters
    ----------
    path
        The file.
    problem
        A problem created by the same script, on any number of ranks.
    identity
        As in `save`.

    Returns
    -------
    dict
        The note given to `save`.

    Raises
    ------
    InputError
        On all ranks, if the file is damaged or belongs to another problem; the problem is then unchanged.
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
    hom.continues = True
    return dict(header["note"])


def read_note(path: str | Path, problem: MacroProblem, identity: Identity | None = None) -> dict[str, Any]:
    """The note of a checkpoint of this problem, which is not changed (collective); raises like `load`."""
    return dict(_header(Path(path), problem, identity)["note"])


def _state_tables(hom: Homogenizer) -> list[storage.RowTable]:
    """The states of each RVE type; those of a group are on its first rank (collective)."""
    leads, tables = hom.comm.rank == hom.ensemble.leader, []
    kinds = zip(hom.state_keys(), hom.row_layouts, hom.batches.points, strict=True)
    for k, (keys, layout, states) in enumerate(kinds):
        rows = layout.gathered(states.persistent())
        tables.append(storage.RowTable(_table_name(k), keys if leads else keys[:0], rows))
    return tables


def _table_name(kind: int) -> str:
    return f"points of kind {kind}" if kind else "points"


Identity = Mapping[str, str]
"""The data that identify the problem of a checkpoint; see `hmm.runs.fingerprint`."""


def identify(problem: MacroProblem) -> dict[str, str]:
    """The identity of a problem, which a checkpoint must match (collective).

    Raises
    ------
    InputError
        On all ranks, if the problem cannot be stored in a checkpoint.
    """
    space = problem.u.function_space
    if space.element.needs_dof_transformations:
        raise InputError(
            f"a checkpoint cannot store the macro field {problem.u.name!r} of {space.ufl_element()}, whose degrees of "
            "freedom change sign with the numbering: use a Lagrange space"
        )
    return problem_fingerprint(problem)


def _header(path: Path, problem: MacroProblem, identity: Identity | None) -> dict[str, Any]:
    """The header of the file, after checks that it is complete and belongs to the problem (collective)."""
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
    """Positions of the degrees of freedom of each local cell in the array of the field, shape (n_cells, n_dofs)."""
    space = field.function_space
    size = space.dofmap.bs
    blocks = np.asarray(space.dofmap.list, dtype=np.int64)
    return as_rows(blocks[:, :, None] * size + np.arange(size))


def _by_cell(field: fem.Function) -> NDArray[np.float64]:
    """Values at the degrees of freedom of each local cell, including ghosts, in the order of the reference element."""
    return field.x.array[_dofs(field)]
