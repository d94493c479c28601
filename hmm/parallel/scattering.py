"""The start of a ``scattered`` ensemble: each rank gets a sample of the points of the whole body.

The points are put in the order of a space-filling curve and dealt to the ranks in turn. A rank stores its own points,
its piece of the curve, and a few numbers per rank, only while this lasts.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.hashing import uniform
from hmm.parallel.routes import Route

Integers = NDArray[np.int64]
Ranks = NDArray[np.int32]

BITS = 16
"""The curve passes 2^16 cells along the longest edge of the body; points in one cell follow each other by number."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where this rank's own rows are in the macro body.

    Attributes
    ----------
    x
        Shape (n_rows, gdim); macro coordinates.
    kind
        Shape (n_rows,); number of the micro model.
    key
        Shape (n_rows,); number of the integration point, the same on any number of ranks.
    """

    x: NDArray[np.float64]
    kind: NDArray[np.int32]
    key: Integers

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.kind.size


def scattered_workers(comm: MPI.Comm, places: Places, team_size: int) -> Ranks:
    """The rank that each own row starts on, shape (n_rows,) (collective).

    Parameters
    ----------
    comm
        Communicator of the macro mesh.
    places
        This rank's own rows.
    team_size
        As in `deal`.
    """
    return deal(_positions(comm, _curve(comm, places), places.key), comm.size, team_size)


def deal(position: Integers, n_ranks: int, team_size: int) -> Ranks:
    """The rank of each row, by its position in the order of all rows.

    In each round of the deal, each rank gets one row, so that all have equally many to within one. Successive rows go
    to different teams, so that the rows of a team are spread more evenly than those of a rank. The rank that begins is
    drawn anew in each round, by a hash: otherwise a rank would get the same place in each block of a regular mesh.

    Parameters
    ----------
    position
        Shape (n_rows,); positions along the curve.
    n_ranks
        Number of ranks.
    team_size
        Ranks of a team (see `teams`).
    """
    team = teams(n_ranks, team_size)
    member = np.arange(n_ranks) - team * team_size
    turns = np.lexsort((team, member)).astype(np.int32)
    number, slot = np.divmod(position, n_ranks)
    first = (uniform(number, 0) * n_ranks).astype(np.int64)
    return turns[(slot + first) % n_ranks]


def teams(n_ranks: int, team_size: int) -> Integers:
    """The team of each rank, shape (n_ranks,): neighbours; ranks that are left over join the last team."""
    return np.minimum(np.arange(n_ranks) // team_size, max(n_ranks // team_size, 1) - 1)


def _curve(comm: MPI.Comm, places: Places) -> Integers:
    """Position of each row on a Hilbert curve through the body, one curve after another for the micro models."""
    gdim = places.x.shape[1]
    low, high = np.empty(gdim), np.empty(gdim)
    comm.Allreduce(places.x.min(axis=0, initial=np.inf), low, MPI.MIN)
    comm.Allreduce(places.x.max(axis=0, initial=-np.inf), high, MPI.MAX)
    edge = (high - low).max()
    cells = (places.x - low) / (edge if edge > 0 else 1.0) * (2**BITS - 1)
    return (places.kind.astype(np.int64) << (gdim * BITS)) + hilbert_index(cells.astype(np.int64), BITS)


def _positions(comm: MPI.Comm, curve: Integers, key: Integers) -> Integers:
    """Number of each row in the order of (curve, key) over all ranks, by a sort that is distributed over the ranks."""
    middle = np.sort(curve)[curve.size // 2 : curve.size // 2 + 1]
    ends = np.sort(np.concatenate(comm.allgather(middle)))
    bucket = np.minimum(np.searchsorted(ends, curve), comm.size - 1)
    order = np.argsort(bucket, kind="stable")
    route = Route.to(comm, bucket)
    rows = route.along(np.stack([curve, key], axis=1)[order])
    before = sum(comm.allgather(len(rows))[: comm.rank])
    place = np.empty(len(rows), dtype=np.int64)
    place[np.lexsort((rows[:, 1], rows[:, 0]))] = before + np.arange(len(rows))
    position = np.empty_like(curve)
    position[order] = route.back(place[:, None]).ravel()
    return position


def hilbert_index(cells: Integers, bits: int) -> Integers:
    """Position of the cells of a grid on a Hilbert curve.

    Parameters
    ----------
    cells
        Shape (n, dim); numbers of the cells along each axis, from 0 to ``2**bits - 1``.
    bits
        Resolution; ``dim * bits`` is at most 62.

    Returns
    -------
    ndarray
        Shape (n,); successive positions are neighbouring cells.

    Notes
    -----
    J. Skilling, "Programming the Hilbert curve", AIP Conf. Proc. 707, 381-387 (2004), for all cells at once.
    """
    x = cells.astype(np.int64).T.copy()
    for bit in range(bits - 1, 0, -1):
        below = (1 << bit) - 1
        for axis in x:
            inverted = (axis >> bit) & 1 == 1
            exchanged = np.where(inverted, 0, (x[0] ^ axis) & below)
            x[0] ^= np.where(inverted, below, exchanged)
            axis ^= exchanged
    x[1:] = np.bitwise_xor.accumulate(x, axis=0)[1:]
    flips = np.zeros_like(x[0])
    for bit in range(bits - 1, 0, -1):
        flips ^= np.where((x[-1] >> bit) & 1 == 1, (1 << bit) - 1, 0)
    x ^= flips
    index = np.zeros_like(x[0])
    for bit in range(bits - 1, -1, -1):
        for axis in x:
            index = (index << 1) | ((axis >> bit) & 1)
    return index
