"""Solve an RVE along training paths and keep what a reduced model is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import thread_time

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.console import progress
from hmm.foundation.errors import ConvergenceError
from hmm.micro.rve import RVE
from hmm.reduced.paths import TrainingPath
from hmm.reduced.phases import CellPoints

Floats = NDArray[np.float64]

HISTORIES = 4
"""States of a path whose internal variables are kept."""


@dataclass
class Snapshots:
    """What an RVE did along one path, step by step.

    Attributes
    ----------
    E, response
        Shapes (k, m); packed inputs and responses of the k steps that converged.
    z
        Shape (k, n_unknowns); fluctuations.
    stress
        For each phase that is not linear, shape (k, n, f); packed local stresses.
    history
        For each phase with internal variables, shape (h, n, v); those after up to `HISTORIES` of the steps and at the
        end.
    seconds
        Time of one step.
    failure
        Why the path was not followed to its end, or empty.
    dt
        Duration of each step.
    """

    E: Floats
    response: Floats
    z: Floats
    stress: dict[str, Floats] = field(default_factory=dict)
    history: dict[str, Floats] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str = ""
    dt: float = 0.0


def follow_paths(
    rve: RVE, paths: Sequence[TrainingPath], points: CellPoints | None, comm: MPI.Comm, label: str
) -> list[Snapshots]:
    """Snapshots of all paths, each solved by one rank of `comm` and known to all (collective in it).

    Without `points` only inputs, responses and times are kept.
    """
    own: list[tuple[int, Snapshots]] = []
    with progress(comm, label, -(-len(paths) // comm.size)) as advance:
        for k in range(comm.rank, len(paths), comm.size):
            own.append((k, _follow(rve, paths[k], points)))
            advance()
    everyones = sorted((pair for part in comm.allgather(own) for pair in part), key=lambda pair: pair[0])
    return [snapshots for _, snapshots in everyones]


def _follow(rve: RVE, path: TrainingPath, points: CellPoints | None) -> Snapshots:
    """Solve one path, up to the first step that does not converge."""
    nonlinear = {name: p for name, p in points.phases.items() if not p.is_linear} if points else {}
    state, failure, E, response, z = rve.initial_state(), "", [], [], []
    stress: dict[str, list[Floats]] = {name: [] for name in nonlinear}
    blocks, seconds, histories = rve.forms.history_blocks, 0.0, list[Floats]()
    for number, value in enumerate(path.E, 1):
        start = thread_time()
        try:
            answer = rve.solve(value, state, tangent=True, dt=path.dt)
        except ConvergenceError as error:
            failure = f"step {number} of {len(path.E)}: {error}"
            break
        seconds += thread_time() - start
        old = blocks.split(state.history)
        state = answer.state
        E.append(value)
        response.append(answer.vector)
        if points is None:
            continue
        z.append(state.z)
        rve.load(state, value)
        for name, p in nonlinear.items():
            before = old[name].reshape(p.n, -1) if name in old else None
            stress[name].append(p.kernel(p.evaluate(), before, path.dt)[0].copy())
        if number % -(-len(path.E) // HISTORIES) == 0:
            histories.append(state.history)
    n, last = len(E), [] if histories and histories[-1] is state.history else [state.history]
    parts = blocks.split(np.array([*histories, *last]))
    history = {
        name: parts[name].reshape(-1, nonlinear[name].n, parts[name].shape[1] // nonlinear[name].n)
        for name in parts
        if points
    }
    m = rve.n_inputs
    return Snapshots(
        np.array(E).reshape(n, m),
        np.array(response).reshape(n, m),
        np.array(z).reshape(n if points else 0, rve.n_unknowns),
        {
            name: np.array(s).reshape(n, nonlinear[name].n, nonlinear[name].kernel.n_fields)
            for name, s in stress.items()
        },
        history,
        seconds / max(n, 1),
        failure,
        path.dt,
    )
