"""Dissipation of laws: the work at each quadrature point minus the change of the stored energy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_expression, quadrature_points, tagged_cells
from hmm.laws.base import Law, Local, responses
from hmm.micro.mixed_control import MixedControl, rve_of
from hmm.micro.response import Response
from hmm.micro.rve import RVE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dissipation:
    """Dissipated energy density of each step at each quadrature point.

    Attributes
    ----------
    increments
        For each phase an array of shape (n_steps, n_points), in the unit of the energy density.
    work
        Largest work or change of energy density at a point in a step, on all ranks: the scale for rounding errors.
    smallest
        The smallest increment of all phases, steps, points and ranks.
    where
        Phase and step (from 0) of the smallest increment on this rank.
    responses
        The response of the cell at each step.
    """

    increments: Mapping[str, Floats]
    work: float
    smallest: float
    where: tuple[str, int]
    responses: tuple[Response, ...]

    def holds(self, rtol: float = 1e-9) -> bool:
        """Whether no increment is negative by more than `rtol` times `work`."""
        return self.smallest >= -rtol * self.work


def dissipation(
    problem: RVE | MixedControl, path: Iterable[ArrayLike | Mapping[str, float]], *, dt: float | None = None
) -> Dissipation:
    """Dissipation at each quadrature point along a path from the undeformed state (collective on the cell's ranks).

    In a step it is ``D = response . (change of the field) - (change of the stored energy)``, summed over the law's
    fields. The response is that at the end of the step, as for implicit integration. The second law requires
    ``D >= 0``. Laws whose update minimises ``energy + dissipation potential``, both convex (generalised standard
    materials: Halphen and Nguyen, *J. Mecanique* 14 (1975) 39), satisfy it in steps of any size, with a positive error
    of second order in the step, also in elastic steps. At finite strain the energy is not convex: the error of second
    order may have either sign, and the steps must be small.

    Parameters
    ----------
    problem
        An `hmm.RVE` made with laws, or an `hmm.MixedControl` of one. Each law must offer ``energy(at)``.
    path
        Macroscopic inputs, one for each step.
    dt
        Duration of each step, for laws with rates.

    Raises
    ------
    InputError
        If a law has no stored energy, or the path is empty.
    """
    rve = rve_of(problem)
    _check_laws(rve)
    probes = {phase: _Probe(rve, phase, law) for phase, law in rve.law.items()}
    state = problem.initial_state()
    problem.load(state, problem.reference)
    before = {phase: probe.read() for phase, probe in probes.items()}
    rows: dict[str, list[Floats]] = {phase: [] for phase in probes}
    answers: list[Response] = []
    moved = 0.0
    for E in path:
        answers.append(problem.solve(E, state, tangent=False, dt=dt))
        state = answers[-1].state
        for phase, probe in probes.items():
            now = probe.read()
            work = ((now.fields - before[phase].fields) * now.responses).sum(axis=1)
            change = now.energy - before[phase].energy
            moved = max(moved, float(np.abs(work).max(initial=0)), float(np.abs(change).max(initial=0)))
            rows[phase].append(work - change)
            before[phase] = now
    if not answers:
        raise InputError("the path is empty: give at least one macroscopic input")
    increments = {phase: np.array(r) for phase, r in rows.items()}
    smallest, where = _smallest(increments)
    comm = rve.cell.comm
    return Dissipation(
        increments, comm.allreduce(moved, op=MPI.MAX), comm.allreduce(smallest, op=MPI.MIN), where, tuple(answers)
    )


def _smallest(increments: Mapping[str, Floats]) -> tuple[float, tuple[str, int]]:
    """The smallest increment of this rank, and its phase and step."""
    lows = {phase: a.min(axis=1, initial=np.inf) for phase, a in increments.items()}
    phase = min(lows, key=lambda name: float(lows[name].min()))
    return float(lows[phase].min()), (phase, int(np.argmin(lows[phase])))


@dataclass(frozen=True)
class _Values:
    """Local fields and responses, shape (n_points, k), and stored energy, shape (n_points,)."""

    fields: Floats
    responses: Floats
    energy: Floats


class _Probe:
    """Evaluates the local fields and the responses of a law at the quadrature points of its phase."""

    def __init__(self, rve: RVE, phase: str, law: Law) -> None:
        at = rve.at(phase)
        answered = responses(law, at)
        self._mesh = rve.cell.mesh
        self._cells = tagged_cells(rve.cell.phase_tags, rve.cell.phases[phase])
        self._points = quadrature_points(self._mesh, rve.problem.quadrature_degree)
        self._fields = self._compile([c for name in law.fields for c in _components(at.fields[name])])
        self._responses = self._compile([c for name in law.fields for c in _components(answered[name])])
        self._energy = self._compile([_energy(law, at)])

    def read(self) -> _Values:
        """The values at the loaded point of the cell."""
        return _Values(self._eval(self._fields), self._eval(self._responses), self._eval(self._energy)[:, 0])

    def _compile(self, components: list[ufl.core.expr.Expr]) -> fem.Expression:
        return compile_expression(ufl.as_vector(components), self._points)

    def _eval(self, expression: fem.Expression) -> Floats:
        values = expression.eval(self._mesh, self._cells.astype(np.int32))
        return values.reshape(self._cells.size * len(self._points), values.shape[-1]).copy()


def _components(tensor: ufl.core.expr.Expr) -> list[ufl.core.expr.Expr]:
    shape = tensor.ufl_shape
    return [tensor[index] for index in np.ndindex(*shape)] if shape else [tensor]


def _energy(law: Law, at: Local) -> ufl.core.expr.Expr:
    return law.energy(at)  # type: ignore[attr-defined]


def _check_laws(rve: RVE) -> None:
    if not rve.law:
        raise InputError("this RVE has an energy, which does not dissipate: give an RVE with laws")
    for phase, law in rve.law.items():
        if not hasattr(law, "energy"):
            raise InputError(
                f"the law of phase {phase!r}, {type(law).__name__}, has no stored energy: add a method energy(at)"
            )
