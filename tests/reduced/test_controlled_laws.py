"""Reduced models that watch their error: laws with rates, finite strain, several inputs, points that move."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from support.cells_and_rves import plastic_fibre_rve, relative_error
from support.controlled import MIDDLE, crude, effectivities, follow, full_responses, run

import hmm
from hmm import reduced
from hmm.laws import J2, Elastic, GeneralizedMaxwell, NeoHooke, Perzyna
from hmm.models.asking import answer, points_of


def fibre_cell():
    return hmm.cells.fibre(volume_fraction=0.3, mesh_size=0.25)


def finite():
    """Neo-Hookean phases, and the deformation gradient."""
    cell = fibre_cell()
    laws = {"matrix": NeoHooke(10.0, 0.3), "fibre": NeoHooke(100.0, 0.3)}
    return hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_deformation_gradient(cell), law=laws), 0.2, 0.0


def viscoplastic():
    """A viscoplastic matrix, and a viscoelastic fibre."""
    cell = fibre_cell()
    laws = {
        "matrix": J2(70e3, 0.3, 100.0, 1000.0, rate=Perzyna(50.0, 3.0, 1e-3)),
        "fibre": GeneralizedMaxwell(200e3, 0.2, ((100e3, 5.0),)),
    }
    return hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell), law=laws), 0.012, 1.0


def swelling():
    """A strain, and an eigenstrain that grows over the cell."""
    cell = fibre_cell()
    grows = hmm.macro_input(
        cell, hmm.tensors.general(), "swelling", field="strain", contribution=lambda a, x: -a * x[0] * ufl.Identity(2)
    )
    laws = {"matrix": J2(70e3, 0.3, 100.0, 1000.0), "fibre": Elastic(400e3, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 2), [hmm.macro_strain(cell), grows], law=laws)
    return rve, np.array([0.012, 0.012, 0.012, 0.004]), 0.0


CASES = {f.__name__: f for f in (finite, viscoplastic, swelling)}


@pytest.fixture(scope="module", params=list(CASES))
def case(request):
    """An RVE, a crude model of it, blind paths, shape (n_steps, n_points, m), and the duration of a step."""
    rve, size, dt = CASES[request.param]()
    model = reduced.train(rve, walks(rve, size, 6, 3, dt), modes=3, points=60)
    return rve, model, np.stack([path.E for path in walks(rve, size, 3, 77, dt)], axis=1), dt


def walks(rve, size, n, seed, dt):
    return reduced.random_walks(rve.inputs, size, n, 12, seed=seed, dt=dt)


def test_estimated_errors(case):
    """Against the RVE, with the history of all steps before."""
    found = effectivities(*case)
    assert 0.8 < np.median(found) < 1.25
    assert found.min() > 0.5
    assert found.max() < 5


def test_points_in_full(case):
    """After the step that found an error, the RVE answers."""
    rve, model, paths, dt = case
    strict, truth = reduced.Controlled(model, rve, 1e-9), full_responses(rve, paths, dt)
    in_full = np.zeros(paths.shape[1], dtype=bool)
    for points, exact in zip(follow(strict, paths, dt), truth, strict=True):
        assert np.allclose(points.committed.response[in_full], exact[in_full], rtol=0, atol=1e-6 * np.abs(truth).max())
        in_full = strict.observe(points, "in_full")[:, 0] > 0
    assert in_full.all()


def test_states_are_worked_out_again(case):
    """From strain paths and durations alone."""
    rve, model, paths, dt = case
    for tolerance in (1e9, 1e-9):
        kept, fresh = (reduced.Controlled(model, rve, tolerance) for _ in range(2))
        points = [p for _, p in zip(range(8), follow(kept, paths, dt), strict=False)][-1]
        others = points_of(fresh, points.n)
        others.restore({name: array.copy() for name, array in points.persistent().items()})
        for owner, p in ((kept, points), (fresh, others)):
            p.ask(paths[8], dt, "nested")
            answer(owner, p)
            owner.commit(p)
            p.accept()
        assert relative_error(others.committed.response, points.committed.response) < 1e-7
        size = np.abs(points.committed.response).max()
        assert np.allclose(fresh.errors(others), kept.errors(points), atol=1e-7 * size)


@pytest.mark.parametrize("make", CASES.values())
def test_enriched(make, tmp_path):
    """The model learns from the first points in full, with the durations of their steps; fewer are solved in full."""
    rve, size, dt = make()
    shown, paths = walks(rve, size, 6, 3, dt), np.stack([path.E for path in walks(rve, size, 3, 77, dt)], axis=1)
    model = reduced.train(rve, shown, modes=3, points=60, checkpoint=tmp_path)
    truth = full_responses(rve, paths, dt)
    missed = [
        np.linalg.norm(p.committed.response - t, axis=1) for p, t in zip(follow(model, paths, dt), truth, strict=True)
    ]
    tolerance = float(np.quantile(missed, 0.8))
    plain = reduced.Controlled(model, rve, tolerance)
    better = reduced.Controlled(model, rve, tolerance, enrich=reduced.Enrichment(shown, tmp_path))
    solved = {w: sum(w.observe(p, "in_full").sum() for p in follow(w, paths, dt)) for w in (plain, better)}
    assert better.n_enriched > 0
    assert solved[better] < solved[plain]


@pytest.mark.mpi
@pytest.mark.parametrize("policy", ["balanced", "scattered"])
def test_moving_points(policy):
    """Points that move take their strain path along; their full states and followed fields are worked out from it."""
    rve = plastic_fibre_rve(0.25)
    model = crude(rve)
    alone, _ = run(reduced.Controlled(model, rve, MIDDLE), comm=MPI.COMM_SELF)
    together, problem = run(reduced.Controlled(model, rve, MIDDLE), ensemble=policy)
    assert np.allclose(together, alone, rtol=1e-5, atol=1e-6 * np.abs(alone[:, 0]).max())
    home = problem.hom.ensemble.owner == problem.hom.comm.rank
    moved = problem.hom.comm.allreduce(int((~home).sum()))
    assert moved or problem.hom.comm.size == 1
