"""Homogenized stress and tangent at every integration point, from the macro field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.fe2.macro_inputs import check_inputs, mesh_of
from hmm.fe2.orientation import Orientation
from hmm.fe2.quadrature_points import MacroField, MacroPoints, sufficient_degree
from hmm.fe2.variation import Rows, Variation, everywhere
from hmm.foundation import tensors
from hmm.foundation.blocks import Blocks
from hmm.foundation.errors import ConvergenceError, InputError, collectively
from hmm.foundation.forms import compile_expression, quadrature_space, quadrature_weights, warn_of_few_points
from hmm.foundation.options import choice, instance, quadrature_degree
from hmm.models.components import response_names
from hmm.models.failures import MicroFailure
from hmm.models.points import Points, input_blocks
from hmm.models.protocol import Destructible, MicroModel, Observable, Rated, Replayable, group_of
from hmm.models.statistics import Counters
from hmm.parallel.batches import Batches
from hmm.parallel.ensemble import Ensemble
from hmm.parallel.scattering import Places
from hmm.parallel.state_ordering import RowLayout

ALGORITHMS = ("monolithic", "nested")
"""How far an iterative micro model iterates for one macro iterate (see `hmm.models.points.Points`)."""

MOST_DUMPS = 10
"""Maximum number of dumps of failed points that one homogenizer writes."""


class Homogenizer:
    """A micro model at every integration point of a macro mesh.

    Parameters
    ----------
    model
        The micro model, such as an `hmm.RVE`; one object serves all points of the rank. The cell of an RVE is on
        ``MPI.COMM_SELF``, or on the communicator of a group of ranks (see `hmm.Ensemble.split`). An `hmm.MixedControl`
        takes the given components only, such as the in-plane components of a 3D cell. An `hmm.variation.Variation`
        distributes several models over the points.
    strain
        The macroscopic input as UFL of the macro field, such as ``sym(grad(u))``; a sequence for several inputs.
    degree
        Degree of the macro quadrature rule. By default it is sufficient for the macro element
        (`hmm.fe2.quadrature_points.sufficient_degree`): ``2 (k - 1)`` on triangles and tetrahedra of degree k, more if
        they are curved; k + 1 points per direction on quadrilaterals and hexahedra. A rule with fewer points gives a
        warning.
    algorithm
        ``"monolithic"`` (default) or ``"nested"``; see `hmm.micro.algorithms`.
    ensemble
        Distribution of the points over the ranks: ``"owner"``, ``"balanced"``, ``"scattered"`` (each rank starts with
        a sample of the whole body), ``"grouped"`` (for RVEs on several ranks), or ``"auto"``, which starts with the
        owners and moves points when this saves time; see `hmm.Ensemble`.
    dumps
        Directory for dumps of failed points, which `hmm.replay` repeats; created when first needed. At most
        `MOST_DUMPS` files are written in a run; none if None.
    orientation
        Orientation of the cell at each point: in 2D an angle (radians, anticlockwise); or the direction of the first
        axis of the cell, shape (d,); or a rotation matrix whose columns are the axes of the cell, shape (d, d). Give a
        constant, a function of x (shape (3, n), points last in the result) or UFL. By default, no cell is rotated.

    Attributes
    ----------
    models
        The micro models, by name; a single one has no name.
    model
        The first of them; all have the same macroscopic inputs.
    rows
        The models of this rank's own points. Each model of a point is one row, and one item of the ensemble.
    ensemble
        The `hmm.Ensemble`.
    batches
        The rows that this rank evaluates, in the order of the ensemble; one batch per model.
    responses
        One quadrature Function per macroscopic input, with the tensor shape of the response; `stress` is the first.
    tangents
        ``tangents[i][j]``: quadrature Function of the packed tangent of response i by input j, shape (m_i, m_j).
    dx
        The macro volume measure with the integration points of the responses.
    macro_points
        The `hmm.fe2.quadrature_points.MacroPoints` of this rank's own cells.
    slots
        Shape (n_points,); numbers of this rank's points among those of a quadrature space.
    count
        Counters of the micro operations of this rank.
    elapsed
        Duration of all steps that were accepted in this program.
    continues
        Whether the states are those of a checkpoint, from which the run continues.
    """

    def __init__(
        self,
        model: MicroModel | Variation,
        strain: ufl.core.expr.Expr | Sequence[ufl.core.expr.Expr],
        degree: int | None = None,
        algorithm: str = "monolithic",
        ensemble: str = "auto",
        dumps: str | Path | None = "hmm-failures",
        *,
        orientation: MacroField | None = None,
    ) -> None:
        choice("algorithm", algorithm, ALGORITHMS)
        if dumps is not None:
            instance("dumps", dumps, (str, Path), "give the path of a directory, or None")
        variation = model if isinstance(model, Variation) else everywhere(model)
        self.models = variation.models
        self.model = model = next(iter(self.models.values()))
        self._blocks = input_blocks(model.inputs)
        self._dt: float | None = None
        self.algorithm = algorithm
        strains = (strain,) if isinstance(strain, ufl.core.expr.Expr) else tuple(strain)
        check_inputs(model.inputs, strains)
        self.strains = tuple(e.packing.symmetrized(s) for e, s in zip(model.inputs, strains, strict=True))
        self.mesh = mesh_of(self.strains)
        self.comm: MPI.Comm = self.mesh.comm
        enough = sufficient_degree(self.mesh, self.strains)
        self.degree = degree = enough if degree is None else quadrature_degree("degree", degree)
        warn_of_few_points(self.mesh, "degree", degree, enough)
        self.macro_points = MacroPoints(self.mesh, degree)
        self.cells, self.points, self.keys = self.macro_points.cells, self.macro_points.rule, self.macro_points.keys
        self.rows = Rows.of(variation, self.macro_points)
        self.orientation = None if orientation is None else Orientation(self.macro_points, orientation, model.inputs)
        self.dx = ufl.Measure("dx", self.mesh, metadata={"quadrature_degree": degree, "quadrature_scheme": "default"})
        packings = {e.name: e.packing for e in model.inputs}
        vector = tensors.pack_all(packings, dict(zip(packings, self.strains, strict=True)))
        self._strain = compile_expression(vector, self.points)
        named = zip(model.inputs, response_names(model.inputs), strict=True)
        self.responses = tuple(self._function(e.packing.shape, name) for e, name in named)
        self.tangents = tuple(
            tuple(self._function((a.size, b.size), "tangent") for b in model.inputs) for a in model.inputs
        )
        self.slots = self.responses[0].function_space.dofmap.list[self.cells].ravel()
        places = Places(self.macro_points.x[self.rows.point], self.rows.kind, self.keys[self.rows.point])
        self.ensemble = Ensemble(self.comm, places, group_of(model), ensemble)
        kinds = self.ensemble.to_workers(self.rows.kind)
        with collectively(self.comm):
            self.batches = Batches(self.models, kinds)
        for points, keys in zip(self.batches.points, self.state_keys(), strict=True):
            points.comm, points.keys = self.comm, keys
        self.count, self.elapsed, self.continues = Counters(), 0.0, False
        self.dumps = None if dumps is None else Path(dumps)
        self.failures, self._n_dumps = list[MicroFailure](), 0
        self._publish()

    @property
    def stress(self) -> fem.Function:
        """The homogenized response to the first macro input, a quadrature Function of tensor shape."""
        return self.responses[0]

    @property
    def n_points(self) -> int:
        """Number of integration points in this rank's own cells."""
        return self.macro_points.n

    @property
    def states(self) -> Points:
        """The points that this rank evaluates, if there is one micro model; for several, see `batches`."""
        if len(self.models) > 1:
            raise InputError(f"there are {len(self.models)} micro models: their points are in batches.points")
        return self.batches.points[0]

    @property
    def has_history(self) -> bool:
        """Whether any model has internal variables."""
        return any(v.role == "deferred" for m in self.models.values() for v in m.variables.values() if np.prod(v.shape))

    @cached_property
    def row_layouts(self) -> tuple[RowLayout, ...]:
        """The order in which the points of each model are stored in files (collective on first access)."""
        return tuple(RowLayout(model) for model in self.models.values())

    def state_keys(self) -> list[NDArray[np.int64]]:
        """For each model, the numbers of its rows on this rank, the same on any number of ranks (collective)."""
        keys = self.ensemble.to_workers(self._row_keys)
        return [keys[self.batches.rows(k)] for k in range(len(self.models))]

    @cached_property
    def _row_keys(self) -> NDArray[np.int64]:
        """Number of each own row among the rows of its model on all ranks, in the order of the keys of the points."""
        keys, rows = self.keys[self.rows.point], np.zeros(self.rows.kind.size, dtype=np.int64)
        if len(self.models) == 1:
            return keys
        size = self.comm.allreduce(int(self.keys.max(initial=-1)), op=MPI.MAX) + 1
        for k in range(len(self.models)):
            mine = self.rows.kind == k
            present = np.zeros(size, dtype=bool)
            present[keys[mine]] = True
            self.comm.Allreduce(MPI.IN_PLACE, present, op=MPI.LOR)
            rows[mine] = (np.cumsum(present) - 1)[keys[mine]]
        return rows

    @property
    def time_step(self) -> float:
        """Duration of the step, in the unit of time of the models; by default that of the first model."""
        return float(getattr(self.model, "time_step", 0.0)) if self._dt is None else self._dt

    @time_step.setter
    def time_step(self, dt: float) -> None:
        if not 0 <= dt < np.inf:
            raise InputError(f"time step {dt} must be finite and not negative")
        self._dt = float(dt)

    def coordinates(self) -> NDArray[np.float64]:
        """Macro coordinates of this rank's points, shape (n_points, gdim)."""
        return self.macro_points.x

    def macro_inputs(self) -> NDArray[np.float64]:
        """Packed macroscopic inputs of the present macro field, shape (n_points, m)."""
        return self._strain.eval(self.mesh, self.cells).reshape(self.n_points, self._blocks.size)

    def check_ready(self) -> None:
        """Raise `InputError` if a model was destroyed or lacks the duration of the step."""
        for model in self.models.values():
            if isinstance(model, Destructible):
                model.check_usable()
        timed = any(isinstance(m, Rated) and m.has_rates for m in self.models.values())
        if timed and not self.time_step:
            raise InputError("a law depends on time, and the step has no duration: give duration=, or set time_step")

    def evaluate(self, algorithm: str | None = None) -> bool:
        """Evaluate every point for the present macro field (collective).

        Parameters
        ----------
        algorithm
            How far an iterative model iterates; by default the `algorithm` of the homogenizer.

        Returns
        -------
        bool
            Whether every point of every rank succeeded; if not, `failures` says where and why, on all ranks.
        """
        self.check_ready()
        E = self.ensemble.to_workers(self._row_inputs())
        failed, seconds = self.batches.ask(E, self.time_step, algorithm or self.algorithm, self.count)
        self.ensemble.seconds += seconds
        self.failures = self._gather_failures([(row, E[row], why) for row, why in sorted(failed.items())[:1]])
        if not self.failures:
            self._publish()
        return not self.failures

    def dump(self) -> str:
        """Write the dump of the first of the `failures` for `hmm.replay`, before the points are reverted (collective).

        Returns
        -------
        str
            The path of the dump, or why it was not written, to be added to an error message; the same on all ranks.
            Never raises, so that the failure itself is reported.
        """
        alone = self.ensemble.group.size == 1
        if self.dumps is None or not self.failures or self._n_dumps == MOST_DUMPS or not alone:
            return ""
        self._n_dumps += 1
        failure = self.failures[0]
        said = ""
        if self.comm.rank == failure.rank:
            model, points, p = self.batches.member(failure.point)
            try:
                if isinstance(model, Replayable):
                    said = f"; 'hmm replay {model.dump(self.dumps, points, p, failure)}' repeats it"
            except Exception as error:
                said = f"; it could not be dumped to {self.dumps} ({type(error).__name__}: {error})"
        return str(self.comm.bcast(said, root=failure.rank))

    def converged(self) -> bool:
        """Whether the micro problems of all ranks have converged (collective)."""
        return bool(self.comm.allreduce(self.batches.converged, op=MPI.LAND))

    def commit(self) -> None:
        """Accept the step at every point, and rebalance the points over the ranks (collective).

        Raises
        ------
        ConvergenceError
            On all ranks, if the update of a point fails; no point is then accepted.
        """
        with collectively(self.comm):
            try:
                self.batches.prepare_commit()
            except ConvergenceError as error:
                raise ConvergenceError(f"rank {self.comm.rank}: {error}") from None
        self.batches.accept()
        self.elapsed += self.time_step
        self.ensemble.rebalance(self.batches)

    def revert(self, elastic: bool = False) -> None:
        """Discard the step at every point; with `elastic`, reset the tangents to the initial tangent (collective)."""
        self.batches.revert(elastic)
        self._publish()

    def restored(self) -> None:
        """Publish the responses of committed points after they were restored (collective)."""
        self._publish()

    def observe(self, name: str) -> NDArray[np.float64]:
        """A quantity of the micro models at the last accepted step, shape (n_points, size) (collective).

        If a point has several models, this is the mean over those with the quantity, or NaN if none has it.

        Parameters
        ----------
        name
            One of the models' `observables`.
        """
        having = {k: m for k, m in enumerate(self.batches.models) if name in _observables(m)}
        if not having:
            known = sorted({n for m in self.models.values() for n in _observables(m)})
            raise InputError(f"no micro model has a quantity {name!r}: there are {', '.join(known) or 'none'}")
        size = max(_observables(m)[name] for m in having.values())
        values = np.full((self.batches.n_rows, size), np.nan)
        for k, model in having.items():
            assert isinstance(model, Observable)
            values[self.batches.rows(k)] = model.observe(self.batches.points[k], name)
        values = self.ensemble.to_owners(values)
        there = ~np.isnan(values[:, :1])
        with np.errstate(invalid="ignore"):
            return self.rows.mean(np.where(there, values, 0.0)) / self.rows.mean(there.astype(float))

    def point_average(self, phase: str, variable: str) -> NDArray[np.float64]:
        """The quantity ``variable_phase`` of `observe`: average of an internal variable over a phase (collective)."""
        return self.observe(f"{variable}_{phase}")

    def cell_average(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the points of each owned macro cell, shape (n_cells, k), of values of shape (n_points, k)."""
        weights = quadrature_weights(self.mesh, self.degree, self.cells)
        if values.ndim == 0 or values.shape[0] != self.n_points:
            raise InputError(f"values of shape {values.shape}: give one row for each of the {self.n_points} points")
        array = values.reshape(*weights.shape, math.prod(values.shape[1:]))  # -1 fails without cells
        return (weights[..., None] * array).sum(axis=1) / weights.sum(axis=1)[:, None]

    def _row_inputs(self) -> NDArray[np.float64]:
        """Packed macroscopic inputs of this rank's own rows, in the axes of their cells."""
        E = self.macro_inputs()
        E = E if self.rows.is_plain else E[self.rows.point]
        return E if self.orientation is None else self.orientation.to_cells(E, self.rows.point)

    def _function(self, shape: tuple[int, ...], name: str) -> fem.Function:
        return fem.Function(quadrature_space(self.mesh, self.degree, shape), name=name.replace(" ", "_"))

    def _publish(self) -> None:
        """Copy the responses and tangents of the points into the quadrature Functions (collective)."""
        response, tangent = self._point_answers()
        inputs, parts = self.model.inputs, list(self._blocks.values())
        for i, (a, rows) in enumerate(zip(inputs, parts, strict=True)):
            self.write(self.responses[i], a.packing.to_tensor(response[:, rows]))
            for j, columns in enumerate(parts):
                self.write(self.tangents[i][j], tangent[:, rows, columns])

    def _point_answers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Responses and tangents of this rank's points, shapes (n_points, m) and (n_points, m, m) (collective)."""
        m = self._blocks.size
        response, tangent = self.batches.answers
        if not self.ensemble.is_local:
            both = self.ensemble.to_owners(np.column_stack([response, tangent.reshape(-1, m * m)]))
            parts = Blocks({"response": m, "tangent": m * m}).split(both)
            response, tangent = parts["response"], parts["tangent"].reshape(-1, m, m)
        if self.orientation is not None:
            response, tangent = self.orientation.to_macro(response, tangent, self.rows.point)
        return self.rows.mean(response), self.rows.mean(tangent)

    def write(self, function: fem.Function, values: NDArray[np.float64]) -> None:
        """Set a Function of a quadrature space at this rank's points, the first axis of `values`."""
        size = function.function_space.dofmap.bs
        function.x.array.reshape(-1, size)[self.slots] = values.reshape(self.n_points, size)

    def _gather_failures(self, failed: list[tuple[int, NDArray[np.float64], str]]) -> list[MicroFailure]:
        """The failures of all ranks, on all ranks; the owners of the points add the coordinates."""
        if not self.comm.allreduce(bool(failed), op=MPI.LOR):
            return []
        who, rank = self.ensemble, self.comm.rank
        mine = [
            (int(who.owner[row]), int(who.index[row]), rank, row, tuple(E.tolist()), why, self.batches.name(row))
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


def _observables(model: MicroModel) -> Mapping[str, int]:
    return model.observables if isinstance(model, Observable) else {}
