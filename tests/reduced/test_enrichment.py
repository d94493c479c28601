"""Reduced models that are retrained within a job, on paths of points that they could not answer."""

from mpi4py import MPI

import numpy as np
import pytest
from support.cells_and_rves import plastic_fibre_rve, relative_error
from support.controlled import STEPS, beam, blind_paths, crude, follow, full_responses, run, training_walks

import hmm
from hmm import reduced
from hmm.reduced.enrichment import paths_to_learn, rounded

COMM = MPI.COMM_WORLD
TOLERANCE = 0.5


@pytest.fixture(scope="module")
def rve():
    return plastic_fibre_rve(0.25)


@pytest.fixture(scope="module")
def model(rve):
    return crude(rve)


@pytest.fixture
def folder(tmp_path):
    return COMM.bcast(tmp_path)


def enriched(rve, model, folder, tolerance=TOLERANCE, **options):
    enrichment = reduced.Enrichment(training_walks(rve), folder / "kept", **options)
    return reduced.Controlled(model, rve, tolerance, enrich=enrichment)


def test_fewer_full_points(rve, model, folder):
    """Along walks: fewer points in full, smaller errors of the reduced model, and answers as near to the RVE."""
    paths = blind_paths(rve, 4)
    truth = full_responses(rve, paths)
    plain, better = reduced.Controlled(model, rve, TOLERANCE), enriched(rve, model, folder)
    in_full, misses = {}, {}
    for watched in (plain, better):
        points = [(p.committed.response.copy(), watched.observe(p, "in_full").sum()) for p in follow(watched, paths)]
        in_full[watched] = [n for _, n in points]
        misses[watched] = np.linalg.norm(np.array([r for r, _ in points]) - truth, axis=2)
    assert better.n_enriched > 0
    assert better.reduced.report.modes > model.report.modes
    assert sum(in_full[better][6:]) < sum(in_full[plain][6:]) / 2
    assert misses[better].max() < misses[plain].max() * 1.01
    assert misses[better][6:].max() < 3 * TOLERANCE


@pytest.mark.mpi
def test_ranks_agree(rve, model, folder):
    """All ranks together choose the same paths and make the same model as each alone, and points may move."""
    mine = folder / str(COMM.rank)
    own = enriched(rve, model, mine)
    alone, _ = run(own, comm=MPI.COMM_SELF)
    watched = enriched(rve, model, folder)
    together, _ = run(watched, ensemble="balanced")
    assert COMM.allreduce(watched.n_enriched) == COMM.size * watched.n_enriched > 0
    assert len(set(COMM.allgather(watched.reduced.reduction.digest()))) == 1
    assert watched.reduced.reduction.digest() == own.reduced.reduction.digest()
    assert np.allclose(together, alone, rtol=1e-4, atol=1e-5 * np.abs(alone[:, 0]).max())
    full, _ = run(rve)
    assert np.abs(together[:, 0] - full[:, 0]).max() < 0.01 * np.abs(full[:, 0]).max()


@pytest.mark.mpi
def test_restart(rve, model, folder):
    """From a checkpoint that was written before the model was enriched, and from one after it."""
    first, g, whole = enriched(rve, model, folder), [], []
    problem, load = beam(first)
    for end, n in STEPS:
        for _ in hmm.steps(problem, load, end, n):
            hmm.checkpoint.save(folder / f"{len(whole)}.h5", problem)
            whole.append(problem.reaction(problem.bcs[1]))
            g.append(load.value.item())
    assert first.n_enriched > 0
    for before in (2, 5):
        watched = enriched(rve, model, folder)
        other, load = beam(watched)
        hmm.checkpoint.load(folder / f"{before - 1}.h5", other)
        load.value = g[before - 1]
        rows = []
        for value in g[before:]:
            rows += [other.reaction(other.bcs[1]) for _ in hmm.steps(other, load, value, 1)]
        assert relative_error(np.array(rows), np.array(whole[before:])) < 1e-6
        assert watched.reduced.reduction.digest() == first.reduced.reduction.digest()


@pytest.mark.mpi
def test_what_is_learnt():
    """The largest errors of all ranks first, and none of two paths that are alike; in digits that rounding keeps."""
    x, y = (reduced.TrainingPath(E[None], 1.0) for E in (np.array([0.01, 0.0]), np.array([0.0, 0.005])))
    near = reduced.TrainingPath(x.E * 1.01, x.durations)
    sizes, paths = [[1.0, 3.0, 2.0], [y, x, near]] if COMM.rank == 0 else [[4.0], [near]]
    found = paths_to_learn(COMM, np.array(sizes), range(len(sizes)), paths)
    first = x if COMM.size == 1 else near
    assert [path.E.tolist() for path in found] == [first.E.tolist(), y.E.tolist()]
    noisy = reduced.TrainingPath(np.array([[1.0, 0.012341, 1e-9]]), 0.5)
    assert pytest.approx(np.array([[1.0, 0.01234, 0.0]]), abs=1e-15) == rounded(noisy, np.array([1.0, 0.0, 0.0])).E


@pytest.mark.skipif(COMM.size > 1, reason="files of one rank")
def test_bad_input(rve, model, tmp_path):
    with pytest.raises(hmm.InputError, match="times = 0"):
        reduced.Enrichment(training_walks(rve), tmp_path, times=0)
    with pytest.raises(hmm.InputError, match="checkpoint = 5"):
        reduced.Enrichment(training_walks(rve), 5)
    with pytest.raises(hmm.InputError, match=r"enrich = 3 is no"):
        reduced.Controlled(model, rve, 1.0, enrich=3)
    watched = enriched(rve, model, tmp_path)
    points = list(follow(watched, blind_paths(rve, 2)))[-1]
    assert watched.n_enriched
    (tmp_path / "kept").rename(tmp_path / "elsewhere")
    state = points.values_at(0)
    with pytest.raises(hmm.ConvergenceError, match=r"belong to the enriched model .*-\w+\.h5, which is not there"):
        enriched(rve, model, tmp_path).solve([1e-3, 0, 0], state)
