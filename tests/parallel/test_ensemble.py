"""Which rank works on which point: the answer is the same, the work is not."""

from functools import lru_cache

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from dolfinx.graph import adjacencylist
from dolfinx.mesh import CellType
from support.macro_tools import J2, STIFF, _box_cell, beam, composite, homogeneous_cell, rve_of, square_cell

import hmm
from hmm.parallel import ensemble

WORLD = MPI.COMM_WORLD
LOAD = [-0.06]


@pytest.fixture
def eager(monkeypatch):
    """Let points move at the slightest imbalance, and `auto` decide without waiting for long steps."""
    monkeypatch.setattr(ensemble, "WORTHWHILE", 1.0)
    monkeypatch.setattr(ensemble, "AUTO_IMBALANCE", 1.0)
    monkeypatch.setattr(ensemble, "AUTO_SECONDS", 0.0)


@pytest.fixture(scope="module")
def reference():
    """Reactions and mean plastic strains when each rank works on its own points."""
    body = beam(composite(), cells=(8, 2), ensemble="owner")
    return body.reactions(LOAD, 3), body.hom.point_average("matrix", "p")


def group_rve(comm):
    return rve_of(_box_cell(mesh.create_unit_square(comm, 4, 4), True), {"matrix": J2, "inclusion": STIFF})


# -- the same answer ---------------------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.parametrize("policy", ["balanced", "scattered", "auto"])
@pytest.mark.parametrize("algorithm", ["monolithic", "nested"])
def test_points_that_move_give_the_same_answer(reference, eager, policy, algorithm):
    body = beam(composite(), algorithm, cells=(8, 2), ensemble=policy)
    reactions = body.reactions(LOAD, 3)
    assert reactions == pytest.approx(reference[0], rel=1e-10)
    assert np.allclose(body.hom.point_average("matrix", "p"), reference[1], rtol=1e-8, atol=1e-12)
    assert WORLD.allreduce(body.hom.ensemble.n_rows) == WORLD.allreduce(body.hom.n_points)
    if WORLD.size > 1:
        assert body.hom.ensemble.policy == ("scattered" if policy == "scattered" else "balanced")
        assert WORLD.allreduce(int((body.hom.ensemble.owner != WORLD.rank).sum())) > 0
        if policy != "scattered":  # points that are spread from the start may need no move: measured times decide
            assert WORLD.allreduce(body.hom.ensemble.moved) > 0


@pytest.mark.mpi
def test_groups_give_the_same_answer(reference):
    comm = hmm.Ensemble.split(WORLD, WORLD.size)
    body = beam(group_rve(comm), cells=(8, 2))
    assert body.hom.ensemble.policy == ("grouped" if WORLD.size > 1 else "owner")
    assert body.reactions(LOAD, 3) == pytest.approx(reference[0], rel=1e-10)
    assert np.allclose(body.hom.point_average("matrix", "p"), reference[1], rtol=1e-8, atol=1e-12)


@pytest.mark.mpi
def test_the_worst_point_is_found_where_it_is_worked_on(eager, tmp_path):
    body = beam(composite(), cells=(8, 2), ensemble="balanced")
    body.reactions(LOAD, 3)
    p = body.hom.point_average("matrix", "p")
    where = hmm.worst_point(body.hom, p)
    assert where.value == WORLD.allreduce(p.max(initial=0.0), MPI.MAX)
    if where.rank == WORLD.rank:
        history = body.hom.model.histories["matrix"]
        assert history.average(body.hom.states.committed.variables["history"][where.point], "p")[0] == where.value
    written = hmm.write_rve(WORLD.bcast(tmp_path) / "rve.bp", body.hom, where)
    assert written.is_dir()


@pytest.mark.mpi
def test_an_rve_of_a_group_is_written(tmp_path):
    body = beam(group_rve(hmm.Ensemble.split(WORLD, WORLD.size)))
    body.reactions([-0.01])
    where = hmm.worst_point(body.hom, body.hom.point_average("matrix", "p"))
    assert hmm.write_rve(WORLD.bcast(tmp_path) / "rve.bp", body.hom, where).is_dir()


@pytest.mark.mpi
@pytest.mark.parametrize("policy", ["balanced", "scattered"])
def test_ranks_without_macro_cells_work(eager, policy):
    """All macro cells are on rank 0; the others get points to work on."""
    domain = mesh.create_unit_square(WORLD, 2, 2, CellType.triangle, partitioner=all_on_rank_0)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v, e = fem.Function(V), ufl.TestFunction(V), fem.Constant(domain, 0.0)
    edge = mesh.locate_entities_boundary(domain, 1, lambda x: np.full(x.shape[1], True))
    dofs = fem.locate_dofs_topological(V, 1, edge)
    g = fem.Function(V)
    bc = fem.dirichletbc(g, dofs)
    hom = hmm.Homogenizer(composite(), ufl.sym(ufl.grad(u)), degree=2, ensemble=policy)
    problem = hmm.MacroProblem(ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx, u, hom, bcs=[bc])
    for e.value in (0.005, 0.01):
        g.interpolate(lambda x: e.value * x[[1, 0]])
        problem.solve()
    shear = hom.stress.x.array.reshape(-1, 2, 2)[: hom.n_points, 0, 1]
    E = np.array([[0.0, 0.01], [0.01, 0.0]])
    rve = composite()
    expected = rve.solve(E, rve.solve(E / 2).state).stress[0, 1]
    assert np.allclose(shear, expected, rtol=1e-8)
    assert hom.n_points == (0 if WORLD.rank else 24)
    assert hom.ensemble.n_rows > 0


def all_on_rank_0(comm, n, cell_types, cells):
    return adjacencylist(np.zeros((cells[0].size // 3, 1), dtype=np.int32))._cpp_object


CONTINUED = [
    ("grouped", "balanced"),
    ("owner", "grouped"),
    ("balanced", "owner"),
    ("scattered", "balanced"),
    ("owner", "scattered"),
]


@pytest.mark.mpi
@pytest.mark.parametrize("first, then", CONTINUED)
def test_a_run_goes_on_with_another_policy(reference, eager, tmp_path, first, then):
    """Each policy continues from a checkpoint of each other one: the same reactions as without a break."""
    path = WORLD.bcast(tmp_path) / "run.h5"
    for policy, steps in ((first, 2), (then, 3)):
        rve = group_rve(hmm.Ensemble.split(WORLD, WORLD.size)) if policy == "grouped" else composite()
        body = beam(rve, cells=(8, 2), ensemble="auto" if policy == "grouped" else policy)
        loop = hmm.steps(body.problem, body.load, LOAD[0], 3, checkpoint=path)
        for step in loop:
            if step.number == steps and policy == first:
                break
    assert step.number == 3
    assert body.problem.reaction(body.drive) == pytest.approx(reference[0][0], rel=1e-10)
    assert np.allclose(body.hom.point_average("matrix", "p"), reference[1], rtol=1e-8, atol=1e-12)


# -- less work for the busiest -----------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.skipif(WORLD.size != 2, reason="compares what two ranks do")
def test_the_busiest_rank_gets_rid_of_its_plasticity():
    """All plasticity is on one rank: with two, the busiest does 1.6 times less once points have moved."""
    work = {policy: busiest(policy)[-1] for policy in ("owner", "balanced")}
    assert work["owner"] >= 1.6 * work["balanced"]


@pytest.mark.mpi
@pytest.mark.skipif(WORLD.size != 2, reason="compares what two ranks do")
def test_scattered_points_share_the_plasticity_from_the_first_step():
    """The same strip: the busiest rank does 1.8 times less in each step in which points yield, before any has moved."""
    work = {policy: np.array(busiest(policy)) for policy in ("owner", "scattered")}
    yields = work["owner"] > 0.1 * work["owner"].max()
    assert yields[0]
    assert np.all(work["owner"][yields] >= 1.8 * work["scattered"][yields])


@lru_cache
def busiest(policy):
    """Factorizations of the busiest rank in each step, when only the left half of a stretched strip yields."""
    domain = mesh.create_rectangle(WORLD, [[0.0, 0.0], [8.0, 1.0]], [16, 2])
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v, load = fem.Function(V), ufl.TestFunction(V), fem.Constant(domain, 0.0)
    x = ufl.SpatialCoordinate(domain)
    strain = load * ufl.conditional(ufl.lt(x[0], 4.0), 1.0, 0.01) * ufl.as_tensor([[0.0, 1.0], [1.0, 0.0]])
    rve = rve_of(square_cell(40), {"matrix": J2, "inclusion": STIFF})  # large enough for factorizations to cost most
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)) + strain, degree=1, ensemble=policy)
    everywhere = mesh.locate_entities_boundary(domain, 1, lambda x: np.full(x.shape[1], True))
    bc = fem.dirichletbc(np.zeros(2), fem.locate_dofs_topological(V, 1, everywhere), V)
    problem = hmm.MacroProblem(ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx, u, hom, bcs=[bc])
    done = [hom.count.factorizations]
    for load.value in (0.004, 0.006, 0.008, 0.010, 0.012):
        problem.solve()
        done.append(hom.count.factorizations)
    return [WORLD.allreduce(int(n), MPI.MAX) for n in np.diff(done)]


# -- the plan ----------------------------------------------------------------------------------------------------------


def test_transfers_make_all_loads_equal():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 1000):
        loads = rng.gamma(0.5, size=n)
        plan = ensemble.transfers(loads)
        after = loads - np.bincount(plan.source, plan.amount, n) + np.bincount(plan.target, plan.amount, n)
        assert np.allclose(after, loads.mean(), rtol=1e-6)
        assert plan.source.size < n


def test_no_transfers_without_imbalance():
    assert ensemble.transfers(np.ones(5)).source.size == 0
    assert ensemble.transfers(np.zeros(3)).source.size == 0


def test_the_costliest_points_are_chosen():
    goes = ensemble.choose_rows(np.array([1.0, 8.0, 1.0, 4.0]), np.array([8.0, 5.0]))
    assert goes.tolist() == [1, 0, -1, 1]


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_unknown_policy():
    with pytest.raises(
        hmm.InputError,
        match=r"ensemble 'fair' is unknown: choose one of 'auto', 'owner', 'balanced', 'scattered', 'grouped'$",
    ):
        beam(rve_of(homogeneous_cell(), {"matrix": J2}), ensemble="fair")


@pytest.mark.mpi
@pytest.mark.skipif(WORLD.size == 1, reason="needs two ranks")
@pytest.mark.parametrize("policy", ["owner", "balanced", "scattered"])
def test_a_shared_cell_with_a_policy_for_single_ranks(policy):
    with pytest.raises(hmm.InputError, match=rf"its cell is on {WORLD.size} ranks: create the cell on MPI.COMM_SELF"):
        beam(group_rve(WORLD), ensemble=policy)


def test_groups_of_too_many_ranks():
    with pytest.raises(hmm.InputError, match=r"groups of 1000 ranks cannot be made"):
        hmm.Ensemble.split(WORLD, 1000)
