"""Points that start on ranks dealt along a space-filling curve."""

import shutil

from mpi4py import MPI

import numpy as np
import pytest
from support.function_models import radial_return
from support.macro_tools import J2, beam, beam_mesh, composite, difference, homogeneous_cell, rve_of

import hmm
from hmm.parallel import ensemble, scattering
from hmm.parallel.scattering import Places, deal, hilbert_index, scattered_workers

WORLD = MPI.COMM_WORLD
STRAIN = hmm.models.strain(2)


def everyones(array):
    """The rows of all ranks."""
    return np.concatenate(WORLD.allgather(array))


# -- the curve ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim, bits", [(1, 6), (2, 5), (3, 4)])
def test_the_curve_visits_each_cell_once_and_only_goes_to_neighbours(dim, bits):
    cells = np.indices((2**bits,) * dim).reshape(dim, -1).T
    index = hilbert_index(cells, bits)
    assert np.array_equal(np.sort(index), np.arange(2 ** (dim * bits)))
    assert np.all(np.abs(np.diff(cells[np.argsort(index)], axis=0)).sum(axis=1) == 1)


def test_the_first_curve_is_that_of_hilbert():
    cells = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    assert hilbert_index(cells, 1).tolist() in ([0, 1, 2, 3], [0, 3, 2, 1])
    assert hilbert_index(np.zeros((0, 3), dtype=np.int64), 16).shape == (0,)


@pytest.mark.mpi
@pytest.mark.parametrize("where", ["evenly", "on the last rank", "unevenly", "at one place", "nowhere"])
def test_positions_are_those_of_one_sort_of_all_rows(where):
    n = 0 if where == "nowhere" else 500
    rng = np.random.default_rng(0)
    curve, key = rng.integers(0, 1 if where == "at one place" else 300, n), rng.permutation(n)
    rank = {
        "evenly": np.arange(n) % WORLD.size,
        "on the last rank": np.full(n, WORLD.size - 1),
        "unevenly": np.minimum(curve // 200, WORLD.size - 1),
    }.get(where, np.arange(n) // 300 % WORLD.size)
    expected = np.empty(n, dtype=int)
    expected[np.lexsort((key, curve))] = np.arange(n)
    mine = rank == WORLD.rank
    assert np.array_equal(scattering._positions(WORLD, curve[mine], key[mine]), expected[mine])


# -- the deal ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ranks, team_size", [(1, 1), (3, 2), (7, 3), (100, 1), (100, 16), (64, 128)])
def test_each_round_gives_each_rank_one_row(n_ranks, team_size):
    rank = deal(np.arange(5 * n_ranks), n_ranks, team_size).reshape(5, n_ranks)
    assert np.all(np.sort(rank, axis=1) == np.arange(n_ranks))
    assert set(deal(np.arange(2), n_ranks, team_size)) <= set(range(n_ranks))


def test_successive_rows_go_to_different_teams():
    team = scattering.teams(64, 16)[deal(np.arange(640), 64, 16)]
    for number in team.reshape(10, 64):
        assert np.all(np.diff(number) != 0)
        assert np.bincount(number).tolist() == [16] * 4


def test_a_zone_is_shared_better_than_by_chance():
    """The rows in a ball, 64 per rank: their number varies less than in a random deal, by rank and by team."""
    n, team_size = 8, 32
    x = np.indices((4 * n,) * 3).reshape(3, -1).T
    order = np.argsort(hilbert_index(x, 5))
    inside = (((x + 0.5) / (4 * n) - [0.4, 0.5, 0.55]) ** 2).sum(axis=1) < 0.35**2
    rank = np.empty(len(x), dtype=int)
    rank[order] = deal(np.arange(len(x)), n**3, team_size)
    count = np.bincount(rank, inside, n**3)
    chance = np.bincount(np.random.default_rng(0).permutation(rank), inside, n**3)
    assert count.std() < 0.6 * chance.std()  # 1.8 against 3.1 rows of 11.5
    of_teams, by_chance = (c.reshape(-1, team_size).sum(axis=1) / c.sum() * n**3 / team_size for c in (count, chance))
    assert np.abs(of_teams - 1).max() < 0.04
    assert np.abs(by_chance - 1).max() > 0.05


@pytest.mark.mpi
def test_each_kind_is_spread_over_all_ranks_and_places():
    """Two models on two halves of a strip, owned by different ranks: each rank works on both, in all quarters."""
    n = 2400
    x = np.linspace(0, 8, n)
    kind = (x > 5).astype(np.int32)
    mine = slice(WORLD.rank * n // WORLD.size, (WORLD.rank + 1) * n // WORLD.size)
    places = Places(np.stack([x, 0 * x], axis=1)[mine], kind[mine], np.arange(n)[mine])
    worker = everyones(scattered_workers(WORLD, places, 2))
    for rows in (np.ones(n, bool), kind == 0, kind == 1, *(x // 2 == k for k in range(4))):
        counts = np.bincount(worker[rows], minlength=WORLD.size)
        assert counts.max() - counts.min() <= 2, "a piece of the curve, to within a round at each end"


# -- through the homogenizer -------------------------------------------------------------------------------------------


def two_kinds():
    """A homogeneous material in the left half of a body, a composite in the right one."""
    return hmm.variation.graded(
        {0.0: rve_of(homogeneous_cell(), {"matrix": J2}), 1.0: composite()},
        lambda x: (x[0] > 2).astype(float),
        interpolate=False,
    )


@pytest.mark.mpi
def test_the_rows_of_each_model_are_spread_and_the_answer_is_the_same():
    bodies = {policy: beam(two_kinds(), cells=(8, 2), ensemble=policy) for policy in ("owner", "scattered")}
    counts = np.array(WORLD.allgather(np.bincount(bodies["scattered"].hom.batches.kinds, minlength=2)))
    assert np.all(counts.min(axis=0) > 0)
    assert np.all(counts.max(axis=0) - counts.min(axis=0) <= 2)
    reactions = {policy: body.reactions([-0.06], 2) for policy, body in bodies.items()}
    assert reactions["scattered"] == pytest.approx(reactions["owner"], rel=1e-10)
    averages = [body.hom.point_average("matrix", "p") for body in bodies.values()]
    assert np.allclose(*averages, rtol=1e-8, atol=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize("team", [1, 2])
def test_points_move_within_teams_only(monkeypatch, team):
    """Reactions are those of one team; with teams of one rank, no point moves."""
    monkeypatch.setattr(ensemble, "WORTHWHILE", 1.0)
    one = beam(composite(), cells=(8, 2), ensemble="scattered").reactions([-0.06], 3)
    monkeypatch.setattr(ensemble, "TEAM", team)
    body = beam(composite(), cells=(8, 2), ensemble="scattered")
    start = everyones(body.hom.ensemble.worker)
    assert body.reactions([-0.06], 3) == pytest.approx(one, rel=1e-10)
    of = scattering.teams(WORLD.size, team)
    end = everyones(body.hom.ensemble.worker)
    assert np.array_equal(of[start], of[end])
    if team == 1:
        assert np.array_equal(start, end)


@pytest.mark.mpi
def test_a_failure_names_the_place_and_the_rank_that_works_on_it():
    """Points on the right have no answer: each rank reports one that it works on, wherever its owner is."""
    body = beam(short_of(2.5e-3), ensemble="scattered")
    body.u.interpolate(lambda x: np.stack([1e-3 * x[0] ** 2 / 2, 0 * x[0]]))  # strain 1e-3 x
    assert not body.hom.evaluate()
    failures, x = body.hom.failures, body.hom.coordinates()
    assert sorted(f.rank for f in failures) == list(range(WORLD.size))
    for f in failures:
        assert f.x[0] > 2.5
        mine = np.flatnonzero(np.abs(x - f.x).max(axis=1, initial=0.0) < 1e-12)
        owner, index = max(WORLD.allgather((WORLD.rank, int(mine[0])) if mine.size else (-1, -1)))
        assert body.hom.ensemble.locate(owner, index) == (f.rank, f.point)


def short_of(largest):
    """Linear elasticity without an answer where the strain along x exceeds `largest`."""

    def function(E, old, dt):
        response = 70e3 * E
        response[E[:, 0] > largest] = np.nan
        return response, np.broadcast_to(70e3 * np.eye(3), (len(E), 3, 3)), {}

    return hmm.FunctionModel(function, STRAIN)


@pytest.mark.mpi
def test_a_checkpoint_goes_on_with_another_number_of_ranks(tmp_path):
    """All ranks, one rank, all ranks again, each for one of three steps: the reaction of one run without a break."""
    path = WORLD.bcast(tmp_path) / "run.h5"
    whole = beam(composite(), cells=(8, 2), ensemble="owner").reactions([-0.06], 3)
    for last, comm in ((1, WORLD), (2, MPI.COMM_SELF), (3, WORLD)):
        body = beam(composite(), domain=beam_mesh((8, 2), comm), ensemble="scattered")
        alone = comm is MPI.COMM_SELF
        mine = shutil.copy(path, path.with_name(f"{WORLD.rank}.h5")) if alone else path
        WORLD.barrier()
        for step in hmm.steps(body.problem, body.load, -0.06, 3, checkpoint=mine):
            if step.number > last:
                break
        assert len(body.problem.stats) <= 2, "complete steps are not repeated"
        if alone and WORLD.rank == 0:
            shutil.copy(mine, path)
        WORLD.barrier()
    assert body.problem.reaction(body.drive) == pytest.approx(whole[-1], rel=1e-10)


def careful(largest):
    """J2 by radial return, without an answer where the plastic strain of a step exceeds `largest`."""
    law = radial_return(70e3, 0.3, 100.0, 700.0)

    def function(E, old, dt):
        response, tangent, new = law(E, old, dt)
        response[(new["p"] - old["p"])[:, 0] > largest] = np.nan
        return response, tangent, new

    return hmm.FunctionModel(function, STRAIN, {"plastic_strain": 6, "p": 1})


@pytest.mark.mpi
def test_a_step_that_fails_is_cut_as_with_owners():
    bodies = {policy: beam(careful(2.5e-3), ensemble=policy) for policy in ("owner", "scattered")}
    cut = {}
    for policy, body in bodies.items():
        cut[policy] = [step.cutbacks for step in hmm.steps(body.problem, body.load, -0.1, 2)]
    assert cut["scattered"] == cut["owner"]
    assert sum(cut["owner"]) > 0
    assert difference(bodies["owner"].u, bodies["scattered"].u) < 1e-9
