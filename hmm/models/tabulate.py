"""Tabulate the answers of micro models over parameters, on grids that are refined where the error is too large."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from mpi4py import MPI

import numpy as np

from hmm.foundation.errors import ConvergenceError, InputError, collectively
from hmm.foundation.options import dictionary, function, integer, positive
from hmm.models.points import Floats, Input, input_blocks, reference_of
from hmm.models.protocol import MicroModel, Rated
from hmm.models.single import solve_one
from hmm.models.table import Grid, TableModel

Ranges = Mapping[str, Sequence[float]]


def tabulate(
    make: Callable[..., MicroModel],
    parameters: Ranges,
    *,
    over: Sequence[Sequence[float]] | None = None,
    tolerance: float = 1e-3,
    degree: int = 3,
    max_evaluations: int = 2000,
    outside: str = "error",
    comm: MPI.Comm = MPI.COMM_SELF,
) -> TableModel:
    """Tabulate a linear micro model over parameters, or a path-independent one over its inputs too.

    Parameters
    ----------
    make
        From the parameters, by name, to a micro model, such as an `hmm.RVE` on one rank.
    parameters
        For each parameter its range, in which a table begins with four nodes, or its first nodes, increasing.
    over
        For each packed component of the inputs (Mandel for a strain) its range. By default the model must be linear,
        and its tangent and its response in the undeformed state are tabulated.
    tolerance
        Largest relative error allowed between the nodes. It is relative to the norm of the tabulated value at the same
        place for linear models, else to the largest norm in the table.
    degree
        Degree of the splines, 1 or 3.
    max_evaluations
        Nodes of the grid at most.
    outside
        See `hmm.models.TableModel`.
    comm
        Ranks that share the evaluations (collective).

    Notes
    -----
    The middle of each interval of each axis is evaluated at all nodes of the other axes, and compared with the spline
    through the nodes before. It becomes a node; where the difference exceeds the tolerance, its two halves are tested
    in the next round. `TableModel.error` is the largest difference at the last test of the intervals: an estimate, not
    a bound.

    Raises
    ------
    InputError
        If a range is not increasing, or the model is not linear, depends on time or remembers its path.
    ConvergenceError
        If the tolerance is not reached with `max_evaluations`, or a point has no answer.
    """
    if degree not in (1, 3):
        raise InputError(f"tabulate: degree = {degree!r} must be 1 or 3")
    positive("tabulate: tolerance", tolerance)
    integer("tabulate: max_evaluations", max_evaluations, 1)
    parameters = dictionary("tabulate: parameters", parameters, "ranges by name")
    function("tabulate: make", make, ", ".join(parameters), by_name=True)
    axes = {name: _nodes(name, given) for name, given in parameters.items()}
    if not axes and over is None:
        raise InputError("tabulate: there are no parameters: give a range for one or more")
    with collectively(comm):
        sample = _Sample(make, tuple(axes), over is None)
        sample.check(axes)
    if over is not None:
        labels = [f"{e.name} {label}" for e in sample.inputs for label in e.packing.labels]
        if len(over) != len(labels):
            raise InputError(f"tabulate: over has {len(over)} ranges: give one for each of {', '.join(labels)}")
        axes |= {label: _nodes(label, given) for label, given in zip(labels, over, strict=True)}
    grid, error = _refined(_Evaluated(sample, comm, max_evaluations), axes, degree, tolerance, over is None)
    return TableModel(sample.inputs, grid, linear=over is None, error=error, outside=outside)


class _Sample:
    """What is tabulated at one node."""

    def __init__(self, make: Callable[..., MicroModel], names: tuple[str, ...], linear: bool) -> None:
        self.make, self.names, self.linear = make, names, linear
        self.inputs: tuple[Input, ...] = ()
        self._last: tuple[tuple[float, ...], MicroModel] | None = None

    def model(self, at: tuple[float, ...]) -> MicroModel:
        """The model for values of the parameters; the last one is kept."""
        if self._last is None or self._last[0] != at:
            self._last = at, self.make(**dict(zip(self.names, at, strict=True)))
        return self._last[1]

    def __call__(self, node: tuple[float, ...]) -> Floats:
        model = self.model(node[: len(self.names)])
        if not self.linear:
            return solve_one(model, np.array(node[len(self.names) :])).vector
        found = solve_one(model, reference_of(model.inputs))
        return np.concatenate([found.vector, found.tangent.ravel()])

    def check(self, axes: Mapping[str, Floats]) -> None:
        """Raise `InputError` unless the model may be tabulated, as far as one loading and unloading shows it."""
        model = self.model(tuple(float(nodes[0]) for nodes in axes.values()))
        if isinstance(model, Rated) and model.has_rates:
            raise InputError("tabulate: the model depends on time: tabulate a linear or path-independent one")
        self.inputs = tuple(Input(e.name, e.response, e.packing, np.asarray(e.reference)) for e in model.inputs)
        start, step = reference_of(self.inputs), 1e-2 * np.cos(np.arange(input_blocks(self.inputs).size))
        first = solve_one(model, start)
        loaded = solve_one(model, start + step)
        back = solve_one(model, start, loaded.state)
        size = max(float(np.linalg.norm(loaded.vector - first.vector)), float(np.linalg.norm(first.tangent @ step)))
        if np.linalg.norm(back.vector - first.vector) > 1e-6 * size:
            raise InputError("tabulate: the model remembers its path: only path-independent models can be tables")
        if self.linear and np.linalg.norm(loaded.vector - first.vector - first.tangent @ step) > 1e-6 * size:
            raise InputError("tabulate: the model is not linear: give over=, a range for each component of its inputs")


class _Evaluated:
    """The sample on grids, with the nodes shared out among ranks."""

    def __init__(self, sample: _Sample, comm: MPI.Comm, budget: int) -> None:
        self.sample, self.comm, self.budget, self.count = sample, comm, budget, 0

    def __call__(self, axes: Sequence[Floats]) -> Floats:
        nodes = [tuple(map(float, node)) for node in product(*axes)]
        self.count += len(nodes)
        if self.count > self.budget:
            raise ConvergenceError(
                f"tabulate: the tolerance needs more than max_evaluations = {self.budget} nodes: allow more, a larger "
                "tolerance or smaller ranges"
            )
        with collectively(self.comm):
            mine = [self.sample(node) for node in nodes[self.comm.rank :: self.comm.size]]
        parts = self.comm.allgather(mine)
        found = [parts[k % self.comm.size][k // self.comm.size] for k in range(len(nodes))]
        return np.array(found).reshape(*(len(a) for a in axes), -1)


def _refined(
    evaluated: _Evaluated, axes: dict[str, Floats], degree: int, tolerance: float, is_local: bool
) -> tuple[Grid, float]:
    """A grid whose intervals have all been tested, and the largest error at their last test."""
    names = list(axes)
    grid = Grid(axes, evaluated(list(axes.values())), degree)
    untested = {name: set(_intervals(nodes)) for name, nodes in axes.items()}
    accepted = 0.0
    while any(untested.values()):
        for axis, name in enumerate(names):
            if not untested[name]:
                continue
            middles = np.array(sorted(0.5 * (a + b) for a, b in untested[name]))
            slab = {**grid.axes, name: middles}
            values = evaluated(list(slab.values()))
            errors = _errors(grid, slab, values, axis, is_local)
            good = errors <= tolerance
            accepted = max(accepted, float(errors[good].max(initial=0.0)))
            nodes = np.concatenate([grid.axes[name], middles])
            order = np.argsort(nodes)
            stacked = np.concatenate([grid.values, values], axis=axis).take(order, axis=axis)
            grid = Grid({**grid.axes, name: nodes[order]}, stacked, degree)
            bad = set(middles[~good].tolist())
            untested[name] = {i for i in _intervals(nodes[order]) if i[0] in bad or i[1] in bad}
    return grid, accepted


def _errors(grid: Grid, slab: Mapping[str, Floats], values: Floats, axis: int, is_local: bool) -> Floats:
    """Largest relative difference from the spline, for each new node of an axis."""
    x = np.stack(np.meshgrid(*slab.values(), indexing="ij"), axis=-1)
    difference = np.linalg.norm(grid.spline()(x) - values, axis=-1)
    size = np.linalg.norm(values, axis=-1)
    scale = size if is_local else np.full(size.shape, np.linalg.norm(grid.values, axis=-1).max())
    relative = difference / np.maximum(scale, np.finfo(float).tiny)
    return np.moveaxis(relative, axis, 0).reshape(values.shape[axis], -1).max(axis=1)


def _intervals(nodes: Floats) -> list[tuple[float, float]]:
    return list(zip(nodes[:-1].tolist(), nodes[1:].tolist(), strict=True))


def _nodes(name: str, given: Sequence[float]) -> Floats:
    try:
        nodes = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        nodes = np.zeros(0)
    if nodes.ndim != 1 or nodes.size < 2 or not np.isfinite(nodes).all() or not (np.diff(nodes) > 0).all():
        raise InputError(f"tabulate: the range {given!r} of {name}: give two or more increasing numbers")
    # a straight line through the ends of an odd function would pass the test at its middle
    return np.linspace(nodes[0], nodes[1], 4) if nodes.size == 2 else nodes
