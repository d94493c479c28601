"""Adaptive models: representatives answer for similar points, within a tolerance in the unit of stress."""

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx import mesh
from support.function_models import j2_model, radial_return
from support.macro_tools import beam, beam_mesh, composite, halves, held_square

import hmm

TARGETS = [-0.02, -0.04, -0.06]


def answered(model, points, E, dt):
    for _ in range(9):
        points.ask(np.array(E), dt, "nested")
        hmm.models.asking.answer(model, points)
        assert not points.failures
    assert points.converged.all()


def accepted(model, points, E, dt=0.0):
    """The points after an accepted step to the inputs `E`."""
    answered(model, points, E, dt)
    model.commit(points)
    points.accept()


@pytest.mark.parametrize("algorithm", ["monolithic", "nested"])
def test_one_solve_is_enough_for_points_that_are_alike(algorithm):
    """A homogeneous strain far beyond yield: one representative, and the result of the full model."""

    def sheared(x):
        return 0.01 * np.stack([x[1], x[0]])

    rve = composite()
    domain = mesh.create_unit_square(MPI.COMM_SELF, 2, 2)
    adaptive, own = held_square(hmm.Adaptive(rve, 1.0), sheared, algorithm, domain)
    full, others = held_square(rve, sheared, algorithm, domain)
    adaptive.solve()
    full.solve()
    assert own.observe("active").sum() == 1
    assert own.observe("estimated_error").max() == 0
    assert own.stress.x.array == pytest.approx(others.stress.x.array, abs=0.1)  # a tenth of the tolerance
    assert 0 < own.count.factorizations < others.count.factorizations / 4


@pytest.mark.mpi
def test_beam_within_the_tolerance_and_newton_still_converges():
    """Bending far beyond yield (about 115 MPa) and a little back."""
    path = [-0.01, -0.02, -0.03, -0.04, -0.05, -0.06, -0.058, -0.056]
    full, adaptive = beam(j2_model(), cells=(8, 2)), beam(hmm.Adaptive(j2_model(), 1.0), cells=(8, 2))
    expected, found = full.reactions(path), adaptive.reactions(path)
    assert found == pytest.approx(expected, rel=5e-3, abs=5e-3 * np.abs(expected).max())
    assert len(adaptive.problem.stats) == len(path)
    for own, other in zip(adaptive.problem.stats, full.problem.stats, strict=True):
        assert own.iterations <= other.iterations + 2
    assert adaptive.hom.observe("estimated_error").max() <= 1.0
    assert adaptive.problem.stats[-1].micro.followed > 0
    assert all(s.residuals[-1] < 1e-12 for s in adaptive.problem.stats)  # the last iterate is linear
    ratio = full.hom.count.evaluations / adaptive.hom.count.evaluations
    assert ratio > 4


@pytest.mark.mpi
def test_a_small_tolerance_leaves_only_a_small_error():
    full, adaptive = beam(j2_model()), beam(hmm.Adaptive(j2_model(), 1e-3))
    assert adaptive.reactions(TARGETS) == pytest.approx(full.reactions(TARGETS), rel=1e-5)


def test_a_step_that_is_repeated_is_solved_at_all_points():
    """Whatever made an iteration fail, the attempt that follows is that of the model."""
    model, own = hmm.Adaptive(j2_model(), 1e3), j2_model()
    E = np.outer(np.linspace(1.0, 1.1, 16), [4e-3, 1e-3, 0.0])
    points, others = hmm.models.points_of(model, 16), hmm.models.points_of(own, 16)
    points.revert()
    accepted(model, points, E)
    accepted(own, others, E)
    assert points.committed.variables["active"].all()
    assert points.committed.response == pytest.approx(others.committed.response, rel=1e-12)
    accepted(model, points, 1.1 * E)
    assert not points.committed.variables["active"].all()


@pytest.mark.parametrize("step", [[-1e-3, 0.0, 0.0], [-1e-3, 2e-4, 1e-4]])
def test_a_point_that_takes_over_a_state_unloads_as_with_its_own_history(step):
    """Beyond yield a point follows. Solved by itself in the next step, it unloads with the same stress change."""
    model, own = hmm.Adaptive(j2_model(), 1e3), j2_model()
    points, others = hmm.models.points_of(model, 16), hmm.models.points_of(own, 16)
    before = np.outer(np.linspace(1.0, 1.1, 16), [4e-3, 1e-3, 0.0])
    accepted(model, points, before)
    accepted(own, others, before)
    assert 0 < points.committed.variables["active"].sum() < 16
    assert np.abs(points.committed.variables["shift"]).max() > 1e-5
    model.tolerance = 1e-9
    start, expected = points.committed.response.copy(), others.committed.response.copy()
    accepted(model, points, before + step)
    accepted(own, others, before + step)
    assert points.committed.response - start == pytest.approx(others.committed.response - expected, rel=1e-9, abs=1e-7)


def test_elastic_points_share_a_solve_without_an_error():
    model, own = hmm.Adaptive(j2_model(), 1.0), j2_model()
    points, others = hmm.models.points_of(model, 20), hmm.models.points_of(own, 20)
    for scale in (1.0, 5.0):  # beyond yield
        E = scale * np.random.default_rng(0).uniform(-4e-4, 4e-4, (20, 3))
        accepted(model, points, E)
        accepted(own, others, E)
        error = points.committed.response - others.committed.response
        if scale == 1.0:
            assert points.committed.variables["active"].sum() == 12
            assert np.abs(points.committed.variables["shift"]).max() < 1e-15
            assert np.abs(error).max() < 1e-9
    assert np.linalg.norm(error, axis=1).max() < 10.0


def test_a_model_without_history_has_no_shift():
    def cubic(E, old, dt):
        square = (E**2).sum(axis=1)
        return (1 + 1e4 * square)[:, None] * 1e5 * E, None, {}

    model = hmm.Adaptive(hmm.FunctionModel(cubic, hmm.models.strain(2)), 1e4)
    points = hmm.models.points_of(model, 20)
    accepted(model, points, np.outer(np.linspace(0.5, 1.0, 20), [1e-2, 0.0, 0.0]))
    assert points.committed.variables["active"].sum() < 20
    assert not points.committed.variables["shift"].any()


@pytest.mark.mpi
def test_a_run_goes_on_from_a_checkpoint(tmp_path):
    """The steps after a restart are those of the uninterrupted run."""
    folder = MPI.COMM_WORLD.bcast(tmp_path)

    def run(path, last):
        body, reactions = beam(hmm.Adaptive(j2_model(), 2.0)), []
        for step in hmm.steps(body.problem, body.load, -0.06, 4, checkpoint=path):
            if step.number > last:
                break
            reactions.append(body.problem.reaction(body.drive))
        return reactions

    whole = run(folder / "whole.h5", 4)
    assert run(folder / "run.h5", 2) == pytest.approx(whole[:2], rel=1e-10)
    assert run(folder / "run.h5", 4) == pytest.approx(whole[2:], rel=1e-10)


@pytest.mark.mpi
@pytest.mark.parametrize("ensemble", ["owner", "balanced"])
def test_the_answer_does_not_depend_on_the_number_of_ranks(ensemble):
    """Points of all ranks share solves, wherever they are: reactions and solves are those of one rank."""
    path = [*TARGETS, -0.07, -0.068]
    domain = mesh.create_rectangle(MPI.COMM_SELF, [[0.0, 0.0], [4.0, 1.0]], [8, 2], mesh.CellType.triangle)
    alone = beam(hmm.Adaptive(j2_model(), 2.0), domain=domain)
    shared = beam(hmm.Adaptive(j2_model(), 2.0), cells=(8, 2), ensemble=ensemble)
    assert shared.reactions(path) == pytest.approx(alone.reactions(path), rel=1e-7)
    solved = MPI.COMM_WORLD.allreduce(int(shared.hom.observe("active").sum()))
    assert solved == alone.hom.observe("active").sum()
    followed = sum(s.micro.followed for s in shared.problem.stats)
    assert followed == sum(s.micro.followed for s in alone.problem.stats) > 0


@pytest.mark.mpi
def test_a_rejected_step_is_cut_back():
    """A point that gives no answer on one rank rejects the step on all, and smaller steps succeed."""

    def fragile(E, old, dt):
        stress, tangent, new = radial_return(70e3, 0.3, 100.0, 700.0)(E, old, dt)
        far = np.abs(E - old["before"]).max(axis=1) > 4e-3
        stress[far] = np.nan
        return stress, tangent, {**new, "before": E}

    def fragile_beam():
        variables = {"plastic_strain": 6, "p": 1, "before": 3}
        model = hmm.FunctionModel(fragile, hmm.models.strain(2), variables)
        return beam(hmm.Adaptive(model, 2.0), cells=(8, 2))

    found = fragile_beam()
    expected = beam(j2_model(), cells=(8, 2)).reactions([-0.06], 4)
    assert found.reactions([-0.06], 1, max_cutbacks=6) == pytest.approx(expected, rel=2e-2)
    assert len(found.problem.stats) > 1


@pytest.mark.mpi
def test_beside_another_model():
    """In a macro problem with two models, all ranks answer the adaptive one, though one rank may have none of it."""
    domain = beam_mesh((8, 2))
    parts = {1: hmm.Adaptive(j2_model(), 1.0), 2: j2_model()}
    found = beam(hmm.variation.regions(parts, halves(domain)), domain=domain).reactions(TARGETS, 2)
    assert found == pytest.approx(beam(j2_model(), domain=domain).reactions(TARGETS, 2), rel=5e-3)


def test_it_composes_with_mixed_control():
    answer = hmm.plane_stress(hmm.Adaptive(j2_model(out_of_plane=True), 1.0)).solve({"11": 4e-3})
    expected = hmm.plane_stress(j2_model(out_of_plane=True)).solve({"11": 4e-3})
    assert answer.vector == pytest.approx(expected.vector, abs=1e-3)  # far below the tolerance


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan, np.inf, "small"])
def test_the_tolerance_must_be_positive(tolerance):
    with pytest.raises(hmm.InputError, match="tolerance"):
        hmm.Adaptive(j2_model(), tolerance)


def test_mistakes():
    with pytest.raises(hmm.InputError, match="model"):
        hmm.Adaptive("an RVE", 1.0)
    with pytest.raises(hmm.InputError, match="has a variable"):
        hmm.Adaptive(hmm.Adaptive(j2_model(), 1.0), 1.0)


def test_nothing_is_solved_while_no_input_moves():
    model = hmm.Adaptive(j2_model(), 1.0)
    points = hmm.models.points_of(model, 5)
    accepted(model, points, np.outer(np.linspace(0.5, 1.0, 5), [6e-3, 0.0, 0.0]))
    before, count = points.committed.response.copy(), points.count.evaluations
    accepted(model, points, points.committed.E.copy())
    assert points.count.evaluations == count
    assert np.array_equal(points.committed.response, before)
    accepted(model, points, points.committed.E - [1e-3, 0.0, 0.0])
    assert points.count.evaluations > count


def test_points_relax_while_no_input_moves():
    """A Maxwell element: with a duration, the model is solved though all inputs stay, and the stress falls."""

    def maxwell(E, old, dt):
        viscous = (old["viscous"] + dt * E) / (1 + dt)
        return 1e5 * (E - viscous), None, {"viscous": viscous}

    element = hmm.FunctionModel(maxwell, hmm.models.strain(2), {"viscous": 3}, rates=True)
    model = hmm.Adaptive(element, 1e-3)
    points = hmm.models.points_of(model, 20)
    E = np.outer(np.linspace(0.5, 1.0, 20), [1e-3, 2e-4, 1e-4])
    for _ in range(3):
        accepted(model, points, E, dt=0.5)
    assert points.committed.response == pytest.approx(1e5 * E / 1.5**3, abs=2e-3)
