"""Identification of a run by descriptions and hashes that do not depend on the number of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh, compute_midpoints
from numpy.typing import NDArray

from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.problem import MacroProblem
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.forms import compile_form, form_of
from hmm.foundation.hashing import GRID, short, splitmix, uniform
from hmm.models.protocol import Fingerprinted, Parametrized
from hmm.parallel.state_ordering import as_rows

DIRECTION = np.array([13.7, 19.3, 29.9])
"""Places along which no two of a mesh are likely to have the same cosine."""


def problem_fingerprint(problem: MacroProblem) -> dict[str, str]:
    """All that the numbers in a checkpoint depend on, by their names in messages (collective).

    Raises
    ------
    InputError
        On all ranks, if their unit cells or laws differ.
    """
    hom = problem.hom
    cell: dict[str, str] = {}
    for name, model in hom.models.items():
        of_kind = f" of RVE {name!r}" if name else ""
        own = {"micro model": type(model).__name__, "macro inputs": ", ".join(e.name for e in model.inputs)}
        own |= model.fingerprint() if isinstance(model, Fingerprinted) else {}
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
        "macro form": short(problem.form.signature()),
        "macro input": short(form_of(hom.strains).signature()),
        "remembered Functions": str(problem.memory),
        **_of_conditions(problem),
        **_of_tags(problem),
        **_of_variation(hom),
        **cell,
    }


def constants_of(problem: MacroProblem) -> list[Any]:
    """The Constants in the macro form and inputs, and the parameters of micro models with a value, each once."""
    own: list[Any] = [c for form in (problem.form, form_of(problem.hom.strains)) for c in form.constants()]
    for model in problem.hom.models.values():
        own += [p for p in model.parameters if hasattr(p, "value")] if isinstance(model, Parametrized) else []
    return list({id(constant): constant for constant in own}.values())


def functions_of(problem: MacroProblem) -> list[fem.Function]:
    """The Functions in the macro form, the macro inputs and the models that may be changed, each once."""
    own = _functions_of_forms(problem)
    for model in problem.hom.models.values():
        own += [p for p in model.parameters if isinstance(p, fem.Function)] if isinstance(model, Parametrized) else []
    return list(dict.fromkeys(own))


def present_values(problem: MacroProblem) -> dict[str, str]:
    """Checksums, by name, of data that may change during a run, except Constants (collective).

    These are the Functions in the macro form and inputs, and the values of Dirichlet conditions.
    """
    found = {}
    for number, function in enumerate(_functions_of_forms(problem), 1):
        found[f"Function {number} of the macro form"] = f"checksum {checksum_of(function)}"
    for number, bc in enumerate(problem.bcs, 1):
        values = fem.Function(problem.u.function_space)
        bc.set(values.x.array)
        found[f"values of Dirichlet condition {number}"] = f"checksum {checksum_of(values)}"
    return found


def _functions_of_forms(problem: MacroProblem) -> list[fem.Function]:
    """The Functions in the macro form and inputs, without the unknown and the responses."""
    hom = problem.hom
    own = [problem.u, *hom.responses, *(t for row in hom.tangents for t in row)]
    coefficients = [*problem.form.coefficients(), *form_of(hom.strains).coefficients()]
    return [f for f in dict.fromkeys(coefficients) if f not in own]


def difference(a: Mapping[str, str], b: Mapping[str, str]) -> str:
    """Name of the first difference of two fingerprints; empty if they are equal."""
    return next((name for name in {**a, **b} if a.get(name) != b.get(name)), "")


def _of_points(hom: Homogenizer) -> int:
    """Sum over all points of a hash of key and coordinates, independent of their distribution (collective)."""
    x = hom.coordinates()
    size = hom.comm.allreduce(float(np.abs(x).max(initial=0.0)), op=MPI.MAX) or 1.0
    hashed = splitmix(hom.keys.astype(np.uint64))
    for column in np.rint(x.T / size * GRID).astype(np.int64):
        hashed = splitmix(hashed ^ column.astype(np.uint64))
    modulus = 1 << 64
    own = sum(int(v) for v in hashed) % modulus
    return int(hom.comm.allreduce(own)) % modulus


def _of_variation(hom: Homogenizer) -> dict[str, str]:
    """Distribution of RVE types and orientations, if they vary (collective)."""
    found = {}
    if len(hom.models) > 1:
        shares = _checksum(hom.comm, hom.keys, hom.rows.shares(len(hom.models)))
        found["choice of RVEs"] = f"{', '.join(hom.models)}, checksum {shares}"
    if hom.orientation is not None:
        turns = _checksum(hom.comm, hom.keys, as_rows(hom.orientation.R))
        found["orientation of RVEs"] = f"checksum {turns}"
    return found


def _checksum(comm: MPI.Comm, keys: NDArray[np.integer], values: NDArray[np.float64]) -> str:
    """Sum of values, shape (n, k), with weights in (-1, 1) that depend on key and column (collective).

    Unlike a hash, it hardly depends on rounding, which varies with the length of an array.
    """
    weights = np.reshape([2 * uniform(keys, column) - 1 for column in range(values.shape[1])], values.shape[::-1])
    return f"{comm.allreduce(float(np.sum(weights.T * values))):.8g}"


def _of_conditions(problem: MacroProblem) -> dict[str, str]:
    """The degrees of freedom of each Dirichlet condition; their values may change during a run (collective)."""
    found = {}
    for number, bc in enumerate(problem.bcs, 1):
        dofs, n_owned = bc.dof_indices()
        mask = fem.Function(problem.u.function_space)
        mask.x.array[dofs] = 1.0
        count = problem.hom.comm.allreduce(int(n_owned))
        found[f"support of Dirichlet condition {number}"] = f"{count} dofs, checksum {checksum_of(mask)}"
    return found


def checksum_of(function: fem.Function) -> str:
    """A checksum of the values of a Function (collective)."""
    space = function.function_space
    mesh, size = space.mesh, space.dofmap.bs
    if space.element.needs_dof_transformations:  # the signs of the values depend on the numbering, the norm does not
        square = fem.assemble_scalar(compile_form(ufl.inner(function, function) * ufl.dx))
        return f"{mesh.comm.allreduce(square):.8g}"
    function.x.scatter_forward()
    n = mesh.topology.index_map(mesh.topology.dim).size_local
    blocks = np.asarray(space.dofmap.list)[:n]
    values = function.x.array.reshape(-1, size)[blocks].reshape(n, blocks.shape[1] * size)
    return _checksum(mesh.comm, np.asarray(mesh.topology.original_cell_index)[:n], values)


def _of_tags(problem: MacroProblem) -> dict[str, str]:
    """The domains of the integrals of the macro form that are not over the entire mesh (collective)."""
    mesh, found = problem.hom.mesh, {}
    for integral in problem.form.integrals():
        kind, data, ids = integral.integral_type(), integral.subdomain_data(), integral.subdomain_id()
        for tag in ids if isinstance(ids, tuple) else (ids,):
            if data is not None and tag != "everywhere":
                where = _midpoints(mesh, kind, data, tag)
                found[f"place of {kind.replace('_', ' ')}s of tag {tag}"] = _of_places(mesh, where)
    return found


def _midpoints(mesh: Mesh, kind: str, data: Any, tag: int | str) -> NDArray[np.float64]:
    """Midpoints, shape (n, 3), of the tagged entities that this rank owns; for ``"otherwise"``, of all tagged ones.

    The data of a measure are tags, or pairs of a tag and its cells, or its cells and local facets.
    """
    tdim = mesh.topology.dim
    if hasattr(data, "find"):
        found = np.asarray(data.indices if isinstance(tag, str) else data.find(tag), dtype=np.int32)
        mesh.topology.create_connectivity(data.dim, tdim)
        return compute_midpoints(mesh, data.dim, found[found < mesh.topology.index_map(data.dim).size_local])
    parts = [np.ravel(part) for number, part in data if isinstance(tag, str) or number == tag]
    listed = np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32)
    if kind == "cell":
        return compute_midpoints(mesh, tdim, listed)
    cells, facets = listed.reshape(-1, 4 if kind == "interior_facet" else 2)[:, :2].T
    mesh.topology.create_connectivity(tdim, tdim - 1)
    mesh.topology.create_connectivity(tdim - 1, tdim)
    of_cells = mesh.topology.connectivity(tdim, tdim - 1)
    numbers = [of_cells.links(c)[f] for c, f in zip(cells, facets, strict=True)]
    return compute_midpoints(mesh, tdim - 1, np.array(numbers, dtype=np.int32))


def _of_places(mesh: Mesh, x: NDArray[np.float64]) -> str:
    """Number and checksum of points, shape (n, 3), each on one rank (collective)."""
    size = mesh.comm.allreduce(float(np.abs(mesh.geometry.x).max(initial=0.0)), op=MPI.MAX) or 1.0
    checksum = mesh.comm.allreduce(float(np.cos(x / size @ DIRECTION).sum()))
    return f"{mesh.comm.allreduce(len(x))} places, checksum {checksum:.8g}"
