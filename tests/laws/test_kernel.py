"""Compiled laws: the same answers as a homogeneous cell, tangents as difference quotients, for all laws."""

import re
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.cells_and_rves import relative_error
from support.macro_tools import TIGHT, homogeneous_cell

import hmm
from hmm import laws
from hmm.foundation import forms
from hmm.laws import LawKernel, combine, material_point, rename

ELASTIC = {"young": 3.0, "poisson": 0.3}
FINITE = {"deformation_gradient": (np.eye(2).ravel(), 0.1)}
SMALL = {"strain": (np.zeros(3), 0.05)}
VOCE = laws.J2(**ELASTIC, yield_stress=0.05, hardening=laws.Voce(0.1, 2.0))
HEATED = {"strain": (np.zeros(3), 0.05), "temperature": (np.array([20.0]), 5.0), "gradient": (np.zeros(2), 1.0)}


@dataclass(frozen=True)
class Norton:
    """Power-law creep with an equation at each point, as in docs/laws.md."""

    elastic: laws.Elastic
    A: float
    n: float

    fields = ("strain",)

    def internal(self, dim):
        return {"creep": hmm.tensors.plane(dim)}

    def unknowns(self, dim):
        return {"q": hmm.tensors.general()}

    def guess(self, at):
        return {"q": self.trial(at)[1]}

    def residual(self, at):
        q, (_, trial) = at.unknown["q"], self.trial(at)
        return {"q": (q + 3 * self.elastic.shear_modulus * at.dt * self.A * q**self.n - trial) / trial}

    def response(self, at):
        s, trial = self.trial(at)
        return at.unknown["q"] / trial * s + self.elastic.bulk_modulus * ufl.tr(at.strain) * ufl.Identity(3)

    def update(self, at):
        s, trial = self.trial(at)
        return {"creep": at.old["creep"] + (1 - at.unknown["q"] / trial) * s / (2 * self.elastic.shear_modulus)}

    def trial(self, at):
        s = 2 * self.elastic.shear_modulus * ufl.dev(at.strain - at.old["creep"])
        return s, ufl.sqrt(1.5 * ufl.inner(s, s) + 1e-24 * self.elastic.young**2)


MADE = {
    "Elastic": (laws.Elastic(**ELASTIC), SMALL),
    "Anisotropic": (laws.Anisotropic.transversely_isotropic(10.0, 1.0, 0.3, 0.3, 0.5), SMALL),
    "Damage": (laws.Damage(**ELASTIC, strength=0.05, softening=0.2), SMALL),
    "J2": (laws.J2(**ELASTIC, yield_stress=0.05, hardening=0.1), SMALL),
    "DruckerPrager": (laws.DruckerPrager(**ELASTIC, cohesion=0.1, friction_angle=30.0, dilatancy_angle=10.0), SMALL),
    "GeneralizedMaxwell": (laws.GeneralizedMaxwell(**ELASTIC, branches=((1.0, 2.0),)), SMALL),
    "NeoHooke": (laws.NeoHooke(**ELASTIC), FINITE),
    "SaintVenant": (laws.SaintVenant(**ELASTIC), FINITE),
    "MooneyRivlin": (laws.MooneyRivlin(0.4, 0.1, 2.0), FINITE),
    "Ogden": (laws.Ogden(((1.0, 3.0),), 2.0), FINITE),
    "HolzapfelGasserOgden": (laws.HolzapfelGasserOgden(1.0, 2.0, 3.0, 4.0, 0.1, ((1.0, 1.0, 0.0),)), FINITE),
    "Fourier": (laws.Fourier(2.0), {"gradient": (np.zeros(2), 1.0)}),
    "ThermoElastic": (laws.ThermoElastic(**ELASTIC, expansion=1e-3, conductivity=2.0), HEATED),
    "Combined": (
        combine(VOCE, laws.Fourier(2.0), laws.Elastic(1.0, 0.2), add=("strain",)),
        {"strain": (np.zeros(3), 0.05), "gradient": (np.zeros(2), 1.0)},
    ),
    "Renamed": (rename(laws.Fourier(2.0), gradient="concentration"), {"concentration": (np.zeros(2), 1.0)}),
    "J2, Voce": (VOCE, SMALL),
    "J2, Perzyna": (laws.J2(**ELASTIC, yield_stress=0.05, hardening=0.1, rate=laws.Perzyna(0.05, 2.0, 0.1)), SMALL),
    "Norton": (Norton(laws.Elastic(**ELASTIC), 0.1, 3.0), SMALL),
}  # fmt: skip
"""Laws, and for each of their fields the undeformed state and how far the path goes."""

MACRO = {
    "strain": hmm.macro_strain,
    "deformation_gradient": hmm.macro_deformation_gradient,
    "temperature": lambda cell: hmm.macro_temperature(cell, 20.0),
    "gradient": hmm.macro_gradient,
    "concentration": lambda cell: hmm.macro_gradient(cell, name="concentration"),
}


def path_of(law, fields, n=6):
    """A path that loads, turns and unloads."""
    start = np.concatenate([fields[name][0] for name in law.fields])
    size = np.concatenate([np.full(fields[name][0].size, fields[name][1]) for name in law.fields])
    rng = np.random.default_rng(1)
    a, b = rng.uniform(-1, 1, (2, start.size))
    return [start + size * (np.sin(0.7 * t) * a + np.sin(0.4 * t) ** 2 * b) for t in range(1, n + 1)]


def rve_of(law, fields):
    """A homogeneous cell of the law."""
    cell = homogeneous_cell()
    kinds = [f for f in law.fields if f != "temperature"]
    if len(kinds) == 2:
        w = hmm.fluctuation(cell, degree=(1, 1), shape=((2,), ()))
        made = {"strain": hmm.macro_strain(cell, 0), "gradient": hmm.macro_gradient(cell, 1)}
    else:
        w = hmm.fluctuation(cell, shape=() if kinds[0] in ("gradient", "concentration") else (2,))
        made = {kinds[0]: MACRO[kinds[0]](cell)}
    if "temperature" in law.fields:
        made["temperature"] = hmm.macro_temperature(cell, 20.0)
    inputs = [made[name] for name in law.fields]
    return hmm.RVE(cell, w, inputs, law={"matrix": law}, newton_options=TIGHT)


def test_all_laws_of_the_registry_are_here():
    kinds = {entry.kind.__name__ for entry in laws.registry.LAWS.values()}
    assert kinds - set(MADE) == {"Rigid", "Stokes"}  # no response of its own; no macro input of its own


@pytest.mark.parametrize("name", MADE)
def test_as_a_homogeneous_cell_and_as_difference_quotients(name):
    law, fields = MADE[name]
    kernel, rve = LawKernel(law, 2), rve_of(law, fields)
    assert kernel.has_rates == rve.has_rates == (name in ("GeneralizedMaxwell", "J2, Perzyna", "Norton"))
    state, old, h = None, kernel.initial(1), 1e-6
    moved = False
    for x in path_of(law, fields):
        cell = rve.solve(x, state, dt=0.5)
        response, tangent, new = kernel(x, old, 0.5)
        assert relative_error(response[0], cell.vector) < 1e-9
        assert relative_error(tangent[0], cell.tangent) < 1e-8
        steps = h * np.eye(x.size)
        plus, minus = (kernel(x + s * steps, np.repeat(old, x.size, axis=0), 0.5)[0] for s in (1, -1))
        assert relative_error(tangent[0], (plus - minus).T / (2 * h)) < 1e-6
        if kernel.n_variables:
            history = cell.state.history.reshape(-1, kernel.n_variables)
            assert np.allclose(history, new, rtol=1e-8, atol=1e-10)
        moved = moved or bool(np.abs(new - old).max(initial=0.0) > 1e-4)
        state, old = cell.state, new
    assert moved == bool(kernel.n_variables)


def test_in_3d_many_points_at_once():
    law = MADE["J2, Voce"][0]
    kernel, rng = LawKernel(law), np.random.default_rng(0)
    x = rng.uniform(-0.05, 0.05, (50, 6))
    _, _, old = kernel(x)
    response, tangent, new = kernel(-x, old)
    for p in (0, 49):
        alone = kernel(-x[p], old[p])
        for one, many in zip(alone, (response, tangent, new), strict=True):
            assert np.array_equal(one[0], many[p])
    stress = hmm.tensors.symmetric(3).to_tensor(response)
    mises = np.sqrt(
        1.5 * np.square(stress - np.trace(stress, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)).sum((1, 2))
    )
    assert 0.05 < mises.max() < 0.16
    empty = kernel(np.zeros((0, 6)))
    assert [part.shape for part in empty] == [(0, 6), (0, 6, 6), (0, 7)]


def test_constants_count_as_they_are():
    cell = homogeneous_cell()
    young, overstress = fem.Constant(cell.mesh, 3.0), fem.Constant(cell.mesh, 0.1)
    law = laws.J2(young, 0.3, 0.05, 0.1, rate=laws.Perzyna(overstress, 1.0))
    kernel = LawKernel(law, 2)
    assert set(kernel.constants) == {young, overstress}
    for E, eta in ((3.0, 0.1), (6.0, 0.1), (3.0, 1.0)):
        young.value, overstress.value = E, eta
        fixed = LawKernel(laws.J2(E, 0.3, 0.05, 0.1, rate=laws.Perzyna(eta, 1.0)), 2)
        x = np.array([0.02, 0.0, 0.03])
        for a, b in zip(kernel(x, dt=0.5), fixed(x, dt=0.5), strict=True):
            assert np.allclose(a, b, rtol=1e-12, atol=1e-14)


def test_no_answer_is_nan_at_that_point_only():
    law = Norton(laws.Elastic(**ELASTIC), -1e3, 2.0)  # q - C q^2 = trial: no real solution if trial > 1/(4C)
    kernel = LawKernel(law, 2)
    response, _, _ = kernel(np.array([[1e-9, 0, 0], [0.5, 0.0, 0.0]]), dt=1.0)
    assert np.isfinite(response[0]).all() and np.isnan(response[1]).all()
    with pytest.raises(hmm.ConvergenceError, match="Norton has no answer in step 2 of 2"):
        material_point(law, [{"11": 1e-9}, {"11": 0.5}], dt=1.0, dim=2)


@pytest.mark.parametrize("name", ["J2", "J2, Voce"])
def test_compiled_once(name):
    law = MADE[name][0]
    first = LawKernel(law, 2)
    before = forms.compilations()
    again = LawKernel(law, 2)
    assert forms.compilations() == before and again.signature == first.signature


def test_bad_input():
    domain = mesh.create_unit_square(MPI.COMM_SELF, 1, 1)
    f = fem.Function(fem.functionspace(domain, ("DG", 0)), name="young")
    for wrong, message in (
        (lambda: LawKernel(laws.Rigid()), "has no response of its own"),
        (lambda: LawKernel("J2"), "law = 'J2' has no response"),
        (lambda: LawKernel(laws.Fourier(f)), "Fourier contains young, and a material point has no mesh"),
        (lambda: LawKernel(laws.Fourier(ufl.SpatialCoordinate(domain)[0])), "Fourier contains SpatialCoordinate"),
        (lambda: LawKernel(rename(laws.Fourier(2.0), gradient="c"), 4), "dim = 4"),
        (
            lambda: LawKernel(laws.Fourier(2.0))(np.zeros((3, 2))),
            r"fields of Fourier have shape \(3, 2\): give \(3, 3\)",
        ),
        (lambda: LawKernel(MADE["J2"][0])(np.zeros(6), np.zeros((2, 7))), r"old variables of J2 have shape \(2, 7\)"),
    ):
        with pytest.raises(hmm.InputError, match=message):
            wrong()


def test_a_laws_own_curve():
    law = laws.J2(70e3, 0.3, 100.0, 1000.0)
    gammas = np.linspace(0, 4e-3, 9)[1:]
    curve = material_point(law, [{"21": g} for g in gammas])
    strain, stress = curve.component("12")
    mu, k, slope = 70e3 / 2.6, 100.0 / np.sqrt(3), 2 * 1000.0 / 3  # shear stress at yield; d tau / d plastic e12
    plastic = np.maximum(2 * mu * gammas - k, 0) / (2 * mu + slope)
    expected = 2 * mu * (gammas - plastic)
    assert np.allclose(strain, gammas) and np.allclose(stress, expected, rtol=1e-9)
    assert set(curve.variables) == set(law.internal(3)) and curve.variables["p"].shape == (8, 1)
    assert curve.tangents.shape == (8, 6, 6) and curve.responses.shape == curve.fields.shape == (8, 6)
    again = material_point(law, curve.fields)
    assert np.array_equal(again.responses, curve.responses)


def test_the_example_of_the_documentation(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs/laws.md").read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "material_point" in c)
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "example"})
    assert (tmp_path / "curve.png").stat().st_size > 0


def test_curves_of_several_fields_rates_and_large_strain():
    heated = material_point(MADE["ThermoElastic"][0], [{"temperature": 10.0, "strain 11": 1e-2}], dim=2)
    assert heated.component("strain 11")[1] == pytest.approx([heated.responses[0, 0]])
    stretched = material_point(laws.NeoHooke(**ELASTIC), [{}, {"11": 1.1}], dim=2)
    assert np.abs(stretched.responses[0]).max() < 1e-14 and stretched.responses[1, 0] > 0.1
    maxwell = MADE["GeneralizedMaxwell"][0]
    relaxed = material_point(maxwell, [{"12": 0.01}] * 3, dt=[1e-6, 1.0, 100.0]).component("12")[1]
    mu = 3.0 / 2.6
    assert relaxed[0] > relaxed[1] > relaxed[2] == pytest.approx(2 * mu * 0.01, rel=0.05)
    for wrong, message in (
        (lambda: material_point(maxwell, [{"12": 0.01}]), "GeneralizedMaxwell depends on time"),
        (lambda: material_point(maxwell, [{"12": 0.01}], dt=[1.0, 2.0]), "one for each of the 1 steps"),
        (lambda: material_point(maxwell, [{"44": 0.01}], dt=1.0), "'44' is not a component: the components are 11"),
        (lambda: material_point(maxwell, [{"11": np.nan}], dt=1.0), "not finite"),
        (lambda: material_point(maxwell, [np.zeros(3)], dt=1.0), r"has shape \(3,\): give components by label, or 6"),
    ):
        with pytest.raises(hmm.InputError, match=message):
            wrong()
