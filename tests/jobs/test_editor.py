"""The JSON Schema of job files: the keys are those that are read, and the jobs of the demos are valid."""

import json
import tomllib
from pathlib import Path

from mpi4py import MPI

import pytest
from support.run_jobs import JOBS

import hmm
from hmm import cli, jobs
from hmm.jobs.cells import generators
from hmm.laws.registry import LAWS

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="nothing is parallel")

DEMOS = Path(__file__).parents[2] / "demos" / "jobs"

VALID = {path.stem: ("homogenize", path.read_text()) for path in DEMOS.glob("*.toml") if "[phases" in path.read_text()}
VALID |= {name: ("run", text) for name, (text, _) in JOBS.items()}
VALID |= {
    "beam": ("run", (DEMOS / "beam.toml").read_text()),
    "example": ("homogenize", jobs.example()),
}

WRONG = {
    "a key": ("beam", "elements", "elemets"),
    "a type": ("beam", "[8, 4]", '"8"'),
    "a formulation": ("beam", '"plane strain"', '"plain strain"'),
    "a parameter of a law": ("beam", "yield_stress", "yield_stres"),
    "a parameter of a generator": ("beam", "volume_fraction", "volume_fracton"),
    "a component": ("beam", "uy =", "uyy ="),
}


@pytest.mark.parametrize("name", VALID)
def test_jobs_are_valid(name):
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    kind, text = VALID[name]
    schema = jobs.json_schema(kind)
    validator.check_schema(schema)
    table = tomllib.loads(text)
    if "test" not in table:
        validator(schema).validate(table)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_jobs_are_not(name):
    jsonschema = pytest.importorskip("jsonschema")
    of, old, new = WRONG[name]
    kind, text = VALID[of]
    assert old in text
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(jobs.json_schema(kind)).validate(tomllib.loads(text.replace(old, new)))


def test_every_generator_and_law_is_there():
    schema = jobs.json_schema("homogenize")
    made = [one["properties"]["generator"]["const"] for one in schema["$defs"]["cell"]["anyOf"][: len(generators())]]
    assert made == list(generators())
    laws = schema["$defs"]["phases"]["additionalProperties"]["anyOf"]
    assert [one["properties"]["law"]["const"] for one in laws[:-1]] == [name for name in LAWS if name != "Renamed"]


def test_the_command_prints_it(capsys):
    cli.main(["schema", "run"])
    assert json.loads(capsys.readouterr().out)["title"] == "Job for hmm run"


def test_an_unknown_kind():
    with pytest.raises(hmm.InputError, match="the job file 'rum' is unknown"):
        jobs.json_schema("rum")
