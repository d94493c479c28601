"""A constrained cell with one loaded point: residual and response."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.foundation.forms import PackedForm, compile_expression, compile_form, tagged_cells
from hmm.foundation.options import choice
from hmm.micro.cell_forms import CellForms, dense
from hmm.micro.constraints import Constraint
from hmm.micro.fluctuation import fields_of
from hmm.micro.inputs import MacroInput
from hmm.micro.reduced_system import ReducedSystem

NOT_A_NUMBER = "the micro residual is not a number"

Floats = NDArray[np.float64]


class LoadedCell:
    """A cell problem with its constraint, for one point at a time.

    Parameters
    ----------
    forms
        Its forms.
    constraint
        The constraint.

    Attributes
    ----------
    problem
        The cell problem.
    reduced
        The reduced system.
    nodal_forces
        Shape (n_local,); nodal forces of the last residual, before the constraint sums them.
    weights
        Shape (n_local,); factors of the residuals in norms, or None for 1.
    affine
        Shape (m, n_local); nodal values of the affine field of each unit macroscopic input, if the local fields depend
        on the input only through such a field; or None.
    watcher
        Called with each new history, shape (n_history,), while the point is loaded; or None.
    """

    def __init__(self, forms: CellForms, constraint: Constraint) -> None:
        self.forms, self.problem = forms, forms.problem
        self.comm = self.problem.cell.comm
        self.reduced = ReducedSystem(self.comm, constraint)
        self.weights: Floats | None = None
        self.watcher: Callable[[Floats], None] | None = None
        n_local = self.reduced.size_fluctuation + constraint.multipliers.size
        self._local, self._local_residual = np.zeros(n_local), np.zeros(n_local)
        self._w = self.problem.w.x.array
        self._inputs = [(e.function.x.array, self.problem.blocks[e.name]) for e in self.problem.inputs]
        self.nodal_forces = np.zeros(self.reduced.size_fluctuation)
        self._residual = np.zeros(self.n_unknowns)
        self._phase_forms: dict[str, list[list[PackedForm]]] = {}
        self.affine = self._affine_fields() if self.problem.law else None

    @property
    def n_unknowns(self) -> int:
        """Number of reduced unknowns of this rank."""
        return self.reduced.size_owned

    @property
    def n_history(self) -> int:
        """Number of internal variables of this rank."""
        return self.forms.history_blocks.size

    def load_history(self, history: Floats) -> None:
        """Set the internal variables at the start of the step, shape (n_history,)."""
        for phase, part in self.forms.history_blocks.split(history).items():
            self.forms.histories[phase].load(part)

    def load(self, z: Floats, E: Floats) -> None:
        """Load the point (z, E), shapes (n_unknowns,) and (m,), at which everything is evaluated."""
        self.reduced.spread(z, self._local)
        self._w[:] = self._local[: self.reduced.size_fluctuation]
        for values, part in self._inputs:
            values[:] = E[part]
        for local in self.forms.local_problems.values():
            local.solve()

    def load_undeformed(self) -> None:
        """Load the undeformed state."""
        self.load_history(np.zeros(self.n_history))
        self.load(np.zeros(self.n_unknowns), self.problem.reference)

    def residual(self) -> Floats:
        """Reduced residual ``R_w``, shape (n_unknowns,), at the loaded point (a view, overwritten by the next call)."""
        n = self.reduced.size_fluctuation
        self.nodal_forces[:] = 0.0
        self.forms.R_w.assemble(self.nodal_forces)
        self._local_residual[:n] = self.nodal_forces
        self._local_residual[n:] = 0.0
        self.reduced.add_multipliers(self._local, self._local_residual)
        self.reduced.gather(self._local_residual, self._residual)
        return self._residual

    def norm(self, residual: Floats) -> float:
        """Euclidean norm of a residual over all ranks of the cell."""
        return self.reduced.norm(residual)

    def force_scale(self) -> float:
        """Norm of the nodal forces before those of opposite faces or multipliers cancel: the scale of the residual."""
        forces = self.nodal_forces if self.weights is None else self.weights * self.nodal_forces
        return float(np.sqrt(self.reduced.sum(forces @ forces)))

    def residual_weight(self, e: MacroInput) -> float:
        """Factor in `norm` of the residuals of the field that a macroscopic input acts on; 1 with a single field."""
        if self.weights is None or e.component is None:
            return 1.0
        dofs = fields_of(self.problem.w.function_space)[e.component].dofs
        return float(self.comm.allreduce(float(self.weights[dofs].max(initial=0.0)), MPI.MAX))

    def response(self) -> Floats:
        """Macroscopic response ``Sigma = R_E / |Y|``, shape (m,), at the point of the last `residual`; a new array.

        With laws, ``R_E`` is the sum of nodal forces times position (Kouznetsova et al. 2001, eq. 19); with a general
        energy it is assembled.
        """
        volume = self.problem.cell.volume
        if self.affine is not None:
            return self.reduced.sum(self.affine @ self.nodal_forces) / volume
        vector = np.zeros(self.problem.n_inputs)
        for form, part in zip(self.forms.R_E, self.problem.blocks.split(vector).values(), strict=True):
            form.assemble(part)
        return self.reduced.sum(vector) / volume

    def updated_history(self) -> Floats:
        """Internal variables at the end of the loaded step, shape (n_history,)."""
        history = self.forms.history_blocks.join({k: h.updated() for k, h in self.forms.histories.items()})
        if self.watcher is not None:
            self.watcher(history)
        return history

    def why_not_a_number(self) -> str:
        """The reason why the residual at the loaded point is not a number, for messages (collective)."""
        failed = {phase: int(self.reduced.sum(p.n_failed)) for phase, p in self.forms.local_problems.items()}
        where = ", ".join(f"{n} of phase {phase!r}" for phase, n in failed.items() if n)
        return f"the local equations of a law were not solved at points: {where}" if where else NOT_A_NUMBER

    def average(self, expression: ufl.core.expr.Expr, phase: str | None = None) -> float:
        """Volume average over |Y| of a scalar UFL expression at the loaded state, or over a phase (see `hmm.RVE`)."""
        cell, dx = self.problem.cell, self.problem.measure
        if phase is not None:
            choice("phase", phase, cell.phases)
        form = expression * (dx if phase is None else dx(cell.phases[phase]))
        value = fem.assemble_scalar(compile_form(form))
        return float(cell.comm.allreduce(value)) / cell.volume

    def phase_tangents(self, phases: Iterable[str]) -> dict[str, Floats]:
        """Packed tangents of the laws of some phases at the loaded point, shape (m, m), phase averages (collective)."""
        cell, tangents = self.problem.cell, {}
        for phase in phases:
            forms = self._phase_forms.get(phase) or self._D_of_phase(phase)
            if phase in self.forms.histories:
                self._phase_forms[phase] = forms  # it will be needed again
            total = self.reduced.sum(dense(forms))
            tangents[phase] = total / (cell.volume_fractions[phase] * cell.volume)
        return tangents

    def _D_of_phase(self, phase: str) -> list[list[PackedForm]]:
        """The blocks of ``D`` over one phase only."""
        cell = self.problem.cell
        tag = cell.phases[phase]
        nowhere = dict.fromkeys(cell.phases.values(), np.zeros(0, dtype=np.int32))
        cells = tagged_cells(cell.phase_tags, tag)
        return self.forms.D_over(nowhere | {tag: cells})

    def _affine_fields(self) -> Floats | None:
        """Nodal values of the affine field of each unit macroscopic input, shape (m, n_local), or None."""
        problem = self.problem
        space, dim = problem.w.function_space, problem.cell.dim
        plain = len(problem.inputs) == 1 and not problem.is_mixed and not problem.micro
        plain = plain and problem.inputs[0].contribution is None
        plain = plain and problem.inputs[0].packing.shape == (*problem.w.ufl_shape, dim)
        plain = plain and space.num_sub_spaces in (0, dim)
        if not plain or space.ufl_element().embedded_superdegree < problem.cell.mesh.geometry.cmaps[0].degree:
            return None
        (e,) = problem.inputs
        points = space.element.interpolation_points
        x = ufl.SpatialCoordinate(problem.cell.mesh) - ufl.as_vector(np.asarray(problem.cell.origin).tolist())
        affine = compile_expression(e.affine(e.tensor, x), points)
        nodal = self._continued if space.element.interpolation_ident else self._interpolated
        return nodal(affine, e)

    def _interpolated(self, affine: fem.Expression, e: MacroInput) -> Floats:
        """Nodal values, shape (m, n_local), of a field for each unit input."""
        field, rows = fem.Function(self.problem.w.function_space), []
        for unit in np.eye(e.size):
            e.function.x.array[:] = unit
            field.interpolate(affine)
            rows.append(field.x.array.copy())
        return np.array(rows)

    def _continued(self, affine: fem.Expression, e: MacroInput) -> Floats:
        """As `_interpolated` if the nodal values are those at points: the linear field of one element, continued."""
        space, cell = self.problem.w.function_space, self.problem.cell
        x, known = space.tabulate_dof_coordinates()[:, : cell.dim] - cell.origin, space.dofmap.list[0]
        rows = []
        for unit in np.eye(e.size):
            e.function.x.array[:] = unit
            values = affine.eval(cell.mesh, np.zeros(1, dtype=np.int32))[0].reshape(len(known), -1)
            rows.append((x @ np.linalg.lstsq(x[known], values)[0]).ravel())
        return np.array(rows)
