"""A simulator of the schedule: which rank works on which point, for as many ranks as you like, on one core.

What it takes for granted is listed in docs/performance.md, section "Scaling". Everything is sums, sorts and searches
over arrays of points or of ranks; nothing grows with their product, or with the square of the ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.parallel.ensemble import TEAM, WORTHWHILE, Transfer, transfers
from hmm.parallel.scattering import deal, hilbert_index, teams


@dataclass(frozen=True)
class Machine:
    """What a message costs: ``latency + bytes / bandwidth``.

    Attributes
    ----------
    latency
        Seconds a message (alpha). The default is a cautious figure for MPI between nodes of a loaded network.
    bandwidth
        Bytes a second of one rank (1 / beta). The default is a 200 Gb/s port that 128 ranks of a node share.
    planning
        Seconds a rank that `hmm.parallel.ensemble.transfers` takes: 35 ms for 10^5 of them on one core.
    """

    latency: float = 5e-6
    bandwidth: float = 0.2e9
    planning: float = 3e-7

    def allreduce(self, n_ranks: int) -> float:
        """Seconds of one number reduced over all ranks, by recursive doubling."""
        return self.latency * np.ceil(np.log2(n_ranks)) if n_ranks > 1 else 0.0

    def allgather(self, n_ranks: int) -> float:
        """Seconds of one number a rank that all get."""
        return self.allreduce(n_ranks) + 8 * (n_ranks - 1) / self.bandwidth


@dataclass(frozen=True)
class Costs:
    """CPU seconds of a point in a step, and what it sends.

    Attributes
    ----------
    elastic, plastic
        Samples, measured; shapes (n_elastic,) and (n_plastic,).
    evaluations
        Macro iterates of a step, each with one round of messages.
    bytes_per_point
        Of a state that moves.
    m
        Components of the macro input: a point is sent m numbers and answers m + m^2.
    """

    elastic: NDArray[np.float64]
    plastic: NDArray[np.float64]
    evaluations: float = 5.0
    bytes_per_point: int = 80_000
    m: int = 3

    @property
    def numbers(self) -> int:
        """Numbers of a point that travel in one evaluation, there and back."""
        return 2 * self.m + self.m**2

    def expected(self, yields: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The mean cost of each point."""
        return np.where(yields, self.plastic.mean(), self.elastic.mean())

    def draw(self, yields: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """A cost for each point, each step anew: a plastic sample where it yields, an elastic one elsewhere."""
        costs = self.elastic[rng.integers(self.elastic.size, size=yields.size)]
        costs[yields] = self.plastic[rng.integers(self.plastic.size, size=np.count_nonzero(yields))]
        return costs


@dataclass(frozen=True)
class Body:
    """Points on ranks, and where they yield.

    Attributes
    ----------
    n_ranks
        Number of ranks; each owns equally many points, one after another.
    distance
        Shape (n_points,); a point yields once the zone's radius exceeds its distance.
    radii
        Shape (n_steps,).
    position
        Shape (n_points,); position on the Hilbert curve. By default the points are numbered along it.
    """

    n_ranks: int
    distance: NDArray[np.floating]
    radii: NDArray[np.float64]
    position: NDArray[np.int64] | None = None

    @property
    def owner(self) -> NDArray[np.int64]:
        """The rank that owns each point, shape (n_points,)."""
        return np.repeat(np.arange(self.n_ranks), self.distance.size // self.n_ranks)

    @property
    def scattered(self) -> NDArray[np.int64]:
        """The rank that each point starts on with ``scattered``, shape (n_points,)."""
        position = np.arange(self.distance.size) if self.position is None else self.position
        return deal(position, self.n_ranks, TEAM).astype(np.int64)

    def steps(self, costs: Costs, seed: int) -> Iterator[NDArray[np.float64]]:
        """Costs of all points, shape (n_points,), step after step; the same for each policy."""
        rng = np.random.default_rng(seed)
        for radius in self.radii:
            yield costs.draw(self.distance < radius, rng)


def cube(ranks: int, points: int, n_steps: int, first: float = 0.01, last: float = 0.3) -> Body:
    """A cube cut into `ranks`^3 cubes, one a rank, with `points`^3 points each; a ball in its middle yields.

    The ball's share of the volume is `first` in the first step and `last` in the last; its radius grows evenly.
    """
    blocks, inside = np.indices((ranks,) * 3).reshape(3, -1), np.indices((points,) * 3).reshape(3, -1)
    distance = np.zeros((ranks * points) ** 3, dtype=np.float32)
    cells = np.stack([(block[:, None] * points + x).ravel() for block, x in zip(blocks, inside, strict=True)], axis=1)
    for x in cells.T:
        distance += (((x + 0.5) / (ranks * points) - 0.5) ** 2).astype(np.float32)
    order = np.argsort(hilbert_index(cells, int(ranks * points - 1).bit_length()))
    position = np.empty_like(order)
    position[order] = np.arange(order.size)
    radii = np.linspace(*((3 * share / (4 * np.pi)) ** (1 / 3) for share in (first, last)), n_steps)
    return Body(ranks**3, np.sqrt(distance), radii, position)


@dataclass(frozen=True)
class Outcome:
    """What was simulated.

    Attributes
    ----------
    seconds
        Shape (n_steps,); from step to step, movement of states after a step included.
    work
        Shape (n_steps,); CPU seconds of all points together.
    n_ranks
        Number of ranks.
    moved
        Share of the points that moved, all steps together (a point may move more than once).
    most_points
        Most points that one worker ever had.
    """

    seconds: NDArray[np.float64]
    work: NDArray[np.float64]
    n_ranks: int
    moved: float = 0.0
    most_points: int = 0

    @property
    def efficiency(self) -> float:
        """Work over what all ranks could have done in the time."""
        return float(self.work.sum() / (self.n_ranks * self.seconds.sum()))


def owner(body: Body, costs: Costs, machine: Machine, seed: int = 0) -> Outcome:
    """Each rank works on its own points: the slowest decides; one flag is reduced at each evaluation."""
    return grouped(body, costs, machine, 1, 1.0, seed)


def grouped(body: Body, costs: Costs, machine: Machine, n: int, efficiency: float, seed: int = 0) -> Outcome:
    """Groups of `n` neighbouring ranks work on the points of all of them together, each RVE with `efficiency`.

    The leader of a group gets the macro inputs of the others' points and sends the answers. Ranks that are left over
    make no group of their own: they join the last.
    """
    n_groups = max(body.n_ranks // n, 1)
    worker = np.minimum(body.owner // n, n_groups - 1)
    size = np.full(n_groups, float(n))
    size[-1] = body.n_ranks - (n_groups - 1) * n
    sent = 8 * costs.numbers * (n - 1) * body.distance.size / body.n_ranks
    messages = machine.allreduce(body.n_ranks) + 2 * (n - 1) * machine.latency + sent / machine.bandwidth
    seconds, work = [], []
    for c in body.steps(costs, seed):
        loads = np.bincount(worker, c, n_groups) / (size * efficiency)
        seconds.append(loads.max() + costs.evaluations * messages)
        work.append(c.sum())
    return Outcome(np.array(seconds), np.array(work), body.n_ranks, most_points=int(np.bincount(worker).max()))


def balanced(body: Body, costs: Costs, machine: Machine, seed: int = 0) -> Outcome:
    """After each step points move with their states, by the costs of that step, as `hmm.Ensemble` lets them."""
    return _moving(body, costs, machine, body.owner, body.n_ranks, seed=seed)


def scattered(body: Body, costs: Costs, machine: Machine, foreseen: bool = False, seed: int = 0) -> Outcome:
    """Points start dealt over all ranks, where their states are made, and move within teams.

    If `foreseen`, they move before each step, by the mean costs of the points that yield in it: the bound of what a
    prediction could reach.
    """
    return _moving(body, costs, machine, body.scattered, TEAM, foreseen, seed)


def _moving(
    body: Body,
    costs: Costs,
    machine: Machine,
    worker: NDArray[np.int64],
    team_size: int,
    foreseen: bool = False,
    seed: int = 0,
) -> Outcome:
    """Points that begin on given workers and move within teams."""
    home, worker, n_ranks = body.owner, worker.copy(), body.n_ranks
    moved, most, seconds, work = 0, 0, [], []
    flag = machine.allreduce(n_ranks)
    messages = flag + round_trip(home, worker, n_ranks, costs, machine)
    for c, following in zip(body.steps(costs, seed), np.append(body.radii[1:], body.radii[-1]), strict=True):
        seconds.append(np.bincount(worker, c, n_ranks).max() + costs.evaluations * messages)
        work.append(c.sum())
        most = max(most, int(np.bincount(worker).max()))
        seconds[-1] += 3 * flag  # slowest, mean, and whether any team moves points
        known = costs.expected(body.distance < following) if foreseen else c
        loads = np.bincount(worker, known, n_ranks)
        if not worthwhile(loads, team_size):
            continue
        rows, targets = moves(known, worker, loads, team_size)
        seconds[-1] += moving_seconds(worker[rows], targets, n_ranks, costs, machine, team_size)
        worker[rows] = targets
        moved += rows.size
        messages = flag + round_trip(home, worker, n_ranks, costs, machine)
    return Outcome(np.array(seconds), np.array(work), n_ranks, moved / home.size, most)


def worthwhile(loads: NDArray[np.float64], team_size: int) -> bool:
    """Whether any team has a worker far above its mean."""
    team = teams(loads.size, team_size)
    first = np.flatnonzero(np.diff(team, prepend=-1))
    slowest, mean = np.maximum.reduceat(loads, first), np.bincount(team, loads) / np.bincount(team)
    return bool(np.any(slowest >= WORTHWHILE * mean))


def plans(loads: NDArray[np.float64], team_size: int) -> Transfer:
    """The transfers of all teams."""
    first = np.flatnonzero(np.diff(teams(loads.size, team_size), prepend=-1))
    of_teams = [transfers(part) for part in np.split(loads, first[1:])]
    shift = np.repeat(first, [plan.amount.size for plan in of_teams])
    source, target, amount = (
        np.concatenate([getattr(plan, name) for plan in of_teams]) for name in ("source", "target", "amount")
    )
    return Transfer(source + shift, target + shift, amount)


def moves(
    costs: NDArray[np.float64], worker: NDArray[np.int64], loads: NDArray[np.float64], team_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which points go where: `plans` rounded to whole points, for all ranks at once.

    The points of each worker that gives are laid end to end, costliest first, beside the amounts that it gives, and a
    point goes where its middle falls: as `hmm.parallel.ensemble.choose_rows`, to within half a point a transfer.

    Returns
    -------
    rows, targets
        Points that move, and their new workers.
    """
    plan = plans(loads, team_size)
    gives = np.bincount(plan.source, plan.amount, loads.size)
    rows = np.flatnonzero(gives[worker] > 0)
    rows = rows[np.lexsort((-costs[rows], worker[rows]))]
    source, c = worker[rows], costs[rows]
    have = np.where(gives > 0, loads, 0.0)
    middle = np.cumsum(c) - c / 2 - (np.cumsum(have) - have)[source]  # within each worker
    goes = middle < gives[source]
    rows, position = rows[goes], middle[goes] + (np.cumsum(gives) - gives)[source[goes]]
    k = np.searchsorted(np.cumsum(plan.amount), position, side="right")
    return rows, plan.target[np.minimum(k, plan.target.size - 1)]


def neighbours(source: NDArray[np.int64], target: NDArray[np.int64], n_ranks: int) -> NDArray[np.int64]:
    """To and from how many others each rank has something to send, shape (n_ranks,)."""
    pairs = np.sort(source * n_ranks + target)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique hashes integers, which takes minutes for ten million
    return np.bincount(pairs // n_ranks, minlength=n_ranks) + np.bincount(pairs % n_ranks, minlength=n_ranks)


def moving_seconds(
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    n_ranks: int,
    costs: Costs,
    machine: Machine,
    team_size: int,
) -> float:
    """One rebalancing: loads gathered, plan made, and the rank that sends or receives most."""
    n_planned = int(np.bincount(teams(n_ranks, team_size)).max())
    n_messages = neighbours(source, target, n_ranks)
    n_states = np.bincount(source, minlength=n_ranks) + np.bincount(target, minlength=n_ranks)
    # how many points come, which, and then their states
    slowest = 3 * n_messages * machine.latency + n_states * costs.bytes_per_point / machine.bandwidth
    return machine.allgather(n_planned) + machine.planning * n_planned + float(slowest.max())


def round_trip(
    home: NDArray[np.int64], worker: NDArray[np.int64], n_ranks: int, costs: Costs, machine: Machine
) -> float:
    """Macro inputs to workers and answers back, for the rank with most of it; what stays on a rank costs nothing."""
    away = home != worker
    n_messages = neighbours(home[away], worker[away], n_ranks)
    n_points = np.bincount(home[away], minlength=n_ranks) + np.bincount(worker[away], minlength=n_ranks)
    return float((2 * n_messages * machine.latency + 8 * costs.numbers * n_points / machine.bandwidth).max())
