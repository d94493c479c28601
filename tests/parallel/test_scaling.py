"""The simulated schedule against cases that are worked out by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hmm.parallel import ensemble

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
schedule = pytest.importorskip("schedule")

FREE = schedule.Machine(latency=0.0, bandwidth=np.inf, planning=0.0)
COSTS = schedule.Costs(np.array([1.0]), np.array([9.0]), evaluations=3, bytes_per_point=1000)


def two_ranks(n_steps=3, n=20):
    """The first half of the points, which are those of rank 0, yields in each step."""
    return schedule.Body(2, np.repeat([0.0, 2.0], n // 2), np.ones(n_steps))


def uniform(n_steps=2):
    return schedule.Body(2, np.full(20, 2.0), np.ones(n_steps))


def test_perfect_balance_costs_only_messages():
    machine = schedule.Machine(latency=0.5)
    for policy in (schedule.owner, schedule.balanced):
        assert policy(uniform(), COSTS, FREE).efficiency == 1.0
    flag = 0.5  # one message on two ranks, at each of three evaluations
    assert schedule.owner(uniform(), COSTS, machine).efficiency == pytest.approx(10 / (10 + 3 * flag))
    assert schedule.balanced(uniform(), COSTS, machine).efficiency == pytest.approx(10 / (10 + 6 * flag))


def test_owners_wait_for_the_slowest():
    """Mean over largest load: (90 + 10) / 2 / 90."""
    assert schedule.owner(two_ranks(), COSTS, FREE).efficiency == pytest.approx(50 / 90)


def test_balanced_is_late_by_one_step():
    """90 s in the first step; then four or five of ten plastic points have moved: (40 + 4 or 5 of 9 s)."""
    outcome = schedule.balanced(two_ranks(), COSTS, FREE)
    assert outcome.seconds[0] == 90
    assert np.all(outcome.seconds[1:] <= 50 + 9 / 2)
    assert outcome.work.tolist() == [100] * 3


def test_states_that_move_are_priced():
    """One message each way three times, and four or five states of 1000 bytes at 1000 bytes a second."""
    machine = schedule.Machine(latency=0.0, bandwidth=1000.0, planning=0.0)
    source, target = np.zeros(4, dtype=int), np.ones(4, dtype=int)
    assert schedule.moving_seconds(source, target, 2, COSTS, machine, 2) == pytest.approx(4 + 8 / 1000)
    home, worker = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert schedule.round_trip(home, worker, 2, COSTS, machine) == pytest.approx(8 * 15 / 1000)


def test_a_group_of_all_is_balanced():
    assert schedule.grouped(two_ranks(), COSTS, FREE, 2, 0.8).efficiency == pytest.approx(0.8)


def test_moves_are_those_of_the_ensemble_to_within_a_point():
    rng = np.random.default_rng(1)
    worker = np.repeat(np.arange(8), 50)
    costs = rng.gamma(1.0, size=400) * np.where(worker < 3, 8, 1)
    loads = np.bincount(worker, costs)
    rows, targets = schedule.moves(costs, worker, loads, 8)
    after = worker.copy()
    after[rows] = targets
    plan = ensemble.transfers(loads)
    real = worker.copy()
    for k in range(8):
        mine, out = np.flatnonzero(worker == k), plan.source == k
        goes = ensemble.choose_rows(costs[mine], plan.amount[out])
        real[mine[goes >= 0]] = plan.target[out][goes[goes >= 0]]
    ours, theirs = np.bincount(after, costs), np.bincount(real, costs)
    assert np.all(np.abs(ours - theirs) <= 2 * costs.max())
    assert np.abs(ours - loads.mean()).max() <= 2 * costs.max()


def test_teams_plan_alone():
    """Each of two teams has the plan that it has alone; the second one is of three ranks."""
    loads = np.array([3.0, 1.0, 9.0, 1.0, 2.0])
    plan, first, second = schedule.plans(loads, 2), ensemble.transfers(loads[:2]), ensemble.transfers(loads[2:])
    assert plan.source.tolist() == [*first.source, *(2 + second.source)]
    assert plan.target.tolist() == [*first.target, *(2 + second.target)]
    assert plan.amount.tolist() == [*first.amount, *second.amount]
    assert schedule.worthwhile(np.array([1.0, 1.0, 1.0, 2.0]), 2)
    assert not schedule.worthwhile(np.array([1.0, 1.0, 5.0, 5.0]), 2)


def test_scattered_points_share_what_yields_from_the_first_step():
    """Of twenty points that one rank owns, each of two ranks works on ten: ten of cost 9 and ten of cost 1 in all."""
    outcome = schedule.scattered(two_ranks(n=40), COSTS, FREE)
    assert outcome.seconds[0] == 100
    assert outcome.most_points == 20
    assert schedule.scattered(two_ranks(n=40), COSTS, FREE, foreseen=True).efficiency == 1.0


def test_a_ball_grows_in_a_cube():
    body = schedule.cube(5, 4, 2, first=0.01, last=0.3)
    shares = [(body.distance < radius).mean() for radius in body.radii]
    assert shares == pytest.approx([0.01, 0.3], abs=0.01)
    assert np.bincount(body.owner).tolist() == np.bincount(body.scattered).tolist() == [64] * 125
    assert np.array_equal(np.sort(body.position), np.arange(8000))
