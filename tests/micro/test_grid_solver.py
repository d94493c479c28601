"""CG on voxel grids, preconditioned by FFT, against MUMPS on the assembled matrix.

Relative deviations, measured: linear tangents 1e-9, stresses of a path 1e-10, history 1e-9. Tangents of plastic cells
have 1e-8 (1e-7 with a phase 1000 times softer), because their moduli are kept in single precision.
"""

import itertools

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support.cells_and_rves import conduction_rve, follow, relative_error, strain_rve
from support.grid_solvers import pair, some_input

import hmm
from hmm.cells import voxels
from hmm.foundation import compiled
from hmm.laws import J2, Elastic
from hmm.micro.solvers.assembled import AssembledSolver
from hmm.micro.solvers.fft import GridSolver, kernels

GRIDS = {
    "2D, odd and even": ((7, 4), (0.3, 0.1)),
    "2D, even and odd": ((8, 5), None),
    "3D": ((5, 6, 4), (0.1, 0.2, 0.3)),
    "3D, odd last axis": ((4, 2, 5), None),
    "3D, one voxel thick": ((4, 3, 1), 0.5),
}
MATRIX = J2(70e3, 0.3, yield_stress=100.0, hardening=700.0)
FIBRE = Elastic(400e3, 0.2)
PATH = (0.5, 1.0, 2.0, 1.6, -1.0)


def random_cell(name):
    shape, spacing = GRIDS[name]
    labels = np.random.default_rng(3).integers(0, 2, shape)
    return voxels(labels, {"matrix": 0, "fibre": 1}, spacing=spacing)


def sphere_cell(n):
    """Voxels of the unit cube are inclusion if their centre is nearer to the middle than 0.3."""
    x = (np.indices((n, n, n)) + 0.5) / n - 0.5
    return voxels((np.sum(x**2, axis=0) < 0.09).astype(int), {"matrix": 0, "fibre": 1})


def assert_same(direct, iterative, tolerance=1e-8):
    assert relative_error(iterative.vector, direct.vector) < tolerance
    assert relative_error(iterative.tangent, direct.tangent) < tolerance


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("young", [10.0, 1e-3])
def test_elastic(name, young):
    rves = pair(strain_rve, random_cell(name), {"matrix": Elastic(1.0, 0.3), "fibre": Elastic(young, 0.2)})
    assert_same(*(rve.solve(some_input(rve)) for rve in rves))
    assert relative_error(rves[1].w.x.array, rves[0].w.x.array) < 1e-7


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("conductivity", [10.0, 1e-3])
def test_conduction(name, conductivity):
    rves = pair(conduction_rve, random_cell(name), {"matrix": 1.0, "fibre": conductivity})
    assert_same(*(rve.solve(some_input(rve)) for rve in rves))


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("fibre, tangent_tolerance", [(FIBRE, 1e-7), (Elastic(7e3, 0.2), 1e-7)], ids=["stiff", "soft"])
def test_plastic_path(name, fibre, tangent_tolerance):
    rves = pair(strain_rve, random_cell(name), {"matrix": MATRIX, "fibre": fibre})
    paths = [follow(rve, [2e-3 * t * some_input(rve) for t in PATH]) for rve in rves]
    assert np.abs(paths[0][2].state.history).max() > 1e-4, "it yields"
    assert np.array_equal(paths[0][2].state.history, paths[0][3].state.history), "and unloads"
    largest = max(np.abs(r.vector).max() for r in paths[0])
    for direct, iterative in zip(*paths, strict=True):
        assert np.abs(iterative.vector - direct.vector).max() < 1e-8 * largest
        assert relative_error(iterative.tangent, direct.tangent) < tangent_tolerance
        # history may differ where a point is about to yield: measured against that of the whole path
        deviation = np.abs(iterative.state.history - direct.state.history).max()
        assert deviation < 1e-7 * np.abs(paths[0][-1].state.history).max()


def test_plastic_sphere():
    """Benchmark B3 at 8^3: shear and unloading."""
    rves = pair(strain_rve, sphere_cell(8), {"matrix": MATRIX, "fibre": FIBRE})
    shear = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    for direct, iterative in zip(*(follow(rve, [t * shear for t in (1e-3, 5e-3, 3e-3)]) for rve in rves), strict=True):
        assert_same(direct, iterative, 1e-7)
        assert relative_error(iterative.state.history, direct.state.history) < 1e-7


@pytest.mark.parametrize("name", GRIDS)
def test_the_preconditioner_of_a_homogeneous_cell_is_its_inverse(name):
    """One iteration but for the single precision of the transform, and a second to go below 1e-8."""
    law = Elastic(3.0, 0.3)
    rves = pair(strain_rve, random_cell(name), {"matrix": law, "fibre": law})
    rhs = np.random.default_rng(0).normal(size=rves[0].n_unknowns)
    solutions = []
    for rve in rves:
        rve.system.linearize()
        solutions.append(rve.system.solver.solve(rhs))
    assert 1 <= rves[1].system.solver.iterations <= 2
    assert relative_error(solutions[1], solutions[0]) < 1e-7
    before = rves[1].system.solver.iterations
    assert (
        relative_error(rves[1].solve(some_input(rves[1])).tangent, rves[0].solve(some_input(rves[0])).tangent) < 1e-12
    )
    assert rves[1].system.solver.iterations - before <= 2 * (rves[1].n_inputs + 1)


def test_iterations_do_not_depend_on_resolution():
    """Benchmark A at 32^3, values of another code (FANS), and the same cell in coarser voxels.

    Contrast 10 bounds the condition number of the preconditioned matrix by 10, and so the iterations to 1e-8 by
    ln(2 / 1e-8) / 2 * sqrt(10) = 30, whatever the number of voxels.
    """
    counts, tangent = {}, None
    for n in (8, 16, 32):
        rve = strain_rve(sphere_cell(n), {"matrix": Elastic(1.0, 0.3), "fibre": Elastic(10.0, 0.3)}, solver="iterative")
        tangent = rve.solve(np.zeros(6)).tangent
        counts[n] = rve.system.solver.iterations / 6
    assert all(count <= 30 for count in counts.values())
    assert abs(counts[32] - counts[16]) <= 2
    C = hmm.tensors.mandel_to_voigt(tangent)
    assert [C[0, 0], C[0, 1], C[3, 3]] == pytest.approx([1.626515, 0.657907, 0.463167], rel=0, abs=2e-6)
    assert np.abs(C[:3, 3:]).max() < 1e-8


def test_auto_takes_it_for_large_cells():
    law = {"matrix": Elastic(1.0, 0.3), "fibre": Elastic(10.0, 0.3)}
    assert isinstance(strain_rve(sphere_cell(32), law).system.solver, GridSolver)
    assert isinstance(strain_rve(sphere_cell(4), law).system.solver, AssembledSolver)


@pytest.mark.parametrize("law", [Elastic(1.0, 0.3), J2(1.0, 0.3, 1e-3, 0.1)], ids=["elastic", "plastic"])
def test_without_tangent(law):
    rve = strain_rve(random_cell("3D"), {"matrix": law, "fibre": Elastic(10.0, 0.3)}, solver="iterative")
    E = 1e-2 * some_input(rve)
    full, bare = rve.solve(E), rve.solve(E, tangent=False)
    assert bare.tangent.shape == (6, 6) and np.isnan(bare.tangent).all()
    assert relative_error(bare.vector, full.vector) < 1e-11
    assert np.allclose(bare.state.history, full.state.history, rtol=1e-10, atol=1e-16)


# -- what users write --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["direct", "iterative"])
def test_a_changed_constant_of_an_energy_is_seen(solver):
    """Twice the conductivity of all phases is twice the tangent."""
    cell = random_cell("3D")
    T, G = hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell)
    k, g, dx = fem.Constant(cell.mesh, 1.0), G.local(T), cell.measure()
    energy = k / 2 * ufl.inner(g, g) * dx(0) + 5 * k * ufl.inner(g, g) * dx(1)
    rve = hmm.RVE(cell, T, G, energy=energy, solver=solver)
    first = rve.solve(np.ones(3))
    k.value = 2.0
    second = rve.solve(np.ones(3))
    assert relative_error(second.tangent, 2 * first.tangent) < 1e-8
    assert relative_error(second.vector, 2 * first.vector) < 1e-8


class Scaled:
    """An elastic law whose modulus is a Constant that the test changes."""

    def __init__(self, k):
        self.k = k

    fields = ("strain",)

    def internal(self, dim):
        return {}

    def response(self, at):
        return self.k * Elastic(1.0, 0.2).stress(at.strain)

    def update(self, at):
        return {}


def test_a_changed_constant_of_a_law_is_seen():
    cell = random_cell("2D, odd and even")
    k = fem.Constant(cell.mesh, 5.0)
    rves = pair(strain_rve, cell, {"matrix": J2(1.0, 0.3, 1e-3, 0.1), "fibre": Scaled(k)})
    for value in (5.0, 20.0):
        k.value = value
        assert_same(*(rve.solve(1e-2 * some_input(rve)) for rve in rves), tolerance=1e-7)


def strain_energies(cell, w, E):
    """Linear energies whose integrals overlap, have coefficients, or are not over volumes."""
    e, dx = E.local(w), cell.measure()
    field = fem.Function(fem.functionspace(cell.mesh, ("DG", 0)))
    rng = np.random.default_rng(0)
    field.x.array[:] = rng.integers(1, 4, field.x.array.size)
    many = fem.Function(field.function_space)
    many.x.array[:] = 1 + rng.random(many.x.array.size)
    square, jump = ufl.inner(e, e), ufl.jump(ufl.grad(w))
    return {
        "overlapping": (square * dx(1) + 2 * square * dx + field * ufl.tr(e) ** 2 * dx(0), GridSolver),
        "field of many values": (many * square * dx, AssembledSolver),
        "springs on facets": (square * dx + 0.1 * ufl.inner(jump, jump) * ufl.dS(cell.mesh), AssembledSolver),
    }


@pytest.mark.parametrize("name", ["overlapping", "field of many values", "springs on facets"])
def test_energies(name):
    """Those that are not one matrix for each of a few kinds of voxel are assembled."""
    cell = voxels(np.random.default_rng(1).integers(0, 2, (18, 17)), {"matrix": 0, "fibre": 1})
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    energy, kind = strain_energies(cell, w, E)[name]
    rves = [hmm.RVE(cell, w, E, energy=energy, solver=solver) for solver in ("direct", "iterative")]
    assert isinstance(rves[1].system.solver, kind)
    assert_same(*(rve.solve(some_input(rve)) for rve in rves))


def test_too_few_iterations():
    law = {"matrix": Elastic(1.0, 0.3), "fibre": Elastic(10.0, 0.3)}
    rve = strain_rve(random_cell("3D"), law, solver="iterative", petsc_options={"ksp_max_it": 1})
    with pytest.raises(hmm.ConvergenceError, match=r"in 1 iterations: raise -hmm_micro_ksp_max_it, or use solver='di"):
        rve.solve(np.zeros(6))


@pytest.mark.mpi
def test_ranks_that_compile_at_once(tmp_path, monkeypatch):
    """All ranks find an empty cache; each ends up with a module that works, and one file is left."""
    folder = MPI.COMM_WORLD.bcast(tmp_path / "cache")
    monkeypatch.setattr(compiled, "get_options", lambda: {"cache_dir": folder})
    compiled.compiled_module.cache_clear()
    MPI.COMM_WORLD.barrier()
    module = kernels.kernel.__wrapped__(1, 2)
    shape = (4, 3)
    K = np.array([[4, -1, -1, -2], [-1, 4, -2, -1], [-1, -2, 4, -1], [-2, -1, -1, 4]]) / 6  # Laplace on a square
    columns = kernels.aligned(np.pad(K.T, ((0, 0), (0, 4))))
    u, y = np.random.default_rng(0).normal(size=shape), np.empty(shape)
    c = module.ffi.from_buffer
    module.lib.apply(
        c("int[]", np.array(shape, dtype=np.int32)),
        c("uint8_t[]", np.zeros(12, dtype=np.uint8)),
        c("double[]", columns),
        c("double[]", u),
        c("double[]", y, require_writable=True),
    )
    neighbours = [np.roll(u, shift, (0, 1)) for shift in itertools.product((-1, 0, 1), repeat=2)]
    assert y == pytest.approx(3 * u - sum(neighbours) / 3, abs=1e-14)  # stencil 8/3 in the middle, -1/3 round it
    MPI.COMM_WORLD.barrier()
    assert [path.suffix for path in folder.iterdir()] == [".so"]


def test_a_compiler_that_cannot_build_the_loops(monkeypatch, tmp_path):
    """One line that says which compilers can, and what to do without one; nothing is left in the cache."""
    from hmm.foundation.errors import EnvironmentMismatch

    monkeypatch.setattr(kernels, "SOURCE", "#error no such compiler\n")
    monkeypatch.setattr(compiled, "get_options", lambda: {"cache_dir": tmp_path})
    kernels.kernel.cache_clear()
    with pytest.raises(EnvironmentMismatch, match=r"GCC 12, Clang 15 or newer; or use solver='direct'"):
        kernels.kernel(3, 3)
    kernels.kernel.cache_clear()
    assert list(tmp_path.iterdir()) == []
