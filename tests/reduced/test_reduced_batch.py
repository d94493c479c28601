"""The compiled loops of reduced models against NumPy, and the two algorithms against each other."""

import numpy as np
import pytest
from support.cells_and_rves import relative_error

import hmm
from hmm import reduced
from hmm.laws import J2, Elastic, NeoHooke, Perzyna
from hmm.models.asking import answer, points_of
from hmm.models.statistics import Counters
from hmm.reduced.compiled_cells import CompiledCells
from hmm.reduced.cubature import contraction, cubature
from hmm.reduced.phases import kernel_of

DT = 0.5


def fibre_rve(laws, finite=False):
    cell = hmm.cells.fibre(volume_fraction=0.3, mesh_size=0.3)
    macro = hmm.macro_deformation_gradient(cell) if finite else hmm.macro_strain(cell)
    return hmm.RVE(cell, hmm.fluctuation(cell, 1), macro, law=laws)


def trained(rve, size, **options):
    paths = reduced.random_walks(rve.inputs, size, 4, 8, seed=1, dt=DT)
    return reduced.train(rve, paths, modes=6, points=60, **options)


@pytest.fixture(scope="module")
def plastic():
    return trained(fibre_rve({"matrix": J2(70e3, 0.3, 100.0, 1000.0), "fibre": Elastic(400e3, 0.2)}), 0.01)


CASES = {
    "one phase": (lambda: {"matrix": J2(70e3, 0.3, 100.0, 1000.0), "fibre": Elastic(400e3, 0.2)}, 0.01, False),
    "two phases": (lambda: {"matrix": J2(70e3, 0.3, 100.0), "fibre": J2(200e3, 0.3, 300.0, 500.0)}, 0.01, False),
    "local unknowns": (
        lambda: {"matrix": J2(70e3, 0.3, 100.0, 1e3, rate=Perzyna(50.0, 3.0, 1e-3)), "fibre": Elastic(400e3, 0.2)},
        0.01,
        False,
    ),
    "finite strain": (lambda: {"matrix": NeoHooke(10.0, 0.3), "fibre": NeoHooke(100.0, 0.3)}, 0.1, True),
}


def in_numpy(model, x, old, dt):
    """Forces and tangent of one reduced cell, as in the docstring of `Reduction`."""
    r, m = model.reduction, model.rve.n_inputs
    q, T, start = r.constant + r.stiffness @ x, r.stiffness.copy(), 0
    for name, p in r.phases.items():
        kernel = kernel_of(model.rve.problem, name)
        fields = p.offset + p.H @ x
        size = p.weights.size * kernel.n_variables
        stress, C, _ = kernel(fields, old[start : start + size].reshape(len(fields), -1), dt)
        start += size
        q += np.einsum("g,gfx,gf->x", p.weights, p.H, stress - p.start - fields @ p.stiffness.T)
        T += np.einsum("g,gfx,gfh,ghy->xy", p.weights, p.H, C - p.stiffness, p.H)
    X = -np.linalg.solve(T[m:, m:], T[m:, :m])
    return q, T[:m, :m] + T[:m, m:] @ X, X, np.linalg.solve(T[m:, m:], q[m:])


@pytest.mark.parametrize("case", CASES)
def test_compiled_loops_are_the_formula(case):
    laws, size, finite = CASES[case]
    model = trained(fibre_rve(laws(), finite), size)
    rve, N = model.rve, model.reduction.n_modes
    kernels = {name: kernel_of(rve.problem, name) for name in model.reduction.phases}
    cells, rng = CompiledCells(model.reduction, kernels), np.random.default_rng(0)
    E = rve.reference + size * rng.uniform(-1, 1, (5, rve.n_inputs))
    scale = size * np.abs(model.solve(E[0], dt=DT).state["y"]).max()
    x = np.concatenate([E, scale * rng.uniform(-1, 1, (5, N))], axis=1)
    old = cells.updated(x, np.zeros((5, cells.history)), DT)
    nowhere = np.full((5, rve.n_inputs), np.nan)
    found = cells.answers(1.1 * x - 0.1 * np.r_[rve.reference, np.zeros(N)], old, DT, 1e-10, nowhere, nowhere[:, 0], x)
    assert found.condensed.all()
    for k in range(5):
        at = 1.1 * x[k] - 0.1 * np.r_[rve.reference, np.zeros(N)]
        q, tangent, X, step = in_numpy(model, at, old[k], DT)
        assert relative_error(found.forces[k], q) < 1e-9
        assert relative_error(found.tangent[k], tangent) < 1e-9
        assert relative_error(found.sensitivity[k], X) < 1e-8
        assert relative_error(found.step[k], step) < 1e-8


def bent(model, algorithm, n=6):
    """Responses of three points along six steps, the macro iterates of each being asked until they converge."""
    points, found = points_of(model, 3), []
    direction = np.array([[7e-3, -4e-3, 2e-3], [1e-4, 0, 0], [-5e-3, 6e-3, 3e-3]])
    for load in [*np.linspace(0, 1, n)[1:], 0.8]:
        for _ in range(12):
            points.ask(load * direction, 0.0, algorithm)
            answer(model, points)
            assert not points.failures
            if points.converged.all():
                break
        assert points.converged.all()
        model.commit(points)
        points.accept()
        found.append(points.committed.response.copy())
    return np.array(found), points


def test_monolithic_and_nested_agree(plastic):
    one, points = bent(plastic, "monolithic")
    other, _ = bent(plastic, "nested")
    assert relative_error(one, other) < 1e-7
    assert points.count.factorizations < points.count.residuals


def test_an_elastic_point_costs_one_residual(plastic):
    points = points_of(plastic, 2)
    points.count = Counters()
    points.ask(np.array([[1e-4, 0, 0], [0, 5e-5, 5e-5]]), 0.0, "monolithic")
    answer(plastic, points)
    assert points.converged.all()
    assert (points.count.residuals, points.count.factorizations) == (2, 0)
    full = plastic.rve.solve({"11": 1e-4})
    assert relative_error(points.trial.response[0], full.vector) < 1e-10
    assert relative_error(points.tangent[0], full.tangent) < 1e-10


def test_elastic_states_are_exact_for_any_cubature():
    """Five points are far too few for anything else."""
    rve = fibre_rve({"matrix": J2(70e3, 0.3, 100.0, 1000.0), "fibre": Elastic(400e3, 0.2)})
    paths = reduced.random_walks(rve.inputs, 0.01, 2, 4, seed=1)
    model = reduced.train(rve, paths, modes=6, points=4)
    assert model.report.points <= 5
    (matrix,) = model.reduction.phases.values()
    assert matrix.weights.sum() == pytest.approx(rve.cell.volume_fractions["matrix"] * rve.cell.volume, rel=1e-10)
    for E in ({"11": 1e-4}, {"12": -1e-4, "22": 5e-5}):
        assert relative_error(model.solve(E).vector, rve.solve(E).vector) < 1e-10
        assert relative_error(model.solve(E).tangent, rve.solve(E).tangent) < 1e-10


def test_a_point_that_does_not_converge_takes_substeps(plastic, monkeypatch):
    """One iteration is not enough for the step, and is for its parts; what follows is that of smaller load steps."""
    E = np.array([[5e-3, 2e-3, 1e-3]])
    points = points_of(plastic, 1)
    points.count = Counters()
    monkeypatch.setattr("hmm.reduced.batch.ITERATIONS", 0)
    monkeypatch.setattr(plastic._single, "newton_options", hmm.micro.protocols.NewtonOptions(1e-10, 2, 0))
    for _ in range(2):  # the second answer takes the same substeps
        points.ask(E, 0.0, "nested")
        points.asked = np.array([0])
        answer(plastic, points)
        assert not points.failures, points.failures
        assert points.converged.all()
    assert points.count.substeps > 0
    ends = points.notes[0].ends
    plastic.commit(points)
    points.accept()
    monkeypatch.undo()
    small = points_of(plastic, 1)
    for end in ends:
        small.ask(end * E, 0.0, "nested")
        answer(plastic, small)
        plastic.commit(small)
        small.accept()
    assert relative_error(points.committed.response, small.committed.response) < 1e-8
    assert relative_error(points.committed.variables["history"], small.committed.variables["history"]) < 1e-8


def test_a_point_without_an_answer_says_so(plastic):
    points = points_of(plastic, 2)
    points.ask(np.array([[1e-3, 0, 0], [1e200, 0, 0]]), 0.0, "monolithic")
    answer(plastic, points)
    assert list(points.failures) == [1]
    assert "the reduced cell did not converge" in points.failures[1]
    assert "substeps" in points.failures[1]


def test_contraction():
    rng = np.random.default_rng(0)
    K, few = ((a @ a.T + np.eye(8)) for a in rng.standard_normal((2, 8, 8)))
    P = contraction(K, few, 1.0)
    assert np.linalg.eigvalsh(K - P.T @ few @ P)[0] > -1e-10 * np.linalg.norm(K)
    assert np.allclose(contraction(K, 0.5 * K, 1.0), np.eye(8))


def test_cubature_of_many_functions_keeps_the_strongest():
    """More functions than points, of rank 5 up to a small rest."""
    rng = np.random.default_rng(0)
    functions = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 300)) + 1e-6 * rng.standard_normal((400, 300))
    index, weights = cubature(np.ones(300), functions[:0], functions, 1e-3, 100)
    assert index.size == 6
    assert (weights > 0).all()
    missed = functions[:, index] @ weights - functions.sum(axis=1)
    assert np.linalg.norm(missed) < 1e-4 * np.linalg.norm(functions.sum(axis=1))
