"""Laws of the user's own in job files: run only if the user says so, and one clear line if they fail."""

import sys

from mpi4py import MPI

import numpy as np
import pytest

import hmm
from hmm import cli, jobs

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD

MYLAWS = """
from dataclasses import dataclass

import ufl

import hmm

print("run", file=open(__file__ + ".ran", "a"))


@dataclass(frozen=True)
class Soft(hmm.laws.Memoryless):
    modulus: float
    softer: bool = False

    fields = ("strain",)

    def __post_init__(self):
        if self.modulus < 0:
            raise hmm.InputError(f"Soft: modulus = {self.modulus} must be positive")

    def response(self, at):
        return (0.5 if self.softer else 1.0) * self.modulus * at.strain


class Plain(hmm.laws.Memoryless):
    fields = ("strain",)

    def __init__(self, modulus):
        self.modulus = modulus

    def response(self, at):
        return self.modulus * at.strain


def nothing(modulus):
    return modulus


def fails(modulus):
    return modulus / 0
"""

JOB = """
[cell]
generator = "fibre"
volume_fraction = 0.3
mesh_size = 0.3

[phases.matrix]
young = 3.0
poisson = 0.0

[phases.fibre]
law = "mylaws.Soft"
modulus = 3.0

[output]
report = false
"""


@pytest.fixture
def folder(tmp_path):
    """A directory that all ranks share, with a module of laws; what is imported of it is forgotten."""
    path = COMM.bcast(tmp_path)
    if COMM.rank == 0:
        (path / "mylaws.py").write_text(MYLAWS)
        (path / "broken.py").write_text("def f(:\n")
        (path / "stops.py").write_text("raise SystemExit(0)\n")
        (path / "lacks.py").write_text("import nowhere_to_be_found\n")
    COMM.Barrier()
    yield path
    for name in ("mylaws", "broken", "stops", "lacks"):
        sys.modules.pop(name, None)


def job_of(folder, old="", new="", **options):
    if COMM.rank == 0:
        (folder / "job.toml").write_text(JOB.replace(old, new) if old else JOB)
    COMM.Barrier()
    return jobs.read_job(folder / "job.toml", COMM, **options)


def test_without_the_flag_nothing_is_run(folder):
    words = r"\[phases.fibre\]: law = 'mylaws.Soft' is code of your own, .* 'hmm homogenize --trust-laws'"
    with pytest.raises(hmm.InputError, match=words):
        job_of(folder)
    assert not (folder / "mylaws.py.ran").exists()


def test_a_law_beside_the_job_file(folder, capsys):
    """Hooke's law without contraction across, twice: the cell is homogeneous."""
    job_of(folder, trust_laws=True)
    cli.main(["homogenize", str(folder / "job.toml"), "--trust-laws", "--output", str(folder / "out")])
    if COMM.rank == 0:
        found = hmm.EffectiveProperties.from_json(folder / "out" / "properties.json")
        assert np.allclose(found.tensor, 3.0 * np.eye(3), rtol=0, atol=1e-10)


@pytest.mark.parametrize("law", ["mylaws.Soft", "mylaws.Plain"])
def test_its_parameters(folder, law):
    job = job_of(folder, 'law = "mylaws.Soft"', f'law = "{law}"', trust_laws=True)
    assert job.laws["fibre"].modulus == 3.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mylaws.Soft", "nolaws.Soft", "cannot be imported .*No module named 'nolaws'.*: put nolaws.py beside the job"),
        ("mylaws.Soft", "broken.Soft", r"'broken.Soft' cannot be imported \(SyntaxError: .* in broken.py, line 1\)"),
        ("mylaws.Soft", "stops.Soft", r"'stops.Soft' cannot be imported \(SystemExit: 0 in stops.py, line 1\)"),
        ("mylaws.Soft", "lacks.Soft", r"\(ModuleNotFoundError: No module named 'nowhere_to_be_found'\): correct it"),
        ("mylaws.Soft", "mylaws.Sofd", "mylaws has no law 'Sofd'.*Soft"),
        ("mylaws.Soft", "mylaws.nothing", r"\(mylaws.nothing\): float is not a law: define fields"),
        ("mylaws.Soft", "mylaws.fails", r"\(mylaws.fails\): ZeroDivisionError: .* in mylaws.py, line"),
        ("modulus = 3.0", "modulus = -3.0", r"\(mylaws.Soft\): Soft: modulus = -3.0 must be positive"),
        ("modulus = 3.0", 'modulus = "a"', r"modulus = 'a' is not understood: give a number"),
        ("modulus = 3.0", "module = 3.0", r"has an unknown key 'module'.*modulus"),
        ("modulus = 3.0", "", r"lacks 'modulus': add modulus = ... \(a number\)"),
        ("mylaws.Soft", "Elastic.from_modulii", "law = 'Elastic.from_modulii' is unknown"),
    ],
)
def test_what_is_wrong_is_one_line(folder, old, new, message):
    with pytest.raises(hmm.InputError, match=message) as caught:
        job_of(folder, old, new, trust_laws=True)
    assert "\n" not in str(caught.value) and "[phases.fibre]" in str(caught.value)
