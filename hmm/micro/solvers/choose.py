"""Choice of the linear solver of a cell by cost; `hmm.micro.solvers.described` describes the solvers.

Small cells use a direct solver, see `DIRECT_LIMIT`. PETSc options that name a solver take precedence. If an iterative
solver that ``"auto"`` has chosen fails, the cell continues with the direct solver, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray
from petsc4py import PETSc
from ufl.algorithms import expand_derivatives, extract_coefficients
from ufl.algorithms.analysis import extract_constants

from hmm.foundation import tensors
from hmm.foundation.console import warn
from hmm.foundation.errors import ConvergenceError, InputError
from hmm.foundation.forms import compile_expression, quadrature_points, quadrature_weights
from hmm.foundation.options import choice
from hmm.laws.base import responses
from hmm.micro.element_sweep import ElementSweep
from hmm.micro.loaded_cell import LoadedCell
from hmm.micro.solvers.assembled import (
    PREFIX,
    AssembledSolver,
    MicroSolver,
    direct_options,
    iterative_options,
    reuse_options,
)
from hmm.micro.solvers.described import SOLVERS
from hmm.micro.solvers.fft.layout import VoxelGrid, element_matrices
from hmm.micro.solvers.fft.solver import GridSolver, GridTangent, PhaseTangent, PointTangent

NAMING = ("ksp_type", "pc_type", "pc_factor_mat_solver_type")
"""PETSc options that name a solver and override ``solver=``."""

DIRECT_LIMIT = {2: 200_000, 3: 15_000}
"""Number of unknowns up to which ``solver="auto"`` uses a direct solver, by dimension of the cell.

At this size a plastic FE2 point (one Newton step and one consistent tangent) costs the same with both; see
``python benchmarks solvers``. Without tangents (``rve.solve(..., tangent=False)``) iterations are faster much earlier.
"""

GRID_LIMIT = {2: 50_000, 3: 1_000}
"""The same on a periodic grid of voxels."""

POROUS_LIMIT = {2: 200_000, 3: 4_000}
"""The same if some voxels are void: two to ten times as many iterations, and a sparser factor."""


FALLBACK_LIMIT = {2: 3_000_000, 3: 300_000}
"""Number of unknowns up to which a cell continues with a direct solver when iterations fail, limited by memory."""


@dataclass(frozen=True)
class SolverChoice:
    """The user's choice of a linear solver.

    Attributes
    ----------
    name
        One of `SOLVERS`.
    options
        PETSc options without prefix; a solver named there (one of `NAMING`) takes precedence.
    """

    name: str = "auto"
    options: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choice("solver", self.name, SOLVERS)


def create_solver(loaded: LoadedCell, symmetric: bool, wanted: SolverChoice) -> MicroSolver:
    """The linear solver of a cell.

    Parameters
    ----------
    loaded
        The cell.
    symmetric
        Whether its tangent is symmetric.
    wanted
        The user's choice.

    Raises
    ------
    InputError
        If options name a missing package, or an iterative solver is requested for an indefinite tangent.
    """
    options, solver, problem = dict(wanted.options), wanted.name, loaded.problem
    large = loaded.reduced.size_global > _direct_limit(loaded, symmetric)[problem.cell.dim]
    plain = loaded.reduced.constraint.multipliers.size == 0 and not problem.is_mixed
    if _is_named(options) or solver == "direct" or (solver == "auto" and not (large and plain)):
        return _direct_solver(loaded, symmetric, options, plain)
    if not plain:
        what = "a fluctuation of several fields" if problem.is_mixed else "constraint 'minimal'"
        raise InputError(f"{what} makes the tangent indefinite: use solver='direct'")
    if solver == "reuse":
        return _reusing_solver(loaded, symmetric, options)
    if _fits_grid(loaded, symmetric):
        with suppress(InputError):  # too many different coefficients for one matrix each: use multigrid
            return _grid_solver(loaded, {"ksp_rtol": 1e-8, "ksp_max_it": 2000} | options)
    assembled = AssembledSolver(loaded.reduced, loaded.forms.K, symmetric, iterative_options(symmetric) | options)
    assembled.set_near_nullspace(_rigid_motions(loaded, assembled.matrix))
    return assembled


def can_fall_back(loaded: LoadedCell, wanted: SolverChoice, solver: MicroSolver) -> bool:
    """Whether ``"auto"`` has chosen an iterative solver although a direct one is affordable."""
    chosen = wanted.name != "auto" or _is_named(wanted.options)
    affordable = loaded.reduced.size_global <= FALLBACK_LIMIT[loaded.problem.cell.dim]
    return solver.is_iterative and not chosen and affordable


def fallback_solver(loaded: LoadedCell, symmetric: bool, error: ConvergenceError) -> MicroSolver:
    """A direct solver that replaces a failed iterative one, with a warning once."""
    why = str(error).split(": ", maxsplit=1)[0]
    warn(f"{why}: this cell continues with solver='direct'")
    return _direct_solver(loaded, symmetric, {}, well_scaled=True)


def _is_named(options: Mapping[str, object]) -> bool:
    """Whether PETSc options, including those of the command line, name a solver."""
    return any(key in options or PETSc.Options().hasName(PREFIX + key) for key in NAMING)


def _direct_solver(
    loaded: LoadedCell, symmetric: bool, options: Mapping[str, object], well_scaled: bool
) -> AssembledSolver:
    wanted = direct_options(symmetric, well_scaled) | dict(options)
    return AssembledSolver(loaded.reduced, loaded.forms.K, symmetric, wanted, sweep=ElementSweep.of(loaded, symmetric))


def _direct_limit(loaded: LoadedCell, symmetric: bool) -> dict[int, int]:
    if not _fits_grid(loaded, symmetric):
        return DIRECT_LIMIT
    return GRID_LIMIT if loaded.problem.cell.has_whole_grid else POROUS_LIMIT


def _reusing_solver(loaded: LoadedCell, symmetric: bool, options: dict[str, object]) -> AssembledSolver:
    """CG whose preconditioner is the factorization of the undeformed cell, shared by all points."""
    wanted = reuse_options(symmetric) | options
    reusing = AssembledSolver(loaded.reduced, loaded.forms.K, symmetric, wanted, keep_first=True)
    loaded.load_undeformed()
    reusing.update()
    return reusing


def _fits_grid(loaded: LoadedCell, symmetric: bool) -> bool:
    """Whether the cell is a periodic grid, voids or not, on which its tangent can be applied and preconditioned."""
    problem, forms = loaded.problem, loaded.forms
    space, cell = problem.w.function_space, problem.cell
    corners = 2**cell.dim
    alike = cell.grid is not None and cell.comm.size == 1 and space.dofmap.list.shape[1] == corners
    alike = alike and not problem.is_mixed and problem.fixed.size == 0
    known = forms.is_linear or (
        bool(problem.law) and len(problem.inputs) == 1 and problem.inputs[0].contribution is None
    )
    volume_only = forms.K.form.integral_types == {fem.IntegralType.cell}
    return alike and known and volume_only and symmetric and loaded.reduced.constraint.name == "periodic"


def _grid_solver(loaded: LoadedCell, options: Mapping[str, object]) -> GridSolver:
    forms, cell = loaded.forms, loaded.problem.cell
    grid = VoxelGrid.from_space(loaded.problem.w.function_space, cell.lattice, np.asarray(cell.origin))
    form = forms.K.form
    if forms.is_linear and form.ufcx_form.num_coefficients:
        element_matrices(form, grid)
    tangent: GridTangent = _phase_tangent(loaded, grid) if forms.is_linear else _point_tangent(loaded, grid)
    return GridSolver(grid, loaded.reduced.constraint.blocks, tangent, options)


def _phase_tangent(loaded: LoadedCell, grid: VoxelGrid) -> PhaseTangent:
    """The tangent of a linear cell, with the affine fields of a voxel, whose translation does not matter."""
    if loaded.affine is None:
        return PhaseTangent(grid, loaded.forms.K)
    first = loaded.problem.w.function_space.dofmap.list[0]
    values = loaded.affine.reshape(len(loaded.affine), -1, grid.block)[:, first]
    fields = (values - values[:, :1]).reshape(len(values), -1)
    return PhaseTangent(grid, loaded.forms.K, fields[:, grid.order])


def _point_tangent(loaded: LoadedCell, grid: VoxelGrid) -> PointTangent:
    """The tangent ``sum of B^T C B`` of laws, moduli C evaluated by UFL at the quadrature points."""
    mesh, macro = loaded.problem.cell.mesh, loaded.problem.inputs[0]
    assert macro.operator is not None
    points = quadrature_points(mesh, loaded.problem.quadrature_degree)
    one = np.zeros(1, dtype=np.int32)
    trial = ufl.TrialFunction(loaded.problem.w.function_space)
    strain = compile_expression(macro.packing.pack(macro.operator(trial)), points).eval(mesh, one)[0]
    moduli = _moduli(loaded, grid, points)
    return PointTangent(
        grid, moduli, strain[..., grid.order], quadrature_weights(mesh, loaded.problem.quadrature_degree, one)[0]
    )


def _moduli(loaded: LoadedCell, grid: VoxelGrid, points: NDArray[np.float64]) -> Callable[[], NDArray[np.float64]]:
    """A function that returns the lower triangles of the packed moduli of the mesh's cells, in grid order."""
    m = loaded.problem.inputs[0].size
    values = np.zeros((len(grid.cell), len(points), m * (m + 1) // 2))
    changing = []
    for phase, tag in loaded.problem.cell.phases.items():
        vector = _phase_moduli(loaded, phase)
        cells = loaded.problem.cell.phase_tags.find(tag).astype(np.int32)
        expression = compile_expression(vector, points)
        values[grid.rank[cells]] = expression.eval(loaded.problem.cell.mesh, cells)
        if extract_coefficients(vector) or len(extract_constants(vector)) > 1:  # one is the nothing of `_phase_moduli`
            changing.append((grid.rank[cells], cells, expression))

    def collect() -> NDArray[np.float64]:
        for ranks, cells, expression in changing:
            values[ranks] = expression.eval(loaded.problem.cell.mesh, cells)
        return values

    return collect


def _phase_moduli(loaded: LoadedCell, phase: str) -> Any:
    """Lower triangle of the moduli ``d response / d field`` of a phase, packed, as a UFL vector."""
    macro, at = loaded.problem.inputs[0], loaded.forms.at(phase)
    y = ufl.variable(macro.packing.pack(loaded.problem.local()))
    local = tensors.embed(macro.packing.unpack(y), macro.out_of_plane)
    stress = responses(loaded.problem.law[phase], replace(at, fields={macro.field: local}))[macro.field]
    packed = macro.packing.pack(stress)
    C = expand_derivatives(ufl.diff(packed, y))
    nothing = fem.Constant(loaded.problem.cell.mesh, 0.0)  # lets moduli that are plain numbers know their mesh
    return ufl.as_vector([C[i, j] + nothing for i in range(macro.size) for j in range(i + 1)])


def _rigid_motions(loaded: LoadedCell, matrix: PETSc.Mat) -> list[PETSc.Vec]:
    """Translations and rotations of the free degrees of freedom; for a scalar field, translations only."""
    space = loaded.problem.w.function_space
    x = space.tabulate_dof_coordinates()[:, : loaded.problem.cell.dim]
    block = space.dofmap.index_map_bs
    motions = [np.tile(e, (len(x), 1)) for e in np.eye(block)]
    if block == loaded.problem.cell.dim:
        for i in range(block):
            for j in range(i):
                rotation = np.zeros((len(x), block))
                rotation[:, i], rotation[:, j] = x[:, j], -x[:, i]
                motions.append(rotation)
    blocks, vectors = loaded.reduced.constraint.blocks, []
    low, high = matrix.getOwnershipRange()
    rows = blocks[:, None] * block + np.arange(block)
    own = (blocks[:, None] >= 0) & (rows >= low) & (rows < high)
    for motion in motions:
        vector = matrix.createVecRight()
        vector.array_w[rows[own] - low] = motion[own]
        vectors.append(vector)
    return vectors
