"""Training of reduced models: to a tolerance, on several ranks, and after it was killed."""

import json
import logging

from mpi4py import MPI

import numpy as np
import pytest
from support.cells_and_rves import plastic_fibre_rve, relative_error

import hmm
from hmm import reduced
from hmm.reduced import greedy, rounds
from hmm.reduced.report import TRAINING_SET

COMM = MPI.COMM_WORLD
SIZE = 0.01


@pytest.fixture(scope="module")
def rve():
    return plastic_fibre_rve(0.25, degree=1)


@pytest.fixture
def folder(tmp_path):
    """One directory for all ranks."""
    return COMM.bcast(tmp_path)


def pool_of(rve, n=16):
    return reduced.random_walks(rve.inputs, SIZE, n, 8, seed=1)


def blind_of(rve, n=6):
    return reduced.random_walks(rve.inputs, SIZE, n, 8, seed=77)


def true_errors(rve, model, paths):
    """Largest deviation from the RVE on each path, relative to its largest response: computed step by step."""
    errors = []
    for path in paths:
        full, own, misses, sizes = rve.initial_state(), None, [], []
        for E in path.E:
            answer, found = rve.solve(E, full), model.solve(E, own)
            full, own = answer.state, found.state
            misses.append(np.linalg.norm(found.vector - answer.vector))
            sizes.append(np.linalg.norm(answer.vector))
        errors.append(max(misses) / max(sizes))
    return np.array(errors)


def test_few_paths_meet_a_tolerance(rve):
    """The errors in the report are those of an independent comparison with the RVE."""
    model = reduced.train(rve, pool_of(rve, 24), blind=blind_of(rve), tolerance=0.005)
    report = model.report
    assert report.is_met and report.tolerance == 0.005
    assert report.median <= 0.005 and report.worst <= 0.015
    assert report.paths < report.offered == 24
    assert report.limit == ""
    errors = true_errors(rve, model, blind_of(rve))
    assert (report.median, report.worst) == pytest.approx((np.median(errors), errors.max()), rel=1e-6)
    assert "the tolerance of 0.005 is met" in str(report)


def test_a_smaller_tolerance_takes_more(rve):
    coarse, fine = (reduced.train(rve, pool_of(rve), blind=blind_of(rve), tolerance=t) for t in (0.03, 0.0005))
    assert fine.report.modes > coarse.report.modes
    assert fine.report.median < coarse.report.median
    assert (fine.report.paths, fine.report.points) >= (coarse.report.paths, coarse.report.points)


def test_a_tolerance_that_is_not_met(rve, caplog):
    """The budget is used up; the best model comes with one warning that says what was reached."""
    with caplog.at_level(logging.WARNING, "hmm"):
        model = reduced.train(rve, pool_of(rve, 8), blind=blind_of(rve), tolerance=1e-7, budget=5, modes=20)
    report = model.report
    assert not report.is_met and report.paths <= 5
    said = [r.message for r in caplog.records if "does not meet its tolerance of 1e-07" in r.message]
    assert len(said) == (COMM.rank == 0)
    assert all(f"{report.median:.2%} median" in text and report.limit in text for text in said)
    assert f"not met, and {report.limit} limits the model" in str(report)
    assert true_errors(rve, model, blind_of(rve)).max() == pytest.approx(report.worst, rel=1e-6)


def test_what_limits_a_model(rve):
    """Few modes; few cubature points; few paths."""
    pool, blind = pool_of(rve, 6), blind_of(rve)
    few = reduced.train(rve, pool, blind=blind, tolerance=1e-3, modes=1).report
    assert (few.limit, few.modes) == ("the modes", 4)
    straight = reduced.proportional(rve.inputs, SIZE, 1, 8)
    one = reduced.train(rve, straight, blind=blind, tolerance=1e-3).report
    assert one.limit == TRAINING_SET
    assert one.training < 1e-3 < one.median


def test_the_estimate_is_near_the_error(rve):
    """One Newton step finds most of the error of a coarse model, which the paths in question have not seen."""
    model = reduced.train(rve, pool_of(rve, 3), modes=3)
    blind = blind_of(rve)
    true = true_errors(rve, model, blind)
    answered = rounds.follow_reduced(model, blind)
    modes = model.reduction.modes
    pairs = zip(blind, answered, strict=True)
    found = np.array([greedy.estimate(rve, path, own.y @ modes, own.response).error for path, own in pairs])
    assert np.median(found / true) == pytest.approx(1, abs=0.5)
    assert (found < 2 * true).all()
    assert np.argmax(found) in np.argsort(true)[-2:]


def test_chosen_paths_differ():
    """The second largest error is of the same kind as the largest: a smaller one of another kind comes first."""
    x, y = np.eye(2)
    found = [greedy.Estimate(3.0, x), greedy.Estimate(2.9, 5 * x), greedy.Estimate(1.0, y), greedy.Estimate(np.inf, y)]
    assert greedy.choose_paths(found, 4) == [3, 0, 2, 1]
    assert greedy.choose_paths(found[:3], 2) == [0, 2]
    assert greedy.choose_paths([greedy.Estimate(0.0, 0 * x)] * 3, 5) == [0, 1, 2]


def same(a, b):
    assert (a.report.modes, a.report.points, a.report.paths) == (b.report.modes, b.report.points, b.report.paths)
    assert relative_error(a.solve({"11": 6e-3, "12": 2e-3}).vector, b.solve({"11": 6e-3, "12": 2e-3}).vector) < 1e-8


@pytest.mark.mpi
def test_ranks_share_the_paths(rve):
    """All ranks together give the model that each gives alone."""
    options = {"blind": blind_of(rve, 3), "tolerance": 0.003}
    alone = reduced.train(rve, pool_of(rve, 8), **options)
    together = reduced.train(rve, pool_of(rve, 8), **options, comm=COMM)
    same(alone, together)
    assert len(set(COMM.allgather(together.reduction.digest()))) == 1


@pytest.mark.mpi
def test_a_killed_training_goes_on(folder, rve, monkeypatch):
    """What was solved is not solved again, and the model is the same."""
    options = {"blind": blind_of(rve, 3), "tolerance": 0.003, "comm": COMM}
    whole = reduced.train(rve, pool_of(rve, 8), **options)
    solved, follow = [], hmm.reduced.snapshots.follow_path

    def follow_until_killed(rve, path, points):
        if len(solved) == 2:
            raise KeyboardInterrupt
        solved.append(path)
        return follow(rve, path, points)

    monkeypatch.setattr("hmm.reduced.snapshots.follow_path", follow_until_killed)
    if COMM.size == 1:  # on several ranks, the others would wait
        with pytest.raises(KeyboardInterrupt):
            reduced.train(rve, pool_of(rve, 8), **options, checkpoint=folder / "kept")
        assert len(list((folder / "kept").glob("*.h5"))) == 2
    monkeypatch.setattr("hmm.reduced.snapshots.follow_path", follow)
    first = reduced.train(rve, pool_of(rve, 8), **options, checkpoint=folder / "kept")
    monkeypatch.setattr("hmm.reduced.snapshots.follow_path", None)
    again = reduced.train(rve, pool_of(rve, 8), **options, checkpoint=folder / "kept")
    same(whole, first)
    assert again.reduction.digest() == first.reduction.digest()


@pytest.mark.skipif(COMM.size > 1, reason="files of one rank")
def test_kept_paths_of_another_rve_are_refused(tmp_path, rve):
    paths = [path.start(2) for path in pool_of(rve, 1)]
    reduced.train(rve, paths, checkpoint=tmp_path)
    with pytest.raises(
        hmm.InputError, match=r"has training paths of another RVE: its law of 'matrix' is .*checkpoint="
    ):
        reduced.train(plastic_fibre_rve(0.25, degree=1, yield_stress=200.0), paths, checkpoint=tmp_path)
    (file,) = tmp_path.glob("*.h5")
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(hmm.InputError, match=r"solved path .* cannot be read"):
        reduced.train(rve, paths, checkpoint=tmp_path)
    note = json.loads((tmp_path / "rve.json").read_text()) | {"version": "0"}
    (tmp_path / "rve.json").write_text(json.dumps(note))
    with pytest.raises(hmm.InputError, match="of version '0', not 'hmm training paths 2' of version"):
        reduced.train(rve, paths, checkpoint=tmp_path)
    (tmp_path / "rve.json").write_text("{")
    with pytest.raises(hmm.InputError, match="is damaged: remove its folder"):
        reduced.train(rve, paths, checkpoint=tmp_path)


def test_bad_input(rve):
    paths = pool_of(rve, 2)
    with pytest.raises(hmm.InputError, match=r"tolerance = 0\.01 needs paths on which the error is measured: give bl"):
        reduced.train(rve, paths, tolerance=0.01)
    with pytest.raises(hmm.InputError, match=r"tolerance = 2: give a number between 0 and 1"):
        reduced.train(rve, paths, blind=paths, tolerance=2)
    with pytest.raises(hmm.InputError, match="budget = 3 without a tolerance"):
        reduced.train(rve, paths, budget=3)
    with pytest.raises(hmm.InputError, match="budget = 0: give a whole number"):
        reduced.train(rve, paths, blind=paths, tolerance=0.1, budget=0)
    with pytest.raises(hmm.InputError, match=r"path 0 of 8 steps has durations of shape \(3,\)"):
        reduced.train(rve, [reduced.TrainingPath(paths[0].E, np.ones(3))])
    with pytest.raises(hmm.InputError, match="checkpoint = 5 is not a str or Path"):
        reduced.train(rve, paths, checkpoint=5)


def test_report_names_what_failed(rve):
    """A path that fails at its second step is used up to the first; one that fails at once is not used."""
    paths = [np.array([[1e-4, 0, 0], [1e200, 0, 0]]), np.array([[1e200, 0, 0]]), *pool_of(rve, 2)]
    report = reduced.train(rve, paths).report
    assert (report.paths, report.offered, report.failed) == (3, 4, 2)
    text = str(report)
    assert "2 paths were used up to the last step that converged: path 0, step 2 of 2: " in text
    assert "path 1, step 1 of 1: " in text
    assert "no blind paths, so that the error on others is not known" in text
    assert "trained on 3 of 4 paths, with 11 -0.0" in text
    full = hmm.models.asking.points_of(rve, 1).nbytes_per_point
    assert (report.full_bytes, 0 < report.bytes < full) == (full, True)


def test_paths_with_steps_of_unequal_duration():
    """A viscous cell: the model follows steps of other durations than those of training as the RVE does."""
    cell = hmm.cells.fibre(volume_fraction=0.3, mesh_size=0.3)
    laws = {"matrix": hmm.laws.GeneralizedMaxwell(70e3, 0.3, ((50e3, 2.0),)), "fibre": hmm.laws.Elastic(400e3, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=laws)
    durations = np.array([0.1, 0.2, 0.5, 1.0, 3.0, 0.3])
    walks = [reduced.TrainingPath(w.E, durations) for w in reduced.random_walks(rve.inputs, SIZE, 6, 6, seed=1)]
    blind = [reduced.TrainingPath(walks[0].E[::-1].copy(), durations[::-1].copy())]
    model = reduced.train(rve, walks, blind=blind)
    assert model.report.worst < 0.01
    full, own = rve.initial_state(), None
    for E, dt in zip(blind[0].E, blind[0].durations, strict=True):
        answer, found = rve.solve(E, full, dt=float(dt)), model.solve(E, own, dt=float(dt))
        full, own = answer.state, found.state
    assert relative_error(found.vector, answer.vector) < 0.02


def test_refined_path():
    path = reduced.TrainingPath(np.array([[1.0, 0.0], [1.0, 2.0]]), np.array([1.0, 4.0]))
    fine = path.refined(2)
    assert np.array_equal(fine.E, [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    assert np.array_equal(fine.durations, [0.5, 0.5, 2.0, 2.0])
    assert np.array_equal(path.refined(1, reference=[3.0, 3.0]).E, path.E)
    assert np.array_equal(path.start(1).E, path.E[:1])
    with pytest.raises(hmm.InputError, match="n = 0"):
        path.refined(0)
    with pytest.raises(hmm.InputError, match=r"reference has shape \(1,\): give \(2,\), such as rve.reference"):
        path.refined(2, reference=[1.0])
