"""Reduced models that watch their error: estimates against the RVE, full RVEs where they are due, error bars."""

from mpi4py import MPI

import numpy as np
import pytest
from support.cells_and_rves import plastic_fibre_rve, relative_error
from support.controlled import (
    MIDDLE,
    STEPS,
    beam,
    blind_paths,
    crude,
    effectivities,
    follow,
    full_responses,
    run,
)

import hmm
from hmm import reduced
from hmm.models.asking import answer, points_of
from hmm.reduced.error_estimate import ErrorEstimator


@pytest.fixture(scope="module")
def rve():
    return plastic_fibre_rve(0.25)


@pytest.fixture(scope="module")
def model(rve):
    return crude(rve)


@pytest.mark.parametrize("constraint", ["periodic", "minimal"])
def test_estimated_errors_of_points(constraint):
    """Against the RVE, with the history of all steps before."""
    cell = plastic_fibre_rve(0.25, constraint=constraint)
    found = effectivities(cell, crude(cell), blind_paths(cell))
    assert 0.8 < np.median(found) < 1.25
    assert found.min() > 0.5
    assert found.max() < 5


def test_the_correction_is_newtons(rve, model, monkeypatch):
    """Solved to the end, ``K d = R`` gives the correction of the RVE's own tangent."""
    monkeypatch.setattr("hmm.reduced.error_estimate.CORRECTIONS", 1)
    monkeypatch.setattr("hmm.reduced.error_estimate.ITERATIONS", 200)
    monkeypatch.setattr("hmm.reduced.error_estimate.RTOL", 1e-9)
    estimator, E = ErrorEstimator(rve, model.reduction), np.array([6e-3, -2e-3, 1e-3])
    z = model.solve(E).state["y"] @ model.reduction.modes
    history = {name: np.zeros((1, *shape)) for name, shape in estimator.variables.items()}
    sensitivity = np.zeros((1, model.reduction.n_modes, 3))
    found = estimator.follow(E[None], z[None], history, sensitivity, 0.0)
    rve.system.load_history(np.zeros(rve.n_history))
    rve.system.load(z, E)
    residual = rve.system.residual().copy()
    rve.system.linearize()
    assert relative_error(z - found.z[0], rve.system.correction(residual, 1e-12)) < 1e-6


def test_limits(rve, model):
    """With a huge tolerance it is the reduced model; with a tiny one the RVE, after the step that found an error."""
    paths = blind_paths(rve)
    watched = [p.committed.response.copy() for p in follow(reduced.Controlled(model, rve, 1e9), paths)]
    alone = [p.committed.response.copy() for p in follow(model, paths)]
    assert relative_error(np.array(watched), np.array(alone)) < 1e-12
    strict, truth = reduced.Controlled(model, rve, 1e-9), full_responses(rve, paths)
    in_full = np.zeros(paths.shape[1], dtype=bool)
    for points, exact in zip(follow(strict, paths), truth, strict=True):
        assert np.allclose(points.committed.response[in_full], exact[in_full], rtol=0, atol=1e-7 * np.abs(truth).max())
        in_full = strict.observe(points, "in_full")[:, 0] > 0
    assert in_full.all()
    assert strict.n_full == paths.shape[1]


def test_between(rve, model):
    """Points above the tolerance are solved in full; errors of the others stay near it, and some points go back."""
    paths = blind_paths(rve)
    truth = full_responses(rve, paths)
    sizes = np.concatenate([np.linalg.norm(reduced_error, axis=1) for reduced_error in errors_of(rve, model, paths)])
    tolerance = float(np.quantile(sizes, 0.7))
    watched, worst, before = reduced.Controlled(model, rve, tolerance), 0.0, np.zeros(len(paths[0]), dtype=bool)
    for step, points in enumerate(follow(watched, paths)):
        miss = np.linalg.norm(points.committed.response - truth[step], axis=1)
        assert miss[before].max(initial=0.0) < 1e-6 * np.abs(truth).max()
        known = watched.observe(points, "estimated_error")[:, 0] <= tolerance
        worst = max(worst, miss[known].max(initial=0.0))
        before = watched.observe(points, "in_full")[:, 0] > 0
        assert watched.observe(points, "p_matrix").shape == (len(before), 1)
        assert watched.view(points, 0).cellwise
    assert worst < 2 * tolerance
    assert watched.n_full > 0
    assert watched.n_back > 0


def errors_of(rve, model, paths):
    watched = reduced.Controlled(model, rve, 1e9)
    return [watched.errors(points) for points in follow(watched, paths)]


def test_states_are_worked_out_again(rve, model):
    """A model that has kept no state continues from the strain paths, with the same errors and responses."""
    paths = blind_paths(rve)
    for tolerance in (1e9, 1e-9):
        kept = reduced.Controlled(model, rve, tolerance)
        points = [p for _, p in zip(range(8), follow(kept, paths), strict=False)][-1]
        fresh = reduced.Controlled(model, rve, tolerance)
        others = points_of(fresh, points.n)
        others.restore({name: array.copy() for name, array in points.persistent().items()})
        for owner, p in ((kept, points), (fresh, others)):
            p.ask(paths[8], 0.0, "nested")
            answer(owner, p)
            owner.commit(p)
            p.accept()
        assert relative_error(others.committed.response, points.committed.response) < 1e-8
        assert np.allclose(fresh.errors(others), kept.errors(points), atol=1e-6)


def test_a_rejected_step_leaves_nothing(rve, model):
    paths = blind_paths(rve)
    for tolerance in (1e9, 1e-9):
        watched, plain = (reduced.Controlled(model, rve, tolerance) for _ in range(2))
        truth = [(p.committed.response.copy(), plain.errors(p)) for p in follow(plain, paths[:6])]
        points = points_of(watched, paths.shape[1])
        for E, (response, error) in zip(paths, truth, strict=False):
            points.ask(E + 2e-3, 0.0, "nested")
            answer(watched, points)
            points.revert(elastic=True)
            points.ask(E, 0.0, "nested")
            answer(watched, points)
            watched.commit(points)
            points.accept()
            assert relative_error(points.committed.response, response) < 1e-7
            assert np.allclose(watched.errors(points), error, atol=1e-5)


def test_full_memory(rve, model):
    """Straight parts of a strain path are joined without an error where the law does not mind."""
    watched = reduced.Controlled(model, rve, 1e9, memory=6)
    path = np.linspace(0, 1, 11)[1:, None] * np.array([6e-3, -2e-3, 3e-3])
    path = np.concatenate([path, path[:-4:-1] - 1e-3])[:, None]
    points = list(follow(watched, path))[-1]
    E, dt = watched.paths.of(points.committed.variables, 0)
    assert E.shape == (6, 3)
    assert dt.shape == (6,)
    assert np.array_equal(E[-1], path[-1, 0])
    assert (E[:, 0] == path[9, 0, 0]).any()  # the corner is kept
    exact = full_responses(rve, path)[-1]
    assert relative_error(full_responses(rve, E[:, None])[-1], exact) < 0.02


@pytest.mark.mpi
@pytest.mark.parametrize("tolerance", [1e9, MIDDLE])
def test_error_bar_of_a_beam(rve, model, tolerance):
    """The true error is inside the bar, and the signed estimate has its sign and size where it is large."""
    full, _ = run(rve)
    watched = reduced.Controlled(model, rve, tolerance)
    found, problem = run(watched)
    true = full[:, 0] - found[:, 0]
    assert (np.abs(true) <= found[:, 2] + 1e-6 * np.abs(full).max()).all()
    large = np.abs(true) > 0.2 * np.abs(true).max()
    ratio = (found[:, 1] / true)[large]
    assert (ratio > 0.5).all()
    assert (ratio < 5).all()
    clamp = problem.stats[-1].error.reactions[0]
    assert clamp.value.shape == clamp.bar.shape == (2,)
    assert clamp.value[1] == pytest.approx(-found[-1, 1], rel=1e-6)  # reactions stay in equilibrium
    assert MPI.COMM_WORLD.allreduce(watched.n_full) > 0 or tolerance == 1e9


@pytest.mark.mpi
def test_ranks_agree(rve, model):
    """All ranks together find what each finds alone."""
    together, _ = run(reduced.Controlled(model, rve, MIDDLE))
    alone, _ = run(reduced.Controlled(model, rve, MIDDLE), comm=MPI.COMM_SELF)
    assert np.allclose(together, alone, rtol=1e-5, atol=1e-7 * np.abs(alone[:, 0]).max())


@pytest.mark.mpi
def test_restart(tmp_path, rve, model):
    """From a checkpoint, with points that are solved in full."""
    whole, _ = run(reduced.Controlled(model, rve, MIDDLE))
    _, problem = run(reduced.Controlled(model, rve, MIDDLE), stages=STEPS[:1])
    path = MPI.COMM_WORLD.bcast(tmp_path) / "run.h5"
    hmm.checkpoint.save(path, problem)
    other, g = beam(reduced.Controlled(model, rve, MIDDLE))
    hmm.checkpoint.load(path, other)
    g.value = -0.06
    rows = []
    for _ in hmm.steps(other, g, -0.045, 2):
        bar = other.stats[-1].error.reactions[1]
        rows.append([other.reaction(other.bcs[1]), bar.value, bar.bar])
    assert relative_error(np.array(rows)[:, 0], whole[4:, 0]) < 1e-6
    assert np.allclose(np.array(rows)[:, 1:], whole[4:, 1:3], rtol=1e-4, atol=1e-6)


def test_bad_input(rve, model):
    with pytest.raises(hmm.InputError, match="tolerance = 0"):
        reduced.Controlled(model, rve, 0.0)
    with pytest.raises(hmm.InputError, match=r"reduced = .* is no"):
        reduced.Controlled(rve, rve, 1.0)
    with pytest.raises(hmm.InputError, match="memory = 1"):
        reduced.Controlled(model, rve, 1.0, memory=1)
    with pytest.raises(hmm.InputError, match="the reduced model is of another RVE: its law of 'matrix'"):
        reduced.Controlled(model, plastic_fibre_rve(0.25, yield_stress=200.0), 1.0)
