"""Which linear solver a cell gets, by cost.

===========================  ==============================================================================
cell                         solver
===========================  ==============================================================================
small, or of several fields  direct: MUMPS, one factorization for all right-hand sides
periodic grid of voxels,     iterative: CG preconditioned by the FFT inverse of a reference cell, no matrix; void
with or without voids        voxels take no part in it
any other large cell         iterative: CG or GMRES with algebraic multigrid, rigid motions given to it
on demand                    reuse: CG preconditioned by the factorization of the undeformed cell, which all points
                             share; the fastest for stresses of mid-sized plastic 3D cells, not for their tangents
===========================  ==============================================================================

Small is what a direct solver does faster: see `DIRECT_LIMIT`. With PETSc options that name a solver, that one is taken.
Where ``"auto"`` has chosen iterations and they fail, the cell goes on with the direct solver and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray
from petsc4py import PETSc
from ufl.algorithms import expand_derivatives, extract_coefficients
from ufl.algorithms.analysis import extract_constants

from hmm import tensors
from hmm.errors import ConvergenceError, InputError
from hmm.forms import compile_expression, quadrature_points, quadrature_weights
from hmm.grid.layout import VoxelGrid, element_matrices
from hmm.grid.solver import GridSolver, GridTangent, PhaseTangent, PointTangent
from hmm.laws.base import responses
from hmm.linear import PREFIX, AssembledSolver, MicroSolver, direct_options, iterative_options, reuse_options
from hmm.options import choice

if TYPE_CHECKING:
    from hmm.rve import RVE

_LOG = logging.getLogger("hmm")

SOLVERS = ("auto", "direct", "reuse", "iterative")

NAMING = ("ksp_type", "pc_type", "pc_factor_mat_solver_type")
"""PETSc options that name a solver, and so take the choice from ``solver=``."""

DIRECT_LIMIT = {2: 200_000, 3: 15_000}
"""Unknowns up to which ``solver="auto"`` factorizes a tangent, by dimension of the cell.

That is where a plastic FE2 point (one Newton step and one consistent tangent) costs as much either way; see
``python benchmarks solvers``. Without tangents (``rve.solve(..., tangent=False)``) iterations win much earlier.
"""

GRID_LIMIT = {2: 50_000, 3: 1_000}
"""The same on a periodic grid of voxels."""

POROUS_LIMIT = {2: 200_000, 3: 4_000}
"""The same if some voxels are void: two to ten times as many iterations, and a sparser factor."""


FALLBACK_LIMIT = {2: 3_000_000, 3: 300_000}
"""Unknowns up to which a cell goes on with a direct solver when iterations fail; more would fill a machine."""


def create_solver(rve: RVE, solver: str, options: Mapping[str, object] | None) -> MicroSolver:
    """The micro solver of an RVE.

    Parameters
    ----------
    rve
        The microproblem, its forms compiled.
    solver
        ``"direct"``, ``"reuse"``, ``"iterative"`` or ``"auto"``.
    options
        PETSc options without prefix; if they name a solver (one of `NAMING`) the choice is theirs.

    Raises
    ------
    InputError
        For an unknown solver, or options that name a missing package.
    """
    choice("solver", solver, SOLVERS)
    options = dict(options or {})
    chosen = _is_named(options)
    large = rve.reduced.size_global > _direct_limit(rve)[rve.cell.dim]
    plain = rve.reduced.constraint.multipliers.size == 0 and not rve.is_mixed
    if chosen or solver == "direct" or (solver == "auto" and not (large and plain)):
        return _direct_solver(rve, options, plain)
    if not plain:
        what = "a fluctuation of several fields" if rve.is_mixed else "constraint 'minimal'"
        raise InputError(f"{what} makes the tangent indefinite: take solver='direct'")
    if solver == "reuse":
        return _reusing_solver(rve, options)
    if _fits_grid(rve):
        with suppress(InputError):  # coefficients of too many values for a matrix each: multigrid then
            return _grid_solver(rve, {"ksp_rtol": 1e-8, "ksp_max_it": 2000} | options)
    assembled = AssembledSolver(
        rve.reduced, rve.tangent_form, rve.is_symmetric, iterative_options(rve.is_symmetric) | options
    )
    assembled.set_near_nullspace(_rigid_motions(rve, assembled.matrix))
    return assembled


def can_fall_back(rve: RVE) -> bool:
    """Whether an RVE's solver is iterative by the program's choice, and a direct one affordable."""
    chosen = rve.solver_choice != "auto" or _is_named(rve.petsc_options)
    return rve.solver.is_iterative and not chosen and rve.reduced.size_global <= FALLBACK_LIMIT[rve.cell.dim]


def fall_back(rve: RVE, error: ConvergenceError) -> bool:
    """Give an RVE whose iterative solver has failed a direct one, at the loaded point; whether that was done."""
    if not can_fall_back(rve):
        return False
    if rve.cell.comm.rank == 0:
        why = str(error).split(": ", maxsplit=1)[0]
        _LOG.warning("%s: this cell goes on with solver='direct'", why)
    rve.solver.destroy()
    rve.solver = _direct_solver(rve, {}, well_scaled=True)
    rve.solver.update()
    return True


def _is_named(options: Mapping[str, object]) -> bool:
    """Whether PETSc options, those of the command line too, name a solver."""
    return any(key in options or PETSc.Options().hasName(PREFIX + key) for key in NAMING)


def _direct_solver(rve: RVE, options: Mapping[str, object], well_scaled: bool) -> AssembledSolver:
    wanted = direct_options(rve.is_symmetric, well_scaled) | dict(options)
    return AssembledSolver(rve.reduced, rve.tangent_form, rve.is_symmetric, wanted)


def _direct_limit(rve: RVE) -> dict[int, int]:
    if not _fits_grid(rve):
        return DIRECT_LIMIT
    return GRID_LIMIT if rve.cell.has_whole_grid else POROUS_LIMIT


def _reusing_solver(rve: RVE, options: dict[str, object]) -> AssembledSolver:
    """CG whose preconditioner is the factorization of the undeformed cell, shared by all points."""
    wanted = reuse_options(rve.is_symmetric) | options
    reusing = AssembledSolver(rve.reduced, rve.tangent_form, rve.is_symmetric, wanted, keep_first=True)
    rve.load_history(np.zeros(rve.n_history))
    rve.load(np.zeros(rve.n_unknowns), rve.reference)
    reusing.update()
    return reusing


def _fits_grid(rve: RVE) -> bool:
    """Whether the cell is a periodic grid, voids or not, on which its tangent can be applied and preconditioned."""
    space = rve.w.function_space
    corners = 2**rve.cell.dim
    alike = rve.cell.grid is not None and rve.cell.comm.size == 1 and space.dofmap.list.shape[1] == corners
    alike = alike and not rve.is_mixed and rve.held.size == 0
    known = rve.is_linear or (bool(rve.law) and len(rve.inputs) == 1)
    volume_only = rve.tangent_form.form.integral_types == {fem.IntegralType.cell}
    return alike and known and volume_only and rve.is_symmetric and rve.reduced.constraint.name == "periodic"


def _grid_solver(rve: RVE, options: Mapping[str, object]) -> GridSolver:
    grid = VoxelGrid.from_space(rve.w.function_space, rve.cell.lattice, np.asarray(rve.cell.origin))
    form = rve.tangent_form.form
    if rve.is_linear and form.ufcx_form.num_coefficients:
        element_matrices(form, grid)
    tangent: GridTangent = PhaseTangent(grid, rve.tangent_form) if rve.is_linear else _point_tangent(rve, grid)
    return GridSolver(grid, rve.reduced.constraint.blocks, tangent, options)


def _point_tangent(rve: RVE, grid: VoxelGrid) -> PointTangent:
    """The tangent ``sum of B^T C B`` of laws, moduli C evaluated by UFL at the quadrature points."""
    mesh, macro = rve.cell.mesh, rve.inputs[0]
    assert macro.operator is not None
    points = quadrature_points(mesh, rve.quadrature_degree)
    one = np.zeros(1, dtype=np.int32)
    trial = ufl.TrialFunction(rve.w.function_space)
    strain = compile_expression(macro.packing.pack(macro.operator(trial)), points).eval(mesh, one)[0]
    local = (grid.block * np.argsort(grid.corner)[:, None] + np.arange(grid.block)).ravel()
    moduli = _moduli(rve, grid, points)
    return PointTangent(grid, moduli, strain[..., local], quadrature_weights(mesh, rve.quadrature_degree, one)[0])


def _moduli(rve: RVE, grid: VoxelGrid, points: NDArray[np.float64]) -> Callable[[], NDArray[np.float64]]:
    """A function that returns the lower triangles of the packed moduli of the mesh's cells, in grid order."""
    m = rve.inputs[0].size
    values = np.zeros((len(grid.cell), len(points), m * (m + 1) // 2))
    changing = []
    for phase, tag in rve.cell.phases.items():
        vector = _phase_moduli(rve, phase)
        cells = rve.cell.phase_tags.find(tag).astype(np.int32)
        expression = compile_expression(vector, points)
        values[grid.rank[cells]] = expression.eval(rve.cell.mesh, cells)
        if extract_coefficients(vector) or len(extract_constants(vector)) > 1:  # one is the nothing of `_phase_moduli`
            changing.append((grid.rank[cells], cells, expression))

    def collect() -> NDArray[np.float64]:
        for ranks, cells, expression in changing:
            values[ranks] = expression.eval(rve.cell.mesh, cells)
        return values

    return collect


def _phase_moduli(rve: RVE, phase: str) -> Any:
    """Lower triangle of the moduli ``d response / d field`` of a phase, packed, as a UFL vector."""
    macro, at = rve.inputs[0], rve.at(phase)
    y = ufl.variable(macro.packing.pack(rve.local()))
    local = tensors.embed(macro.packing.unpack(y), macro.out_of_plane)
    stress = responses(rve.law[phase], replace(at, fields={macro.name: local}))[macro.name]
    packed = macro.packing.pack(stress)
    C = expand_derivatives(ufl.diff(packed, y))
    nothing = fem.Constant(rve.cell.mesh, 0.0)  # lets moduli that are plain numbers know their mesh
    return ufl.as_vector([C[i, j] + nothing for i in range(macro.size) for j in range(i + 1)])


def _rigid_motions(rve: RVE, matrix: PETSc.Mat) -> list[PETSc.Vec]:
    """Translations and rotations of the free dofs; translations only for a scalar field."""
    space = rve.w.function_space
    x = space.tabulate_dof_coordinates()[:, : rve.cell.dim]
    block = space.dofmap.index_map_bs
    motions = [np.tile(e, (len(x), 1)) for e in np.eye(block)]
    if block == rve.cell.dim:
        for i in range(block):
            for j in range(i):
                rotation = np.zeros((len(x), block))
                rotation[:, i], rotation[:, j] = x[:, j], -x[:, i]
                motions.append(rotation)
    blocks, vectors = rve.reduced.constraint.blocks, []
    low, high = matrix.getOwnershipRange()
    rows = blocks[:, None] * block + np.arange(block)
    own = (blocks[:, None] >= 0) & (rows >= low) & (rows < high)
    for motion in motions:
        vector = matrix.createVecRight()
        vector.array_w[rows[own] - low] = motion[own]
        vectors.append(vector)
    return vectors
