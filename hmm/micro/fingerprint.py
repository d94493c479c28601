"""Identification of a cell by descriptions and hashes that do not depend on the number of ranks."""

from __future__ import annotations

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem

from hmm.cells.cell import Cell
from hmm.foundation.described import described
from hmm.foundation.forms import form_of
from hmm.foundation.hashing import GRID, digest, short
from hmm.micro.cell_forms import CellForms
from hmm.micro.loaded_cell import LoadedCell


def cell_fingerprint(loaded: LoadedCell) -> dict[str, str]:
    """All that the response of a cell depends on, by names in messages (collective in the ranks of the cell)."""
    problem, forms, constraint = loaded.problem, loaded.forms, loaded.reduced.constraint
    cell, space = problem.cell, problem.w.function_space
    n_cells, mesh_hash = _of_mesh(cell)
    laws = {f"law of {phase!r}": described(law) for phase, law in problem.law.items()}
    oriented = space.ufl_element().embedded_superdegree > 2  # the order on an edge depends on the numbering
    numbering = digest(space.dofmap.list, constraint.blocks) if oriented else "of the mesh's input"
    parameters = [*forms.parameters, *(f for form in _updates(forms).values() for f in form.coefficients())]
    functions = [p for p in dict.fromkeys(parameters) if isinstance(p, fem.Function) and p not in forms.variables]
    return {
        "unit cell": f"{n_cells} cells, hash {mesh_hash}",
        "unit cell's lattice": str(cell.lattice.round(12).tolist()),
        "unit cell's phases": str(dict(cell.phases)),
        "constraint": constraint.name,
        "fixed degrees of freedom": digest(problem.fixed),
        "fluctuation field": str(space.ufl_element()),
        "numbering of the fluctuation": numbering,
        "quadrature degree of the unit cell": str(problem.quadrature_degree),
        **laws,
        **{what: short(form.signature()) for what, form in _updates(forms).items()},
        "form of the cell problem": short("".join(form.signature() for form in forms.ufl_forms)),
        "coefficients of the unit cell": digest(*(f.x.array for f in functions)),
    }


def _updates(forms: CellForms) -> dict[str, ufl.Form]:
    """The parts of laws that are not in the forms: updates of internal variables, equations of local unknowns."""
    updates = {f"update of {phase!r}": [h.new] for phase, h in forms.histories.items() if h.new is not None}
    updates |= {f"local unknowns of {phase!r}": list(p.expressions) for phase, p in forms.local_problems.items()}
    return {what: form_of(expressions) for what, expressions in updates.items()}


def _of_mesh(cell: Cell) -> tuple[int, str]:
    """Number of cells, and a hash of their nodes and tags in the order of the input mesh (collective)."""
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


def parameters_of(forms: CellForms) -> list[fem.Constant | fem.Function]:
    """Constants and Functions of the forms and of the updates of laws; they may be changed between two steps."""
    further = [c for form in _updates(forms).values() for c in form.constants()]
    return list(dict.fromkeys([*forms.parameters, *further]))
