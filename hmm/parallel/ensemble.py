"""Distribution of the points over the ranks: to owners of macro cells, balanced, scattered, or to groups of ranks.

The *owner* of a point is the rank that owns its macro cell. Its *worker* evaluates it and stores its state: a rank, or
a group of ranks that share the mesh of an RVE. An `Ensemble` sends macroscopic inputs from owners to workers and
answers back, in one message per pair, and decides after each accepted step which points move.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.options import choice
from hmm.parallel.routes import Movable, Route
from hmm.parallel.scattering import Places, scattered_workers, teams

POLICIES = ("auto", "owner", "balanced", "scattered", "grouped")
"""The values of `ensemble` in `hmm.Homogenizer`."""

WORTHWHILE = 1.1
"""Points move if the slowest worker takes longer than this factor times the mean."""

AUTO_IMBALANCE = 1.2
AUTO_SECONDS = 0.05
"""Conditions of ``auto`` for moving points: this imbalance in two successive steps, and this gain per step."""

TEAM = 128
"""Ranks of a team of a ``scattered`` ensemble: points move within teams, each of which has its own plan. This is about
one node; more ranks make no better balance (docs/performance.md)."""

LARGEST_MESSAGE = 2**28
"""Maximum bytes of states that a rank sends after one step; the rest moves after the next."""


@dataclass(frozen=True)
class Transfer:
    """Work that should move.

    Attributes
    ----------
    source, target
        Shape (n,); workers.
    amount
        Shape (n,); amount of work, in the unit of the loads.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    amount: NDArray[np.float64]


def transfers(loads: NDArray[np.float64]) -> Transfer:
    """Transfers of divisible work that make all loads equal; fewer than there are workers.

    The cumulative surpluses of the workers above the mean are matched with the cumulative deficits of those below.

    Parameters
    ----------
    loads
        Shape (n_workers,); the work of each, in any unit.
    """
    mean = loads.mean()
    surplus, deficit = np.cumsum(np.maximum(loads - mean, 0)), np.cumsum(np.maximum(mean - loads, 0))
    cuts = np.unique(np.concatenate([[0.0], surplus, np.minimum(deficit, surplus[-1])]))
    amount = np.diff(cuts)
    middle = cuts[:-1] + amount / 2
    last = loads.size - 1
    source = np.minimum(np.searchsorted(surplus, middle), last)
    target = np.minimum(np.searchsorted(deficit, middle), last)
    real = (amount > 1e-9 * mean) & (source != target)
    return Transfer(source[real], target[real], amount[real])


def choose_rows(costs: NDArray[np.float64], amounts: NDArray[np.float64]) -> NDArray[np.int64]:
    """The points of each transfer: the most expensive ones first, so that few states move.

    Parameters
    ----------
    costs
        Shape (n_rows,); cost of each point of a worker.
    amounts
        Shape (n_transfers,); amount of work of each transfer.

    Returns
    -------
    ndarray
        Shape (n_rows,); the transfer of each point, or -1 if it stays.
    """
    goes = np.full(costs.size, -1)
    room = amounts.astype(float).copy()
    k = 0
    for row in np.argsort(-costs, kind="stable"):
        while k < room.size and room[k] <= 0:
            k += 1
        fits = np.flatnonzero(costs[row] <= 2 * room[k:])  # closer to the amount with this point than without
        if fits.size:
            goes[row] = k + fits[0]
            room[goes[row]] -= costs[row]
    return goes


class Ensemble:
    """Owners and workers of all points.

    Parameters
    ----------
    comm
        Communicator of the macro mesh.
    places
        The points of this rank's own macro cells.
    group
        Communicator of the cell of the RVE: the ranks that evaluate each point together.
    policy
        One of `POLICIES`.

    Attributes
    ----------
    policy
        The present policy; ``auto`` becomes one of the others.
    worker
        Shape (n_points,), int32; the first rank of the worker of each own point.
    owner, index
        Shape (n_rows,), int32; for each point that this rank evaluates, its owner and its number there. Rows are sorted
        by both.
    seconds
        Shape (n_rows,); CPU time of this process for each of them since the last accepted step.
    moved
        Number of points that this rank has received from others so far.

    Notes
    -----
    ``owner`` sends nothing. ``balanced`` moves points with their states from slow to fast workers after an accepted
    step, according to the time measured in it. ``scattered`` starts with a sample of the whole body on each rank
    (`hmm.parallel.scattering`); then points move as for ``balanced``, but within teams of `TEAM` neighbouring ranks, so
    that the plan costs the same on any number of ranks. ``grouped`` is for RVEs on several ranks: the group of the
    owner evaluates a point. The largest array that grows with the number of ranks has one number per rank (at the start
    of ``scattered``; for ``balanced`` the loads, while points move).

    Raises
    ------
    InputError
        If the policy is unknown or does not suit the communicator of the RVE.
    """

    def __init__(self, comm: MPI.Comm, places: Places, group: MPI.Comm, policy: str = "auto") -> None:
        choice("ensemble", policy, POLICIES)
        if policy in ("owner", "balanced", "scattered") and group.size > 1:
            raise InputError(
                f"ensemble {policy!r} needs one RVE per rank, but its cell is on {group.size} ranks: create the cell "
                "on MPI.COMM_SELF, or use ensemble='grouped'"
            )
        self.comm, self.group = comm, group
        self._may_become_balanced = policy == "auto" and group.size == 1 and comm.size > 1
        self._seen_imbalance = 0
        self.policy = (
            policy if policy != "auto" else ("grouped" if comm.allreduce(group.size, MPI.MAX) > 1 else "owner")
        )
        self.leader = int(group.bcast(comm.rank))
        self.worker = np.full(places.n, self.leader, dtype=np.int32)
        self.owner = np.full(places.n, comm.rank, dtype=np.int32)
        self.index = np.arange(places.n, dtype=np.int32)
        self.moved = 0
        self._team, self._first = comm, 0
        self._route: Route | None = None
        if self.policy == "grouped":
            self._join_group()
        if self.policy == "scattered":
            self._scatter(places)
        self.seconds = np.zeros(self.n_rows)
        if self.policy == "balanced":
            self._rebalance(np.ones(self.n_rows), None)

    @staticmethod
    def split(comm: MPI.Comm, n: int) -> MPI.Comm:
        """Sub-communicator of `n` neighbouring ranks for the cell of a ``grouped`` ensemble (collective).

        Ranks that are left over join the last group.

        Raises
        ------
        InputError
            If `n` is not between 1 and the number of ranks.
        """
        if not 1 <= n <= comm.size:
            raise InputError(f"groups of {n} ranks cannot be made of {comm.size}: give a number from 1 to {comm.size}")
        return comm.Split(int(teams(comm.size, n)[comm.rank]), comm.rank)

    @property
    def n_rows(self) -> int:
        """Number of points that this rank evaluates, alone or with its group."""
        return self.owner.size

    @property
    def is_local(self) -> bool:
        """Whether every rank evaluates its own points, so that nothing is sent."""
        return self._route is None

    def to_workers(self, values: NDArray) -> NDArray:
        """Send values of the owned points, shape (n_points, k), to their workers, shape (n_rows, k)."""
        if self._route is None:
            return values
        rows = self._route.along(values[self._by_worker])
        return rows if self.group.size == 1 else self.group.bcast(rows)

    def to_owners(self, rows: NDArray) -> NDArray:
        """Send values of the rows, shape (n_rows, k), to the owners of the points, shape (n_points, k)."""
        if self._route is None:
            return rows
        mine = rows if self.comm.rank == self.leader else rows[:0]
        sorted_by_worker = self._route.back(mine)
        values = np.empty_like(sorted_by_worker)
        values[self._by_worker] = sorted_by_worker
        return values

    def locate(self, rank: int, point: int) -> tuple[int, int]:
        """The first rank of the worker of a point, and its row there; the point by owner and number (collective)."""
        rows = np.flatnonzero((self.owner == rank) & (self.index == point))
        leads = self.comm.rank == self.leader and rows.size
        found = (self.comm.rank, int(rows[0])) if leads else (-1, -1)
        return self.comm.allreduce(found, MPI.MAX)

    def imbalance(self) -> float:
        """Time of the slowest worker over the mean, since the last accepted step (collective)."""
        slowest, mean = self._load(self.comm)
        return slowest / mean if mean else 1.0

    def rebalance(self, rows: Movable) -> bool:
        """After an accepted step, move points to faster workers if this saves time (collective).

        Parameters
        ----------
        rows
            The states, which move with the points.

        Returns
        -------
        bool
            Whether any point moved.
        """
        if not self._moves and not self._may_become_balanced:
            self.seconds[:] = 0.0
            return False
        slowest, mean = self._load(self._team)
        seconds, self.seconds = self.seconds, np.zeros(self.n_rows)
        if self._may_become_balanced:
            self._consider(slowest, mean)
        if not self._moves or not self.comm.allreduce(slowest >= WORTHWHILE * mean, MPI.LOR):
            return False
        self._rebalance(seconds, rows)
        return True

    @property
    def _moves(self) -> bool:
        """Whether points move between ranks."""
        return self.policy in ("balanced", "scattered")

    def _load(self, comm: MPI.Comm) -> tuple[float, float]:
        """Longest and mean time of some workers."""
        mine = float(self.seconds.sum())
        slowest = comm.allreduce(mine, MPI.MAX)
        return slowest, comm.allreduce(mine) / comm.size

    def _consider(self, slowest: float, mean: float) -> None:
        """The policy ``auto``: balance after two steps with a sufficient gain, with a message."""
        pays = slowest > AUTO_IMBALANCE * mean and slowest - mean > AUTO_SECONDS
        self._seen_imbalance = self._seen_imbalance + 1 if pays else 0
        if self._seen_imbalance < 2:
            return
        self.policy, self._may_become_balanced = "balanced", False
        if self.comm.rank == 0:
            logging.getLogger("hmm").warning(
                "one rank works %.1f times as long as the mean: points now move between ranks (ensemble='balanced')",
                slowest / mean,
            )

    def _rebalance(self, costs: NDArray[np.float64], rows: Movable | None) -> None:
        """Move points within each team so that the sums of `costs` become equal."""
        loads = np.empty(self._team.size)
        self._team.Allgather(np.array([costs.sum()]), loads)
        plan = transfers(loads)
        out, into = plan.source == self._team.rank, plan.target == self._team.rank
        targets, sources = self._first + plan.target[out], self._first + plan.source[into]
        goes = choose_rows(costs, plan.amount[out])
        leaving = np.flatnonzero(goes >= 0)
        if rows is not None:
            leaving = leaving[: max(LARGEST_MESSAGE // max(rows.nbytes_per_point, 1), 1)]
        leaving = leaving[np.argsort(goes[leaving], kind="stable")]
        self._tell_owners(leaving, targets[goes[leaving]])
        sent = np.bincount(goes[leaving], minlength=targets.size)
        received = Route(self.comm, sources, targets, np.ones_like(sources), np.ones_like(targets)).along(sent)
        route = Route(self.comm, sources, targets, received, sent)
        arrived = route.along(np.stack([self.owner[leaving], self.index[leaving]], axis=1))
        order = self._take(leaving, arrived)
        if rows is not None:
            rows.exchange(leaving, route, order)
        self.seconds = np.zeros(self.n_rows)
        self.moved += len(arrived)
        self._connect()

    def _tell_owners(self, leaving: NDArray[np.int64], targets: NDArray[np.int64]) -> None:
        """Inform the owners of the rows that leave of the new workers."""
        worker = np.full((self.n_rows, 1), self.comm.rank, dtype=np.int32)
        worker[leaving, 0] = targets
        self.worker = self.to_owners(worker).ravel()

    def _take(self, leaving: NDArray[np.int64], arrived: NDArray[np.int32]) -> NDArray[np.int64]:
        """Remove the rows that left and insert those that arrived; return the order of (kept, arrived) rows."""
        owner = np.concatenate([np.delete(self.owner, leaving), arrived[:, 0]])
        index = np.concatenate([np.delete(self.index, leaving), arrived[:, 1]])
        order = np.lexsort((index, owner))
        self.owner, self.index = owner[order], index[order]
        return order

    def _connect(self) -> None:
        """Rebuild the route from owners to workers."""
        leads = self.comm.rank == self.leader
        sources, received = np.unique(self.owner if leads else self.owner[:0], return_counts=True)
        self._by_worker = np.argsort(self.worker, kind="stable")
        targets, sent = np.unique(self.worker, return_counts=True)
        self._route = Route(self.comm, sources, targets, received, sent)

    def _scatter(self, places: Places) -> None:
        """Let each rank begin with a sample of the whole body; its states are then made there."""
        self.worker = scattered_workers(self.comm, places, TEAM)
        own = np.stack([self.owner, self.index], axis=1)[np.argsort(self.worker, kind="stable")]
        self.owner, self.index = Route.to(self.comm, self.worker).along(own).T.copy()
        self._connect()
        if self.comm.size >= 2 * TEAM:
            self._team = Ensemble.split(self.comm, TEAM)
            self._first = self._team.bcast(self.comm.rank)

    def _join_group(self) -> None:
        """Let the group evaluate the points of all its ranks."""
        parts = self.group.allgather((self.comm.rank, self.worker.size))
        self.owner = np.concatenate([np.full(n, rank, dtype=np.int32) for rank, n in parts])
        self.index = np.concatenate([np.arange(n, dtype=np.int32) for _, n in parts])
        self._connect()
