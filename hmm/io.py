"""Results on disk: macro fields step by step, one RVE from inside, and tables."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh
from numpy.typing import ArrayLike, NDArray

from hmm.errors import InputError, collectively, writing
from hmm.fields import fields_of
from hmm.forms import compile_expression, owned_cells, quadrature_points, quadrature_weights
from hmm.homogenizer import Homogenizer
from hmm.locking import Lock, acquire
from hmm.microproblem import Microproblem
from hmm.response import PointState
from hmm.rve import RVE
from hmm.vtx import VTXFile


@dataclass(frozen=True)
class WorstPoint:
    """The macro point where a value is largest.

    Attributes
    ----------
    rank, point
        The rank that works on it (the first of its group) and its number there; where a point has several RVEs, that of
        the one with the largest share.
    x
        Macro coordinates, in the unit of the macro mesh.
    value
        The value, in its own unit.
    """

    rank: int
    point: int
    x: tuple[float, ...]
    value: float


def worst_point(hom: Homogenizer, values: ArrayLike) -> WorstPoint:
    """Find the point with the largest value among all ranks (collective).

    Values equal to nine digits count as equal; the point with the smallest coordinates is then taken, so that the
    choice does not depend on the number of ranks.

    Parameters
    ----------
    hom
        The homogenizer.
    values
        Shape (n_points,) or (n_points, 1); one number for each point of this rank. NaN is never the largest.

    Raises
    ------
    InputError
        If there is not one number for each point.
    """
    array = np.asarray(values, dtype=float)
    with collectively(hom.comm):
        if array.shape not in ((hom.n_points,), (hom.n_points, 1)):
            raise InputError(f"values have shape {array.shape}: give one number for each of {hom.n_points} points")
    array = np.where(np.isnan(array), -np.inf, array).ravel()
    largest = hom.comm.allreduce(float(array.max(initial=-np.inf)), op=MPI.MAX)
    candidates = np.flatnonzero(array >= largest - 1e-9 * abs(largest))
    x = hom.coordinates()
    mine = [(tuple(x[p].round(9).tolist()), hom.comm.rank, hom.rows.main(p)) for p in candidates]
    where, owner, index = min(found for part in hom.comm.allgather(mine) for found in part)
    rank, point = hom.ensemble.locate(owner, index)
    return WorstPoint(rank, point, where, largest)


@dataclass(frozen=True, eq=False)
class LocalFields:
    """The fields inside one RVE, ready to be written or drawn.

    Attributes
    ----------
    displacement
        The total field ``E x + w``, in the unknown's own Lagrange space; of several fields the one that the first macro
        input acts on.
    cellwise
        Averages over each cell of the mesh by name, on DG0 spaces: ``phase`` (its tag); for RVEs with laws ``stress``,
        shape (3, 3), ``von_mises``, and each scalar internal variable (0 in phases without it); the local fields of
        further macro inputs and of `RVE.micro`, such as ``gradient`` or ``velocity``.
    phases
        Names of the phases that have each cellwise field.
    """

    displacement: fem.Function
    cellwise: dict[str, fem.Function]
    phases: dict[str, tuple[str, ...]]

    @property
    def mesh(self) -> Mesh:
        """The mesh of the unit cell."""
        return self.displacement.function_space.mesh


def local_fields(rve: Microproblem, state: PointState, E: ArrayLike) -> LocalFields:
    """The fields of one RVE at the end of a step.

    Parameters
    ----------
    rve
        The microproblem; it is left loaded with this point.
    state
        State at the end of the step, as in `hmm.Response.state`.
    E
        The macroscopic input: its tensor or the packed vector, shape (m,).

    Returns
    -------
    LocalFields
        New Functions.

    Notes
    -----
    The stress is evaluated with the internal variables of the end of the step, where a rate-independent law has
    nothing left to return.
    """
    rve.load_history(state.history)
    rve.load(state.z, rve.pack(E))
    return _fields_of(rve.whole, state)


def _fields_of(rve: RVE, state: PointState) -> LocalFields:
    """The fields of the loaded point."""
    space = fem.functionspace(rve.cell.mesh, ("DG", 0))
    phase = fem.Function(space, name="phase")
    phase.x.array[rve.cell.phase_tags.indices] = rve.cell.phase_tags.values
    cellwise = {"phase": phase}
    if rve.law and rve.inputs[0].local_3d(rve.w).ufl_shape == (3, 3):
        cellwise |= _stress_fields(rve)
    cellwise |= _further_fields(rve)
    phases = {name: tuple(rve.cell.phases) for name in cellwise}
    for name, values in _internal_variables(rve, state).items():
        cellwise[name] = fem.Function(space, name=name)
        cellwise[name].x.array[: values.size] = values
        phases[name] = tuple(phase for phase, v in _scalar_variables(rve) if v == name)
    return LocalFields(_total_field(rve), cellwise, phases)


def point_fields(hom: Homogenizer, point: int) -> LocalFields:
    """The fields inside the RVE of a point this rank works on, at the last accepted step (collective in its group)."""
    rve, states, p = hom.population.member(point)
    return local_fields(rve, PointState(states.z[p], states.history[p]), states.E[p])


def write_rve(path: str | Path, hom: Homogenizer, where: WorstPoint) -> Path:
    """Write the fields inside one RVE as an ADIOS2 directory for ParaView (collective).

    Parameters
    ----------
    path
        The ``.bp`` directory.
    hom
        The homogenizer.
    where
        The point, from `worst_point`; the rank that works on it writes.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    InputError
        On all ranks, if the path cannot be written to.
    """
    path = _bp(path)
    with collectively(hom.comm):
        if hom.ensemble.leader == where.rank:
            write_fields(path, point_fields(hom, where.point))
    return path


def write_fields(path: str | Path, fields: LocalFields) -> Path:
    """Write the fields inside one RVE as an ADIOS2 directory for ParaView (collective on the cell's communicator).

    Parameters
    ----------
    path
        The ``.bp`` directory.
    fields
        From `local_fields` or `hmm.EffectiveProperties.fields`.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    InputError
        If the path cannot be written to.
    """
    path = _bp(path)
    with collectively(fields.mesh.comm):
        if fields.mesh.comm.rank == 0:
            require_writable(path.parent)
    with VTXFile(fields.mesh.comm, path, [fields.displacement, *fields.cellwise.values()]) as writer:
        writer.write(0.0)
    return path


def _bp(path: str | Path) -> Path:
    """The path with the suffix ``.bp``."""
    path = Path(path)
    return path if path.suffix == ".bp" else path.with_name(path.name + ".bp")


def write_csv(path: str | Path, comm: MPI.Comm, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table as comma-separated values from rank 0 (collective).

    Parameters
    ----------
    path
        The file; its directory is made if need be.
    comm
        The communicator.
    columns
        Titles, with units.
    rows
        One sequence of values for each row; numbers are written with all their digits.

    Raises
    ------
    InputError
        On all ranks, if the path cannot be written to.
    """
    path = Path(path)
    with collectively(comm):
        if comm.rank == 0:
            require_writable(path.parent)
            with writing(path), path.open("w", newline="") as file:
                csv.writer(file).writerows([columns, *rows])
    return path


class Output:
    """Macro results of each accepted step, for ParaView: ``macro.bp`` in a directory (collective).

    Written are the macro field, and for each macro cell the average of every homogenized response and of every scalar
    internal variable's average over its phase of the RVEs, named such as ``p_matrix`` (NaN where no RVE has it); where
    RVEs vary the share of each kind, ``share_NAME``, and where they are turned the ``first_axis`` of the cell. Use it
    as a context manager.

    Parameters
    ----------
    directory
        Where to write; made if need be.
    hom
        The homogenizer.
    u
        The macro field, in a Lagrange space.

    Attributes
    ----------
    path
        What is written.
    cellwise
        The cell averages by name, on DG0 spaces, as they were last written.

    Raises
    ------
    InputError
        On all ranks, if the directory cannot be written to, another run or another `Output` that is not closed writes
        there, or `u` is not in a Lagrange space.

    Examples
    --------
    >>> with hmm.Output("results", hom, u) as output:  # doctest: +SKIP
    ...     for step in hmm.steps(problem, load, target, 10):
    ...         output.write(step.number)
    """

    def __init__(self, directory: str | Path, hom: Homogenizer, u: fem.Function) -> None:
        self.hom, self.u = hom, u
        self.path = Path(directory) / "macro.bp"
        self._lock: Lock | None = None
        with collectively(hom.comm):
            if hom.comm.rank == 0:
                require_writable(self.path.parent)
                self._lock = acquire(self.path.parent, "output directory")
        self._variables = {
            f"{v}_{phase}": (phase, v) for rve in hom.rves.values() for phase, v in _scalar_variables(rve)
        }
        self.cellwise = {r.name: _cellwise(hom.mesh, r.ufl_shape, r.name) for r in hom.responses}
        self.cellwise |= {name: _cellwise(hom.mesh, (), name) for name in self._variables}
        for name, values in _microstructure(hom).items():
            self.cellwise[name] = _cellwise(hom.mesh, values.shape[1:], name)
            self._set(name, values)
        self._writer = VTXFile(hom.comm, self.path, [u, *self.cellwise.values()])

    def write(self, time: float) -> None:
        """Add the present fields as a time step (collective).

        Raises
        ------
        InputError
            On all ranks, if there is no room for it; the steps before stay readable.
        """
        hom = self.hom
        for response in hom.responses:
            points = response.function_space.dofmap.list[hom.cells].ravel()
            size = response.function_space.dofmap.bs
            self._set(response.name, response.x.array.reshape(-1, size)[points])
        for name, (phase, variable) in self._variables.items():
            self._set(name, hom.point_average(phase, variable))
        self._writer.write(time)

    def close(self) -> None:
        """Close the file (collective); what was written stays readable."""
        self._writer.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _set(self, name: str, values: NDArray[np.float64]) -> None:
        """Average values at the points, shape (n_points, k), over each owned cell."""
        means = self.hom.cell_average(values)
        self.cellwise[name].x.array[: means.size] = means.ravel()


def _microstructure(hom: Homogenizer) -> dict[str, NDArray[np.float64]]:
    """What varies over the macro mesh beside the state, at each point: shares of kinds of RVE, and where they point."""
    shares = hom.rows.shares(len(hom.rves))
    found = {f"share_{name}": shares[:, k] for k, name in enumerate(hom.rves)} if len(hom.rves) > 1 else {}
    return found | ({"first_axis": hom.orientation.R[:, :, 0]} if hom.orientation is not None else {})


def _cellwise(mesh: Mesh, shape: tuple[int, ...], name: str) -> fem.Function:
    return fem.Function(fem.functionspace(mesh, ("DG", 0, shape) if shape else ("DG", 0)), name=name)


def require_writable(directory: Path) -> None:
    """Make the directory, and raise `InputError` if nothing can be written there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (OSError, ValueError) as error:  # the latter for a null byte
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write to {directory} ({why}): give a directory you may write to") from None


def _scalar_variables(rve: Microproblem) -> list[tuple[str, str]]:
    """Phase and name of each scalar internal variable."""
    return [(phase, v) for phase, h in rve.histories.items() for v, packed in h.packings.items() if packed.shape == ()]


def _total_field(rve: RVE) -> fem.Function:
    """The field of the macroscopic input plus `w` at the loaded state; `w` alone where their shapes differ."""
    macro = rve.inputs[0]
    own = fields_of(rve.w.function_space)[macro.component or 0]
    w, space = own.of(rve.w), own.space
    total = w
    if macro.operator is not None and len(macro.packing.shape) == 1 + len(w.ufl_shape):
        x = ufl.SpatialCoordinate(rve.cell.mesh) - ufl.as_vector(np.asarray(rve.cell.origin).tolist())
        reference = macro.packing.unpack(ufl.as_vector(macro.reference.tolist()))
        total = macro.affine(macro.tensor - reference, x) + w
    field = fem.Function(space, name="displacement" if w.ufl_shape else rve.w.name)
    field.interpolate(compile_expression(total, space.element.interpolation_points))
    return field


def _further_fields(rve: RVE) -> dict[str, fem.Function]:
    """Cell averages of the local fields but the first macro input's, at the loaded state."""
    mesh, degree = rve.cell.mesh, rve.quadrature_degree
    cells, points = owned_cells(mesh), quadrature_points(mesh, degree)
    local = {e.name: e.local(rve.w) for e in rve.inputs[1:]}
    local |= {name: operator(rve.w) for name, operator in rve.micro.items()}
    fields = {}
    for name, expression in local.items():
        values = compile_expression(expression, points).eval(mesh, cells)
        values = values.reshape(cells.size, len(points), math.prod(expression.ufl_shape))
        fields[name] = _cellwise(mesh, expression.ufl_shape, name)
        fields[name].x.array[: cells.size * values.shape[2]] = _mean_over_cells(mesh, degree, cells, values).ravel()
    return fields


def _stress_fields(rve: RVE) -> dict[str, fem.Function]:
    """Cell averages of the local stress and of its von Mises equivalent at the loaded state."""
    mesh, degree = rve.cell.mesh, rve.quadrature_degree
    stress, von_mises = _cellwise(mesh, (3, 3), "stress"), _cellwise(mesh, (), "von_mises")
    points = quadrature_points(mesh, degree)
    for phase, tag in rve.cell.phases.items():
        cells = np.intersect1d(rve.cell.phase_tags.find(tag), owned_cells(mesh)).astype(np.int32)
        sigma = rve.local_response(phase)
        s = ufl.dev(sigma)
        values = ufl.as_vector([*(sigma[i, j] for i in range(3) for j in range(3)), ufl.sqrt(1.5 * ufl.inner(s, s))])
        at_points = compile_expression(values, points).eval(mesh, cells)
        means = _mean_over_cells(mesh, degree, cells, at_points.reshape(cells.size, len(points), 10))
        stress.x.array.reshape(-1, 9)[cells] = means[:, :9]
        von_mises.x.array[cells] = means[:, 9]
    return {"stress": stress, "von_mises": von_mises}


def _internal_variables(rve: RVE, state: PointState) -> dict[str, NDArray[np.float64]]:
    """Cell averages, shape (n_owned_cells,), of each scalar internal variable; 0 in phases without it."""
    mesh = rve.cell.mesh
    fields: dict[str, NDArray[np.float64]] = {}
    start, n_points = 0, len(quadrature_points(mesh, rve.quadrature_degree))
    for history in rve.histories.values():
        row = state.history[start : start + history.size]
        start += history.size
        for name, packing in history.packings.items():
            if packing.shape == ():
                values = history.view(row, name).reshape(history.cells.size, n_points, 1)
                means = _mean_over_cells(mesh, rve.quadrature_degree, history.cells, values)
                fields.setdefault(name, np.zeros(owned_cells(mesh).size))[history.cells] = means[:, 0]
    return fields


def _mean_over_cells(
    mesh: Mesh, degree: int, cells: NDArray[np.int32], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over each cell, shape (n_cells, k), of values at its quadrature points, shape (n_cells, n, k)."""
    weights = quadrature_weights(mesh, degree, cells)
    return (weights[..., None] * values).sum(axis=1) / weights.sum(axis=1)[:, None]
