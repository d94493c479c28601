"""The tangent's columns from element matrices are those of the forms that UFL derives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import ufl
from dolfinx import fem

import hmm
from hmm.foundation.cell_loop import CellLoop
from hmm.foundation.forms import PackedForm
from hmm.micro.cell_forms import dense
from hmm.micro.columns import assembled_columns

J2 = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=700.0)
STIFF = hmm.laws.Elastic(young=400e3, poisson=0.2)
NEO = hmm.laws.NeoHooke(young=1.0, poisson=0.3)


def plastic(solver: str = "direct", **options: object) -> hmm.RVE:
    cell = hmm.cells.fibre(0.3, mesh_size=0.25)
    return hmm.RVE(
        cell,
        hmm.fluctuation(cell, 2),
        hmm.macro_strain(cell),
        law={"matrix": J2, "fibre": STIFF},
        solver=solver,
        **options,
    )


def finite() -> hmm.RVE:
    cell = hmm.cells.fibre(0.3, mesh_size=0.25)
    return hmm.RVE(
        cell, hmm.fluctuation(cell, 1), hmm.macro_deformation_gradient(cell), law=dict.fromkeys(cell.phases, NEO)
    )


def unsymmetric() -> hmm.RVE:
    cell = hmm.cells.fibre(0.3, mesh_size=0.25)
    soil = hmm.laws.DruckerPrager(100.0, 0.3, cohesion=0.01, friction_angle=0.5, dilatancy_angle=0.0)
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell), law={"matrix": soil, "fibre": STIFF})
    assert not rve.system.is_symmetric
    return rve


def dirichlet() -> hmm.RVE:
    return plastic(constraint="dirichlet")


def voxels(solver: str, void: bool = False) -> hmm.RVE:
    soft, hard = hmm.laws.Elastic(1.0, 0.3), hmm.laws.Elastic(10.0, 0.2)
    if void:
        cell = hmm.cells.tpms(0.5, surface="gyroid", mesh_size=1 / 8, void=True)
    else:
        labels = np.random.default_rng(0).integers(0, 2, (4, 5, 6))
        cell = hmm.cells.voxels(labels, {"matrix": 0, "sphere": 1})
    law = dict(zip(cell.phases, (soft, hard), strict=False))
    return hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=law, solver=solver)


CELLS: dict[str, Callable[[], hmm.RVE]] = {
    "plastic": plastic,
    "finite strain": finite,
    "dirichlet": dirichlet,
    "not symmetric": unsymmetric,
    "voxels, direct": lambda: voxels("direct"),
    "voxels, grid": lambda: voxels("iterative"),
    "voids, grid": lambda: voxels("iterative", void=True),
}


@pytest.mark.parametrize("name", CELLS)
def test_columns_are_those_of_the_forms(name: str) -> None:
    rve = CELLS[name]()
    system, rng = rve.system, np.random.default_rng(1)
    system.load(1e-3 * rng.normal(size=system.n_unknowns), system.reference + 1e-3 * rng.normal(size=system.n_inputs))
    system.linearize()
    known = system.solver.derivatives()
    assert known is not None
    L = assembled_columns(system.loaded.reduced, system._columns_of, rve.forms.L).copy()
    M = assembled_columns(system.loaded.reduced, system._columns_of, rve.forms.M).copy()
    for found, exact in zip(known, (L, M, dense(rve.forms.D)), strict=True):
        assert found.shape == exact.shape
        assert np.abs(found - exact).max() < 1e-12 * np.abs(exact).max()


def test_residual_is_that_of_dolfinx() -> None:
    """To the last bit, and for another point too."""
    rve = plastic()
    form, system, rng = rve.forms.R_w, rve.system, np.random.default_rng(0)
    assert form.loop is not None
    for _ in range(2):
        system.load(1e-3 * rng.normal(size=system.n_unknowns), 1e-3 * rng.normal(size=3))
        system.residual()
        exact = np.zeros_like(system.loaded.nodal_forces)
        fem.assemble_vector(exact, *form.packed())
        assert np.array_equal(system.loaded.nodal_forces, exact)


def test_constants_coefficients_and_nodes_may_change() -> None:
    cell = hmm.cells.fibre(0.3, mesh_size=0.3)
    V = fem.functionspace(cell.mesh, ("Lagrange", 1))
    f, c, v = fem.Function(V), fem.Constant(cell.mesh, 1.0), ufl.TestFunction(V)
    form = PackedForm(c * f * v * ufl.dx)
    for value in (1.0, 2.0):
        c.value, f.x.array[:] = value, np.arange(f.x.array.size) * value
        cell.mesh.geometry.x[:] *= value
        found, exact = np.zeros(f.x.array.size), np.zeros(f.x.array.size)
        form.assemble(found)
        fem.assemble_vector(exact, *form.packed())
        assert np.array_equal(found, exact)


def test_forms_that_only_dolfinx_assembles() -> None:
    cell = hmm.cells.fibre(0.3, mesh_size=0.3)
    V = fem.functionspace(cell.mesh, ("Lagrange", 1))
    v, f = ufl.TestFunction(V), fem.Function(V)
    boundary, number = PackedForm(f * v * ufl.ds), PackedForm(f * ufl.dx)
    assert not CellLoop.fits(boundary.form) and not CellLoop.fits(number.form)
    f.x.array[:] = 1.0
    found = np.zeros(f.x.array.size)
    boundary.assemble(found)
    assert found.sum() == pytest.approx(4.0)
