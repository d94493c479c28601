"""Messages between neighbours only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Route:
    """One message per neighbour: rows are sent along the route, and answers back.

    Attributes
    ----------
    comm
        A communicator without other messages at the same time.
    sources, targets
        Ranks from which rows come and to which they go, known on both sides.
    received, sent
        Number of rows from each source and to each target.
    """

    comm: MPI.Comm
    sources: NDArray[np.integer]
    targets: NDArray[np.integer]
    received: NDArray[np.integer]
    sent: NDArray[np.integer]

    @classmethod
    def to(cls, comm: MPI.Comm, target: NDArray[np.integer]) -> Route:
        """The route of rows to their target ranks, shape (n_rows,); rows are sent sorted by target (collective).

        Only senders know of the messages, so that each rank tells each other one number.
        """
        sent = np.bincount(target, minlength=comm.size).astype(np.int64)
        received = np.empty_like(sent)
        comm.Alltoall(sent, received)
        sources, targets = np.flatnonzero(received), np.flatnonzero(sent)
        return cls(comm, sources, targets, received[sources], sent[targets])

    def along(self, rows: NDArray) -> NDArray:
        """Send rows, shape (sum(sent), k), to the targets; return those of the sources."""
        return self._exchange(rows, self.targets, self.sent, self.sources, self.received)

    def back(self, rows: NDArray) -> NDArray:
        """Send rows, shape (sum(received), k), to the sources; return those of the targets."""
        return self._exchange(rows, self.sources, self.received, self.targets, self.sent)

    def part(self, sent: NDArray[np.bool_], received: NDArray[np.bool_]) -> Route:
        """The route of some of the rows only, marked among those sent and those received."""
        counts = [
            np.array([piece.sum() for piece in np.split(mask, np.cumsum(n)[:-1])][: n.size], dtype=np.int64)
            for mask, n in ((received, self.received), (sent, self.sent))
        ]
        return replace(self, received=counts[0], sent=counts[1])

    def _exchange(self, rows: NDArray, to: NDArray, sent: NDArray, come: NDArray, received: NDArray) -> NDArray:
        """An all-to-all among neighbours only: no list of all ranks, and no empty messages."""
        rows = np.ascontiguousarray(rows)
        answer = np.empty((int(np.sum(received)), *rows.shape[1:]), rows.dtype)
        size = rows.dtype.itemsize * int(np.prod(rows.shape[1:]))
        if size == 0:
            return answer
        row_type = MPI.BYTE.Create_contiguous(size).Commit()  # counts in rows stay below the 2^31 of MPI
        pieces = np.split(answer, np.cumsum(received)[:-1])
        requests = [self.comm.Irecv([p, len(p), row_type], r) for p, r in zip(pieces, come.tolist(), strict=False)]
        parts = np.split(rows, np.cumsum(sent)[:-1])
        requests += [self.comm.Isend([p, len(p), row_type], r) for p, r in zip(parts, to.tolist(), strict=False)]
        MPI.Request.Waitall(requests)
        row_type.Free()
        return answer


class Movable(Protocol):
    """Rows that can move between ranks."""

    @property
    def nbytes_per_point(self) -> int:
        """Memory of a row, in bytes."""
        ...

    def exchange(self, leaving: NDArray[np.int64], route: Route, order: NDArray[np.int64]) -> None:
        """Send rows and receive others (see `hmm.parallel.batches.Batches.exchange`)."""
        ...
