"""Solve an RVE along training paths and keep what a reduced model is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import thread_time

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import ConvergenceError, collectively
from hmm.micro.rve import RVE
from hmm.reduced.kept_paths import KeptPaths
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
        For each phase that is not linear, shape (k, n, f); what packed local stresses differ from those of the
        undeformed law (`PhasePoints.elastic`).
    history
        For each phase with internal variables, shape (h, n, v); those after up to `HISTORIES` of the steps and at the
        end.
    seconds
        CPU time of one step; with its tangent on paths that are solved without `points`.
    failure
        Why the path was not followed to its end, or empty.
    dt
        Shape (k,); duration of each step.
    """

    E: Floats
    response: Floats
    z: Floats
    stress: dict[str, Floats] = field(default_factory=dict)
    history: dict[str, Floats] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str = ""
    dt: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Follower:
    """Solves an RVE along paths, which ranks share.

    Attributes
    ----------
    rve, comm
        The RVE, and the ranks that each have one.
    kept
        Where paths are kept and found again; or None.
    advance
        Called after each path of this rank.
    """

    rve: RVE
    comm: MPI.Comm
    kept: KeptPaths | None
    advance: Callable[[], None]

    def __call__(self, paths: Sequence[TrainingPath], points: CellPoints | None = None) -> list[Snapshots]:
        """Snapshots of all paths, on rank 0 of `comm`; none on other ranks (collective).

        Without `points` only inputs, responses and times are kept.
        """
        own: list[tuple[int, Snapshots]] = []
        with collectively(self.comm):
            for k in range(self.comm.rank, len(paths), self.comm.size):
                own.append((k, self._follow(paths[k], points)))
                self.advance()
        parts = self.comm.gather(own)
        found = sorted((pair for part in parts or [] for pair in part), key=lambda pair: pair[0])
        return [snapshots for _, snapshots in found]

    def _follow(self, path: TrainingPath, points: CellPoints | None) -> Snapshots:
        kind = "blind" if points is None else "training"
        stored = None if self.kept is None else self.kept.find(kind, path)
        if stored is not None:
            return Snapshots(**stored)
        found = follow_path(self.rve, path, points)
        if self.kept is not None:
            self.kept.keep(kind, path, vars(found))
        return found


def follow_path(rve: RVE, path: TrainingPath, points: CellPoints | None) -> Snapshots:
    """Solve one path, up to the first step that does not converge."""
    nonlinear = {name: p for name, p in points.phases.items() if not p.is_linear} if points else {}
    state, failure, response, z = rve.initial_state(), "", [], []
    stress: dict[str, list[Floats]] = {name: [] for name in nonlinear}
    blocks, seconds, histories = rve.forms.history_blocks, 0.0, list[Floats]()
    for number, (E, dt) in enumerate(zip(path.E, path.durations.tolist(), strict=True), 1):
        start = thread_time()
        try:
            answer = rve.solve(E, state, tangent=points is None, dt=dt)
        except ConvergenceError as error:
            failure = f"step {number} of {len(path.E)}: {error}"
            break
        seconds += thread_time() - start
        old = blocks.split(state.history)
        state = answer.state
        response.append(answer.vector)
        if points is None:
            continue
        z.append(state.z)
        rve.load(state, E)
        for name, p in nonlinear.items():
            before = old[name].reshape(p.n, -1) if name in old else None
            fields = p.evaluate()
            stress[name].append(p.kernel(fields, before, dt)[0] - p.elastic(fields))
        if number % -(-len(path.E) // HISTORIES) == 0:
            histories.append(state.history)
    n, last = len(response), [] if histories and histories[-1] is state.history else [state.history]
    parts = blocks.split(np.array([*histories, *last]))
    kept = {name: (-1, nonlinear[name].n, nonlinear[name].kernel.n_variables) for name in parts if points}
    return Snapshots(
        path.E[:n],
        np.array(response).reshape(n, rve.n_inputs),
        np.array(z).reshape(n if points else 0, rve.n_unknowns),
        {name: np.array(stress[name]).reshape(n, p.n, p.kernel.n_fields) for name, p in nonlinear.items()},
        {name: parts[name].reshape(shape).copy() for name, shape in kept.items()},
        seconds / max(n, 1),
        failure,
        path.durations[:n].copy(),
    )
