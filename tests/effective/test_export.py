"""Effective properties written for other codes, and the numbers read back."""

import csv
import json

import numpy as np
import pytest

import hmm

ALPHA = np.array([1e-5, 2e-5, 3e-5, 0, 0, 0])


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(3)
    A = rng.normal(size=(6, 6))
    C = A @ A.T + 6 * np.eye(6)
    return hmm.EffectiveProperties(
        "thermoelasticity",
        C,
        {"a": 1.0},
        "periodic",
        thermal_stress=C @ ALPHA,
        conductivity=np.diag([1.0, 2.0, 3.0]),
        heat_capacity=1.0,
    )


def numbers(lines):
    return [float(v) for line in lines for v in line.split(",")]


def stress_of(found, strain):
    """Stress as a tensor for a strain tensor, from the Mandel stiffness."""
    packing = hmm.tensors.symmetric(3)
    return packing.to_tensor(found.tensor @ packing.to_vector(strain))


STRAIN = np.array([[1.0, 0.3, -0.2], [0.3, -0.5, 0.7], [-0.2, 0.7, 0.4]])


def test_abaqus_cards(found, tmp_path):
    lines = found.export(tmp_path / "cell.inp").read_text().splitlines()
    start = lines.index("*ELASTIC, TYPE=ANISO")
    values = numbers(lines[start + 1 : start + 4])
    assert len(values) == 21
    D = np.zeros((6, 6))
    D[np.tril_indices(6)] = values
    D = np.tril(D) + np.tril(D, -1).T
    e = STRAIN
    stress = D @ [e[0, 0], e[1, 1], e[2, 2], 2 * e[0, 1], 2 * e[0, 2], 2 * e[1, 2]]
    s = stress_of(found, STRAIN)
    assert np.allclose(stress, [s[0, 0], s[1, 1], s[2, 2], s[0, 1], s[0, 2], s[1, 2]])
    assert np.allclose(numbers([lines[lines.index("*EXPANSION, TYPE=ORTHO") + 1]]), ALPHA[:3])
    assert numbers([lines[lines.index("*CONDUCTIVITY, TYPE=ORTHO") + 1]]) == [1, 2, 3]


def test_expansion_off_its_axes_is_refused(found, tmp_path):
    c = np.sqrt(0.5)
    rotated = found.in_axes([[c, c, 0], [-c, c, 0], [0, 0, 1]])
    for format in ("abaqus", "ansys"):
        with pytest.raises(hmm.InputError, match="principal axes"):
            rotated.export(tmp_path / "cell", format=format)


def test_ansys_block(found, tmp_path):
    lines = found.export(tmp_path / "cell.mac", format="ansys", number=7).read_text().splitlines()
    assert "TB,ANEL,7,1,21,0" in lines
    assert [float(line.split(",")[3]) for line in lines if line.startswith("MP,K")] == [1, 2, 3]
    expansion = [float(line.split(",")[3]) for line in lines if line.startswith("MP,ALP")]
    assert np.allclose(expansion, ALPHA[:3])
    values = numbers(line.split(",", 2)[2] for line in lines if line.startswith("TBDATA"))
    D = np.zeros((6, 6))
    D[np.triu_indices(6)] = values
    D = np.triu(D) + np.triu(D, 1).T
    e = STRAIN
    stress = D @ [e[0, 0], e[1, 1], e[2, 2], 2 * e[0, 1], 2 * e[1, 2], 2 * e[0, 2]]
    s = stress_of(found, STRAIN)
    assert np.allclose(stress, [s[0, 0], s[1, 1], s[2, 2], s[0, 1], s[1, 2], s[0, 2]])


def test_csv_and_json_with_units(found, tmp_path):
    units = {"stiffness": "MPa", "expansion": "1/K"}
    path = found.export(tmp_path / "cell.csv", format="csv", units=units)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    stiffness = [float(r["value"]) for r in rows if r["quantity"] == "stiffness"]
    assert np.allclose(np.reshape(stiffness, (6, 6)), found.voigt)
    assert {r["unit"] for r in rows if r["quantity"] == "stiffness"} == {"MPa"}
    data = json.loads(found.export(tmp_path / "cell.json", format="json", units=units).read_text())
    assert np.allclose(data["quantities"]["stiffness"]["values"], found.voigt)
    assert data["quantities"]["expansion"]["unit"] == "1/K"


def test_what_has_no_card_is_refused(found, tmp_path):
    plane = hmm.EffectiveProperties("elasticity", np.eye(3), {"a": 1.0}, "periodic")
    with pytest.raises(hmm.InputError, match="stiffness of a 2D cell"):
        plane.export(tmp_path / "a.inp")
    with pytest.raises(hmm.InputError, match="format = 'nastran'"):
        found.export(tmp_path / "a.inp", format="nastran")
    with pytest.raises(hmm.InputError, match="units of 'mass'"):
        found.export(tmp_path / "a.inp", units={"mass": "kg"})
