"""From the macro field to homogenized stress and tangent at every quadrature point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from time import thread_time

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh
from numpy.typing import NDArray
from ufl.algorithms import expand_derivatives, expand_indices

from hmm.algorithms import ALGORITHMS, Counters
from hmm.dump import MicroFailure, write_dump
from hmm.ensemble import Ensemble
from hmm.errors import ConvergenceError, InputError, collectively
from hmm.fields import NO_SHEAR_13, MacroInput
from hmm.forms import compile_expression, quadrature_space, quadrature_weights, warn_of_few_points
from hmm.ladder import recover
from hmm.layout import RowLayout
from hmm.microproblem import Microproblem
from hmm.options import choice, instance, quadrature_degree
from hmm.orientation import Orientation
from hmm.points import Field, MacroPoints, sufficient_degree
from hmm.population import Population
from hmm.state import MicroState
from hmm.variation import Rows, Variation, everywhere

MOST_DUMPS = 10
"""Dumps of failed RVEs that one homogenizer writes at most."""


class Homogenizer:
    """An RVE at every quadrature point of a macro mesh.

    Parameters
    ----------
    rve
        The microproblem; one object serves all points of the rank. Its cell is on ``MPI.COMM_SELF``, or on the
        communicator of a group of ranks (see `hmm.Ensemble.split`). An `hmm.MixedControl` of an
        RVE takes as input only the components that are given, such as the in-plane ones of a 3D cell. Or an
        `hmm.variation.Variation` of several, which says where each is.
    strain
        The macroscopic input as UFL of the macro field, such as ``sym(grad(u))``; a sequence if the RVE has several.
    degree
        Degree of the macro quadrature rule. By default what the macro element needs (`hmm.points.sufficient_degree`):
        ``2 (k - 1)`` on triangles and tetrahedra of degree k, more if they are curved, and k + 1 points a direction on
        quadrilaterals and hexahedra. A warning says when a rule has fewer points than that.
    algorithm
        ``"monolithic"`` (default) or ``"nested"``; see `hmm.algorithms`.
    ensemble
        Who works on which point: ``"owner"``, ``"balanced"``, ``"grouped"`` (for RVEs on several ranks), or ``"auto"``,
        which starts with the owners and lets points move when this pays; see `hmm.Ensemble`.
    dumps
        Directory for what `hmm.replay` needs of RVEs that failed for good; made when first needed. At most
        `MOST_DUMPS` files are written in a run, and none if None.
    orientation
        How the cells are turned at each point: in 2D an angle (radians, anticlockwise), or the direction of the cell's
        first axis, shape (d,), or a rotation matrix whose columns are the cell's axes, shape (d, d). A constant, a
        function of x (shape (3, n), its result with the points last) or UFL such as a Function. By default not at all.

    Attributes
    ----------
    rves
        The kinds of RVE, by name; a single one has no name.
    rve
        The first of them, with the macroscopic inputs that all have.
    rows
        Which RVEs this rank's own points have; those of a point are worked on, and counted in the ensemble, one by one.
    ensemble
        The `hmm.Ensemble`.
    population
        The RVEs that this rank works on, in the order of the ensemble.
    responses
        One quadrature Function per macro input, of the response's tensor shape; `stress` is the first.
    tangents
        ``tangents[i][j]``: quadrature Function of the packed tangent of response i by input j, shape (m_i, m_j).
    dx
        The macro volume measure with the points of the responses.
    macro_points
        The `hmm.points.MacroPoints` of this rank's own cells.
    count
        Micro operations of this rank so far.
    """

    def __init__(
        self,
        rve: Microproblem | Variation,
        strain: ufl.core.expr.Expr | Sequence[ufl.core.expr.Expr],
        degree: int | None = None,
        algorithm: str = "monolithic",
        ensemble: str = "auto",
        dumps: str | Path | None = "hmm-failures",
        *,
        orientation: Field | None = None,
    ) -> None:
        choice("algorithm", algorithm, ALGORITHMS)
        if dumps is not None:
            instance("dumps", dumps, (str, Path), "give the path of a directory, or None")
        variation = rve if isinstance(rve, Variation) else everywhere(rve)
        self.rves = variation.rves
        self.rve = rve = next(iter(self.rves.values()))
        self.algorithm = algorithm
        strains = (strain,) if isinstance(strain, ufl.core.expr.Expr) else tuple(strain)
        _check_shapes(rve.inputs, strains)
        self.strains = tuple(ufl.sym(s) if e.packing.symmetric else s for e, s in zip(rve.inputs, strains, strict=True))
        self.mesh = _mesh_of(self.strains)
        self.comm: MPI.Comm = self.mesh.comm
        enough = sufficient_degree(self.mesh, self.strains)
        self.degree = degree = enough if degree is None else quadrature_degree("degree", degree)
        warn_of_few_points(self.mesh, "degree", degree, enough)
        self.macro_points = MacroPoints(self.mesh, degree)
        self.cells, self.points, self.keys = self.macro_points.cells, self.macro_points.rule, self.macro_points.keys
        self.rows = Rows.of(variation, self.macro_points)
        self.orientation = None if orientation is None else Orientation(self.macro_points, orientation, rve.inputs)
        self.dx = ufl.Measure("dx", self.mesh, metadata={"quadrature_degree": degree, "quadrature_scheme": "default"})
        packed = [e.packing.pack(s) for e, s in zip(rve.inputs, self.strains, strict=True)]
        vector = ufl.as_vector([p[k] for p in packed for k in range(p.ufl_shape[0])])
        self._strain = compile_expression(vector, self.points)
        self.responses = tuple(self._function(e.packing.shape, e.response) for e in rve.inputs)
        self.tangents = tuple(
            tuple(self._function((a.size, b.size), "tangent") for b in rve.inputs) for a in rve.inputs
        )
        self._slots = self.responses[0].function_space.dofmap.list[self.cells].ravel()
        self.ensemble = Ensemble(self.comm, self.rows.kind.size, rve.cell.comm, ensemble)
        kinds = self.ensemble.to_workers(self.rows.kind)
        with collectively(self.comm):
            self.population = Population(self.rves, kinds)
        self.count = Counters()
        self.failures: list[MicroFailure] = []
        self.dumps = None if dumps is None else Path(dumps)
        self._n_dumps = 0
        self._publish()

    @property
    def stress(self) -> fem.Function:
        """The homogenized response to the first macro input, a quadrature Function of tensor shape."""
        return self.responses[0]

    @property
    def n_points(self) -> int:
        """Quadrature points of this rank's own cells."""
        return self.macro_points.n

    @property
    def states(self) -> MicroState:
        """The states of the points this rank works on, if there is one kind of RVE; see `population` for several."""
        if len(self.rves) > 1:
            raise InputError(f"there are {len(self.rves)} kinds of RVE: their states are in population.states")
        return self.population.states[0]

    @property
    def has_history(self) -> bool:
        """Whether any RVE has internal variables."""
        return any(rve.n_history for rve in self.rves.values())

    @cached_property
    def row_layouts(self) -> tuple[RowLayout, ...]:
        """The order in which states of each kind are written down (collective when first asked for)."""
        return tuple(RowLayout(rve) for rve in self.rves.values())

    def state_keys(self) -> list[NDArray[np.int64]]:
        """For each kind numbers 0, 1, ... of its rows worked on here, the same on any number of ranks (collective)."""
        keys = self.ensemble.to_workers(self._row_keys)
        return [keys[self.population.rows(k)] for k in range(len(self.rves))]

    @cached_property
    def _row_keys(self) -> NDArray[np.int64]:
        """Number of each own row among those of its kind on all ranks, in the order of the points' keys."""
        keys, rows = self.keys[self.rows.point], np.zeros(self.rows.kind.size, dtype=np.int64)
        if len(self.rves) == 1:
            return keys
        size = self.comm.allreduce(int(self.keys.max(initial=-1)), op=MPI.MAX) + 1
        for k in range(len(self.rves)):
            mine = self.rows.kind == k
            present = np.zeros(size, dtype=bool)
            present[keys[mine]] = True
            self.comm.Allreduce(MPI.IN_PLACE, present, op=MPI.LOR)
            rows[mine] = (np.cumsum(present) - 1)[keys[mine]]
        return rows

    @property
    def time_step(self) -> float:
        """Duration of the step, for laws with rates (see `hmm.RVE.time_step`)."""
        return self.rve.time_step

    @time_step.setter
    def time_step(self, dt: float) -> None:
        for rve in self.rves.values():
            rve.time_step = dt

    def coordinates(self) -> NDArray[np.float64]:
        """Macro coordinates of this rank's points, shape (n_points, gdim)."""
        return self.macro_points.x

    def macro_inputs(self) -> NDArray[np.float64]:
        """Packed macroscopic inputs of the present macro field, shape (n_points, m)."""
        return self._strain.eval(self.mesh, self.cells).reshape(self.n_points, self.rve.n_inputs)

    def check_ready(self) -> None:
        """Raise `InputError` if an RVE cannot be asked: destroyed, or its laws need the duration of the step."""
        for rve in self.rves.values():
            rve.whole.check_usable()
            rve.check_time_step()

    def evaluate(self) -> bool:
        """Answer the present macro field at every point (collective).

        Returns
        -------
        bool
            Whether every point of every rank answered; if not, `failures` says where and why, on all ranks alike.
        """
        self.check_ready()
        failed: list[tuple[int, NDArray[np.float64], str]] = []
        for row, E in enumerate(self.ensemble.to_workers(self._row_inputs())):
            start = thread_time()
            reason = self._answer(row, E)
            self.ensemble.seconds[row] += thread_time() - start
            if reason:
                failed.append((row, E, reason))
                break
        self.failures = self._gather_failures(failed)
        if not self.failures:
            self._publish()
        return not self.failures

    def dump(self) -> str:
        """Write what `hmm.replay` needs of the first of the `failures`, before they are reverted (collective).

        Returns
        -------
        str
            Where it is, or why it could not be written, to be added to an error message; on all ranks alike. Never
            raises, so that nothing hides the failure itself.
        """
        alone = self.ensemble.group.size == 1
        if self.dumps is None or not self.failures or self._n_dumps == MOST_DUMPS or not alone:
            return ""
        self._n_dumps += 1
        failure = self.failures[0]
        said = ""
        if self.comm.rank == failure.rank:
            try:
                rve, states, p = self.population.member(failure.point)
                said = f"; 'hmm replay {write_dump(self.dumps, rve, states, p, failure)}' repeats it"
            except Exception as error:
                said = f"; it could not be dumped to {self.dumps} ({type(error).__name__}: {error})"
        return str(self.comm.bcast(said, root=failure.rank))

    def settled(self) -> bool:
        """Whether all micro residuals of all ranks are below their tolerance (collective)."""
        return bool(self.comm.allreduce(self.population.settled, op=MPI.LAND))

    def commit(self) -> None:
        """Accept the step at every point, and let points move to where time is (collective).

        Raises
        ------
        ConvergenceError
            On all ranks, if the internal variables of a point cannot be updated; nothing is then accepted.
        """
        with collectively(self.comm):
            histories = self._updated_histories()
        self.population.commit(histories)
        self.ensemble.rebalance(self.population)

    def revert(self, elastic: bool = False) -> None:
        """Drop the step at every point; the tangents are then the virgin cell's if `elastic` (collective)."""
        self.population.revert(elastic)
        self._publish()

    def restored(self) -> None:
        """Show the macro problem what the committed `states` answer, after they were restored (collective)."""
        self._publish()

    def point_average(self, phase: str, variable: str) -> NDArray[np.float64]:
        """Average of an internal variable over a phase of each RVE, shape (n_points, packed size) (collective).

        Where a point has several RVEs it is the mean over those that have the variable, NaN where none has.
        """
        having = [k for k, rve in enumerate(self.rves.values()) if variable in _variables(rve, phase)]
        if not having:
            known = {name: sorted(_variables(rve, name)) for rve in self.rves.values() for name in rve.histories}
            raise InputError(f"no RVE has {variable!r} in a phase {phase!r}: the internal variables are {known}")
        size = self.population.rves[having[0]].histories[phase].packings[variable].size
        averages = np.full((self.population.n_rows, size), np.nan)
        for k in having:
            rve = self.population.rves[k]
            own = _averages(rve, self.population.states[k], phase, variable)
            averages[self.population.rows(k)] = rve.whole.reduced.sum(own)
        values = self.ensemble.to_owners(averages)
        there = ~np.isnan(values[:, :1])
        with np.errstate(invalid="ignore"):
            return self.rows.mean(np.where(there, values, 0.0)) / self.rows.mean(there.astype(float))

    def cell_average(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the points of each owned macro cell, shape (n_cells, k), of values of shape (n_points, k)."""
        weights = quadrature_weights(self.mesh, self.degree, self.cells)
        if values.ndim == 0 or values.shape[0] != self.n_points:
            raise InputError(f"values of shape {values.shape}: give one row for each of the {self.n_points} points")
        array = values.reshape(*weights.shape, math.prod(values.shape[1:]))  # -1 fails without cells
        return (weights[..., None] * array).sum(axis=1) / weights.sum(axis=1)[:, None]

    def _row_inputs(self) -> NDArray[np.float64]:
        """Packed macroscopic inputs of the own rows, in the frames of their cells."""
        E = self.macro_inputs()
        E = E if self.rows.is_plain else E[self.rows.point]
        return E if self.orientation is None else self.orientation.to_cells(E, self.rows.point)

    def _answer(self, row: int, E: NDArray[np.float64]) -> str:
        """Let an RVE answer; why it failed, or nothing. Raises nothing: the other ranks would wait."""
        if not np.isfinite(E).all():
            return "the macro input is not a number"
        rve, states, p = self.population.member(row)
        try:
            reason = ALGORITHMS[self.algorithm](rve, states, p, E, self.count)
        except Exception as error:
            reason = recover(rve, error)
        reason = self.ensemble.agree(reason)
        if reason:
            states.settled[p] = False
            self.count.rejections += 1
        return reason

    def _updated_histories(self) -> list[NDArray[np.float64]]:
        histories = []
        for k, (rve, states) in enumerate(zip(self.population.rves, self.population.states, strict=True)):
            try:
                histories.append(states.updated_history(rve))
            except Exception as error:
                why = recover(rve, error)
                rank = self.comm.rank
                raise ConvergenceError(f"internal variables could not be updated on rank {rank}: {why}") from None
            bad = np.flatnonzero(~np.isfinite(histories[k]).all(axis=1))
            if bad.size:
                where = f"point {self.population.rows(k)[bad[0]]} of rank {self.comm.rank}"
                raise ConvergenceError(f"RVE of {where}: an updated internal variable is not a number")
        return histories

    def _function(self, shape: tuple[int, ...], name: str) -> fem.Function:
        return fem.Function(quadrature_space(self.mesh, self.degree, shape), name=name.replace(" ", "_"))

    def _publish(self) -> None:
        """Copy the points' answers into the quadrature Functions (collective)."""
        start = 0
        response, all_tangents = self._point_answers()
        for i, a in enumerate(self.rve.inputs):
            rows = slice(start, start + a.size)
            self._write(self.responses[i], a.packing.to_tensor(response[:, rows]))
            begin = 0
            for j, b in enumerate(self.rve.inputs):
                self._write(self.tangents[i][j], all_tangents[:, rows, begin : begin + b.size])
                begin += b.size
            start += a.size

    def _point_answers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Responses and tangents of the own points, shapes (n_points, m) and (n_points, m, m) (collective)."""
        m = self.rve.n_inputs
        response, tangent = self.population.answers
        if not self.ensemble.is_local:
            both = self.ensemble.to_owners(np.column_stack([response, tangent.reshape(-1, m * m)]))
            response, tangent = both[:, :m], both[:, m:].reshape(-1, m, m)
        if self.orientation is not None:
            response, tangent = self.orientation.to_macro(response, tangent, self.rows.point)
        return self.rows.mean(response), self.rows.mean(tangent)

    def _write(self, function: fem.Function, values: NDArray[np.float64]) -> None:
        size = function.function_space.dofmap.bs
        function.x.array.reshape(-1, size)[self._slots] = values.reshape(self.n_points, size)

    def _gather_failures(self, failed: list[tuple[int, NDArray[np.float64], str]]) -> list[MicroFailure]:
        """The failures of all ranks, on all ranks, with coordinates from those that own the points."""
        if not self.comm.allreduce(bool(failed), op=MPI.LOR):
            return []
        who, rank = self.ensemble, self.comm.rank
        mine = [
            (int(who.owner[row]), int(who.index[row]), rank, row, tuple(E.tolist()), why, self.population.name(row))
            for row, E, why in failed
        ]
        everyones = [failure for part in self.comm.allgather(mine if rank == who.leader else []) for failure in part]
        x, point = self.coordinates(), self.rows.point
        found = [
            MicroFailure(worker, row, tuple(x[point[index]].tolist()), E, why, name)
            for owner, index, worker, row, E, why, name in everyones
            if owner == rank
        ]
        return [failure for part in self.comm.allgather(found) for failure in part]


def _variables(rve: Microproblem, phase: str) -> set[str]:
    """Names of the internal variables of a phase, if there are any."""
    return set(rve.histories[phase].packings) if phase in rve.histories else set()


def _averages(rve: Microproblem, states: MicroState, phase: str, variable: str) -> NDArray[np.float64]:
    """This rank's share of the average of an internal variable over a phase, shape (n_points, packed size)."""
    start = 0
    for name, history in rve.histories.items():
        rows = states.history[:, start : start + history.size]
        if name == phase:
            size = history.packings[variable].size
            return np.array([history.average(row, variable) for row in rows]).reshape(len(rows), size)
        start += history.size
    raise AssertionError


def _check_shapes(inputs: tuple[MacroInput, ...], strains: tuple[ufl.core.expr.Expr, ...]) -> None:
    if len(inputs) != len(strains):
        raise InputError(
            f"the RVE has {len(inputs)} macro inputs and got {len(strains)} expressions: give one for each"
        )
    for e, strain in zip(inputs, strains, strict=True):
        instance(f"the macro {e.name}", strain, ufl.core.expr.Expr, "write it in UFL, as sym(grad(u))")
        if strain.ufl_shape != e.packing.shape:
            raise InputError(
                f"the macro {e.name} has shape {strain.ufl_shape}, but the RVE's has {e.packing.shape}: "
                "macro and micro dimension must agree"
            )
        lost = [f"{i + 1}{j + 1}" for i, j in e.dropped if not _vanishes(strain[i, j])]
        if lost:
            raise InputError(f"the macro {e.name} has the components {', '.join(lost)}, which {NO_SHEAR_13}")


def _vanishes(scalar: ufl.core.expr.Expr) -> bool:
    """Whether UFL knows that a component is zero."""
    return isinstance(expand_indices(expand_derivatives(scalar)), ufl.constantvalue.Zero)


def _mesh_of(strains: Sequence[ufl.core.expr.Expr]) -> Mesh:
    for strain in strains:
        for coefficient in ufl.algorithms.extract_coefficients(strain):
            return coefficient.function_space.mesh
    raise InputError("the macro strain contains no Function: write it in terms of the macro unknown, as sym(grad(u))")
