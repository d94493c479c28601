"""Make a reduced model of an RVE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import thread_time

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import ConvergenceError, InputError, collectively
from hmm.foundation.options import instance, integer
from hmm.micro.rve import RVE
from hmm.models.asking import answer, points_of
from hmm.reduced.basis import modes_of
from hmm.reduced.model import ReducedModel
from hmm.reduced.paths import TrainingPath
from hmm.reduced.phase_cubature import linear_forces, reduce_phase
from hmm.reduced.phases import CellPoints
from hmm.reduced.reduction import ReducedPhase, Reduction
from hmm.reduced.report import TrainingReport
from hmm.reduced.snapshots import Snapshots, follow_paths
from hmm.reduced.stability import stable_reduction

Floats = NDArray[np.float64]

BATCH = 64
"""Points that are answered together when the speed is measured."""


def train(
    rve: RVE,
    paths: Sequence[TrainingPath | ArrayLike],
    *,
    blind: Sequence[TrainingPath | ArrayLike] = (),
    modes: int = 40,
    points: int = 200,
    energy: float = 1e-7,
    integrals: float = 1e-3,
    dt: float = 0.0,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> ReducedModel:
    """Train a reduced model of an RVE (collective in `comm`).

    The RVE is solved along the training paths. Modes of its fluctuation are the elastic ones, so that the elastic
    response is exact, and the strongest of what is left. The law of the undeformed state is integrated exactly. What
    stresses differ from it is integrated at cubature points, whose positive weights keep the volume of each phase and
    the forces of the training paths.

    Parameters
    ----------
    rve
        The RVE, made of laws, its cell on ``MPI.COMM_SELF``.
    paths
        Training paths; an array of shape (n_steps, m) is one of packed inputs. See `proportional`, `cyclic`,
        `random_walks` and `select_paths`.
    blind
        Further paths on which the error is measured.
    modes, points
        Most modes beside the elastic ones, and most combinations of forces that cubature keeps in each phase.
    energy
        Modes with less than this part of the energy that is not elastic are left out.
    integrals
        The part of the forces of the training paths that cubature may miss.
    dt
        Duration of each step of paths that are arrays.
    comm
        Ranks that share the paths; each must have made the same RVE.

    Returns
    -------
    ReducedModel
        The model, the same on all ranks.

    Raises
    ------
    InputError
        If the RVE is none of laws or on several ranks, or a path does not fit.
    ConvergenceError
        If no step of any training path converged.
    """
    with collectively(comm):
        instance("rve", rve, RVE, "make it with hmm.RVE")
        if rve.comm.size > 1:
            raise InputError(f"the RVE is on {rve.comm.size} ranks: train one whose cell is on MPI.COMM_SELF")
        training, unseen = _checked(rve, "training", paths, dt), _checked(rve, "blind", blind, dt)
        if not training:
            raise InputError("there are no training paths: make some with hmm.reduced.random_walks")
        integer("modes", modes, 0)
        integer("points", points, 0)
        cell = CellPoints(rve.system.loaded)
    snapshots = follow_paths(rve, training, cell, comm, "training paths")
    with collectively(comm):
        if not sum(len(s.E) for s in snapshots):
            raise ConvergenceError(f"no step of {len(training)} training paths converged: {snapshots[0].failure}")
        given = (rve, cell, snapshots, modes, energy, integrals, points)
        kernels = {name: p.kernel for name, p in cell.phases.items()}
        first = comm.rank == 0
        reduction = stable_reduction(lambda limit: _reduce(*given, limit), kernels, snapshots) if first else None
    reduction = comm.bcast(reduction)
    report = _first_report(rve, cell, reduction, snapshots)
    return _tested(ReducedModel(rve, reduction, report), unseen, comm)


def _checked(rve: RVE, what: str, paths: Sequence[TrainingPath | ArrayLike], dt: float) -> list[TrainingPath]:
    found = []
    if not isinstance(paths, Sequence | np.ndarray):
        raise InputError(f"{what} paths = {paths!r} are not a list: give a list of TrainingPath or of arrays")
    for k, path in enumerate(paths):
        made = path if isinstance(path, TrainingPath) else TrainingPath(np.asarray(path, dtype=float), dt)
        shape = np.shape(made.E)
        if len(shape) != 2 or shape[1] != rve.n_inputs or not shape[0] or not np.isfinite(made.E).all():
            raise InputError(f"path {k} has shape {shape}: give (n_steps, {rve.n_inputs}), all finite")
        if rve.has_rates and not made.dt > 0:
            raise InputError(f"a law depends on time, and path {k} has no duration: give dt=")
        found.append(made)
    return found


def _reduce(
    rve: RVE,
    cell: CellPoints,
    snapshots: list[Snapshots],
    modes: int,
    energy: float,
    integrals: float,
    points: int,
    limit: float,
) -> Reduction:
    z, E = np.concatenate([s.z for s in snapshots]), np.concatenate([s.E for s in snapshots])
    elastic = np.asarray(rve.initial().values["sensitivity"])
    size = np.linalg.norm(E - rve.reference, axis=1)
    moved = size > 1e-3 * size.max()
    Z = modes_of(cell, elastic, z[moved], size[moved], modes, energy)
    units, of_modes = cell.of_inputs(), cell.of_fluctuations(Z)
    H = {name: np.concatenate([units[name], of_modes[name].transpose(1, 2, 0)], axis=2) for name in cell.phases}
    coordinates = np.linalg.lstsq(Z.T, elastic.T, rcond=None)[0].T
    undeformed = np.concatenate([np.eye(rve.n_inputs), coordinates], axis=1)
    phases, parts = dict[str, ReducedPhase](), list[tuple[Floats, Floats]]()
    for name, p in cell.phases.items():
        if p.is_linear:
            parts.append(linear_forces(p, p.weights, H[name], p.offset))
        else:
            phases[name], *forces = reduce_phase(p, H[name], undeformed, snapshots, integrals, points, limit)
            parts.append((forces[0], forces[1]))
    stiffness, constant = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    lowest, highest = np.minimum(E.min(axis=0), rve.reference), np.maximum(E.max(axis=0), rve.reference)
    return Reduction(Z, stiffness, constant, phases, rve.cell.volume, lowest, highest)


def _first_report(rve: RVE, cell: CellPoints, reduction: Reduction, snapshots: list[Snapshots]) -> TrainingReport:
    failures = tuple(f"path {k}, {s.failure}" for k, s in enumerate(snapshots) if s.failure)
    n_quadrature = sum(p.n for p in cell.phases.values())
    nan = float("nan")
    sizes = reduction.n_modes, reduction.n_points, rve.n_unknowns, n_quadrature
    return TrainingReport(*sizes, nan, nan, nan, len(snapshots), len(failures), failures)


def _tested(model: ReducedModel, paths: list[TrainingPath], comm: MPI.Comm) -> ReducedModel:
    """The model with its error and speed on blind paths (collective)."""
    if not paths:
        return model
    full = follow_paths(model.rve, paths, None, comm, "blind paths")
    known = [(replace(path, E=s.E), s) for path, s in zip(paths, full, strict=True) if len(s.E)]
    errors = path_errors(model, [path for path, _ in known], [s.response for _, s in known])
    steps = sum(len(s.E) for s in full)
    if steps:
        mean = sum(s.seconds * len(s.E) for s in full) / steps
        speed_up = mean / _seconds(model, [path for path, _ in known])
        median, worst = float(np.median(errors)), float(np.max(errors))
        model.report = comm.bcast(replace(model.report, median=median, worst=worst, speed_up=speed_up))
    model.n_outside = 0
    return model


def path_errors(model: ReducedModel, paths: Sequence[TrainingPath], truth: Sequence[Floats]) -> list[float]:
    """Errors of the model's responses along paths, all answered together.

    Parameters
    ----------
    model
        The model.
    paths
        The paths, of the same duration of a step.
    truth
        For each of them, shape (n_steps, m); the responses of the RVE.

    Returns
    -------
    list of float
        Of each path the largest deviation, relative to the largest true response; inf where the model has no answer.
    """
    found = _responses(model, paths)
    misses = [np.linalg.norm(r - t, axis=1) for r, t in zip(found, truth, strict=True)]
    largest = [float(np.linalg.norm(t, axis=1).max()) or 1.0 for t in truth]
    return [
        float(np.where(np.isnan(miss), np.inf, miss).max()) / size for miss, size in zip(misses, largest, strict=True)
    ]


def _responses(model: ReducedModel, paths: Sequence[TrainingPath]) -> list[Floats]:
    """Responses along paths, NaN from a step without answer on; those with the same steps are answered in one batch."""
    found = [np.full(path.E.shape, np.nan) for path in paths]
    for key in dict.fromkeys((len(path.E), path.dt) for path in paths):
        rows = [k for k, path in enumerate(paths) if (len(path.E), path.dt) == key]
        points, lost = points_of(model, len(rows)), np.zeros(len(rows), dtype=bool)
        for step, E in enumerate(np.stack([paths[k].E for k in rows], axis=1)):
            points.ask(np.where(lost[:, None], points.committed.E, E), key[1], "nested")
            answer(model, points)
            for row in points.failures:
                points.restart(row)
                lost[row] = True
            model.commit(points)
            points.accept()
            for row in np.flatnonzero(~lost).tolist():
                found[rows[row]][step] = points.committed.response[row]
    return found


def _seconds(model: ReducedModel, paths: Sequence[TrainingPath]) -> float:
    """Time of a step of the model, in a batch of `BATCH` points that repeat the paths."""
    longest = max(paths, key=lambda path: len(path.E))
    alike = [path for path in paths if len(path.E) == len(longest.E) and path.dt == longest.dt]
    many = [alike[k % len(alike)] for k in range(BATCH)]
    start = thread_time()
    _responses(model, many)
    return (thread_time() - start) / (BATCH * len(longest.E))
