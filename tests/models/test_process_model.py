"""Micro models in other processes: same numbers, killed and silent workers, nonsense, programs that do not start."""

import os
import signal
import sys
import textwrap

from mpi4py import MPI

import numpy as np
import pytest
from support.function_models import j2_model
from support.macro_tools import beam, difference

import hmm
from hmm.models import framing

STRAIN = hmm.models.strain(2)
VARIABLES = {"plastic_strain": 6, "p": 1}

LAW = """
import numpy as np, sys
sys.path.insert(0, {support!r})
exec(open({source!r}).read().split("def j2_model")[0].replace("import hmm", ""))
law = radial_return(70e3, 0.3, 100.0, 700.0)
"""

STRANGE = """
import sys, time
import numpy as np

def silent(E, old, dt):
    if abs(E).max() > 0:
        time.sleep(60)
    return E, np.broadcast_to(np.eye(3), (len(E), 3, 3)), {}

def broken(E, old, dt):
    if abs(E).max() > 0:
        raise ValueError("the sky is falling")
    return E, np.broadcast_to(np.eye(3), (len(E), 3, 3)), {}

def narrow(E, old, dt):
    return E[:, :2], np.broadcast_to(np.eye(3), (len(E), 3, 3)), {}
"""


@pytest.fixture(scope="module")
def law_file(tmp_path_factory):
    from support import function_models

    path = tmp_path_factory.mktemp("law") / "law.py"
    path.write_text(LAW.format(source=function_models.__file__, support=os.path.dirname(function_models.__file__)))
    return path


@pytest.fixture(scope="module")
def strange_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("law") / "strange.py"
    path.write_text(textwrap.dedent(STRANGE))
    return path


def model_of(path, name, variables, **options):
    return hmm.models.ProcessModel(hmm.models.ProcessModel.python(path, name), STRAIN, variables, **options)


@pytest.mark.mpi
def test_killed_workers_change_nothing(law_file):
    """The beam with a function here, with the same one in two workers, and with these killed at each step."""
    expected = beam(j2_model())
    for _ in hmm.steps(expected.problem, expected.load, -0.05, 3):
        pass
    model = model_of(law_file, "law", VARIABLES, workers=2, timeout=60.0)
    body = beam(model)
    for step in hmm.steps(body.problem, body.load, -0.05, 3):
        os.kill(model.pids[step.number % 2], signal.SIGKILL)
    assert difference(expected.u, body.u) < 1e-12
    assert body.hom.comm.allreduce(model.restarts, MPI.MIN) >= 2
    model.close()
    assert not model.pids


def test_a_silent_worker_does_not_hang(strange_file):
    model = model_of(strange_file, "silent", {}, timeout=1.0, retries=0)
    with pytest.raises(hmm.ConvergenceError, match="did not respond for 1 s"):
        model.solve({"11": 1e-3})
    model.close()


def test_failures_are_told(strange_file):
    model = model_of(strange_file, "broken", {})
    with pytest.raises(hmm.ConvergenceError, match="ValueError: the sky is falling"):
        model.solve({"11": 1e-3})
    model.close()
    model = model_of(strange_file, "narrow", {})
    with pytest.raises(hmm.InputError, match="response has the shape"):
        model.solve({"11": 1e-3})
    model.close()


def test_the_users_file_sees_its_neighbours_only(tmp_path):
    """`hmm` has modules with names of the standard library, which must not take their place in a worker."""
    (tmp_path / "points.py").write_text("factor = 2.0\n")
    (tmp_path / "law.py").write_text(
        "import statistics\nimport numpy as np\nimport points\n"
        "def law(E, old, dt):\n"
        "    k = statistics.mean([points.factor, points.factor])\n"
        "    return k * E, np.broadcast_to(k * np.eye(3), (len(E), 3, 3)), {}\n"
    )
    model = model_of(tmp_path / "law.py", "law", {})
    assert model.solve({"11": 1.0}).vector[0] == 2.0
    model.close()


def test_nonsense_is_refused():
    program = "import sys; sys.stdin.buffer.read(4); sys.stdout.write('good morning'); sys.stdout.flush()"
    model = hmm.models.ProcessModel([sys.executable, "-c", program], STRAIN, retries=0)
    with pytest.raises(hmm.ConvergenceError, match="invalid message: a message begins with b'good'"):
        hmm.models.points_of(model, 1)
    model.close()


def test_programs_that_do_not_start(tmp_path):
    with pytest.raises(hmm.InputError, match="cannot be started"):
        hmm.models.points_of(hmm.models.ProcessModel([tmp_path / "nothing"], STRAIN), 1)
    with pytest.raises(hmm.InputError, match="must be a list"):
        hmm.models.ProcessModel("worker --fast", STRAIN)
    with pytest.raises(hmm.InputError, match="there is no file"):
        hmm.models.ProcessModel.python(tmp_path / "law.py", "law")
    with pytest.raises(hmm.InputError, match="workers = 0"):
        hmm.models.ProcessModel(["worker"], STRAIN, workers=0)


def test_framing_round_trip_and_limits():
    arrays = {"E": np.arange(6.0).reshape(2, 3), "old:p": np.zeros((2, 0)), "dt": np.array(0.5)}
    data = framing.encode(framing.QUESTION, arrays)
    position = 0

    def read(n):
        nonlocal position
        if position + n > len(data):
            raise EOFError
        position += n
        return data[position - n : position]

    kind, found = framing.decode(read)
    assert kind == framing.QUESTION and all(np.array_equal(found[k], arrays[k]) for k in arrays)
    for cut in (0, 3, 11, len(data) - 1):
        position, whole = 0, data
        data = whole[:cut]
        with pytest.raises(EOFError):
            framing.decode(read)
        data = whole
    data, position = b"HMM1" + b"\xff" * 40, 0
    with pytest.raises(framing.BadMessage, match="announces"):
        framing.decode(read)
