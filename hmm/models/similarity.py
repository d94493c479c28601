"""Which points are similar: points that were solved, and an estimate of the error of what they answer for others."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.models.all_rows import gathered
from hmm.models.points import Floats, products

Rows = NDArray[np.intp]

ORDER = 1.5
"""Power of the distance with which an error is taken to fall: 1 for different histories, 2 for different inputs."""

NEIGHBOURS = 10
"""Number of solved points near a point that its error is estimated from."""

SEEDS = 12
"""Number of points that are solved at the start of a step, each as different as possible from those before it."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Points of one rank, or of all, in one macro iterate.

    Attributes
    ----------
    key
        Shape (n,); number of each point, the same on any number of ranks.
    E, before
        Shape (n, m); inputs now and at the start of the step. Of a point that was solved, the input of this solve.
    response, start
        Shape (n, m); responses now, where they are known, and at the start of the step.
    tangent
        Shape (n, m, m).
    solves
        Shape (n,); how often the point was solved in the step.
    rank, row
        Shape (n,); where the point is.
    """

    key: NDArray[np.int64]
    E: Floats
    before: Floats
    response: Floats
    start: Floats
    tangent: Floats
    solves: Floats
    rank: Rows
    row: Rows

    def of(self, rows: Rows) -> Candidates:
        """Some of them."""
        return Candidates(*(getattr(self, f.name)[rows] for f in fields(self)))

    def everywhere(self, comm: MPI.Comm) -> Candidates:
        """Those of all ranks, in the order of their keys, on each rank (collective)."""
        everyone = gathered(comm, [getattr(self, f.name) for f in fields(self)])
        order = np.argsort(everyone[0], kind="stable")
        return Candidates(*(values[order] for values in everyone))

    def features(self, stiffness: Floats) -> Floats:
        """What the answer of a point depends on, shape (n, 3 m), unit of stress."""
        return np.column_stack([self.E @ stiffness.T, self.before @ stiffness.T, self.start])


def corrected(points: Candidates, rows: Rows, solved: Candidates, leaders: Rows) -> Floats:
    """What solved points answer for others, corrected to first order, shape (n_rows, m)."""
    moved = (points.E[rows] - points.before[rows]) - (solved.E[leaders] - solved.before[leaders])
    gained = solved.response[leaders] - solved.start[leaders]
    return points.start[rows] + gained + products(solved.tangent[leaders], moved)


def distances(a: Floats, b: Floats) -> Floats:
    """Distances of features, shape (len(a), len(b)); single precision, so that rounding does not decide between two."""
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    noise = 1e-14 * max((a**2).sum(axis=1).max(initial=0.0), (b**2).sum(axis=1).max(initial=0.0))
    return np.sqrt(np.where(square > noise, square, 0.0)).astype(np.float32).astype(float)


def estimated_errors(points: Candidates, rows: Rows, solved: Candidates, leaders: Rows, stiffness: Floats) -> Floats:
    """Estimated error of `corrected`, shape (n_rows,), unit of stress.

    What the representative of a point would answer for other solved points near the point is compared with what these
    answer themselves, and scaled by the distances. It is zero if there is no other solved point.
    """
    if len(solved.key) < 2 or not rows.size:
        return np.zeros(rows.size)
    own, others = points.features(stiffness)[rows], solved.features(stiffness)
    near = np.argsort(distances(own, others), axis=1, kind="stable")[:, :NEIGHBOURS]
    far, found = np.linalg.norm(own - others[leaders], axis=1), np.zeros(rows.size)
    for other in near.T:
        apart = np.linalg.norm(others[other] - others[leaders], axis=1)
        miss = np.linalg.norm(corrected(solved, other, solved, leaders) - solved.response[other], axis=1)
        ratio = np.divide(far, apart, out=np.zeros_like(far), where=apart > 0)
        found = np.maximum(found, miss * ratio**ORDER)
    return found


def seeds(comm: MPI.Comm, points: Candidates, asked: Rows, stiffness: Floats, reference: Floats, apart: float) -> Rows:
    """Rows of this rank with which a step begins: of all ranks, each the farthest from those before it (collective).

    Points that are not further `apart`, in the unit of stress, count as one.
    """
    features = points.features(stiffness)[asked]
    origin = np.concatenate([stiffness @ reference, stiffness @ reference, np.zeros(reference.size)])
    far, chosen = distances(features, origin[None])[:, 0], []
    for n in range(SEEDS):
        best = _largest(comm, far, points.key[asked])
        if best is None or (n and best.value <= apart):
            break
        if best.rank == comm.rank:
            chosen.append(int(asked[best.place]))
        latest = comm.bcast(features[best.place] if best.rank == comm.rank else None, root=best.rank)
        distance = distances(features, latest[None])[:, 0]
        far = np.minimum(far, distance) if n else distance
    return np.array(chosen, dtype=np.intp)


def worst_of_groups(comm: MPI.Comm, key: NDArray[np.int64], error: Floats, leaders: Rows) -> NDArray[np.bool_]:
    """Which of some points have the largest error among all points with the same representative (collective)."""
    rounded = error.astype(np.float32)  # rounding of the last digits must not decide
    order = np.lexsort((key, -rounded, leaders))
    first = order[np.unique(leaders[order], return_index=True)[1]]
    everyone = gathered(comm, [leaders[first], rounded[first], key[first]])
    ranking = np.lexsort((everyone[2], -everyone[1], everyone[0]))
    best = everyone[2][ranking[np.unique(everyone[0][ranking], return_index=True)[1]]]
    return np.isin(key, best)


class _Place(NamedTuple):
    """A value, its rank, and its place there."""

    value: float
    rank: int
    place: int


def _largest(comm: MPI.Comm, values: Floats, key: NDArray[np.int64]) -> _Place | None:
    """The largest value of all ranks, of several equal ones that of the smallest key; None without points."""
    k = int(np.lexsort((key, -values))[0]) if values.size else -1
    mine = (-float(values[k]), int(key[k]), comm.rank, k) if values.size else (np.inf, 0, comm.rank, -1)
    value, _, rank, place = min(comm.allgather(mine))
    return None if place < 0 else _Place(-value, rank, place)
