"""From the macro field to homogenized stress and tangent at every quadrature point."""

from __future__ import annotations

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

from hmm.algorithms import ALGORITHMS, Counters
from hmm.dump import MicroFailure, write_dump
from hmm.ensemble import Ensemble
from hmm.errors import ConvergenceError, InputError, collectively
from hmm.fields import MacroInput
from hmm.forms import compile_expression, owned_cells, quadrature_points, quadrature_space, quadrature_weights
from hmm.ladder import recover
from hmm.layout import RowLayout
from hmm.microproblem import Microproblem
from hmm.state import MicroState

MOST_DUMPS = 10
"""Dumps of failed RVEs that one homogenizer writes at most."""


class Homogenizer:
    """An RVE at every quadrature point of a macro mesh.

    Parameters
    ----------
    rve
        The microproblem; one object serves all points of the rank. Its cell is on ``MPI.COMM_SELF``, or on the
        communicator of a group of ranks (see `hmm.Ensemble.split`). An `hmm.MixedControl` of an
        RVE takes as input only the components that are given, such as the in-plane ones of a 3D cell.
    strain
        The macroscopic input as UFL of the macro field, such as ``sym(grad(u))``; a sequence if the RVE has several.
    degree
        Degree of the macro quadrature rule.
    algorithm
        ``"monolithic"`` (default) or ``"nested"``; see `hmm.algorithms`.
    ensemble
        Who works on which point: ``"owner"``, ``"balanced"``, ``"grouped"`` (for RVEs on several ranks), or ``"auto"``,
        which starts with the owners and lets points move when this pays; see `hmm.Ensemble`.
    dumps
        Directory for what `hmm.replay` needs of RVEs that failed for good; made when first needed. At most
        `MOST_DUMPS` files are written in a run, and none if None.

    Attributes
    ----------
    ensemble
        The `hmm.Ensemble`.
    states
        The `hmm.state.MicroState` of the points this rank works on.
    responses
        One quadrature Function per macro input, of the response's tensor shape; `stress` is the first.
    tangents
        ``tangents[i][j]``: quadrature Function of the packed tangent of response i by input j, shape (m_i, m_j).
    dx
        The macro volume measure with the points of the responses.
    keys
        Shape (n_points,); the number of each point of this rank's own cells, the same on any number of ranks: that of
        its macro cell in the mesh's input times the points of a cell, plus that of the point.
    count
        Micro operations of this rank so far.
    """

    def __init__(
        self,
        rve: Microproblem,
        strain: ufl.core.expr.Expr | Sequence[ufl.core.expr.Expr],
        degree: int = 2,
        algorithm: str = "monolithic",
        ensemble: str = "auto",
        dumps: str | Path | None = "hmm-failures",
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise InputError(f"algorithm {algorithm!r} is unknown: choose one of {', '.join(map(repr, ALGORITHMS))}")
        self.rve, self.algorithm, self.degree = rve, algorithm, degree
        strains = (strain,) if isinstance(strain, ufl.core.expr.Expr) else tuple(strain)
        _check_shapes(rve.inputs, strains)
        self.strains = tuple(ufl.sym(s) if e.packing.symmetric else s for e, s in zip(rve.inputs, strains, strict=True))
        self.mesh = _mesh_of(self.strains)
        self.comm: MPI.Comm = self.mesh.comm
        self.cells = owned_cells(self.mesh)
        self.points = quadrature_points(self.mesh, degree)
        self.dx = ufl.Measure("dx", self.mesh, metadata={"quadrature_degree": degree, "quadrature_scheme": "default"})
        packed = [e.packing.pack(s) for e, s in zip(rve.inputs, self.strains, strict=True)]
        vector = ufl.as_vector([p[k] for p in packed for k in range(p.ufl_shape[0])])
        self._strain = compile_expression(vector, self.points)
        self.responses = tuple(self._function(e.packing.shape, e.response) for e in rve.inputs)
        self.tangents = tuple(
            tuple(self._function((a.size, b.size), "tangent") for b in rve.inputs) for a in rve.inputs
        )
        n = self.points.shape[0]
        original = np.asarray(self.mesh.topology.original_cell_index, dtype=np.int64)[self.cells]
        self.keys = (original[:, None] * n + np.arange(n)).ravel()
        self._slots = self.responses[0].function_space.dofmap.list[self.cells].ravel()
        self.ensemble = Ensemble(self.comm, self.n_points, rve.cell.comm, ensemble)
        self.states = MicroState(rve, self.ensemble.n_rows)
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
        return self.cells.size * self.points.shape[0]

    @property
    def state_keys(self) -> NDArray[np.int64]:
        """The `keys` of the rows of `states` (collective)."""
        return self.ensemble.to_workers(self.keys)

    @cached_property
    def row_layout(self) -> RowLayout:
        """The order in which rows of `states` are written down (collective when first asked for)."""
        return RowLayout(self.rve)

    @property
    def time_step(self) -> float:
        """Duration of the step, for laws with rates (see `hmm.RVE.time_step`)."""
        return self.rve.time_step

    @time_step.setter
    def time_step(self, dt: float) -> None:
        self.rve.time_step = dt

    def coordinates(self) -> NDArray[np.float64]:
        """Macro coordinates of this rank's points, shape (n_points, gdim)."""
        x = compile_expression(ufl.SpatialCoordinate(self.mesh), self.points)
        return x.eval(self.mesh, self.cells).reshape(self.n_points, self.mesh.geometry.dim)

    def macro_inputs(self) -> NDArray[np.float64]:
        """Packed macroscopic inputs of the present macro field, shape (n_points, m)."""
        return self._strain.eval(self.mesh, self.cells).reshape(self.n_points, self.rve.n_inputs)

    def evaluate(self) -> bool:
        """Answer the present macro field at every point (collective).

        Returns
        -------
        bool
            Whether every point of every rank answered; if not, `failures` says where and why, on all ranks alike.
        """
        self.rve.check_time_step()
        failed: list[tuple[int, NDArray[np.float64], str]] = []
        for p, E in enumerate(self.ensemble.to_workers(self.macro_inputs())):
            start = thread_time()
            reason = self._answer(p, E)
            self.ensemble.seconds[p] += thread_time() - start
            if reason:
                failed.append((p, E, reason))
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
                said = f"; 'hmm replay {write_dump(self.dumps, self.rve, self.states, failure)}' repeats it"
            except Exception as error:
                said = f"; it could not be dumped to {self.dumps} ({type(error).__name__}: {error})"
        return str(self.comm.bcast(said, root=failure.rank))

    def settled(self) -> bool:
        """Whether all micro residuals of all ranks are below their tolerance (collective)."""
        return bool(self.comm.allreduce(bool(self.states.settled.all()), op=MPI.LAND))

    def commit(self) -> None:
        """Accept the step at every point, and let points move to where time is (collective).

        Raises
        ------
        ConvergenceError
            On all ranks, if the internal variables of a point cannot be updated; nothing is then accepted.
        """
        with collectively(self.comm):
            history = self._updated_history()
        self.states.commit(self.rve, history)
        self.ensemble.rebalance(self.states)

    def revert(self, elastic: bool = False) -> None:
        """Drop the step at every point; the tangents are then the virgin cell's if `elastic` (collective)."""
        self.states.revert(elastic)
        self._publish()

    def restored(self) -> None:
        """Show the macro problem what the committed `states` answer, after they were restored (collective)."""
        self._publish()

    def point_average(self, phase: str, variable: str) -> NDArray[np.float64]:
        """Average of an internal variable over a phase of each RVE, shape (n_points, packed size) (collective)."""
        if phase not in self.rve.histories:
            raise InputError(
                f"phase {phase!r} has no internal variables; the phases that have are {list(self.rve.histories)}"
            )
        start = 0
        for name, history in self.rve.histories.items():
            rows = self.states.history[:, start : start + history.size]
            if name == phase:
                size = history.packings[variable].size
                averages = np.array([history.average(row, variable) for row in rows]).reshape(len(rows), size)
                return self.ensemble.to_owners(self.rve.whole.reduced.sum(averages))
            start += history.size
        raise AssertionError

    def cell_average(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the points of each owned macro cell, shape (n_cells, k), of values of shape (n_points, k)."""
        weights = quadrature_weights(self.mesh, self.degree, self.cells)
        array = values.reshape(*weights.shape, -1)
        return (weights[..., None] * array).sum(axis=1) / weights.sum(axis=1)[:, None]

    def _answer(self, p: int, E: NDArray[np.float64]) -> str:
        """Let a point answer; why it failed, or nothing. Raises nothing: the other ranks would wait."""
        if not np.isfinite(E).all():
            return "the macro input is not a number"
        try:
            reason = ALGORITHMS[self.algorithm](self.rve, self.states, p, E, self.count)
        except Exception as error:
            reason = recover(self.rve, error)
        reason = self.ensemble.agree(reason)
        if reason:
            self.states.settled[p] = False
            self.count.rejections += 1
        return reason

    def _updated_history(self) -> NDArray[np.float64]:
        try:
            history = self.states.updated_history(self.rve)
        except Exception as error:
            why = recover(self.rve, error)
            raise ConvergenceError(f"internal variables could not be updated on rank {self.comm.rank}: {why}") from None
        bad = np.flatnonzero(~np.isfinite(history).all(axis=1))
        if bad.size:
            where = f"point {bad[0]} of rank {self.comm.rank}"
            raise ConvergenceError(f"RVE of {where}: an updated internal variable is not a number")
        return history

    def _function(self, shape: tuple[int, ...], name: str) -> fem.Function:
        return fem.Function(quadrature_space(self.mesh, self.degree, shape), name=name.replace(" ", "_"))

    def _publish(self) -> None:
        """Copy the points' answers into the quadrature Functions (collective)."""
        m, start = self.rve.n_inputs, 0
        if self.ensemble.is_local:
            response, all_tangents = self.states.response, self.states.tangent
        else:
            answers = np.column_stack([self.states.response, self.states.tangent.reshape(-1, m * m)])
            answers = self.ensemble.to_owners(answers)
            response, all_tangents = answers[:, :m], answers[:, m:].reshape(-1, m, m)
        for i, a in enumerate(self.rve.inputs):
            rows = slice(start, start + a.size)
            self._write(self.responses[i], a.packing.to_tensor(response[:, rows]))
            begin = 0
            for j, b in enumerate(self.rve.inputs):
                self._write(self.tangents[i][j], all_tangents[:, rows, begin : begin + b.size])
                begin += b.size
            start += a.size

    def _write(self, function: fem.Function, values: NDArray[np.float64]) -> None:
        size = function.function_space.dofmap.bs
        function.x.array.reshape(-1, size)[self._slots] = values.reshape(self.n_points, size)

    def _gather_failures(self, failed: list[tuple[int, NDArray[np.float64], str]]) -> list[MicroFailure]:
        """The failures of all ranks, on all ranks, with coordinates from those that own the points."""
        if not self.comm.allreduce(bool(failed), op=MPI.LOR):
            return []
        who, rank = self.ensemble, self.comm.rank
        mine = [(int(who.owner[p]), int(who.index[p]), rank, p, tuple(E.tolist()), why) for p, E, why in failed]
        everyones = [failure for part in self.comm.allgather(mine if rank == who.leader else []) for failure in part]
        x = self.coordinates()
        found = [
            MicroFailure(worker, row, tuple(x[index].tolist()), E, why)
            for owner, index, worker, row, E, why in everyones
            if owner == rank
        ]
        return [failure for part in self.comm.allgather(found) for failure in part]


def _check_shapes(inputs: tuple[MacroInput, ...], strains: tuple[ufl.core.expr.Expr, ...]) -> None:
    if len(inputs) != len(strains):
        raise InputError(
            f"the RVE has {len(inputs)} macro inputs and got {len(strains)} expressions: give one for each"
        )
    for e, strain in zip(inputs, strains, strict=True):
        if strain.ufl_shape != e.packing.shape:
            raise InputError(
                f"the macro {e.name} has shape {strain.ufl_shape}, but the RVE's has {e.packing.shape}: "
                "macro and micro dimension must agree"
            )


def _mesh_of(strains: Sequence[ufl.core.expr.Expr]) -> Mesh:
    for strain in strains:
        for coefficient in ufl.algorithms.extract_coefficients(strain):
            return coefficient.function_space.mesh
    raise InputError("the macro strain contains no Function: write it in terms of the macro unknown, as sym(grad(u))")
