"""Which points are similar: representatives, and an estimate of the error of what they answer for others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.models.points import Floats

Rows = NDArray[np.intp]

ORDER = 1.5
"""Power of the distance with which an error is taken to fall: 1 for different histories, 2 for different inputs."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """Points in one macro iterate, compared with their representatives.

    Attributes
    ----------
    features
        Shape (n, k), unit of stress; what the answer of a point depends on.
    start
        Shape (n, m); response at the start of the step.
    change
        Shape (n, m); change of the input since then.
    response, tangent
        Shapes (n, m) and (n, m, m); the answers of the representatives.
    """

    features: Floats
    start: Floats
    change: Floats
    response: Floats
    tangent: Floats

    def distances(self, of: Rows, to: Rows) -> Floats:
        """Distance of some points to others, shape (len(of), len(to)), unit of stress."""
        a, b = self.features[of], self.features[to]
        square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        noise = 1e-14 * float((self.features**2).sum(axis=1).max(initial=0.0))
        return np.sqrt(np.where(square > noise, square, 0.0))

    def corrected(self, rows: Rows, leaders: Rows) -> Floats:
        """What representatives answer for some points, corrected to first order, shape (n_rows, m)."""
        moved = self.change[rows] - self.change[leaders]
        gained = self.response[leaders] - self.start[leaders]
        return self.start[rows] + gained + np.einsum("nij,nj->ni", self.tangent[leaders], moved)

    def errors(self, rows: Rows, leaders: Rows, active: Rows) -> Floats:
        """Estimated error of `corrected`, shape (n_rows,), unit of stress.

        What the representative of a point would answer for other representatives near the point is compared with what
        these answer themselves, and scaled by the distances.
        """
        if active.size < 2 or not rows.size:
            return np.zeros(rows.size)
        k = min(self.start.shape[1] + 2, active.size)
        near = active[np.argsort(self.distances(rows, active), axis=1, kind="stable")[:, :k]]
        own = np.linalg.norm(self.features[rows] - self.features[leaders], axis=1)
        found = np.zeros(rows.size)
        for others in near.T:
            apart = np.linalg.norm(self.features[others] - self.features[leaders], axis=1)
            miss = np.linalg.norm(self.corrected(others, leaders) - self.response[others], axis=1)
            ratio = np.divide(own, apart, out=np.zeros_like(own), where=apart > 0)
            found = np.maximum(found, miss * ratio**ORDER)
        return found


def nearest(similarity: Similarity, active: Rows) -> Rows:
    """The nearest representative of each point, shape (n,); of a representative, itself."""
    n = len(similarity.features)
    leaders = active[np.argmin(similarity.distances(np.arange(n), active), axis=1)]
    leaders[active] = active
    return leaders


def seeds(similarity: Similarity, active: NDArray[np.bool_], n: int) -> Rows:
    """Points that are added to the representatives to begin with: each the farthest from those before it.

    Parameters
    ----------
    similarity
        The points.
    active
        Shape (n_points,); which are representatives already.
    n
        How many there shall be at least, unless all points are alike.
    """
    everyone = np.arange(active.size)
    chosen: list[int] = np.flatnonzero(active).tolist()
    added: list[int] = []
    if not chosen:
        added = [int(np.argmax(np.linalg.norm(similarity.features, axis=1)))]
    far = similarity.distances(everyone, np.array(chosen + added)).min(axis=1)
    while len(chosen) + len(added) < n and far.max(initial=0.0) > 0:
        added.append(int(np.argmax(far)))
        far = np.minimum(far, similarity.distances(everyone, np.array(added[-1:]))[:, 0])
    return np.array(added, dtype=np.intp)


def worst(similarity: Similarity, error: Floats, leaders: Rows, limit: float, cheap: NDArray[np.bool_]) -> Rows:
    """Of each group the point with the largest error above `limit`, or a `cheap` one close to it.

    Parameters
    ----------
    similarity
        The points.
    error
        Shape (n,); estimated error, zero at representatives.
    leaders
        Shape (n,); the representative of each point.
    limit
        The largest error that is allowed.
    cheap
        Shape (n,); points that can be solved without solving steps of the past.
    """
    above = np.flatnonzero(error > limit)
    order = above[np.argsort(-error[above], kind="stable")]
    _, first = np.unique(leaders[order], return_index=True)
    chosen = []
    for p in order[first]:
        group = np.flatnonzero(cheap & (leaders == leaders[p]) & (error > 0))
        reach = 0.5 * similarity.distances(np.array([p]), leaders[[p]])[0, 0]
        apart = similarity.distances(np.array([p]), group)[0]
        chosen.append(int(group[np.argmin(apart)]) if apart.min(initial=np.inf) < reach else int(p))
    return np.unique(np.array(chosen, dtype=np.intp))


def redundant(similarity: Similarity, active: Rows, limit: float) -> Rows:
    """Representatives that the others could have answered with an error below `limit`."""
    stays = np.ones(active.size, dtype=bool)
    apart = similarity.distances(active, active)
    for k, row in enumerate(active):
        distance = np.where(stays, apart[k], np.inf)
        distance[k] = np.inf
        leader = active[[int(np.argmin(distance))]]
        miss = np.linalg.norm(similarity.corrected(np.array([row]), leader)[0] - similarity.response[row])
        stays[k] = not np.isfinite(distance).any() or miss > limit
    return active[~stays]
