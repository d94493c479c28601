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

from hmm.errors import InputError, collectively
from hmm.homogenizer import Homogenizer
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
    cell = _of_rve(hom.rve.whole) | {"control of the unit cell": hom.rve.control}
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
        **cell,
    }


def difference(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """Name of the first thing in which two fingerprints differ, or nothing."""
    return next((name for name in {**a, **b} if a.get(name) != b.get(name)), "")


def _of_points(hom: Homogenizer) -> int:
    """Sum over all points of a hash of key and coordinates: the same however they are spread (collective)."""
    x = hom.coordinates()
    size = hom.comm.allreduce(float(np.abs(x).max(initial=0.0)), op=MPI.MAX) or 1.0
    value = _mixed(hom.keys.astype(np.uint64))
    for column in np.rint(x.T / size * GRID).astype(np.int64):
        value = _mixed(value ^ column.astype(np.uint64))
    modulus = 1 << 64
    own = sum(int(v) for v in value) % modulus
    return int(hom.comm.allreduce(own)) % modulus


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): each bit depends on all."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _of_rve(rve: RVE) -> dict[str, str]:
    cell, space = rve.cell, rve.w.function_space
    x = cell.mesh.geometry.x
    scaled = np.rint(x / (np.abs(x).max(initial=0.0) or 1.0) * GRID).astype(np.int64)
    n_cells = cell.mesh.topology.index_map(cell.mesh.topology.dim).size_local
    laws = {f"law of {phase!r}": _described(law) for phase, law in rve.law.items()}
    functions = [p.x.array for p in rve.parameters if isinstance(p, fem.Function)]
    return {
        "unit cell": f"{n_cells} cells, hash {_hash(scaled, cell.mesh.geometry.dofmaps[0])}",
        "unit cell's lattice": str(cell.lattice.round(12).tolist()),
        "unit cell's phases": f"{dict(cell.phases)}, hash {_hash(cell.phase_tags.indices, cell.phase_tags.values)}",
        "constraint": rve.reduced.constraint.name,
        "held dofs": _hash(rve.held),
        "fluctuation field": str(space.ufl_element()),
        "numbering of the fluctuation": _hash(space.dofmap.list, rve.reduced.constraint.blocks),
        "quadrature degree of the unit cell": str(rve.quadrature_degree),
        **laws,
        "form of the microproblem": _short("".join(form.signature() for form in rve.forms)),
        "coefficients of the unit cell": _hash(*functions),
    }


def _described(law: object) -> str:
    """A law in words that are the same in each run."""
    if isinstance(law, fem.Constant):
        return "Constant"  # its value may change in the run, and is checked where the run begins
    if is_dataclass(law):
        parts = (f"{f.name}={_described(getattr(law, f.name))}" for f in fields(law))
        return f"{type(law).__name__}({', '.join(parts)})"
    if isinstance(law, tuple | list):
        return f"({', '.join(map(_described, law))})"
    if isinstance(law, ufl.core.expr.Expr):
        return "UFL"  # it is part of the form
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(law))


def _hash(*arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:16]


def _short(signature: str) -> str:
    return hashlib.sha256(signature.encode()).hexdigest()[:16]
