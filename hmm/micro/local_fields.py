"""The local fields of an RVE, and their output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh
from numpy.typing import NDArray

from hmm.foundation.errors import collectively
from hmm.foundation.files import require_writable
from hmm.foundation.forms import compile_expression, owned_cells, quadrature_points, quadrature_weights, tagged_cells
from hmm.foundation.vtu import write_vtu
from hmm.foundation.vtx import VTXFile
from hmm.micro.cell_forms import CellForms
from hmm.micro.definition import CellProblem
from hmm.micro.fluctuation import fields_of
from hmm.micro.loaded_cell import LoadedCell

FORMATS = ("bp", "vtu")
"""Formats of fields on disk: ADIOS2 directories, or files of VTK."""


@dataclass(frozen=True, eq=False)
class LocalFields:
    """The local fields of one RVE, ready to be written or drawn.

    Attributes
    ----------
    displacement
        The total field ``E x + w``, in the Lagrange space of the fluctuation; of several fields, the one that the first
        macroscopic input acts on.
    cellwise
        Averages over each cell of the mesh by name, on DG0 spaces: ``phase`` (its tag); for RVEs with laws ``stress``,
        shape (3, 3), ``von_mises``, and each scalar internal variable (0 in phases without it); further
        local fields by name, those of macro inputs and of `RVE.micro`, such as ``concentration`` or ``velocity``.
    phases
        Names of the phases that have each cellwise field.
    """

    displacement: fem.Function
    cellwise: dict[str, fem.Function]
    phases: dict[str, tuple[str, ...]]

    @property
    def mesh(self) -> Mesh:
        """The mesh of the unit cell."""
        return self.displacement.function_space.mesh


def write_fields(path: str | Path, fields: LocalFields) -> Path:
    """Write the local fields of one RVE for ParaView (collective on the cell's communicator).

    Parameters
    ----------
    path
        A ``.vtu`` file, which also PyVista reads; or else an ADIOS2 directory, ``.bp`` is appended if necessary.
    fields
        From `local_fields` or `hmm.EffectiveProperties.fields`.

    Returns
    -------
    pathlib.Path
        The directory or file; of a cell on several ranks the ``.pvtu`` file that joins those of the ranks.

    Raises
    ------
    InputError
        If the path cannot be written to.
    """
    path, comm = Path(path), fields.mesh.comm
    with collectively(comm):
        if comm.rank == 0:
            require_writable(path.parent)
    functions = [fields.displacement, *fields.cellwise.values()]
    if path.suffix == ".vtu":
        return write_vtu(comm, path, functions)
    path = path if path.suffix == ".bp" else path.with_name(path.name + ".bp")
    with VTXFile(comm, path, functions) as writer:
        writer.write(0.0)
    return path


def cellwise(mesh: Mesh, shape: tuple[int, ...], name: str) -> fem.Function:
    """A field of a given shape with one value in each cell."""
    return fem.Function(fem.functionspace(mesh, ("DG", 0, shape) if shape else ("DG", 0)), name=name)


def loaded_fields(loaded: LoadedCell, history: NDArray[np.float64]) -> LocalFields:
    """The fields of the loaded point; `history` are its internal variables, shape (n_history,)."""
    problem, forms = loaded.problem, loaded.forms
    space = fem.functionspace(problem.cell.mesh, ("DG", 0))
    phase = fem.Function(space, name="phase")
    phase.x.array[problem.cell.phase_tags.indices] = problem.cell.phase_tags.values
    found = {"phase": phase}
    if problem.law and problem.inputs[0].local_3d(problem.w).ufl_shape == (3, 3):
        found |= _stress_fields(loaded)
    found |= _further_fields(problem)
    phases = {name: tuple(problem.cell.phases) for name in found}
    for name, values in _internal_variables(loaded, history).items():
        found[name] = fem.Function(space, name=name)
        found[name].x.array[: values.size] = values
        phases[name] = tuple(phase for phase, v in _scalar_variables(forms) if v == name)
    return LocalFields(_total_field(problem), found, phases)


def _scalar_variables(forms: CellForms) -> list[tuple[str, str]]:
    """Phase and name of each scalar internal variable."""
    return [
        (phase, v) for phase, h in forms.histories.items() for v, packed in h.packings.items() if packed.shape == ()
    ]


def _total_field(problem: CellProblem) -> fem.Function:
    """The affine field of the macroscopic input plus `w` at the loaded state; only `w` if their shapes differ."""
    macro = problem.inputs[0]
    own = fields_of(problem.w.function_space)[macro.component or 0]
    w, space = own.of(problem.w), own.space
    total = w
    if macro.operator is not None and macro.contribution is None and len(macro.packing.shape) == 1 + len(w.ufl_shape):
        x = ufl.SpatialCoordinate(problem.cell.mesh) - ufl.as_vector(np.asarray(problem.cell.origin).tolist())
        reference = macro.packing.unpack(ufl.as_vector(macro.reference.tolist()))
        total = macro.affine(macro.tensor - reference, x) + w
    field = fem.Function(space, name="displacement" if w.ufl_shape else problem.w.name)
    field.interpolate(compile_expression(total, space.element.interpolation_points))
    return field


def _further_fields(problem: CellProblem) -> dict[str, fem.Function]:
    """Cell averages of the local fields except that of the first macroscopic input, at the loaded state."""
    mesh, degree = problem.cell.mesh, problem.quadrature_degree
    cells, points = owned_cells(mesh), quadrature_points(mesh, degree)
    fields = {}
    for name, expression in problem.further_fields().items():
        values = compile_expression(expression, points).eval(mesh, cells)
        values = values.reshape(cells.size, len(points), math.prod(expression.ufl_shape))
        fields[name] = cellwise(mesh, expression.ufl_shape, name)
        fields[name].x.array[: cells.size * values.shape[2]] = _mean_over_cells(mesh, degree, cells, values).ravel()
    return fields


def _stress_fields(loaded: LoadedCell) -> dict[str, fem.Function]:
    """Cell averages of the local stress and of its von Mises equivalent at the loaded state."""
    problem, forms = loaded.problem, loaded.forms
    mesh, degree = problem.cell.mesh, problem.quadrature_degree
    stress, von_mises = cellwise(mesh, (3, 3), "stress"), cellwise(mesh, (), "von_mises")
    points = quadrature_points(mesh, degree)
    for phase, tag in problem.cell.phases.items():
        cells = tagged_cells(problem.cell.phase_tags, tag)
        sigma = forms.answers(phase)[problem.inputs[0].field]
        s = ufl.dev(sigma)
        values = ufl.as_vector([*(sigma[i, j] for i in range(3) for j in range(3)), ufl.sqrt(1.5 * ufl.inner(s, s))])
        at_points = compile_expression(values, points).eval(mesh, cells)
        means = _mean_over_cells(mesh, degree, cells, at_points.reshape(cells.size, len(points), 10))
        stress.x.array.reshape(-1, 9)[cells] = means[:, :9]
        von_mises.x.array[cells] = means[:, 9]
    return {"stress": stress, "von_mises": von_mises}


def _internal_variables(loaded: LoadedCell, row: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Cell averages, shape (n_owned_cells,), of each scalar internal variable; 0 in phases without it."""
    degree, mesh = loaded.problem.quadrature_degree, loaded.problem.cell.mesh
    fields: dict[str, NDArray[np.float64]] = {}
    n_points, rows = len(quadrature_points(mesh, degree)), loaded.forms.history_blocks.split(row)
    for phase, history in loaded.forms.histories.items():
        for name, packing in history.packings.items():
            if packing.shape == ():
                values = history.view(rows[phase], name).reshape(history.cells.size, n_points, 1)
                means = _mean_over_cells(mesh, degree, history.cells, values)
                fields.setdefault(name, np.zeros(owned_cells(mesh).size))[history.cells] = means[:, 0]
    return fields


def _mean_over_cells(
    mesh: Mesh, degree: int, cells: NDArray[np.int32], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over each cell, shape (n_cells, k), of values at its quadrature points, shape (n_cells, n, k)."""
    weights = quadrature_weights(mesh, degree, cells)
    return (weights[..., None] * values).sum(axis=1) / weights.sum(axis=1)[:, None]
