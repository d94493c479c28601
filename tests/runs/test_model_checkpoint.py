"""Checkpoints of micro models that are no finite element cells: what they bring back, and what they refuse."""

from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import pytest
from dolfinx import mesh
from support.function_models import j2_model, radial_return
from support.macro_tools import J2, beam, beam_mesh, difference, homogeneous_cell, rve_of

import hmm
from hmm.runs.fingerprint import problem_fingerprint

COMM = MPI.COMM_WORLD
STRAIN = hmm.models.strain(2)
TIP = -0.06

pytestmark = pytest.mark.mpi


def run(body, path, stop_after=99, steps=4):
    """The steps of a run that are left, up to one of them, whose loop ends."""
    for step in hmm.steps(body.problem, body.load, TIP, steps, checkpoint=path):
        if step.number > stop_after:
            break
    return body


def spring(stiffness):
    def function(E, old, dt):
        return stiffness * E, np.broadcast_to(stiffness * np.eye(3), (len(E), 3, 3)), {}

    return function


@pytest.fixture
def path(tmp_path):
    return COMM.bcast(tmp_path) / "run.h5"


@pytest.fixture
def eager(monkeypatch):
    monkeypatch.setattr(hmm.parallel.ensemble, "WORTHWHILE", 1.0)


def two_kinds(domain):
    """A function on the left, cells of the same material on the right."""
    dim = domain.topology.dim
    cells = np.arange(domain.topology.index_map(dim).size_local, dtype=np.int32)
    left = mesh.compute_midpoints(domain, dim, cells)[:, 0] < 2
    tags = mesh.meshtags(domain, dim, cells, np.where(left, 1, 2).astype(np.int32))
    cell = rve_of(homogeneous_cell(), {"matrix": J2})
    return hmm.variation.regions({1: j2_model(), 2: cell}, tags)


@pytest.mark.parametrize("first", ["owner", "balanced"])
def test_a_restart_with_two_kinds_of_models(path, eager, first):
    """Functions and cells, moved between ranks or not, and continued with the other policy: as one run, to 1e-10."""

    def body(policy):
        domain = beam_mesh()
        return beam(two_kinds(domain), domain=domain, ensemble=policy)

    whole = run(beam(j2_model()), path.with_name("whole.h5"))
    run(body(first), path, stop_after=2)
    again = run(body("balanced" if first == "owner" else "owner"), path)
    assert len(again.problem.stats) < 4
    assert difference(whole.u, again.u) < 1e-9
    p = np.nanmax(again.hom.observe("p"), initial=0.0)
    assert COMM.allreduce(p, MPI.MAX) > 1e-4, "not plastic: this would prove nothing"


def test_another_function_is_refused(path):
    run(beam(hmm.FunctionModel(spring(70e3), STRAIN)), path, stop_after=1)
    with pytest.raises(hmm.InputError, match="the function of the micro model is spring"):
        run(beam(hmm.FunctionModel(spring(71e3), STRAIN)), path)

    def function(E, old, dt):
        return 70e3 * E, np.broadcast_to(70e3 * np.eye(3), (len(E), 3, 3)), {}

    with pytest.raises(hmm.InputError, match="the function of the micro model"):
        run(beam(hmm.FunctionModel(function, STRAIN)), path)
    assert len(run(beam(hmm.FunctionModel(spring(70e3), STRAIN)), path).problem.stats) == 3


def test_other_variables_or_another_kind_of_model_are_refused(path):
    law = radial_return(70e3, 0.3, 100.0, 700.0)
    run(beam(j2_model()), path, stop_after=1)
    more = hmm.FunctionModel(lambda E, old, dt: law(E, old, dt), STRAIN, {"plastic_strain": 6, "p": 1, "q": 2})
    fingerprints = [
        problem_fingerprint(beam(model).problem) for model in (j2_model(), rve_of(homogeneous_cell(), {"matrix": J2}))
    ]
    assert fingerprints[0]["micro model"] != fingerprints[1]["micro model"]
    assert more.fingerprint()["variables of the micro model"] == "plastic_strain (6,), p (1,), q (2,)"
    with pytest.raises(hmm.InputError, match="the micro model is FunctionModel in it and RVE here"):
        run(beam(rve_of(homogeneous_cell(), {"matrix": J2})), path)


def test_what_a_function_has_captured_may_change_in_the_run(path):
    """A list of calls is no other function: the words are those of the time when the model was made."""

    def model():
        calls = []

        def counting(E, old, dt):
            calls.append(len(E))
            return 70e3 * E, np.broadcast_to(70e3 * np.eye(3), (len(E), 3, 3)), {}

        return hmm.FunctionModel(counting, STRAIN)

    body = beam(model())
    body.reactions([TIP])
    hmm.checkpoint.save(path, body.problem)
    hmm.checkpoint.load(path, beam(model()).problem)


@dataclass
class Number:
    """A parameter that is no Constant."""

    value: float


def test_parameters_are_brought_back(path):
    """What the loop changed is as it was; a run that begins with another value is refused."""

    def softened(start):
        k = Number(start)

        def function(E, old, dt):
            return k.value * E, np.broadcast_to(k.value * np.eye(3), (len(E), 3, 3)), {}

        return beam(hmm.FunctionModel(function, STRAIN, parameters=[k])), k

    body, k = softened(70e3)
    for step in hmm.steps(body.problem, body.load, TIP, 4, checkpoint=path):
        k.value = 70e3 / (1 + step.number)
        if step.number == 3:
            break
    again, k = softened(70e3)
    list(hmm.steps(again.problem, again.load, TIP, 4, checkpoint=path))
    assert k.value == pytest.approx(70e3 / 3) and len(again.problem.stats) == 2
    with pytest.raises(hmm.InputError, match=r"Constants|function of the micro model"):
        list(hmm.steps(softened(60e3)[0].problem, again.load, TIP, 4, checkpoint=path))


def test_a_process_is_known_by_its_command(tmp_path):
    file = tmp_path / "law.py"
    words = []
    for stiffness in (1.0, 2.0):
        file.write_text(f"k = {stiffness}\n")
        words.append(hmm.models.ProcessModel(hmm.models.ProcessModel.python(file, "law"), STRAIN).fingerprint())
    elsewhere = tmp_path / "there" / "law.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text("k = 2.0\n")
    moved = hmm.models.ProcessModel(hmm.models.ProcessModel.python(elsewhere, "law"), STRAIN).fingerprint()
    other = hmm.models.ProcessModel(hmm.models.ProcessModel.python(file, "another"), STRAIN).fingerprint()
    command = [found["command of the micro model"] for found in (*words, moved, other)]
    assert command[0] != command[1] == command[2] != command[3]
    assert str(tmp_path) not in command[0]


def test_a_controlled_model_is_known_by_its_model():
    models = [hmm.FunctionModel(spring(k), STRAIN) for k in (70e3, 71e3, 70e3)]
    free = ({"22": 0.0}, {"22": 0.0}, {"12": 0.0})
    words = [hmm.models.controlled.ControlledModel(m, r).fingerprint() for m, r in zip(models, free, strict=True)]
    assert words[0] != words[1] and words[0] != words[2]
