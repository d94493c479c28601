"""Cells of several fields: displacement and temperature, displacement and pressure."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support import closed_forms, references
from support.cells_and_rves import CONSTRAINTS, TIGHT, central_differences, conduction_rve, relative_error, strain_rve
from support.heated import A, B, heated_rve

import hmm

FRACTIONS = {"A": 0.6, "B": 0.4}


PHASES = [("matrix", A), ("fibre", B)]
SHEARED = [[1.05, 0.1], [-0.05, 0.948]]  # det 1.0004
LOAD = np.array([1e-3, -2e-3, 5e-4, 40.0, 3.0, -1.0])


@pytest.fixture(scope="module")
def laminate():
    return hmm.cells.laminate(FRACTIONS, mesh_size=0.34)


@pytest.fixture(scope="module")
def fibre():
    return hmm.cells.fibre(0.3, mesh_size=0.2)


@pytest.mark.parametrize("degree", [(1, 1), (2, 1)])
def test_heated_laminate(laminate, degree):
    """Stiffness, thermal stress and conductivity of the table; the blocks that must vanish do."""
    response = heated_rve(laminate, {"A": A, "B": B}, degree=degree).solve(LOAD)
    tangent, exact = response.tangent, references.LAMINATE_THERMAL
    C = closed_forms.plane_strain(closed_forms.backus([0.6, 0.4], [(70e3, 0.33), (400e3, 0.2)]))
    assert relative_error(hmm.tensors.symmetric(2).to_fourth_order(tangent[:3, :3]), C) < 1e-11
    assert -tangent[:2, 3] == pytest.approx([exact["beta1"], exact["beta2"]], rel=1e-7)  # digits of the table
    assert np.diag(tangent[4:, 4:]) == pytest.approx([exact["k_normal"], exact["k_parallel"]], rel=1e-7)
    assert np.abs(tangent[:4, 4:]).max() < 1e-12 * np.abs(tangent).max()
    assert response.vector == pytest.approx(tangent @ LOAD, rel=1e-11)
    assert [part.shape for part in response.parts] == [(2, 2), (), (2,)]


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_the_fields_of_a_heated_cell_do_not_disturb_each_other(fibre, constraint):
    """Stiffness and conductivity are those of cells with one field, under each constraint."""
    rve = heated_rve(fibre, {"matrix": A, "fibre": B}, constraint)
    response = rve.solve(LOAD)
    alone = strain_rve(fibre, {"matrix": A.elastic, "fibre": B.elastic}, constraint).solve(np.zeros(3)).tangent
    k = conduction_rve(fibre, {"matrix": 200.0, "fibre": 30.0}, constraint=constraint).solve(np.zeros(2)).tangent
    assert relative_error(response.tangent[:3, :3], alone) < 1e-10
    assert relative_error(response.tangent[4:, 4:], k) < 1e-10
    assert relative_error(response.tangent, response.tangent.T) < 1e-12
    assert hmm.checks.hill_mandel_defect(rve, response) < 1e-10


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_levin(fibre, constraint):
    """The thermal stress of two phases follows from their stiffness alone (Levin 1967), mesh by mesh.

    A strain ``a I`` with ``2 (k_B - k_A) a = beta_B - beta_A``, k the plane-strain bulk modulus, is stressed alike in
    both phases by a degree; so ``beta = <beta> + (C - <C>) : a I``.
    """
    tangent = heated_rve(fibre, {"matrix": A, "fibre": B}, constraint).solve(LOAD).tangent
    fraction, k = (
        fibre.volume_fractions,
        {p: law.elastic.bulk_modulus + law.elastic.shear_modulus / 3 for p, law in PHASES},
    )
    a = (B.beta - A.beta) / (2 * (k["fibre"] - k["matrix"]))
    mean = {p: fraction[p] for p in fraction}
    beta = mean["matrix"] * A.beta + mean["fibre"] * B.beta
    bulk = mean["matrix"] * k["matrix"] + mean["fibre"] * k["fibre"]
    expected = beta + a * (tangent[:2, :2].sum(axis=1) - 2 * bulk)
    assert -tangent[:2, 3] == pytest.approx(expected, rel=1e-10)


def up_energy(cell, w, F, moduli, linear=False):
    """Neo-Hooke with a pressure: ``mu/2 (F:F - 2 - 2 ln J) + p ln J - p^2 / (2 lam)``; p eliminated, the energy of
    `support.neo_hookean`. If `linear`, with ``p (J - 1)``."""
    dx, p = cell.measure(quadrature_degree=4), ufl.split(w)[1]
    C = F.local(w)
    J = ufl.det(C)
    log_J = ufl.ln(J)
    return sum(
        (mu / 2 * (ufl.inner(C, C) - 2 - 2 * log_J) + p * (J - 1 if linear else log_J) - p**2 / (2 * lam))
        * dx(cell.phases[phase])
        for phase, (mu, lam) in moduli.items()
    )


def up_rve(cell, moduli, degree, family, constraint="periodic"):
    w = hmm.fluctuation(cell, degree=degree, family=family)
    F = hmm.macro_deformation_gradient(cell, component=0)
    constants = {p: [fem.Constant(cell.mesh, float(v)) for v in values] for p, values in moduli.items()}
    energy = up_energy(cell, w, F, constants)
    return hmm.RVE(cell, w, F, energy=energy, constraint=constraint, newton_options=TIGHT), constants


@pytest.mark.parametrize("case", ["normal 1", "normal 2"])
def test_up_laminate(case):
    """A pressure that may jump between layers meets the closed form exactly, as displacements alone do."""
    exact = references.LAMINATE_NEOHOOKE[case]
    cell = hmm.cells.laminate({"A": 0.7, "B": 0.3}, normal=exact["normal"], mesh_size=0.5)
    rve, _ = up_rve(cell, {"A": (1.0, 2.0), "B": (10.0, 15.0)}, (1, 0), ("Lagrange", "DG"))
    response = rve.solve(exact["F"])
    A = rve.inputs[0].packing.to_fourth_order(response.tangent)
    assert response.stress == pytest.approx(np.array(exact["P"]), abs=1e-7)
    assert A[0, 0, 0, 0] == pytest.approx(exact["A_1111"], rel=1e-7)
    assert A[0, 1, 0, 1] == pytest.approx(exact["A_1212"], rel=1e-7)
    assert A[0, 0, 1, 1] == pytest.approx(exact["A_1122"], rel=1e-7)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_up_tangent(fibre, constraint):
    rve, _ = up_rve(fibre, {"matrix": (1.0, 1e3), "fibre": (10.0, 15.0)}, (2, 1), "Lagrange", constraint)
    F = np.array(SHEARED)
    response = rve.solve(F)
    assert relative_error(response.tangent, response.tangent.T) < 1e-11
    assert relative_error(central_differences(rve, F, response.state, 1e-5), response.tangent) < 1e-7
    assert hmm.checks.hill_mandel_defect(rve, response) < 1e-9


def test_the_pressure_that_goes_furthest():
    """Pure shear of a nearly incompressible matrix: ``p ln J`` stops at about 1.7, ``p (J - 1)`` does not."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.3)
    w = hmm.fluctuation(cell, degree=(2, 1))
    F = hmm.macro_deformation_gradient(cell, component=0)
    energy = up_energy(cell, w, F, {"matrix": (1.0, 1e5), "fibre": (10.0, 15.0)}, linear=True)
    rve, state = hmm.RVE(cell, w, F, energy=energy), None
    for stretch in np.linspace(1, 2, 21)[1:]:
        response = rve.solve(np.diag([stretch, 1 / stretch]), state)
        state = response.state
    assert relative_error(central_differences(rve, np.diag([2, 0.5]), state, 1e-5), response.tangent) < 1e-6


@pytest.mark.mpi
@pytest.mark.skipif(MPI.COMM_WORLD.size == 1, reason="compares ranks: run with mpirun -n 2")
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_on_two_ranks(constraint):
    cells = [hmm.cells.fibre(0.3, mesh_size=0.2, comm=comm) for comm in (MPI.COMM_SELF, MPI.COMM_WORLD)]
    heated = [heated_rve(cell, dict(PHASES), constraint, degree=(2, 1)).solve(LOAD) for cell in cells]
    moduli, F = {"matrix": (1.0, 1e3), "fibre": (10.0, 15.0)}, SHEARED
    stretched = [up_rve(cell, moduli, (2, 1), "Lagrange", constraint)[0].solve(F) for cell in cells]
    for alone, together in (heated, stretched):
        assert relative_error(together.vector, alone.vector) < 1e-10
        assert relative_error(together.tangent, alone.tangent) < 1e-9


def test_bad_fields(fibre):
    with pytest.raises(hmm.InputError, match="2 degrees, 1 shapes"):
        hmm.fluctuation(fibre, degree=(2, 1), shape=[(2,)])
    with pytest.raises(hmm.InputError, match="family 'RT' of the fluctuation field is unknown"):
        hmm.fluctuation(fibre, degree=(2, 1), family="RT")
    w = hmm.fluctuation(fibre, degree=(1, 1))
    laws = {"matrix": A.elastic, "fibre": B.elastic}
    with pytest.raises(hmm.InputError, match="does not say on which it acts: give component"):
        hmm.RVE(fibre, w, hmm.macro_strain(fibre), law=laws)
    with pytest.raises(hmm.InputError, match="acts on component 2 of w, which has 2 fields"):
        hmm.RVE(fibre, w, hmm.macro_strain(fibre, component=2), law=laws)
    with pytest.raises(hmm.InputError, match="component 1 of w is a scalar"):
        hmm.RVE(fibre, w, hmm.macro_strain(fibre, component=1), law=laws)
    with pytest.raises(hmm.InputError, match="several fields makes the tangent indefinite"):
        heated_rve(fibre, dict(PHASES), solver="iterative")


def test_local_fields(fibre):
    rve = heated_rve(fibre, dict(PHASES))
    fields = hmm.local_fields(rve, rve.solve(LOAD).state, LOAD)
    assert fields.displacement.function_space.value_shape == (2,)
    assert fields.cellwise["temperature"].x.array == pytest.approx(40.0)
    assert fields.cellwise["gradient"].function_space.value_shape == (2,)
    assert set(fields.cellwise) == {"phase", "stress", "von_mises", "temperature", "gradient"}
