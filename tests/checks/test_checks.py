"""The checks see what they should, and see it when it is not so."""

import logging
from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.cells_and_rves import conduction_rve, strain_rve
from support.macro_tools import J2, STIFF, beam, composite, cube_cell, homogeneous_cell, rve_of, square_cell

import hmm
from hmm import checks
from hmm.checks import bounds

PATH = [{"11": e, "12": e / 2} for e in (1e-3, 4e-3, 8e-3, 2e-3, -4e-3, 0.0)]


@dataclass(frozen=True)
class Overflowing(hmm.laws.J2):
    """Plasticity whose plastic strain flows against the stress: it creates energy."""

    def update(self, at):
        new = super().update(at)
        return {**new, "plastic_strain": 2 * at.old["plastic_strain"] - new["plastic_strain"]}


@dataclass(frozen=True)
class Viscous(hmm.laws.Elastic):
    """A law that says its relaxation times; only those are asked for."""

    times: tuple = ()

    @property
    def relaxation_times(self):
        return self.times


# -- thermodynamics ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plastic():
    return composite()


def test_dissipation_of_j2_is_yield_stress_times_dp():
    """One homogeneous cell, monotonic shear: ``D = yield_stress dp`` plus the surplus ``dE : C : dE / 2`` of a step."""
    rve = rve_of(homogeneous_cell(), {"matrix": J2})
    found = checks.dissipation(rve, [{"12": e} for e in np.linspace(0, 8e-3, 5)[1:]])
    assert found.holds()
    p = np.array([rve.histories["matrix"].view(r.state.history, "p")[:, 0] for r in found.responses])
    dp = np.diff(p, axis=0, prepend=0)
    strain = np.array([0] + [r.stress[0, 1] / (2 * J2.elastic.shear_modulus) for r in found.responses])  # elastic
    surplus = 2 * J2.elastic.shear_modulus * np.diff(strain) ** 2 + J2.hardening * dp[:, 0] ** 2 / 2
    exact = J2.yield_stress * dp + surplus[:, None]
    assert found.increments["matrix"] == pytest.approx(exact, rel=1e-8, abs=1e-12)


def test_a_composite_dissipates_along_a_path_with_reversals(plastic):
    found = checks.dissipation(plastic, PATH)
    assert found.holds()
    assert found.smallest >= -1e-9 * found.work
    assert found.increments["matrix"].shape[0] == len(PATH)
    assert found.increments["matrix"].max() > 0.1 * found.work


LAWS = {
    "Voce": hmm.laws.J2(70e3, 0.3, 100.0, hardening=hmm.laws.Voce(50.0, 200.0, 10.0)),
    "power law": hmm.laws.J2(70e3, 0.3, 100.0, hardening=hmm.laws.PowerLaw(300.0, 0.5, 1e-4)),
    "backstress": hmm.laws.J2(70e3, 0.3, 100.0, 100.0, kinematic=hmm.laws.ArmstrongFrederick(5e3, 50.0)),
    "rate": hmm.laws.J2(70e3, 0.3, 100.0, 100.0, rate=hmm.laws.Perzyna(20.0, 2.0, 1e-2)),
    "Drucker-Prager": hmm.laws.DruckerPrager(70e3, 0.3, 50.0, 20.0, 10.0),
    "Maxwell": hmm.laws.GeneralizedMaxwell(70e3, 0.3, ((20e3, 0.5), (10e3, 5.0))),
}


@pytest.mark.parametrize("name", LAWS)
def test_no_law_creates_energy(name):
    """There and back through shear and compression, in steps in which the rates matter."""
    path = [{"12": e, "11": -e / 3} for e in (1e-3, 3e-3, 6e-3, 2e-3, -4e-3, 0.0)]
    found = checks.dissipation(rve_of(homogeneous_cell(), {"matrix": LAWS[name]}), path, dt=0.3)
    assert found.holds()
    assert found.increments["matrix"].sum(axis=0).min() > 0


def test_a_law_that_creates_energy_is_found():
    law = Overflowing(70e3, 0.3, yield_stress=100.0, hardening=700.0)
    rve = rve_of(homogeneous_cell(), {"matrix": law})
    found = checks.dissipation(rve, [{"12": e} for e in (1e-3, 2e-3, 3e-3)])
    assert not found.holds()
    assert found.where[0] == "matrix"


def test_dissipation_under_mixed_control():
    w_cell = square_cell()
    w, E = hmm.fluctuation(w_cell), hmm.macro_strain(w_cell, out_of_plane=True)
    rve = hmm.RVE(w_cell, w, E, law={"matrix": J2, "inclusion": STIFF})
    found = checks.dissipation(hmm.plane_stress(rve), [{"11": 2e-3}, {"11": 5e-3}, {"11": 0.0}])
    assert found.holds(1e-7)


def test_a_law_without_energy_is_named(plastic):
    class Silent:
        fields, internal, response, update = ("strain",), J2.elastic.internal, J2.elastic.response, J2.elastic.update

    rve = rve_of(homogeneous_cell(), {"matrix": Silent()})
    with pytest.raises(hmm.InputError, match="phase 'matrix', Silent, has no stored energy"):
        checks.dissipation(rve, PATH)
    with pytest.raises(hmm.InputError, match="path is empty"):
        checks.dissipation(plastic, [])
    with pytest.raises(hmm.InputError, match="this RVE has an energy"):
        checks.dissipation(conduction_rve(homogeneous_cell(), {"matrix": 1.0}), [[1.0, 0.0]])


# -- tangents ----------------------------------------------------------------------------------------------------------


def test_tangents(plastic):
    state = plastic.solve({"11": 2e-3}).state
    E = {"11": 6e-3, "12": 2e-3}
    tangent = plastic.solve(E, state).tangent
    assert checks.tangent_asymmetry(tangent) < 1e-10
    assert checks.tangent_error(plastic, E, state, step=1e-8) < 1e-6
    wrong = tangent * (1 + 1e-3 * np.triu(np.ones((3, 3)), 1))
    assert checks.tangent_asymmetry(wrong) > 1e-5
    assert checks.tangent_error(plastic, E, state, step=1e-8, tangent=wrong) > 1e-5


def test_the_tangent_of_a_model_with_rates_belongs_to_its_step():
    law = hmm.laws.GeneralizedMaxwell(70e3, 0.3, ((20e3, 0.5), (10e3, 5.0)))
    rve = composite(law)
    with pytest.raises(hmm.InputError, match=r"depends on time, and the step has no duration: give dt="):
        checks.tangent(rve, {"12": 1e-3})
    rve.time_step = 0.2
    check = checks.tangent(rve, {"12": 1e-3}, tolerance=1e-6)
    assert check and rve.time_step == 0.2
    assert check.tangent == pytest.approx(rve.solve({"12": 1e-3}, dt=0.2).tangent)


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_reference_values_of_bounds():
    """Table `bounds_and_cte`: f=.3, matrix E=70 nu=.33, inclusion E=400 nu=.2 (GPa); closed forms, eight digits."""
    matrix, inclusion = hmm.laws.Elastic(70.0, 0.33), hmm.laws.Elastic(400.0, 0.2)
    K, G = ([getattr(m, name) for m in (matrix, inclusion)] for name in ("bulk_modulus", "shear_modulus"))
    bulk, shear = bounds.hashin_shtrikman([0.7, 0.3], K, G)
    assert (bulk.lower, bulk.upper) == pytest.approx((91.25207, 102.26962), rel=1e-7)
    assert (shear.lower, shear.upper) == pytest.approx((41.649449, 54.216867), rel=1e-7)
    stiffnesses = [bounds.isotropic_stiffness(k, g, 3) for k, g in zip(K, G, strict=True)]
    assert bounds.moduli_of(bounds.voigt([0.7, 0.3], stiffnesses))[:2] == pytest.approx(
        (114.70588, 68.421053), rel=1e-7
    )
    assert bounds.moduli_of(bounds.reuss([0.7, 0.3], stiffnesses))[:2] == pytest.approx(
        (86.580087, 35.211268), rel=1e-7
    )
    for dim, exact in ((3, (1.8709677, 3.0769231)), (2, (1.6506024, 2.716763))):
        k = bounds.hashin_shtrikman_conductivity([0.7, 0.3], [1.0, 10.0], dim)
        assert (k.lower, k.upper) == pytest.approx(exact, rel=1e-7)


def test_bounds_of_fibres():
    """2D against Hill's form for two phases: ``k = k1 + f2 / (1/(k2-k1) + f1/(k1+G1))`` and likewise G."""
    f1, f2, k1, G1, k2, G2 = 0.6, 0.4, 2.0, 1.0, 9.0, 5.0
    bulk, shear = bounds.hashin_shtrikman([f1, f2], [k1, k2], [G1, G2], dim=2)
    assert bulk.lower == pytest.approx(k1 + f2 / (1 / (k2 - k1) + f1 / (k1 + G1)))
    assert bulk.upper == pytest.approx(k2 + f1 / (1 / (k1 - k2) + f2 / (k2 + G2)))
    assert shear.lower == pytest.approx(G1 + f2 / (1 / (G2 - G1) + f1 * (k1 + 2 * G1) / (2 * G1 * (k1 + G1))))
    assert shear.upper == pytest.approx(G2 + f1 / (1 / (G1 - G2) + f2 * (k2 + 2 * G2) / (2 * G2 * (k2 + G2))))


def test_voids_leave_the_upper_bound_only():
    bulk, shear = bounds.hashin_shtrikman([0.7], [2.0], [1.0])
    assert bulk.lower == shear.lower == 0.0
    assert bulk.upper == pytest.approx(
        4 * 0.7 * 2.0 / (4 + 3 * 0.3 * 2.0)
    )  # Mackenzie (1950): 4 G (1-f) K / (4 G + 3 f K)
    assert not bounds.reuss([0.7], [np.eye(6)]).any()


@pytest.mark.parametrize(
    ("make", "inclusion", "applied"),
    [
        (lambda: hmm.cells.fibre(0.3, array="hexagonal", mesh_size=0.15), "fibre", 4),
        (cube_cell, "inclusion", 3),
        (lambda: hmm.cells.laminate({"matrix": 0.6, "fibre": 0.4}, dim=3, mesh_size=0.5), "fibre", 2),
    ],
)
def test_a_stiffness_respects_its_bounds(make, inclusion, applied):
    cell = make()
    law = {"matrix": hmm.laws.J2(70e3, 0.33, 100.0, 1e3), inclusion: hmm.laws.Elastic(400e3, 0.2)}
    A = strain_rve(cell, law).solve({}).tangent
    report = checks.respects_bounds(A, cell.volume_fractions, law)
    assert report, report.violations
    assert len(report.applied) == applied
    for factor, word in ((0.3, "below Reuss"), (3.0, "above Voigt")):
        wrong = checks.respects_bounds(factor * A, cell.volume_fractions, law)
        assert not wrong
        assert any(word in violation for violation in wrong.violations)


def test_a_value_between_reuss_and_voigt_may_still_be_impossible():
    """The Voigt mean is isotropic and violates Hashin-Shtrikman alone."""
    law = {"a": hmm.laws.Elastic(1.0, 0.3), "b": hmm.laws.Elastic(10.0, 0.3)}
    stiffnesses = [bounds.isotropic_stiffness(m.bulk_modulus, m.shear_modulus, 3) for m in law.values()]
    report = checks.respects_bounds(bounds.voigt([0.5, 0.5], stiffnesses), {"a": 0.5, "b": 0.5}, law)
    assert len(report.violations) == 2
    assert all("Hashin-Shtrikman" in violation for violation in report.violations)


def test_a_conductivity_respects_its_bounds():
    cell = hmm.cells.fibre(0.3, mesh_size=0.15)
    k = {"matrix": 1.0, "fibre": 10.0}
    A = conduction_rve(cell, k, degree=2).solve([0.0, 0.0]).tangent
    report = checks.respects_bounds(A, cell.volume_fractions, k)
    assert report and len(report.applied) == 3
    assert not checks.respects_bounds(1.8 * A, cell.volume_fractions, k)


def test_bounds_refuse_what_is_none_of_theirs():
    with pytest.raises(hmm.InputError, match="phase 'b' is missing"):
        checks.respects_bounds(np.eye(6), {"a": 0.5, "b": 0.5}, {"a": J2})
    with pytest.raises(hmm.InputError, match="phase 'a' is 'rubber'"):
        checks.respects_bounds(np.eye(6), {"a": 1.0}, {"a": "rubber"})
    with pytest.raises(hmm.InputError, match=r"shape \(5, 5\)"):
        checks.respects_bounds(np.eye(5), {"a": 1.0}, {"a": J2})
    with pytest.raises(hmm.InputError, match="add up to 1"):
        bounds.hashin_shtrikman_conductivity([0.7, 0.6], [1.0, 2.0])
    with pytest.raises(hmm.InputError, match="dim = 4"):
        bounds.hashin_shtrikman([1.0], [1.0], [1.0], dim=4)


# -- scales ------------------------------------------------------------------------------------------------------------


def bent(n=8):
    """A homogenizer of the field ``u = x0^2/2 e0`` on (0, 2) x (0, 1): ``E11 = x0``, so that L = x0."""
    domain = mesh.create_rectangle(MPI.COMM_WORLD, [[0.0, 0.0], [2.0, 1.0]], [2 * n, n])
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u = fem.Function(V)
    u.interpolate(lambda x: np.stack([x[0] ** 2 / 2, 0 * x[0]]))
    steel = {"matrix": hmm.laws.Elastic(70e3, 0.3)}
    return hmm.Homogenizer(rve_of(homogeneous_cell(), steel), ufl.sym(ufl.grad(u)), degree=2), u


@pytest.mark.mpi
def test_gradient_length_of_a_known_field(caplog):
    """Points with ``E11`` of a fifth of its largest value, 2, or more: the smallest L is then 0.4, up to a cell."""
    hom, u = bent()
    with caplog.at_level(logging.WARNING, "hmm"):
        found = checks.scale_separation(hom, cell_size=0.02, noticeable=0.2)
    assert 0.39 < found.gradient_length < 0.4 + 1 / 8
    assert found.x[0] == pytest.approx(found.gradient_length, abs=0.02)
    assert found.element_size == pytest.approx(2**0.5 / 8, rel=1e-10)
    assert found.error == pytest.approx(0.02 / found.gradient_length)
    assert not found.cells_overlap and not caplog.records
    with caplog.at_level(logging.WARNING, "hmm"):
        coarse = checks.scale_separation(hom, noticeable=0.2)  # the cell is the unit square
    assert coarse.cells_overlap
    if MPI.COMM_WORLD.rank == 0:
        assert "scales are not well separated: the cell of size 1 has" in caplog.text
    u.interpolate(lambda x: np.stack([x[0], 0 * x[0]]))
    assert checks.scale_separation(hom).error < 1e-6  # a uniform field
    with pytest.raises(hmm.InputError, match="cell_size = 0"):
        checks.scale_separation(hom, 0.0)


def test_time_scales(caplog):
    law = {"matrix": Viscous(1.0, 0.3, (2.0, 1e3, 1e-3)), "inclusion": STIFF}
    rve = rve_of(square_cell(), law)
    with caplog.at_level(logging.WARNING, "hmm"):
        found = checks.time_scales(rve, dt=0.5, process=10.0)
    assert found.relaxation == {"matrix": (2.0, 1e3, 1e-3), "inclusion": ()}
    assert all(word in text for word, text in zip(("shorter", "unrelaxed", "relaxed law"), found.remarks, strict=True))
    assert "expect a relative error of the order 0.12" in found.remarks[0]
    fine = checks.time_scales(rve_of(square_cell(), law | {"matrix": Viscous(1.0, 0.3, (2.0,))}), 0.02, 10.0)
    assert not fine.remarks
    assert fine.error == pytest.approx(0.005)
    with pytest.raises(hmm.InputError, match=r"dt = 0\.0"):
        checks.time_scales(rve, 0.0)


@pytest.mark.mpi
def test_a_beam_is_checked_in_parallel():
    b = beam(rve_of(homogeneous_cell(), {"matrix": hmm.laws.Elastic(70e3, 0.3)}))
    b.reactions([0.01])
    found = checks.scale_separation(b.hom, cell_size=0.01)
    assert 0.05 < found.gradient_length < 4
