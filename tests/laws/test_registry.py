"""The registry of laws: what it says is what the laws, job files, dumps and the docs have."""

import inspect
import json
import runpy
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from dolfinx import fem
from support.material_point import homogeneous_cell

import hmm
from hmm import laws
from hmm.jobs.values import make_law
from hmm.laws import registry, written
from hmm.laws.rigid import without_rigid

ROOT = Path(__file__).resolve().parents[2]
ELASTIC = {"young": 3.0, "poisson": 0.3}
MODULI = {"shear": 1.0, "bulk": 2.0}
EXAMPLES = {
    "Elastic": ELASTIC,
    "Elastic.from_moduli": MODULI,
    "Anisotropic": {"stiffness": [[float(i == j) for j in range(6)] for i in range(6)]},
    "Anisotropic.cubic": {"C11": 168.4, "C12": 121.4, "C44": 75.4},
    "Anisotropic.transversely_isotropic": {"E1": 10.0, "E2": 1.0, "nu12": 0.3, "nu23": 0.3, "G12": 0.5},
    "Anisotropic.orthotropic": {"young": [3.0, 2.0, 1.0], "poisson": [0.1, 0.1, 0.1], "shear": [1.0, 1.0, 1.0]},
    "Anisotropic.from_voigt": {
        "stiffness": [[float(i == j) for j in range(6)] for i in range(6)],
        "order": ["11", "22", "33", "23", "13", "12"],
    },
    "Damage": {**ELASTIC, "strength": 0.01, "softening": 0.02},
    "J2": {**ELASTIC, "yield_stress": 0.1, "hardening": {"law": "Voce", "saturation": 0.1, "rate": 2.0}},
    "DruckerPrager": {**ELASTIC, "cohesion": 0.1, "friction_angle": 30.0, "dilatancy_angle": 10.0},
    "GeneralizedMaxwell": {**ELASTIC, "branches": [[1.0, 2.0]]},
    "NeoHooke": ELASTIC,
    "NeoHooke.from_moduli": MODULI,
    "SaintVenant": ELASTIC,
    "SaintVenant.from_moduli": MODULI,
    "MooneyRivlin": {"c1": 0.4, "c2": 0.1, "bulk_modulus": 2.0},
    "MooneyRivlin.from_moduli": {**MODULI, "c2_part": 0.2},
    "Ogden": {"terms": [[1.0, 2.0]], "bulk_modulus": 2.0},
    "Ogden.from_moduli": MODULI,
    "HolzapfelGasserOgden": {
        **{"shear_modulus": 1.0, "bulk_modulus": 2.0, "k1": 3.0, "k2": 4.0},
        **{"dispersion": 0.1, "fibres": [1, [1.0, 1.0, 0.0]]},
    },
    "Rigid": {"contrast": 1e4},
    "Fourier": {"conductivity": 2.0},
    "ThermoElastic": {**ELASTIC, "expansion": 1e-5, "conductivity": 2.0},
    "ThermoElastic.transversely_isotropic": {
        **{"E1": 10.0, "E2": 1.0, "nu12": 0.3, "nu23": 0.3, "G12": 0.5},
        **{"expansion": [1e-5, 2e-5], "conductivity": [2.0, 1.0]},
    },
    "Stokes": {"viscosity": 1.0},
    "Combined": {"parts": [{"law": "Elastic", **ELASTIC}, {"law": "Fourier", "conductivity": 2.0}]},
}


def test_all_laws_are_declared():
    exported = {name for name in laws.__all__ if is_dataclass(getattr(laws, name))} - {"Local", "MaterialCurve"}
    assert exported == set(registry.classes())
    assert set(registry.LAWS) == {*EXAMPLES, "Renamed"}  # no table of a job can hold that one: it has a key law


@pytest.mark.parametrize("entry", [*registry.LAWS.values(), *registry.PARTS.values()], ids=lambda e: e.name)
def test_declared_parameters_are_those_there_are(entry):
    given = inspect.signature(entry.make).parameters.values()
    names = [p.name for p in given if p.kind is not p.VAR_KEYWORD]
    assert list(entry.parameters) == names
    assert entry.summary and len(entry.summary) < 130
    assert entry.name in registry.PARTS or entry.physics in registry.PHYSICS
    for test in entry.tests:
        assert (ROOT / "tests" / test).is_file()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_law_from_a_job_file_to_a_dump_and_to_its_answers(name):
    law = make_law({"law": name, **EXAMPLES[name]}, "phase")
    assert written.from_text(json.loads(json.dumps(written.as_text(law)))) == law
    if name == "Rigid":
        law = without_rigid({"it": law, "other": laws.Elastic(1.0, 0.3)})["it"]
    assert isinstance(law, laws.Law)
    assert set(law.internal(2)) == set(law.internal(3))
    assert all(f.init for f in fields(law))


def test_moduli_of_all_laws_with_an_isotropic_elastic_part():
    others = {
        laws.Damage: {"strength": 0.01, "softening": 0.02},
        laws.J2: {"yield_stress": 0.1, "hardening": 3.0},
        laws.DruckerPrager: {"cohesion": 0.1, "friction_angle": 30.0, "dilatancy_angle": 10.0},
        laws.GeneralizedMaxwell: {"branches": ((1.0, 2.0),)},
        laws.MooneyRivlin: {"c2_part": 0.25},
        laws.Ogden: {"exponent": -3.0},
    }
    for kind in (laws.Elastic, laws.NeoHooke, laws.SaintVenant, *others):
        law = kind.from_moduli(shear=1.5, bulk=4.0, **others.get(kind, {}))
        elastic = getattr(law, "elastic", law)
        assert (elastic.shear_modulus, elastic.bulk_modulus) == pytest.approx((1.5, 4.0), rel=1e-14)
        with pytest.raises(hmm.InputError, match=f"{kind.__name__}: bulk = -4.0 must be positive"):
            kind.from_moduli(shear=1.5, bulk=-4.0, **others.get(kind, {}))


def test_moduli_may_be_constants_to_vary():
    cell = homogeneous_cell()
    shear = fem.Constant(cell.mesh, 1.0)
    law = laws.Elastic.from_moduli(shear=shear, bulk=2.0)
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law={"all": law})
    for value in (1.0, 3.0):
        shear.value = value
        assert rve.solve(rve.reference).tangent[2, 2] == pytest.approx(2 * value, rel=1e-12)


def test_the_tables_of_the_docs_are_those_of_the_registry():
    script = runpy.run_path(str(ROOT / "scripts" / "docs_tables.py"))
    for page in script["PAGES"]:
        path = script["DOCS"] / page
        assert path.read_text(encoding="utf-8") == script["updated"](path), "run python scripts/docs_tables.py"
