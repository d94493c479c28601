"""From a cell and its laws to the effective properties."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.cells import Polycrystal, quality
from hmm.cells.cell import Cell
from hmm.effective.fields import Solved
from hmm.effective.limits import Limits
from hmm.effective.physics import Physics, physics_of
from hmm.effective.properties import EffectiveProperties
from hmm.foundation.errors import HMMError, InputError
from hmm.foundation.naming import nearest, require_known
from hmm.laws.rigid import without_rigid
from hmm.micro.constraints import CONSTRAINTS
from hmm.micro.response import PointState
from hmm.micro.rve import RVE
from hmm.micro.solvers.described import SOLVERS

Floats = NDArray[np.float64]

ESTIMATE_LIMIT = {2: 400_000, 3: 100_000}
"""Unknowns up to which the discretization error is estimated where a bound seems violated, by dimension of the cell."""

TOO_LARGE = 0.2
"""Relative discretization error beyond which it excuses nothing: the solution is not to be relied on."""

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
    **options: Any,
) -> EffectiveProperties:
    """Effective properties of a cell at its undeformed state (collective on the cell's communicator).

    Parameters
    ----------
    cell
        The unit cell; for flow the mesh of the fluid. A polycrystal turns laws that have axes with its grains.
    laws
        For each phase name its law; ``"*"`` stands for all phases that are not named. For conduction a number, a (d, d)
        matrix or a law of the gradient, for flow the viscosity or `hmm.laws.Stokes`.
    constraint
        As for `hmm.RVE`.
    physics
        ``"elasticity"``, of laws of the strain or of the deformation gradient; ``"conduction"``, of laws of a
        gradient; ``"thermoelasticity"``, stiffness, thermal expansion and, if the laws have one, conductivity of
        `hmm.laws.ThermoElastic`; or ``"flow"``, permeability.
    degree
        Degree of the fluctuation; for flow that of the velocity, 2 by default, else 1.
    out_of_plane
        Give the strain of a 2D cell the component 33 (generalised plane strain), so that E3 and nu31 are known.
    dt
        Duration of the step, for laws with rates: the properties are those of a step from rest.
    options
        Passed on to `hmm.RVE`.

    Returns
    -------
    EffectiveProperties
        With what is needed to look at the local fields.

    Raises
    ------
    InputError
        If `physics` or an option is unknown, `cell` is none, the phases are not its own, or the laws do not fit.

    Notes
    -----
    Where a bound seems to be violated, the discretization error is estimated by a second solution with fluctuations of
    one degree more, and only what exceeds it is a violation.
    """
    kind = physics_of(physics)
    _check_options(options)
    require_known("constraint", constraint, CONSTRAINTS)
    require_known("solver", options.get("solver", "auto"), SOLVERS)
    if not isinstance(cell, Cell | Polycrystal):
        raise InputError(f"{type(cell).__name__} is no cell: make one of an image or array with hmm.images.image_cell")
    cell, laws = _by_phase(cell, laws)
    laws = without_rigid(laws)
    degree = kind.degree if degree is None else degree
    task = _Task(kind, cell, laws, constraint, out_of_plane, dt)
    rve, state, found = task.solved(degree, options)
    return EffectiveProperties(
        physics,
        fractions=dict(cell.volume_fractions),
        constraint=constraint,
        limits=task.limits(rve, found["tensor"], degree, options),
        how=_how(rve, degree, options),
        solved=Solved(rve, state),
        **found,
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """What is homogenized, to be solved with fluctuations of several degrees."""

    kind: Physics
    cell: Cell
    laws: Mapping[str, Any]
    constraint: str
    out_of_plane: bool
    dt: float | None

    def solved(self, degree: int, options: Mapping[str, Any]) -> tuple[RVE, PointState, dict[str, Any]]:
        """The RVE, its state and the attributes of the properties."""
        problem = self.kind.set_up(self.cell, self.laws, degree, self.out_of_plane)
        inputs: Any = problem.inputs if len(problem.inputs) > 1 else problem.inputs[0]
        rve = RVE(
            *(self.cell, problem.w, inputs, problem.laws),
            constraint=self.constraint,
            fixed_dofs=problem.fixed_dofs,
            **options,
        )
        answer = rve.solve(rve.reference, dt=self.dt)
        return rve, answer.state, self.kind.read(rve, answer.tangent)

    def limits(self, rve: RVE, tensor: Floats, degree: int, options: Mapping[str, Any]) -> Limits | None:
        """The bounds on the tensor, if there are any of its kind."""
        of_phase = self.kind.of_phase
        if of_phase is None:
            return None
        phases: dict[str, Floats] = {phase: of_phase(rve, tangent) for phase, tangent in rve.phase_tangents().items()}
        return Limits.of(
            *(tensor, dict(self.cell.volume_fractions), phases, self.kind.quantity, self.constraint == "periodic"),
            lambda: self.error(rve, tensor, degree, options),
        )

    def error(self, rve: RVE, tensor: Floats, degree: int, options: Mapping[str, Any]) -> tuple[Floats | None, str]:
        """Estimate of the discretization error of the tensor, and words about it (collective).

        Energies of finite elements converge from above. What one more degree takes off is the larger part of the error
        on a mesh that resolves the solution; it is doubled to be safe.
        """
        unknowns = rve.system.loaded.reduced.size_global * ((degree + 1) / degree) ** self.cell.dim
        limit = ESTIMATE_LIMIT[self.cell.dim]
        if unknowns > limit:
            why = f"one degree more has about {unknowns:,.0f} unknowns, and {limit:,} are the limit"
            return None, f"the discretization error is not estimated: {why}"
        kept = {name: value for name, value in options.items() if name != "quadrature_degree"}
        try:
            finer, _, found = self.solved(degree + 1, kept)
        except HMMError as failed:
            return None, f"the discretization error is not estimated: with one degree more {failed}"
        finer.destroy()
        error = 2 * (tensor - found["tensor"])
        size = float(np.linalg.norm(error) / np.linalg.norm(tensor))
        where = f"by a solution of degree {degree + 1} on the same mesh"
        if not size <= TOO_LARGE:
            return None, f"the discretization error is up to {100 * size:.2g} %, {where}: take a finer mesh or degree"
        return error, f"the discretization error is up to {100 * size:.2g} %, {where}"


def _check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that `hmm.RVE` does not know or that are set here."""
    given = inspect.signature(RVE).parameters.values()
    own = inspect.signature(homogenize).parameters.values()
    passed = [
        p.name for p in given if p.kind is p.KEYWORD_ONLY and p.name not in ("energy", "constraint", "fixed_dofs", "dt")
    ]
    known = [p.name for p in own if p.kind is not p.VAR_KEYWORD and p.name not in ("cell", "laws")] + passed
    for name in options:
        if name not in passed:
            raise InputError(f"unknown option {name!r}{nearest(name, known)}: the options are {', '.join(known)}")


def _by_phase(cell: Cell | Polycrystal, laws: Mapping[str, Any]) -> tuple[Cell, dict[str, Any]]:
    """The cell, and the law of each of its phases."""
    crystal, cell = (cell, cell.cell) if isinstance(cell, Polycrystal) else (None, cell)
    unknown, missing = set(laws) - {REST} - set(cell.phases), set(cell.phases) - set(laws)
    if unknown or (missing and REST not in laws):
        raise InputError(f"laws are given for {sorted(laws)}, but the phases are {sorted(cell.phases)}: name the same")
    named = {phase: laws[phase] if phase in laws else laws[REST] for phase in cell.phases}
    if crystal is None:
        return cell, named
    turned = {id(law): crystal.turned(law) for law in named.values()}  # one law for all grains of a material
    return cell, {grain: turned[id(law)] for grain, law in named.items()}


def _how(rve: RVE, degree: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """How it was solved, for reports."""
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
    """The shape of the elements in words; None of voxels, and of a cell on several ranks."""
    if cell.grid is not None or cell.comm.size > 1:
        return None
    with suppress(np.linalg.LinAlgError):  # a flat element
        found = quality(cell)
        simplex = cell.mesh.topology.cell_name() in ("triangle", "tetrahedron")
        name = "radius ratio" if simplex else "shortest over longest edge"
        return f"{name} {found.minimum:.2f} at worst, {found.mean:.2f} on average"
    return None
