"""Macroscopic inputs: their names, and several that add to one local field."""

from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.cells_and_rves import TIGHT, relative_error

import hmm
from hmm.foundation import tensors
from hmm.laws.base import responses
from hmm.models.components import component_names, response_names

HEAT = {"A": [[2.0, 0.3], [0.3, 1.0]], "B": [[30.0, 0.0], [0.0, 20.0]]}
MASS = {"A": [[0.5, 0.0], [0.0, 0.1]], "B": [[0.02, 0.01], [0.01, 0.05]]}
A, B = (70e3, 0.33), (400e3, 0.2)
ELASTIC = {"A": hmm.laws.Elastic(*A), "B": hmm.laws.Elastic(*B)}


@dataclass(frozen=True)
class Both:
    """Two laws of different fields side by side; with a `coupling` of two gradients, ``coupling`` times the other."""

    first: object
    second: object
    coupling: float = 0.0

    @property
    def fields(self):
        return (*self.first.fields, *self.second.fields)

    def internal(self, dim):
        return {}

    def response(self, at):
        one, two = responses(self.first, at), responses(self.second, at)
        (a,), (b,) = one, two
        return {a: one[a] + self.coupling * at.fields[b], b: two[b] + self.coupling * at.fields[a]}

    def update(self, at):
        return {}


@pytest.fixture
def cell():
    return hmm.cells.laminate({"A": 0.6, "B": 0.4}, normal=0, mesh_size=0.5)


def heat_and_mass(cell, coupling=0.0):
    w = hmm.fluctuation(cell, degree=(1, 1), shape=((), ()))
    inputs = [hmm.macro_gradient(cell, 0, name="heat"), hmm.macro_gradient(cell, component=1, name="concentration")]
    law = {
        phase: Both(
            hmm.laws.rename(hmm.laws.Fourier(HEAT[phase]), gradient="heat"),
            hmm.laws.rename(hmm.laws.Fourier(MASS[phase]), gradient="concentration"),
            coupling,
        )
        for phase in cell.phases
    }
    return hmm.RVE(cell, w, inputs, law=law, newton_options=TIGHT)


def conduction(cell, conductivity):
    law = {phase: hmm.laws.Fourier(k) for phase, k in conductivity.items()}
    return hmm.RVE(cell, hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell), law=law, newton_options=TIGHT)


def test_heat_and_mass_in_one_cell_are_those_of_two_cells(cell):
    rve = heat_and_mass(cell)
    E = np.array([1.0, -2.0, 0.5, 3.0])
    both, heat, mass = rve.solve(E), conduction(cell, HEAT).solve(E[:2]), conduction(cell, MASS).solve(E[2:])
    assert both.vector == pytest.approx(np.r_[heat.vector, mass.vector], rel=1e-12)
    assert relative_error(both.tangent[:2, :2], heat.tangent) < 1e-12
    assert relative_error(both.tangent[2:, 2:], mass.tangent) < 1e-12
    assert np.abs(both.tangent[:2, 2:]).max() < 1e-14
    assert hmm.checks.hill_mandel_defect(rve, both) < 1e-12


def test_renamed_laws_combine(cell):
    w = hmm.fluctuation(cell, degree=(1, 1), shape=((), ()))
    inputs = [hmm.macro_gradient(cell, 0, name="heat"), hmm.macro_gradient(cell, component=1, name="concentration")]
    law = {
        phase: hmm.laws.combine(
            hmm.laws.rename(hmm.laws.Fourier(HEAT[phase]), gradient="heat"),
            hmm.laws.rename(hmm.laws.Fourier(MASS[phase]), gradient="concentration"),
        )
        for phase in cell.phases
    }
    rve = hmm.RVE(cell, w, inputs, law=law, newton_options=TIGHT)
    E = np.array([1.0, -2.0, 0.5, 3.0])
    one, two = rve.solve(E), heat_and_mass(cell).solve(E)
    assert one.vector == pytest.approx(two.vector, rel=1e-12)
    assert relative_error(one.tangent, two.tangent) < 1e-12


def test_coupled_heat_and_mass_have_an_exact_tangent(cell):
    rve = heat_and_mass(cell, coupling=0.02)
    answer = rve.solve({"heat 1": 1.0, "concentration 2": 2.0})
    assert np.abs(answer.tangent[:2, 2:]).max() > 1e-3
    assert hmm.checks.tangent(rve, {"heat 1": 1.0, "concentration 2": 2.0}, tolerance=1e-7)


def test_components_responses_fields_and_results_have_the_names(cell, tmp_path):
    rve = heat_and_mass(cell)
    assert component_names(rve.inputs) == ["heat 1", "heat 2", "concentration 1", "concentration 2"]
    answer = rve.solve({"concentration 1": 1.0})
    fields = hmm.local_fields(rve, answer.state, rve.pack({"concentration 1": 1.0}))
    assert "concentration" in fields.cellwise and "gradient" not in fields.cellwise
    square = mesh.create_unit_square(MPI.COMM_SELF, 1, 1)
    u = fem.Function(fem.functionspace(square, ("Lagrange", 1, (2,))))
    u.interpolate(lambda x: np.stack([x[0], 2 * x[1]]))
    hom = hmm.Homogenizer(rve, [ufl.grad(u[0]), ufl.grad(u[1])])
    hom.evaluate()
    assert [r.name for r in hom.responses] == ["heat_flux", "concentration_flux"]
    with hmm.Output(tmp_path / "results", hom, u) as output:
        output.write(0.0)
        assert {"heat_flux", "concentration_flux"} <= set(output.cellwise)
        assert output.cellwise["concentration_flux"].x.array[1] == pytest.approx(2 * answer_22(rve))


def answer_22(rve):
    """Response 2 to the unit gradient 2 of the concentration."""
    return rve.solve({"concentration 2": 1.0}).tangent[3, 3]


def test_responses_of_any_model_have_different_names():
    two = [hmm.models.gradient(2, name="heat"), hmm.models.gradient(2, name="charge"), hmm.models.strain(2)]
    assert response_names(two) == ["heat flux", "charge flux", "stress"]
    assert response_names(two[:1]) == ["flux"]


def test_two_inputs_of_one_name_are_refused_and_a_law_of_another_name_is_told_how(cell):
    w = hmm.fluctuation(cell, degree=(1, 1), shape=((), ()))
    with pytest.raises(hmm.InputError, match=r"2 macro inputs or micro fields are called 'gradient'.*give one another"):
        law = {"A": hmm.laws.Fourier(1.0), "B": hmm.laws.Fourier(2.0)}
        hmm.RVE(cell, w, [hmm.macro_gradient(cell, 0), hmm.macro_gradient(cell, 1)], law=law)
    with pytest.raises(hmm.InputError, match=r"hmm.laws.rename\(law, gradient='concentration'\), or use"):
        hmm.RVE(cell, hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell, name="concentration"), law=law)
    with pytest.raises(hmm.InputError, match="is called 'phase', like a result of the cell"):
        hmm.RVE(cell, hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell, name="phase"), law=law)
    for name in ("", " heat", 3):
        with pytest.raises(hmm.InputError, match="of a macro input must be text"):
            hmm.macro_strain(cell, name=name)


def test_every_input_takes_a_name(cell):
    made = {
        "a": hmm.macro_strain(cell, name="a"),
        "b": hmm.macro_deformation_gradient(cell, name="b"),
        "c": hmm.macro_temperature(cell, 300.0, name="c"),
        "d": hmm.macro_pressure_gradient(cell, name="d"),
        "e": hmm.macro_strain(cell, out_of_plane=True, name="e"),
    }
    for name, e in made.items():
        assert (e.name, e.field, e.function.name) == (name, name, name)


def test_renamed_laws_answer_as_before():
    cell = hmm.cells.laminate({"A": 0.6, "B": 0.4}, mesh_size=0.5)
    J2 = hmm.laws.J2(*A, yield_stress=100.0, hardening=hmm.laws.Voce(50.0, 20.0))
    law = {"A": J2, "B": hmm.laws.GeneralizedMaxwell(*B, branches=[(1e3, 2.0)])}
    plain = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=law)
    renamed = {phase: hmm.laws.rename(of, strain="mechanical") for phase, of in law.items()}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell, name="mechanical"), law=renamed)
    E = [[0.004, 0.001], [0.001, 0.0]]
    one, two = plain.solve(E, dt=0.5), rve.solve(E, dt=0.5)
    assert np.array_equal(one.vector, two.vector) and np.array_equal(one.tangent, two.tangent)
    assert np.abs(two.state.history).max() > 0
    assert renamed["B"].relaxation_times == (2.0,) and renamed["A"].yield_stress == 100.0
    text = hmm.laws.written.as_text(renamed["B"])
    assert hmm.laws.written.from_text(text).fields == ("mechanical",)


def test_what_cannot_be_renamed_is_said():
    law = hmm.laws.ThermoElastic(1.0, 0.3, expansion=1e-5)
    assert hmm.laws.rename(law, temperature="T").fields == ("strain", "T")
    with pytest.raises(hmm.InputError, match="ThermoElastic has no field 'gradient' to rename"):
        hmm.laws.rename(law, gradient="T")
    with pytest.raises(hmm.InputError, match="two fields would have the name 'strain'"):
        hmm.laws.rename(law, temperature="strain")
    with pytest.raises(hmm.InputError, match="strain = 3 must be the name of an input"):
        hmm.laws.rename(law, strain=3)
    with pytest.raises(hmm.InputError, match="law = 3 is no law"):
        hmm.laws.rename(3, strain="a")


# -- several inputs on one local field ---------------------------------------------------------------------------------


def indicator(cell, phase):
    """A Function that is one in a phase and zero elsewhere."""
    inside = fem.Function(fem.functionspace(cell.mesh, ("DG", 0)), name="inside")
    inside.x.array[cell.phase_tags.find(cell.phases[phase])] = 1.0
    return inside


def with_eigenstrain(cell, law, packing=None, phase=None):
    """An RVE of strain and an eigenstrain, in a phase or everywhere."""
    where = 1 if phase is None else indicator(cell, phase)
    e = hmm.macro_input(
        cell,
        packing or tensors.symmetric(cell.dim),
        "eigenstrain",
        field="strain",
        contribution=lambda e, x: -where * e,
        response="minus stress",
    )
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    return hmm.RVE(cell, w, [E, e], law=law, newton_options=TIGHT)


def mandel(young, poisson):
    lam, mu = young * poisson / (1 + poisson) / (1 - 2 * poisson), young / 2 / (1 + poisson)
    one = np.r_[1, 1, 1, 0, 0, 0]
    return 2 * mu * np.eye(6) + lam * np.outer(one, one)


PLANE = np.eye(6)[:, [0, 1, 3]]
"""From packed plane strains to those of space."""


@pytest.mark.parametrize("out_of_plane", [False, True])
def test_homogeneous_cell_with_an_eigenstrain(cell, out_of_plane):
    packing = tensors.plane(2) if out_of_plane else tensors.symmetric(2)
    rve = with_eigenstrain(cell, {"A": ELASTIC["A"], "B": ELASTIC["A"]}, packing)
    columns = np.hstack([PLANE, -np.eye(6)[:, [0, 1, 2, 3]] if out_of_plane else -PLANE])
    exact = columns.T @ mandel(*A) @ columns
    E = np.random.default_rng(0).normal(size=columns.shape[1]) * 1e-3
    answer = rve.solve(E)
    assert relative_error(answer.tangent, exact) < 1e-12
    assert relative_error(answer.vector, exact @ E) < 1e-12
    assert hmm.checks.hill_mandel_defect(rve, answer) < 1e-11


def laminate_with_eigenstrain(fractions, moduli, inside):
    """Tangent of a laminate of normal 1 with respect to the plane strain and an eigenstrain in the phases `inside`.

    Strains are ``E + s_i sym(a x n) - e_i`` with one unknown vector a; it makes the energy least.
    """
    B = np.zeros((6, 3))
    B[0, 0], B[3, 1], B[4, 2] = 1.0, 0.5**0.5, 0.5**0.5
    s = [fractions[1], -fractions[0]]
    G = [np.hstack([PLANE, -PLANE * i]) for i in inside]
    terms = list(zip(fractions, s, G, [mandel(*m) for m in moduli], strict=True))
    D = sum(f * g.T @ C @ g for f, _, g, C in terms)
    L = sum(f * s * B.T @ C @ g for f, s, g, C in terms)
    K = sum(f * s**2 * B.T @ C @ B for f, s, _, C in terms)
    return D - L.T @ np.linalg.solve(K, L)


@pytest.mark.parametrize("phase", ["A", "B"])
def test_laminate_with_an_eigenstrain_in_one_phase(cell, phase):
    rve = with_eigenstrain(cell, ELASTIC, phase=phase)
    exact = laminate_with_eigenstrain([0.6, 0.4], [A, B], [phase == "A", phase == "B"])
    answer = rve.solve({"eigenstrain 11": 1e-3, "eigenstrain 12": 2e-3, "strain 22": 5e-4})
    assert relative_error(answer.tangent, exact) < 1e-12
    assert (
        relative_error(
            answer.vector, exact @ rve.pack({"eigenstrain 11": 1e-3, "eigenstrain 12": 2e-3, "strain 22": 5e-4})
        )
        < 1e-12
    )
    assert hmm.checks.hill_mandel_defect(rve, answer) < 1e-11


def test_tangent_of_a_plastic_laminate_with_an_eigenstrain(cell):
    law = {"A": hmm.laws.J2(*A, yield_stress=100.0, hardening=1000.0), "B": ELASTIC["B"]}
    rve = with_eigenstrain(cell, law, phase="B")
    E = {"strain 11": 2e-3, "strain 12": 2e-3, "eigenstrain 22": 3e-3}
    answer = rve.solve(E)
    assert np.abs(answer.state.history).max() > 1e-4
    assert relative_error(answer.tangent, answer.tangent.T) < 1e-9
    check = hmm.checks.tangent(rve, E, tolerance=1e-6)
    assert check, str(check)


def test_a_contribution_that_is_not_linear_has_an_exact_tangent(cell):
    stretch = hmm.macro_input(
        cell, tensors.general(), "s", field="strain", contribution=lambda s, x: (s + s**2) * ufl.Identity(2)
    )
    rve = hmm.RVE(cell, hmm.fluctuation(cell), [hmm.macro_strain(cell), stretch], law=ELASTIC, newton_options=TIGHT)
    check = hmm.checks.tangent(rve, {"strain 12": 0.1, "s": 0.3}, tolerance=1e-6)
    assert check, str(check)


def test_a_strain_gradient_adds_its_moment(cell):
    """A third-order input ``G.x``: labels, refusal of what is not symmetric, exact and symmetric tangent."""
    packing, i, j, k = tensors.general(2, 2, 2, symmetric=(0, 1)), *ufl.indices(3)
    half = ufl.as_vector((np.sum(cell.lattice, axis=0) / 2).tolist())
    G = hmm.macro_input(
        cell,
        packing,
        "strain_gradient",
        field="strain",
        contribution=lambda G, x: ufl.as_tensor(G[i, j, k] * (x - half)[k], (i, j)),
        response="double stress",
    )
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    rve = hmm.RVE(cell, w, [E, G], law=ELASTIC, constraint="dirichlet", newton_options=TIGHT)
    assert component_names(rve.inputs)[3:] == [
        f"strain_gradient {s}" for s in ("111", "112", "121", "122", "221", "222")
    ]
    E = {"11": 1e-3, "strain_gradient 212": 2e-3}
    assert np.array_equal(rve.pack(E), rve.pack({"11": 1e-3, "122": 2e-3}))
    answer = rve.solve(E)
    assert relative_error(answer.tangent, answer.tangent.T) < 1e-10
    assert np.linalg.eigvalsh(answer.tangent).min() > 0
    assert hmm.checks.tangent(rve, E, tolerance=1e-6)
    alone = [hmm.models.Input("G", "double stress", packing, np.zeros(6))]
    with pytest.raises(hmm.InputError, match="is not symmetric"):
        hmm.models.components.pack_inputs(alone, np.arange(8.0).reshape(2, 2, 2))


def test_contributions_that_do_not_fit_are_refused(cell):
    with pytest.raises(hmm.InputError, match=r"macro s adds a tensor of shape \(\) to the local field 'strain'"):
        s = hmm.macro_input(cell, tensors.general(), "s", field="strain")
        hmm.RVE(cell, hmm.fluctuation(cell), [hmm.macro_strain(cell), s], law=ELASTIC)
    with pytest.raises(hmm.InputError, match="answers strain, but the macro inputs are strain, strian"):
        s = hmm.macro_input(cell, tensors.symmetric(2), "s", field="strian")
        hmm.RVE(cell, hmm.fluctuation(cell), [hmm.macro_strain(cell), s], law=ELASTIC)
    with pytest.raises(hmm.InputError, match=r"reference of shape \(2,\): give a number or 3"):
        hmm.macro_input(cell, tensors.symmetric(2), "s", field="strain", reference=[1.0, 2.0])
    with pytest.raises(hmm.InputError, match="packing = 3"):
        hmm.macro_input(cell, 3, "s", field="strain")
