"""CG on voxel grids from which the voids are left out, against MUMPS on the assembled matrix and closed forms.

Relative deviations, measured: linear tangents 5e-9, stresses of a path 1e-11, tangents of plastic cells 3e-7.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from support.cells_and_rves import conduction_rve, follow, relative_error, strain_rve
from support.grid_solvers import pair, some_input

import hmm
from hmm.laws import J2, Elastic, NeoHooke
from hmm.micro.solvers.assembled import AssembledSolver
from hmm.micro.solvers.fft import GridSolver, VoxelGrid

PORES = {"2D": ((18, 15), None), "3D": ((12, 9, 10), None), "3D, flat voxels": ((8, 9, 10), (0.3, 0.2, 0.1))}
NAMES = {"matrix": 0, "pore": 1, "grain": 2}
MATRIX = J2(70e3, 0.3, yield_stress=100.0, hardening=7e3)


def blobs(shape, fraction, seed=1, width=2.0):
    """A periodic image: 1 in the given fraction of it."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width, mode="wrap")
    return (field > np.quantile(field, 1 - fraction)).astype(int)


def porous_labels(name):
    """Matrix, pores and grains; pores cut the faces and edges of the cell."""
    shape, _ = PORES[name]
    pores = blobs(shape, 0.4)
    faces = [(np.take(pores, 0, axis), np.take(pores, -1, axis)) for axis in range(len(shape))]
    assert any((low != high).any() for low, high in faces), "solid that ends at a face"
    return np.where(pores, 1, 2 * blobs(shape, 0.3, seed=5))


def porous_cell(name):
    cell = hmm.images.image_cell(porous_labels(name), NAMES, void="pore", remove_floating=True, spacing=PORES[name][1])
    assert set(cell.phases) == {"matrix", "grain"} and cell.grid == PORES[name][0]
    return cell


def cube_with_pore(n, radius=0.2):
    x = (np.indices((n, n, n)) + 0.5) / n - 0.5
    labels = (np.sum(x**2, axis=0) < radius**2).astype(int)
    return hmm.images.image_cell(labels, {"matrix": 0, "pore": 1}, void="pore")


@pytest.mark.parametrize("name", PORES)
@pytest.mark.parametrize("young", [10.0, 0.1])
def test_elastic(name, young):
    rves = pair(strain_rve, porous_cell(name), {"matrix": Elastic(1.0, 0.3), "grain": Elastic(young, 0.2)})
    direct, iterative = (rve.solve(some_input(rve)) for rve in rves)
    assert relative_error(iterative.tangent, direct.tangent) < 2e-8
    assert relative_error(iterative.vector, direct.vector) < 2e-8
    assert relative_error(rves[1].w.x.array, rves[0].w.x.array) < 1e-6


@pytest.mark.parametrize("name", PORES)
def test_conduction(name):
    rves = pair(conduction_rve, porous_cell(name), {"matrix": 1.0, "grain": 10.0})
    direct, iterative = (rve.solve(some_input(rve)) for rve in rves)
    assert relative_error(iterative.tangent, direct.tangent) < 2e-8
    assert relative_error(iterative.vector, direct.vector) < 2e-8


@pytest.mark.parametrize("name", PORES)
def test_plastic_path(name):
    rves = pair(strain_rve, porous_cell(name), {"matrix": MATRIX, "grain": Elastic(400e3, 0.2)})
    paths = [follow(rve, [1e-3 * t * some_input(rve) for t in (0.5, 2.0, 1.6, -1.0)]) for rve in rves]
    assert np.abs(paths[0][1].state.history).max() > 1e-4, "it yields"
    for direct, iterative in zip(*paths, strict=True):
        assert relative_error(iterative.vector, direct.vector) < 1e-8
        assert relative_error(iterative.tangent, direct.tangent) < 3e-6
        deviation = np.abs(iterative.state.history - direct.state.history).max()
        assert deviation < 1e-7 * np.abs(paths[0][-1].state.history).max()


def hyperelastic_rve(cell, **options):
    w, F = hmm.fluctuation(cell), hmm.macro_deformation_gradient(cell)
    law = {"matrix": NeoHooke(1.0, 0.3), "grain": NeoHooke(5.0, 0.2)}
    return hmm.RVE(cell, w, F, law=law, **options)


@pytest.mark.parametrize("name", ["2D", "3D"])
def test_hyperelastic(name):
    rves = pair(hyperelastic_rve, porous_cell(name))
    F = np.eye(rves[0].cell.dim)
    F[0, 0], F[0, 1] = 1.1, 0.05
    direct, iterative = (rve.solve(F) for rve in rves)
    assert relative_error(iterative.vector, direct.vector) < 1e-7
    assert relative_error(iterative.tangent, direct.tangent) < 1e-6


def test_nodes_are_one_exactly_where_the_constraint_makes_them_one():
    """Blocks of dofs share a reduced block if and only if they share a node of the grid."""
    for name in PORES:
        rve = strain_rve(porous_cell(name), {"matrix": Elastic(1.0, 0.3), "grain": Elastic(1.0, 0.3)})
        grid = VoxelGrid.from_space(rve.w.function_space, rve.cell.lattice, rve.cell.origin)
        blocks = rve.system.loaded.reduced.constraint.blocks
        pairs = np.unique(np.stack([blocks, grid.node]), axis=1)
        assert np.unique(pairs[0]).size == np.unique(pairs[1]).size == pairs.shape[1]
        assert grid.shape == PORES[name][0]
        solid = np.zeros(grid.shape, dtype=bool)
        solid.flat[grid.cell] = True
        voids = (porous_labels(name) == 1).sum()
        assert np.array_equal(solid.ravel(), grid.solid) and (~solid).sum() >= voids, "floating solid is left out too"
        assert np.array_equal(np.sort(grid.cell)[grid.rank], grid.cell)


@pytest.mark.parametrize("law", [Elastic(1.0, 0.3), J2(1.0, 0.3, 5e-3, 0.2)], ids=["elastic", "plastic"])
def test_translation_of_a_periodic_image_changes_nothing(law):
    labels = blobs((10, 8, 9), 0.4)
    found = []
    for shift in ((0, 0, 0), (3, 5, 2)):
        cell = hmm.images.image_cell(
            np.roll(labels, shift, (0, 1, 2)), {"matrix": 0, "pore": 1}, void="pore", remove_floating=True
        )
        rve = strain_rve(cell, {"matrix": law}, solver="iterative")
        assert isinstance(rve.system.solver, GridSolver)
        found.append(rve.solve(1e-2 * some_input(rve)))
    assert relative_error(found[1].vector, found[0].vector) < 1e-7
    assert relative_error(found[1].tangent, found[0].tangent) < 2e-6


def test_iterations_do_not_grow_with_resolution():
    """A gyroid sheet that fills half of the cell, elastic and at the first Newton matrix of a law with history."""
    counts = {}
    for n in (16, 32):
        cell = hmm.cells.tpms(0.5, mesh_size=1 / n, void=True)
        for law in (Elastic(1.0, 0.3), J2(1.0, 0.3, 1e9, 0.1)):
            rve = strain_rve(cell, {"solid": law}, solver="iterative")
            rve.solve(np.zeros(6))
            counts[n, type(law)] = rve.system.solver.iterations / 6
    assert max(counts.values()) < 50
    for law in (Elastic, J2):
        assert counts[32, law] < 1.2 * counts[16, law]


def test_a_dilute_pore():
    """Maxwell's conductivity (1 - f) / (1 + f/2), and the bulk modulus of Hashin's composite sphere, at f = 0.033.

    Both hold for cubic arrays up to terms of f^(10/3). The staircase adds 2 % to the effect of the pore.
    """
    cell = cube_with_pore(16)
    f = 1 - cell.volume_fractions["matrix"]
    k = conduction_rve(cell, {"matrix": 1.0}, solver="iterative").solve(np.zeros(3)).tangent
    assert (1 - k[0, 0]) / f == pytest.approx((1 - (1 - f) / (1 + f / 2)) / f, rel=0.02)
    young, poisson = 1.0, 0.3
    K, G = young / 3 / (1 - 2 * poisson), young / 2 / (1 + poisson)
    hashin = K + f / (-1 / K + 3 * (1 - f) / (3 * K + 4 * G))
    C = strain_rve(cell, {"matrix": Elastic(young, poisson)}, solver="iterative").solve(np.zeros(6)).tangent
    assert (K - C[:3, :3].sum() / 9) / f == pytest.approx((K - hashin) / f, rel=0.03)


@pytest.mark.parametrize("solver", ["direct", "iterative"])
def test_a_plate_in_the_void(solver):
    """Of thickness f in a cube: plane stress, E/(1 - nu^2) f, in its plane and no stiffness across."""
    labels = np.ones((3, 4, 5), dtype=int)
    labels[:, :, 1:3] = 0
    cell = hmm.images.image_cell(labels, {"matrix": 0, "pore": 1}, void="pore", spacing=(0.4, 0.3, 0.2))
    young, poisson, f = 3.0, 0.25, 0.4
    C = strain_rve(cell, {"matrix": Elastic(young, poisson)}, solver=solver).solve(np.zeros(6)).tangent
    C = hmm.tensors.mandel_to_voigt(C)
    expected = np.zeros((6, 6))
    expected[:2, :2] = young / (1 - poisson**2) * f * np.array([[1, poisson], [poisson, 1]])
    expected[3, 3] = young / (2 * (1 + poisson)) * f
    assert np.abs(C - expected).max() < 1e-8 * expected.max()


def test_auto_takes_it_for_large_cells_and_other_constraints_do_not():
    law = {"matrix": Elastic(1.0, 0.3)}
    assert isinstance(strain_rve(cube_with_pore(12), law).system.solver, GridSolver)
    assert isinstance(strain_rve(cube_with_pore(8), law).system.solver, AssembledSolver)
    small = cube_with_pore(5)
    assert isinstance(strain_rve(small, law, "dirichlet", solver="iterative").system.solver, AssembledSolver)


def test_fixed_dofs_are_not_for_the_grid():
    """Two more points fixed: the grid knows of one only, and the matrix is assembled."""
    cell = cube_with_pore(5)
    found = []
    for solver in ("direct", "iterative"):
        w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
        middle = np.flatnonzero(np.abs(w.function_space.tabulate_dof_coordinates() - 0.2).max(axis=1) < 0.01)
        fixed = (3 * middle[:, None] + np.arange(3)).ravel()
        assert fixed.size == 3
        rve = hmm.RVE(cell, w, E, law={"matrix": Elastic(1.0, 0.3)}, fixed_dofs=fixed, solver=solver)
        assert isinstance(rve.system.solver, AssembledSolver)
        found.append(rve.solve(np.zeros(6)).tangent)
    assert relative_error(found[1], found[0]) < 1e-7


def test_voxels_at_one_place_are_no_grid():
    cell = hmm.cells.voxels(np.zeros((4, 3), dtype=int), {"matrix": 0})
    folded = cell.mesh.geometry.x.copy()
    cell.mesh.geometry.x[:, 0] = np.where(folded[:, 0] > 0.9, 0.5, folded[:, 0])  # the last column upon the third
    w = hmm.fluctuation(cell)
    with pytest.raises(hmm.InputError, match="is not a grid of"):
        VoxelGrid.from_space(w.function_space, cell.lattice, cell.origin)
