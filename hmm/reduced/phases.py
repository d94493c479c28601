"""The phases of a cell as kernels and quadrature points: local fields in, stresses and tangents out."""

from __future__ import annotations

from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray
from scipy import sparse

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_expression, quadrature_points, quadrature_weights, tagged_cells
from hmm.foundation.tensors import Packing
from hmm.laws.kernel import LawKernel, field_packings, kind_of
from hmm.micro.definition import CellProblem
from hmm.micro.loaded_cell import LoadedCell

Floats = NDArray[np.float64]


_KERNELS: WeakKeyDictionary[CellProblem, dict[str, LawKernel]] = WeakKeyDictionary()


def kernel_of(problem: CellProblem, phase: str) -> LawKernel:
    """The law of a phase as a kernel, its fields packed with the components that the cell has; made once."""
    known = _KERNELS.setdefault(problem, {})
    if phase not in known:
        known[phase] = _new_kernel(problem, phase)
    return known[phase]


def _new_kernel(problem: CellProblem, phase: str) -> LawKernel:
    law, dim, known = problem.law[phase], problem.cell.dim, field_packings(problem.cell.dim)
    fields = {problem.inputs[0].field: problem.local(), **problem.further_fields()}

    def packing(name: str) -> Packing:
        shape, usual = fields[name].ufl_shape, known.get(kind_of(law, name))
        if usual is not None and usual.shape == shape:
            return usual
        if shape == (3, 3):
            return tensors.plane(dim) if usual is not None and usual.symmetric else tensors.plane_general(dim)
        return tensors.general(*shape)

    return LawKernel(law, dim, {name: packing(name) for name in law.fields})


class PhasePoints:
    """One phase of a cell: its law, and its local fields at all quadrature points.

    Parameters
    ----------
    problem
        The cell problem.
    phase
        Name of the phase.

    Attributes
    ----------
    kernel
        The law.
    weights, x
        Shapes (n,) and (n, gdim); quadrature weights and points.
    offset
        Shape (n, f); packed local fields without macroscopic input and fluctuation.
    stiffness, start
        Shapes (f, f) and (f,); the law linearized in the undeformed state, ``start + stiffness fields``.
    is_linear
        Whether the response is linear in the fields, up to a constant, without history.
    """

    def __init__(self, problem: CellProblem, phase: str) -> None:
        self.problem, self.phase, self.kernel = problem, phase, kernel_of(problem, phase)
        cell, degree = problem.cell, problem.quadrature_degree
        mesh, rule = cell.mesh, quadrature_points(cell.mesh, degree)
        self.cells = tagged_cells(cell.phase_tags, cell.phases[phase])
        self._fields = compile_expression(tensors.pack_all(self.kernel.packings, problem.local_fields()), rule)
        self.weights = quadrature_weights(mesh, degree, self.cells).ravel()
        self.x = _coordinates(problem, rule, self.cells)
        clear(problem)
        self.offset = self.evaluate()
        for e in problem.inputs:
            e.function.x.array[:] = e.reference
        undeformed = self.evaluate()[:1]
        clear(problem)
        stress, tangents, _ = self.kernel(undeformed, dt=1.0)
        self.stiffness = tangents[0].copy()
        self.start = stress[0] - self.stiffness @ undeformed[0]
        self.is_linear = not self.kernel.n_variables and self._has_constant_tangent(undeformed)

    @property
    def n(self) -> int:
        """Number of quadrature points."""
        return self.weights.size

    def evaluate(self) -> Floats:
        """Packed local fields, shape (n, f), of the Functions as they are now."""
        return self._fields.eval(self.problem.cell.mesh, self.cells).reshape(-1, self.kernel.n_fields)

    def per_unknown(self, numbers: NDArray[np.int64], n: int) -> sparse.csr_array:
        """What each of `n` unknowns adds to the packed local fields, shape (points f, n).

        `numbers` are those of the unknowns of the fluctuation's degrees of freedom, or -1.
        """
        w, mesh = self.problem.w, self.problem.cell.mesh
        V = w.function_space
        packed = tensors.pack_all(self.kernel.packings, self.problem.local_fields())
        unit = ufl.algorithms.expand_derivatives(ufl.derivative(packed, w, ufl.TrialFunction(V)))
        rule = quadrature_points(mesh, self.problem.quadrature_degree)
        size = V.dofmap.bs
        dofs = (V.dofmap.list[self.cells][:, :, None].astype(np.int64) * size + np.arange(size)).reshape(
            self.cells.size, -1
        )
        values = compile_expression(unit, rule).eval(mesh, self.cells).reshape(self.cells.size, -1, dofs.shape[1])
        rows = np.arange(self.n * self.kernel.n_fields).reshape(self.cells.size, -1, 1)
        rows, columns = np.broadcast_arrays(rows, numbers[dofs][:, None])
        used = (columns >= 0) & (values != 0.0)
        entries = values[used], (rows[used], columns[used])
        return sparse.csr_array(sparse.coo_array(entries, shape=(self.n * self.kernel.n_fields, n)))

    def elastic(self, fields: Floats) -> Floats:
        """Stresses of the law linearized in the undeformed state, for fields of shape (n, f)."""
        return self.start + fields @ self.stiffness.T

    def _has_constant_tangent(self, fields: Floats) -> bool:
        shifts = 1e-3 * np.random.default_rng(0).standard_normal((4, self.kernel.n_fields))
        tangents = self.kernel(fields + shifts, dt=1.0)[1]
        return bool(np.allclose(tangents, self.stiffness, rtol=0, atol=1e-14 * np.abs(self.stiffness).max()))


class CellPoints:
    """All phases of a cell, and how its fields follow macroscopic inputs and fluctuations.

    Parameters
    ----------
    loaded
        The constrained cell.

    Raises
    ------
    InputError
        If it is made of an energy, or an input adds to a field what is not linear in it.
    """

    def __init__(self, loaded: LoadedCell) -> None:
        self.loaded, self.problem = loaded, loaded.problem
        if not self.problem.law:
            raise InputError("the RVE is made of an energy, and a reduced model is made of laws: give law={...}")
        self.phases = {phase: PhasePoints(self.problem, phase) for phase in self.problem.law}
        self._check_linear()

    def of_inputs(self) -> dict[str, Floats]:
        """For each phase its fields per unit of each packed input, shape (n, f, m)."""
        rows: list[dict[str, Floats]] = []
        for unit in np.eye(self.problem.n_inputs):
            clear(self.problem)
            self._load_inputs(unit)
            rows.append({name: p.evaluate() - p.offset for name, p in self.phases.items()})
        clear(self.problem)
        return {name: np.stack([row[name] for row in rows], axis=-1) for name in self.phases}

    def of_fluctuations(self, z: Floats) -> dict[str, Floats]:
        """For each phase what fluctuations, rows of shape (k, n_unknowns), add to its fields, shape (k, n, f)."""
        fields = {name: (per @ z.T).T for name, per in self.per_unknown.items()}
        points = {name: p.n for name, p in self.phases.items()}
        return {name: f.reshape(len(z), points[name], f.shape[1] // points[name]) for name, f in fields.items()}

    @cached_property
    def per_unknown(self) -> dict[str, sparse.csr_array]:
        """For each phase what each unknown adds to its fields, shape (n f, n_unknowns)."""
        reduced = self.loaded.reduced
        clear(self.problem)
        numbers = reduced.numbers()
        return {name: p.per_unknown(numbers, reduced.size_owned) for name, p in self.phases.items()}

    def _load_inputs(self, E: Floats) -> None:
        for name, part in self.problem.blocks.split(E).items():
            next(e for e in self.problem.inputs if e.name == name).function.x.array[:] = part

    def _check_linear(self) -> None:
        """Raise `InputError` unless the fields at a point are linear in all inputs, up to a constant."""
        E = np.random.default_rng(0).uniform(0.5, 1.5, self.problem.n_inputs)
        units = self.of_inputs()
        self._load_inputs(E)
        for name, p in self.phases.items():
            found, expected = p.evaluate() - p.offset, units[name] @ E
            if not np.allclose(found, expected, rtol=0, atol=1e-10 * max(1.0, np.abs(expected).max(initial=0.0))):
                raise InputError("a macro input adds to its field what is not linear in it, which cannot be reduced")
        clear(self.problem)


def clear(problem: CellProblem) -> None:
    """Load no fluctuation and no macroscopic input."""
    for function in (problem.w, *(e.function for e in problem.inputs)):
        function.x.array[:] = 0.0


def _coordinates(problem: CellProblem, rule: Floats, cells: NDArray[np.int32]) -> Floats:
    mesh = problem.cell.mesh
    x: fem.Expression = compile_expression(ufl.SpatialCoordinate(mesh), rule)
    return x.eval(mesh, cells).reshape(-1, mesh.geometry.dim)
