"""Cells of extreme contrast: the requested accuracy, or a word that it was not reached."""

import gc

import numpy as np
import pytest
from support.cells_and_rves import relative_error, strain_rve

import hmm
from hmm.laws import J2, Elastic
from hmm.micro.solvers.assembled import AssembledSolver

LABELS = np.zeros((24, 24), dtype=int)
LABELS[5:15, 6:18] = 1


@pytest.fixture(scope="module")
def voxels():
    """A soft matrix goes all around the inclusion, so that little is left of the stiff phase in the tangent."""
    return hmm.cells.voxels(LABELS, {"matrix": 0, "inclusion": 1})


@pytest.fixture(scope="module")
def triangles():
    return hmm.cells.fibre(0.3, mesh_size=0.15)


def stiff(cell, contrast, **options):
    laws = {phase: Elastic(1.0 if phase == "matrix" else contrast, 0.3) for phase in cell.phases}
    return hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=laws, **options)


@pytest.mark.parametrize("contrast", [1e6, 1e9])
def test_iterations_on_voxels(voxels, contrast):
    """What the solver's own tolerance leaves counts by the contrast; stages go on until the tangent has settled."""
    E = [1.0, 0.5, 0.2]
    answer, expected = (stiff(voxels, contrast, solver=solver).solve(E) for solver in ("iterative", "direct"))
    assert relative_error(answer.tangent, expected.tangent) < 2e-6
    assert relative_error(answer.vector, expected.vector) < 2e-6
    assert answer.tangent @ E == pytest.approx(answer.vector, rel=2e-6)


def test_stress_without_tangent(voxels):
    """The residual is measured by the forces of the cell, not by those of the first guess in the stiff phase."""
    answer, expected = (
        stiff(voxels, 1e8, solver=solver).solve(np.ones(3), tangent=False) for solver in ("iterative", "direct")
    )
    assert answer.vector == pytest.approx(expected.vector, rel=1e-6)


def test_moduli_in_single_precision(voxels):
    """Plastic voxel cells keep their moduli so for the iterations; the tangent does not feel it."""
    laws = {"matrix": J2(1.0, 0.3, yield_stress=1e-3, hardening=1e-3), "inclusion": Elastic(1e4, 0.2)}
    rves = [strain_rve(voxels, laws, solver=solver) for solver in ("iterative", "direct")]
    tangents = [rve.solve([0.01, -0.004, 0.003]).tangent for rve in rves]
    assert relative_error(*tangents) < 1e-8


@pytest.mark.parametrize("tangent", [True, False])
@pytest.mark.parametrize("cell", ["voxels", "triangles"])
def test_refused(cell, tangent, request):
    rve = stiff(request.getfixturevalue(cell), 1e16, solver="direct")
    with pytest.raises(
        hmm.ConvergenceError, match=r"of the cell's tangent has a relative error of about .*contrast of 1e9"
    ):
        rve.solve(np.ones(3), tangent=tangent)


def test_warned_once(triangles, caplog):
    rve = stiff(triangles, 1e12)
    for _ in range(2):
        rve.solve(np.ones(3))
    (line,) = [record.message for record in caplog.records]
    assert "relative error" in line and "\n" not in line


@pytest.mark.parametrize("contrast", [1e-15, 1e-3, 1.0, 1e8])
@pytest.mark.parametrize("cell", ["voxels", "triangles"])
def test_not_warned_without_reason(cell, contrast, request, caplog):
    rve = stiff(request.getfixturevalue(cell), contrast)
    state = rve.solve(np.ones(3)).state
    rve.solve(np.zeros(3), state)
    rve.solve(np.zeros(3), state, tangent=False)
    assert not caplog.records


def test_not_warned_where_nothing_connects(caplog):
    """Layers with void between them have no stiffness across, which is no error."""
    labels = np.repeat([[0, 0, 1, 1]], 4, axis=0)
    cell = hmm.images.image_cell(labels, {"solid": 0, "pore": 1}, void="pore")
    caplog.clear()
    w, G = hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell)
    answer = hmm.RVE(cell, w, G, law={"solid": hmm.laws.Fourier(np.eye(2).tolist())}).solve([1.0, 1.0])
    assert np.abs(answer.tangent).min() < 1e-14
    assert not caplog.records


def test_an_asymmetric_tangent_is_refused(triangles, monkeypatch):
    """What condensation makes of a symmetric problem is looked at."""
    rve = stiff(triangles, 10.0)
    solve = AssembledSolver.solve_columns

    def wrong(self, rhs, solution):
        solve(self, rhs, solution)
        solution.getDenseArray()[:, 0] *= 1.5

    monkeypatch.setattr(AssembledSolver, "solve_columns", wrong)
    with pytest.raises(hmm.ConvergenceError, match="relative error"):
        rve.solve(np.ones(3))


def test_grid_solvers_are_freed(voxels):
    """PETSc must not keep them, and `destroy` frees them at once."""
    import weakref

    rve = stiff(voxels, 10.0, solver="iterative")
    rve.solve(np.ones(3))
    solver = weakref.ref(rve.system.solver)
    rve.destroy()
    del rve
    gc.collect()
    assert solver() is None
