"""Make a reduced model of an RVE."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike

from hmm.foundation.console import progress, warn
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.locking import sole
from hmm.foundation.options import instance, integer, positive
from hmm.micro.rve import RVE
from hmm.reduced.kept_paths import KeptPaths
from hmm.reduced.model import ReducedModel
from hmm.reduced.paths import TrainingPath
from hmm.reduced.phases import CellPoints
from hmm.reduced.reducing import Accuracy
from hmm.reduced.report import CUBATURE, MODES, TRAINING_SET
from hmm.reduced.rounds import Training, train_on_all, train_to_tolerance
from hmm.reduced.snapshots import Follower

REMEDIES = {
    TRAINING_SET: "give more paths, such as recorded ones, or a larger budget",
    MODES: "raise modes=, or lower energy=",
    CUBATURE: "raise points=",
}
"""What to do about each limit of a model."""


def train(
    rve: RVE,
    paths: Sequence[TrainingPath | ArrayLike],
    *,
    blind: Sequence[TrainingPath | ArrayLike] = (),
    tolerance: float | None = None,
    budget: int | None = None,
    modes: int = 40,
    points: int = 200,
    energy: float = 1e-7,
    integrals: float = 1e-3,
    dt: float = 0.0,
    checkpoint: str | Path | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> ReducedModel:
    """Train a reduced model of an RVE (collective in `comm`).

    The RVE is solved along the training paths. Modes of its fluctuation are the elastic ones, so that the elastic
    response is exact, and the strongest of what is left. The law of the undeformed state is integrated exactly. What
    stresses differ from it is integrated at cubature points, whose positive weights keep the volume of each phase and
    the forces of the training paths.

    With a `tolerance`, few of the paths are solved: in rounds those on which the model so far misses most, until the
    median error on the blind paths is at most the tolerance and the worst one at most three times as large. Modes and
    cubature points become more where they limit the model. See `hmm.reduced.greedy`.

    Parameters
    ----------
    rve
        The RVE, made of laws, its cell on ``MPI.COMM_SELF``.
    paths
        Training paths; an array of shape (n_steps, m) is one of packed inputs. See `proportional`, `cyclic`,
        `random_walks`, `select_paths` and `hmm.recorded_paths`.
    blind
        Further paths on which the error is measured.
    tolerance
        Error of the response on the blind paths, relative to the largest response of each path. By default all
        `paths` are solved.
    budget
        With a tolerance, how many of the `paths` are solved at most; all by default.
    modes, points
        Most modes beside the elastic ones, and most combinations of forces that cubature keeps in each phase.
    energy
        Modes with less than this part of the energy that is not elastic are left out.
    integrals
        The part of the forces of the training paths that cubature may miss. With a tolerance, where it begins: with
        this or, if that is larger, with the tolerance.
    dt
        Duration of each step of paths that are arrays.
    checkpoint
        A folder that keeps each path when it is solved. The same call goes on from them if it was killed, and other
        calls for the same RVE use them too. Needs h5py.
    comm
        Ranks that share the paths; each must have made the same RVE.

    Returns
    -------
    ReducedModel
        The model, the same on all ranks. If the tolerance is not met it is the best one, and a warning says what was
        reached.

    Raises
    ------
    InputError
        If the RVE is none of laws or on several ranks, a path does not fit, or the checkpoint is of another RVE.
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
        most = _most(tolerance, budget, training, unseen)
        accuracy = Accuracy(integer("modes", modes, 0), integer("points", points, 0), energy, integrals)
        if checkpoint is not None:
            instance("checkpoint", checkpoint, (str, Path), "give the path of a folder")
        cell = CellPoints(rve.system.loaded)
    total = -(-len(unseen) // comm.size) - (-most // comm.size)
    kept = None if checkpoint is None else KeptPaths(checkpoint, rve, comm)
    alone = nullcontext() if kept is None else sole(kept.folder, "folder of training paths", comm)
    with alone, progress(comm, "training", total) as advance:
        known = Training(rve, cell, Follower(rve, comm, kept, advance), training, unseen)
        if tolerance is None:
            made = train_on_all(known, accuracy)
        else:
            made = train_to_tolerance(known, accuracy, tolerance, most)
    reduction, report = comm.bcast(made)
    if report.tolerance and not report.is_met:
        warn(
            f"the reduced model does not meet its tolerance of {tolerance:.3g}: the blind error is "
            f"{report.median:.2%} median, {report.worst:.2%} worst, and {report.limit} limits it; "
            f"{REMEDIES[report.limit]}"
        )
    return ReducedModel(rve, reduction, report)


def _most(
    tolerance: float | None, budget: int | None, training: Sequence[TrainingPath], unseen: Sequence[TrainingPath]
) -> int:
    """How many training paths are solved at most."""
    if tolerance is None:
        if budget is not None:
            raise InputError(f"budget = {budget} without a tolerance: all training paths are solved; give tolerance=")
        return len(training)
    positive("tolerance", tolerance, below=1.0)
    if not unseen:
        raise InputError(f"tolerance = {tolerance} needs paths on which the error is measured: give blind=")
    return len(training) if budget is None else min(integer("budget", budget, 1), len(training))


def _checked(rve: RVE, what: str, paths: Sequence[TrainingPath | ArrayLike], dt: float) -> list[TrainingPath]:
    found = []
    if not isinstance(paths, Sequence | np.ndarray):
        raise InputError(f"{what} paths = {paths!r} are not a list: give a list of TrainingPath or of arrays")
    for k, path in enumerate(paths):
        made = path if isinstance(path, TrainingPath) else TrainingPath(np.asarray(path, dtype=float), dt)
        shape = np.shape(made.E)
        if len(shape) != 2 or shape[1] != rve.n_inputs or not shape[0] or not np.isfinite(made.E).all():
            raise InputError(f"path {k} has shape {shape}: give (n_steps, {rve.n_inputs}), all finite")
        if np.shape(made.dt) not in ((), shape[:1]):
            raise InputError(f"path {k} of {shape[0]} steps has durations of shape {np.shape(made.dt)}: give one each")
        if rve.has_rates and not (made.durations > 0).all():
            raise InputError(f"a law depends on time, and path {k} has no duration: give dt=")
        found.append(made)
    return found
