"""Hyper-reduced RVEs against the RVEs they are made of."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.cells_and_rves import plastic_fibre_rve, relative_error

import hmm
from hmm import reduced
from hmm.models.asking import points_of

SIZE = 0.01


@pytest.fixture(scope="module")
def rve():
    return plastic_fibre_rve(0.2)


@pytest.fixture(scope="module")
def model(rve):
    paths = [
        *reduced.proportional(rve.inputs, SIZE, 8, 8, seed=1),
        *reduced.cyclic(rve.inputs, SIZE, 4, 16, seed=2),
        *reduced.random_walks(rve.inputs, SIZE, 8, 16, seed=3),
    ]
    blind = reduced.random_walks(rve.inputs, 0.9 * SIZE, 4, 16, seed=77)
    return reduced.train(rve, paths, blind=blind, modes=24, points=120, integrals=3e-4)


def test_elastic_response_is_exact(rve, model):
    for E in ({"11": 1e-4, "12": 3e-5}, {"22": -1e-4}, {"12": 1e-4}):
        full, found = rve.solve(E), model.solve(E)
        assert relative_error(found.vector, full.vector) < 1e-10
        assert relative_error(found.tangent, full.tangent) < 1e-10


def test_blind_paths(model):
    """Seen by neither modes nor cubature; the walk has loading, unloading and turns."""
    assert model.report.median < 0.01
    assert model.report.worst < 0.02
    assert model.report.points < model.report.quadrature_points
    assert "blind error" in str(model.report)


def test_weights_are_positive_and_keep_the_volume(rve, model):
    (matrix,) = model.reduction.phases.values()  # the elastic fibre needs no points
    assert (matrix.weights > 0).all()
    assert matrix.weights.sum() == pytest.approx(rve.cell.volume_fractions["matrix"] * rve.cell.volume, rel=1e-10)


def test_tangent(model):
    state = model.solve({"11": 6e-3, "12": 2e-3}).state
    for E in ({"11": 8e-3, "12": 3e-3, "22": -1e-3}, {"11": 4e-3, "12": 3e-3}):
        check = hmm.checks.tangent(model, E, state, tolerance=1e-6)
        assert check, check


def test_is_a_micro_model(model):
    for protocol in ("MicroModel", "Observable", "Fingerprinted", "Viewable", "Rated"):
        assert isinstance(model, getattr(hmm.models, protocol))


def test_internal_variables_and_fields(rve, model):
    """Averages of the plastic strain, and the fields inside a point, near those of the RVE."""
    path = np.linspace(0, 1, 9)[1:, None] * np.array([7e-3, -4e-3, 2e-3])
    points, state = points_of(model, 1), rve.initial_state()
    for E in path:
        points.ask(E[None], 0.0, "nested")
        hmm.models.asking.answer(model, points)
        model.commit(points)
        points.accept()
        state = rve.solve(E, state).state
    p = rve.histories["matrix"].average(rve.forms.history_blocks.split(state.history)["matrix"], "p")
    assert model.observe(points, "p_matrix")[0] == pytest.approx(p, rel=0.02)
    shown, true = model.view(points, 0), hmm.local_fields(rve, state, path[-1])
    for name in ("stress", "p"):
        a, b = shown.cellwise[name].x.array, true.cellwise[name].x.array
        assert np.linalg.norm(a - b) < 0.1 * np.linalg.norm(b)
    with pytest.raises(hmm.InputError, match="no average 'q_matrix': it has"):
        model.observe(points, "q_matrix")


def beam(model):
    """Reactions of a cantilever that is bent into plasticity and unloaded."""
    domain = mesh.create_rectangle(MPI.COMM_WORLD, [[0.0, 0.0], [6.0, 2.0]], [3, 1])
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(model, ufl.sym(ufl.grad(u)), degree=2)
    left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0))
    right = fem.locate_dofs_geometrical((V.sub(1), V.sub(1).collapse()[0]), lambda x: np.isclose(x[0], 6))[0]
    g = fem.Constant(domain, 0.0)
    bcs = [fem.dirichletbc(np.zeros(2), left, V), fem.dirichletbc(g, right, V.sub(1))]
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    problem = hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="reduced_")
    return np.array(
        [problem.reaction(bcs[1]) for end, n in ((-0.06, 3), (-0.05, 1)) for _ in hmm.steps(problem, g, end, n)]
    )


@pytest.mark.mpi
def test_beam(rve, model):
    full, found = beam(rve), beam(model)
    assert relative_error(found, full) < 0.01


def test_saved_and_read(tmp_path, rve, model):
    path = model.save(tmp_path / "model.h5")
    again = reduced.load_model(path, plastic_fibre_rve(0.2))
    assert again.report == model.report
    assert dict(again.fingerprint()) == dict(model.fingerprint())
    E = {"11": 5e-3, "12": 1e-3}
    assert np.array_equal(again.solve(E).vector, model.solve(E).vector)
    with pytest.raises(hmm.InputError, match="another RVE: its law of 'matrix'"):
        reduced.load_model(path, plastic_fibre_rve(0.2, yield_stress=200.0))
    with pytest.raises(hmm.InputError, match="another RVE: its constraint is periodic"):
        reduced.load_model(path, plastic_fibre_rve(0.2, constraint="dirichlet"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(hmm.InputError, match="cannot be read"):
        reduced.load_model(path, rve)


def test_outside_the_training_range(rve, model, caplog):
    fresh = reduced.ReducedModel(rve, model.reduction, model.report)
    fresh.solve({"11": 0.5 * SIZE})
    assert fresh.n_outside == 0
    fresh.solve({"11": 1.5 * SIZE})
    fresh.solve({"11": 2.0 * SIZE})
    assert fresh.n_outside == 2
    said = [r for r in caplog.records if "outside its training range" in r.message]
    assert len(said) == (MPI.COMM_WORLD.rank == 0)


def test_bad_input(rve):
    with pytest.raises(hmm.InputError, match=r"path 0 has shape \(3, 4\): give \(n_steps, 3\)"):
        reduced.train(rve, [np.zeros((3, 4))])
    with pytest.raises(hmm.InputError, match=r"no training paths: make some with hmm\.reduced\.random_walks"):
        reduced.train(rve, [])
    with pytest.raises(hmm.InputError, match="blind paths = 5 are not a list: give a list"):
        reduced.train(rve, [np.zeros((3, 3))], blind=5)
    with pytest.raises(hmm.InputError, match="recorded paths have shape"):
        reduced.select_paths(np.zeros((3, 4)), 2)
    with pytest.raises(hmm.InputError, match="size = -1"):
        reduced.proportional(rve.inputs, -1, 2)


def test_paths_that_fail_are_counted(rve):
    """No cell answers a strain of 1e200; the steps before are used."""
    path = np.array([[1e-4, 0, 0], [1e200, 0, 0]])
    made = reduced.train(rve, [path])
    assert made.report.failed == 1
    assert made.report.failures[0].startswith("path 0, step 2 of 2")


def test_selected_paths_differ_most():
    recorded = np.zeros((2, 4, 3))
    recorded[1, :, 0] = [0.0, 0.1, 0.11, 1.0]
    ends = [path.E[1, 0] for path in reduced.select_paths(recorded, 3)]
    assert ends[0] == 1.0
    assert set(ends) == {1.0, 0.0, 0.11} or set(ends) == {1.0, 0.0, 0.1}
    assert len(reduced.select_paths(recorded, 9)) == 4


@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="one file")
def test_picture(tmp_path, model):
    pytest.importorskip("pyvista")
    assert reduced.plot_points(tmp_path / "points.png", model).stat().st_size > 1000
