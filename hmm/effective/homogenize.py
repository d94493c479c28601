"""From a cell and its laws to the effective properties."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.cells import Polycrystal, quality
from hmm.cells.cell import Cell
from hmm.effective.fields import Solved
from hmm.effective.limits import Limits
from hmm.effective.mesh_error import MeshError, coarse_cell
from hmm.effective.physics import Physics, physics_of
from hmm.effective.properties import EffectiveProperties
from hmm.foundation.console import tell
from hmm.foundation.errors import HMMError, InputError
from hmm.foundation.naming import nearest, require_known
from hmm.laws.rigid import without_rigid
from hmm.micro.constraints import CONSTRAINTS
from hmm.micro.response import PointState
from hmm.micro.rve import RVE
from hmm.micro.solvers.described import SOLVERS

Floats = NDArray[np.float64]

ESTIMATE_LIMIT = {2: 400_000, 3: 100_000}
"""Largest number of unknowns for an estimate of the discretization error, by dimension of the cell."""

TOO_LARGE = 0.2
"""Relative discretization error above which a violated bound is not attributed to it: the solution is unreliable."""

REST = "*"
"""The name that stands for all phases that are not named."""


def homogenize(
    cell: Cell | Polycrystal,
    laws: Mapping[str, Any],
    constraint: str = "periodic",
    physics: str = "elasticity",
    *,
    degree: int | None = None,
    out_of_plane: bool = False,
    dt: float | None = None,
    mesh_error: bool = False,
    units: Mapping[str, str] | None = None,
    **options: Any,
) -> EffectiveProperties:
    """Effective properties of a cell in its undeformed state (collective on the cell's communicator).

    Parameters
    ----------
    cell
        The unit cell; for flow the mesh of the fluid. A polycrystal rotates laws that have axes to those of its grains.
    laws
        The law of each phase by name; ``"*"`` stands for all other phases. For conduction a number, a (d, d)
        matrix or a law of the gradient, for flow the viscosity or `hmm.laws.Stokes`.
    constraint
        As for `hmm.RVE`.
    physics
        ``"elasticity"``, for laws of the strain or of the deformation gradient; ``"conduction"``, for laws of a
        gradient; ``"thermoelasticity"``, for stiffness, thermal expansion and, if the laws have one, conductivity of
        `hmm.laws.ThermoElastic`; or ``"flow"``, for permeability.
    degree
        Degree of the fluctuation; for flow that of the velocity, 2 by default. Otherwise `Cell.degree` by default: 2
        for smooth meshes of images, whose few triangles of degree 1 are several percent too stiff, else 1.
    out_of_plane
        Add the component 33 to the strain of a 2D cell (generalised plane strain), to find E3 and nu31.
    dt
        Duration of the step, for laws with rates: the properties are those of one step from the undeformed state.
    mesh_error
        Estimate the error of the tensor from the mesh, `EffectiveProperties.mesh_error`; it takes several times as
        long.
    units
        Names of the units of the laws and of the cell, for tables and pictures: ``"stress"``, ``"length"``,
        ``"temperature"``, ``"conductivity"``. Numbers are not converted.
    options
        Passed on to `hmm.RVE`.

    Returns
    -------
    EffectiveProperties
        The properties, with the solved cell for its local fields.

    Raises
    ------
    InputError
        If `physics` or an option is unknown, `cell` is not a cell, the phases differ, or the laws do not fit.

    Notes
    -----
    If a bound is violated, the discretization error is estimated too, by a second solution with fluctuations of one
    degree more. Only a violation that exceeds this error is reported.
    """
    kind = physics_of(physics)
    _check_options(options)
    require_known("constraint", constraint, CONSTRAINTS)
    require_known("solver", options.get("solver", "auto"), SOLVERS)
    if not isinstance(cell, Cell | Polycrystal):
        raise InputError(f"{type(cell).__name__} is not a cell: convert an image or array with hmm.images.image_cell")
    cell, laws = by_phase(cell, laws)
    laws = without_rigid(laws)
    degree = max(kind.degree, cell.degree) if degree is None else degree
    task = _Task(kind, cell, laws, constraint, out_of_plane, dt)
    rve, state, found = task.solved(degree, options)
    estimate = _Estimate(task, rve, found["tensor"], degree, options, mesh_error)
    if mesh_error:
        estimate.make()
    limits = task.limits(rve, found["tensor"], estimate)
    return EffectiveProperties(
        physics,
        fractions=dict(cell.volume_fractions),
        constraint=constraint,
        limits=limits,
        mesh_error=estimate.error,
        units=_units(units),
        how=_how(rve, degree, options) | ({"mesh error": estimate.remark} if mesh_error else {}),
        solved=Solved(rve, state),
        **found,
    )


def cell_problem(
    cell: Cell | Polycrystal,
    laws: Mapping[str, Any],
    constraint: str = "periodic",
    physics: str = "elasticity",
    *,
    degree: int | None = None,
    out_of_plane: bool = False,
    **options: Any,
) -> RVE:
    """The RVE that `homogenize` solves with the same arguments, for any loads (collective)."""
    kind = physics_of(physics)
    cell, laws = by_phase(cell, laws)
    task = _Task(kind, cell, without_rigid(laws), constraint, out_of_plane, None)
    return task.rve(max(kind.degree, cell.degree) if degree is None else degree, options)


@dataclass(frozen=True, eq=False)
class _Task:
    """The problem of `homogenize`, which can be solved with fluctuations of several degrees."""

    kind: Physics
    cell: Cell
    laws: Mapping[str, Any]
    constraint: str
    out_of_plane: bool
    dt: float | None

    def rve(self, degree: int, options: Mapping[str, Any]) -> RVE:
        """The problem of the cell."""
        problem = self.kind.set_up(self.cell, self.laws, degree, self.out_of_plane)
        inputs: Any = problem.inputs if len(problem.inputs) > 1 else problem.inputs[0]
        return RVE(
            *(self.cell, problem.w, inputs, problem.laws),
            constraint=self.constraint,
            fixed_dofs=problem.fixed_dofs,
            **options,
        )

    def solved(self, degree: int, options: Mapping[str, Any]) -> tuple[RVE, PointState, dict[str, Any]]:
        """The RVE, its state and the attributes of the properties."""
        rve = self.rve(degree, options)
        elements = self.cell.mesh.topology.index_map(self.cell.dim).size_global
        unknowns, n_cases = rve.system.loaded.reduced.size_global, sum(macro.packing.size for macro in rve.inputs)
        size = f"{elements:,} elements, degree {degree}, {unknowns:,} unknowns"
        tell(self.cell.comm, f"solving {n_cases} load cases: {size}")
        answer = rve.solve(rve.reference, dt=self.dt)
        return rve, answer.state, self.kind.read(rve, answer.tangent)

    def limits(self, rve: RVE, tensor: Floats, estimate: _Estimate) -> Limits | None:
        """The bounds on the tensor; None if there are none for this physics."""
        of_phase = self.kind.of_phase
        if of_phase is None:
            return None
        phases: dict[str, Floats] = {phase: of_phase(rve, tangent) for phase, tangent in rve.phase_tangents().items()}
        return Limits.of(
            *(tensor, dict(self.cell.volume_fractions), phases, self.kind.quantity, self.constraint == "periodic"),
            estimate.trusted,
        )


@dataclass(eq=False)
class _Estimate:
    """The error of the tensor from the mesh, estimated at most once.

    Energies of finite elements converge from above. On a mesh that resolves the solution, the change with one
    more degree is the larger part of the error. The estimate is twice this change, to be safe. A grid of voxels that
    is too large for this is compared with one of voxels of twice the size: its error is at least of first order,
    because of the stairs, so that the change is the estimate.
    """

    task: _Task
    rve: RVE
    tensor: Floats
    degree: int
    options: Mapping[str, Any]
    wanted: bool
    error: MeshError | None = None
    remark: str = ""

    def make(self) -> None:
        """Set `error`, or the reason why there is none in `remark` (collective)."""
        if self.error is not None or self.remark:
            return
        dim = self.task.cell.dim
        unknowns = self.rve.system.loaded.reduced.size_global * ((self.degree + 1) / self.degree) ** dim
        limit, none = ESTIMATE_LIMIT[dim], "the discretization error is not estimated"
        if unknowns > limit and self._from_coarse_voxels():
            return
        if unknowns > limit:
            self.remark = f"{none}: one degree more has about {unknowns:,.0f} unknowns, and {limit:,} are the limit"
            return
        tell(self.task.cell.comm, "estimating the numerical error with one degree more")
        kept = {name: value for name, value in self.options.items() if name != "quadrature_degree"}
        try:
            finer, _, found = self.task.solved(self.degree + 1, kept)
        except HMMError as failed:
            self.remark = f"{none}: with one degree more {failed}"
            return
        finer.destroy()
        source = f"by a solution of degree {self.degree + 1} on the same mesh"
        self._set(MeshError.of(2 * (self.tensor - found["tensor"]), self.tensor, source))

    def _from_coarse_voxels(self) -> bool:
        """Set `error` from voxels of twice the size, if this is wanted and there are any (collective)."""
        cell = coarse_cell(self.task.cell) if self.wanted else None
        if cell is None:
            return False
        tell(cell.comm, "estimating the numerical error with voxels of twice the size")
        try:
            rve, _, found = replace(self.task, cell=cell).solved(self.degree, self.options)
        except (HMMError, ValueError, RuntimeError):  # laws with fields on the mesh of the cell
            return False
        rve.destroy()
        source = "by a solution on voxels of twice the size"
        self._set(MeshError.of(found["tensor"] - self.tensor, self.tensor, source, signed=False))
        return True

    def _set(self, error: MeshError) -> None:
        self.error, self.remark = error, f"the discretization error is {error.words}"
        if not error.size <= TOO_LARGE:
            self.remark += ": take a finer mesh or degree"

    def trusted(self) -> tuple[Floats | None, str]:
        """The error if it is small enough to excuse a violated bound, and the remark (collective)."""
        self.make()
        small = self.error is not None and self.error.size <= TOO_LARGE and self.error.signed
        return self.error.tensor if self.error is not None and small else None, self.remark


UNITS = ("stress", "length", "temperature", "conductivity")


def _units(units: Mapping[str, str] | None) -> dict[str, str]:
    """The names of the units, if they are of known quantities."""
    found = dict(units or {})
    for name, unit in found.items():
        require_known("unit of", name, UNITS)
        if not isinstance(unit, str) or not unit.strip() or len(unit) > 40 or not unit.isprintable():
            raise InputError(f"the unit of {name} is {unit!r}: give its name, such as 'GPa'")
    return found


def _check_options(options: Mapping[str, Any]) -> None:
    """Reject options that `hmm.RVE` does not have or that are set here."""
    given = inspect.signature(RVE).parameters.values()
    own = inspect.signature(homogenize).parameters.values()
    passed = [
        p.name for p in given if p.kind is p.KEYWORD_ONLY and p.name not in ("energy", "constraint", "fixed_dofs", "dt")
    ]
    known = [p.name for p in own if p.kind is not p.VAR_KEYWORD and p.name not in ("cell", "laws")] + passed
    for name in options:
        if name not in passed:
            raise InputError(f"unknown option {name!r}{nearest(name, known)}: the options are {', '.join(known)}")


def by_phase(cell: Cell | Polycrystal, laws: Mapping[str, Any]) -> tuple[Cell, dict[str, Any]]:
    """The cell, and the law of each of its phases.

    Parameters
    ----------
    cell
        The cell; a polycrystal rotates laws that have axes to those of its grains.
    laws
        The law of each phase; ``"*"`` stands for all other phases.

    Raises
    ------
    InputError
        If a phase has no law, or a law no phase.
    """
    crystal, cell = (cell, cell.cell) if isinstance(cell, Polycrystal) else (None, cell)
    unknown, missing = set(laws) - {REST} - set(cell.phases), set(cell.phases) - set(laws)
    if unknown or (missing and REST not in laws):
        raise InputError(f"laws are given for {sorted(laws)}, but the phases are {sorted(cell.phases)}: give one each")
    named = {phase: laws[phase] if phase in laws else laws[REST] for phase in cell.phases}
    rotate = (cell if crystal is None else crystal).rotated
    rotated = {id(law): rotate(law) for law in named.values()}  # one law for all grains of a material
    return cell, {grain: rotated[id(law)] for grain, law in named.items()}


def _how(rve: RVE, degree: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Details of the solution, for reports."""
    cells = rve.cell.mesh.topology.index_map(rve.cell.mesh.topology.dim).size_global
    ksp = rve.system.solver.ksp  # type: ignore[attr-defined]
    solver = ksp.getPC().getFactorSolverType() if ksp.getType() == "preonly" else ksp.getPC().getType()
    name = type(rve.system.solver).__name__
    how = {"AssembledSolver": f"{ksp.getType()}, {solver}", "GridSolver": f"{ksp.getType()}, FFT"}[name]
    return {
        "elements": int(cells),
        "element": str(rve.cell.mesh.ufl_cell().cellname),
        "degree": degree,
        "unknowns": int(rve.system.loaded.reduced.size_global),
        "solver": "direct, MUMPS" if how == "preonly, mumps" else how,
        "mesh quality": _quality(rve.cell),
        "options": {name: str(value) for name, value in options.items()},
    }


def _quality(cell: Cell) -> str | None:
    """The quality of the elements in words; None for voxels, and for a cell on several ranks."""
    if cell.grid is not None or cell.comm.size > 1:
        return None
    with suppress(np.linalg.LinAlgError):  # a flat element
        found = quality(cell)
        simplex = cell.mesh.topology.cell_name() in ("triangle", "tetrahedron")
        name = "radius ratio" if simplex else "shortest over longest edge"
        return f"{name} {found.minimum:.2f} at worst, {found.mean:.2f} on average"
    return None
