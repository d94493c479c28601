"""What a run is, in words and hashes that do not depend on the number of ranks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.cell import Cell
from hmm.errors import InputError, collectively
from hmm.hashing import digest, splitmix, uniform
from hmm.homogenizer import Homogenizer
from hmm.layout import as_rows
from hmm.macro import MacroProblem
from hmm.rve import RVE

GRID = 2.0**32
"""Coordinates are compared as whole numbers of this part of the largest one."""


def fingerprint(problem: MacroProblem) -> dict[str, str]:
    """All that a checkpoint's numbers depend on, by what it is called in messages (collective).

    Raises
    ------
    InputError
        On all ranks, if their unit cells or laws differ.
    """
    hom = problem.hom
    cell: dict[str, str] = {}
    for name, rve in hom.rves.items():
        of_kind = f" of RVE {name!r}" if name else ""
        own = _of_rve(rve.whole) | {"control of the unit cell": rve.control}
        cell |= {f"{what}{of_kind}": value for what, value in own.items()}
    first = hom.comm.bcast(cell)
    with collectively(hom.comm):
        if name := difference(first, cell):
            raise InputError(
                f"rank {hom.comm.rank} has another {name} than rank 0: give all ranks the same RVE to use checkpoints"
            )
    return {
        "macro mesh": f"{hom.comm.allreduce(hom.n_points)} points, hash {_of_points(hom):016x}",
        "macro quadrature degree": str(hom.degree),
        "macro field": str(problem.u.function_space.ufl_element()),
        "macro form": _short(problem.form.signature()),
        **_of_variation(hom),
        **cell,
    }


def difference(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """Name of the first thing in which two fingerprints differ, or nothing."""
    return next((name for name in {**a, **b} if a.get(name) != b.get(name)), "")


def _of_points(hom: Homogenizer) -> int:
    """Sum over all points of a hash of key and coordinates: the same however they are spread (collective)."""
    x = hom.coordinates()
    size = hom.comm.allreduce(float(np.abs(x).max(initial=0.0)), op=MPI.MAX) or 1.0
    hashed = splitmix(hom.keys.astype(np.uint64))
    for column in np.rint(x.T / size * GRID).astype(np.int64):
        hashed = splitmix(hashed ^ column.astype(np.uint64))
    modulus = 1 << 64
    own = sum(int(v) for v in hashed) % modulus
    return int(hom.comm.allreduce(own)) % modulus


def _of_variation(hom: Homogenizer) -> dict[str, str]:
    """Where each RVE is and how it is turned, if there is a choice (collective)."""
    found = {}
    if len(hom.rves) > 1:
        found["choice of RVEs"] = f"{', '.join(hom.rves)}, checksum {_checksum(hom, hom.rows.shares(len(hom.rves)))}"
    if hom.orientation is not None:
        found["orientation of RVEs"] = f"checksum {_checksum(hom, as_rows(hom.orientation.R))}"
    return found


def _checksum(hom: Homogenizer, values: NDArray[np.float64]) -> str:
    """Sum of values at the points, shape (n_points, k), with weights in (-1, 1) that depend on key and column.

    Unlike a hash it is not upset by the last bit, in which functions of arrays differ with the length of the array.
    """
    weights = [2 * uniform(hom.keys, column) - 1 for column in range(values.shape[1])]
    return f"{hom.comm.allreduce(float(np.sum(np.transpose(weights) * values))):.8g}"


def _of_rve(rve: RVE) -> dict[str, str]:
    cell, space = rve.cell, rve.w.function_space
    n_cells, mesh_hash = _of_mesh(cell)
    laws = {f"law of {phase!r}": described(law) for phase, law in rve.law.items()}
    oriented = space.ufl_element().embedded_superdegree > 2  # the order of dofs on an edge depends on the numbering
    numbering = digest(space.dofmap.list, rve.reduced.constraint.blocks) if oriented else "of the mesh's input"
    functions = [p.x.array for p in rve.parameters if isinstance(p, fem.Function)]
    return {
        "unit cell": f"{n_cells} cells, hash {mesh_hash}",
        "unit cell's lattice": str(cell.lattice.round(12).tolist()),
        "unit cell's phases": str(dict(cell.phases)),
        "constraint": rve.reduced.constraint.name,
        "held dofs": digest(rve.held),
        "fluctuation field": str(space.ufl_element()),
        "numbering of the fluctuation": numbering,
        "quadrature degree of the unit cell": str(rve.quadrature_degree),
        **laws,
        "form of the microproblem": _short("".join(form.signature() for form in rve.forms)),
        "coefficients of the unit cell": digest(*functions),
    }


def _of_mesh(cell: Cell) -> tuple[int, str]:
    """Number of cells, and a hash of their nodes and tags in the order of the mesh's input (collective)."""
    mesh = cell.mesh
    n = mesh.topology.index_map(mesh.topology.dim).size_local
    x = mesh.geometry.x
    size = cell.comm.allreduce(float(np.abs(x).max(initial=0.0)), op=MPI.MAX) or 1.0
    nodes = np.rint(x[np.asarray(mesh.geometry.dofmaps[0])[:n]] / size * GRID).astype(np.int64)
    tags = np.zeros(n, dtype=np.int64)
    owned = cell.phase_tags.indices < n
    tags[cell.phase_tags.indices[owned]] = cell.phase_tags.values[owned]
    original = np.asarray(mesh.topology.original_cell_index)[:n]
    parts = [np.concatenate(p) for p in zip(*cell.comm.allgather((original, nodes, tags)), strict=True)]
    order = np.argsort(parts[0])
    return order.size, digest(parts[1][order], parts[2][order])


def described(law: object) -> str:
    """A law in words that are the same in each run."""
    if isinstance(law, fem.Constant):
        return "Constant"  # its value may change in the run, and is checked where the run begins
    if is_dataclass(law):
        parts = (f"{f.name}={described(getattr(law, f.name))}" for f in fields(law))
        return f"{type(law).__name__}({', '.join(parts)})"
    if isinstance(law, tuple | list):
        return f"({', '.join(map(described, law))})"
    if isinstance(law, ufl.core.expr.Expr):
        return "UFL"  # it is part of the form
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(law))


def _short(signature: str) -> str:
    return hashlib.sha256(signature.encode()).hexdigest()[:16]
