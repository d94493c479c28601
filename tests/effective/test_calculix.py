"""Exported cards in CalculiX: bars with the reactions, expansions and heat fluxes of the homogenized cells."""

import numpy as np
import pytest
from support.calculix import LENGTH, NODES, WIDTH, needs_calculix, number, solved

import hmm

LOCKED = ["LEFT, 1", "1, 2, 3", f"{number(0, 0, 1)}, 2"]
"""The left end stays in its plane, and the bar does not move as a whole."""

pytestmark = needs_calculix


@pytest.fixture(scope="module")
def layered():
    """Layers, seen from axes in which all 21 constants differ from zero."""
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, dim=3, mesh_size=0.5)
    laws = {"a": hmm.laws.Elastic(1e3, 0.3), "b": hmm.laws.Elastic(5e3, 0.2)}
    rng = np.random.default_rng(2)
    return hmm.homogenize(cell, laws).in_axes(np.linalg.qr(rng.normal(size=(3, 3)))[0])


@pytest.fixture(scope="module")
def heated():
    """Layers across axis 1, with expansion and conductivity."""
    cell = hmm.cells.laminate({"a": 0.4, "b": 0.6}, dim=3, mesh_size=0.5)
    laws = {
        "a": hmm.laws.ThermoElastic(1e3, 0.3, 3e-5, 2.0, 1.0),
        "b": hmm.laws.ThermoElastic(5e3, 0.2, 1e-5, 7.0, 1.0),
    }
    return hmm.homogenize(cell, laws, physics="thermoelasticity")


def young(found):
    """Young's modulus along axis 1."""
    return 1 / np.linalg.inv(found.tensor)[0, 0]


def test_reaction_of_a_bar(layered, tmp_path):
    u, card = 0.01, layered.export(tmp_path / "cell.inp")
    step = ["*STATIC", "*BOUNDARY", *LOCKED, f"RIGHT, 1, 1, {u}", "*NODE PRINT, NSET=RIGHT, TOTALS=ONLY", "RF"]
    (force,) = solved(tmp_path, card, step)["total force"]
    assert force[0] == pytest.approx(WIDTH**2 * young(layered) * u / LENGTH, rel=1e-5)
    assert np.allclose(force[1:], 0, atol=1e-10 * force[0])


def test_stress_of_a_uniform_strain(layered, tmp_path):
    """All 21 constants: each node is moved as a strain with six components says."""
    rng = np.random.default_rng(5)
    strain = rng.normal(size=(3, 3)) * 1e-3
    strain += strain.T
    moves = [f"{n + 1}, {i + 1}, {i + 1}, {u:.9e}" for n, x in enumerate(NODES) for i, u in enumerate(strain @ x)]
    step = ["*STATIC", "*BOUNDARY", *moves, "*EL PRINT, ELSET=BAR", "S"]
    found = solved(tmp_path, layered.export(tmp_path / "cell.inp"), step)["stresses"][:, 2:]
    packing = hmm.tensors.symmetric(3)
    s = packing.to_tensor(layered.tensor @ packing.to_vector(strain))
    expected = [s[0, 0], s[1, 1], s[2, 2], s[0, 1], s[0, 2], s[1, 2]]
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("held", [False, True])
def test_thermal_expansion(heated, tmp_path, held):
    rise = 100.0
    before = ["*INITIAL CONDITIONS, TYPE=TEMPERATURE", "ALL, 20."]
    step = ["*STATIC", "*BOUNDARY", *LOCKED, *(["RIGHT, 1"] if held else []), "*TEMPERATURE", f"ALL, {20 + rise}"]
    step += ["*NODE PRINT, NSET=ALL", "U", "*NODE PRINT, NSET=RIGHT, TOTALS=ONLY", "RF"]
    found = solved(tmp_path, heated.export(tmp_path / "cell.inp"), step, before)
    alpha = heated.thermal_expansion[:3]
    if held:
        force = -(WIDTH**2) * young(heated) * alpha[0] * rise
        assert found["total force"][0, 0] == pytest.approx(force, rel=1e-5)
    else:
        assert np.allclose(found["displacements"][:, 1:], NODES * alpha * rise, rtol=1e-5, atol=1e-9)


def test_conduction(heated, tmp_path):
    k, gradient = np.diag(heated.conductivity), np.array([-25.0, 40.0, 10.0])
    card = heated.export(tmp_path / "cell.inp")
    begin = ["*HEAT TRANSFER, STEADY STATE", "*BOUNDARY"]
    ends = ["LEFT, 11, 11, 100.", "RIGHT, 11, 11, 0.", "*NODE PRINT, NSET=RIGHT, TOTALS=ONLY", "RFL"]
    tables = solved(tmp_path, card, [*begin, *ends])
    assert abs(tables["total heat generation"][0, 0]) == pytest.approx(WIDTH**2 * k[0] * 100 / LENGTH, rel=1e-5)
    given = [f"{n + 1}, 11, 11, {T:.9e}" for n, T in enumerate(NODES @ gradient)]
    found = solved(tmp_path, card, [*begin, *given, "*EL PRINT, ELSET=BAR", "HFL"])
    assert np.allclose(found["heat flux"][:, 2:], -k * gradient, rtol=1e-5)
