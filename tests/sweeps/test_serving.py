"""`hmm serve`: the protocol of UM-Bridge, its own client, and everything that may be wrong."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from mpi4py import MPI

import pytest
from support.job_files import FIBRE

import hmm
from hmm import cli
from hmm.sweeps import JobFunction, JobServer

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="the server starts its own processes")

KEYS = ("phases.fibre.young", "cell.volume_fraction")

TEST = """
[test]
to = 0.02
steps = 4
fields = "none"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("serving")
    (path / "job.toml").write_text(FIBRE)
    (path / "test.toml").write_text(FIBRE + TEST)
    return path


@pytest.fixture(scope="module")
def server(folder):
    """A server of the job on a free port, in a thread of its own."""
    with JobServer(lambda: JobFunction(folder / "job.toml", KEYS, ["E1", "G12"]), port=0) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def ask(server, path, **question):
    """The status and the answer of a server."""
    data = json.dumps({"name": "forward"} | question).encode() if question or path != "/Info" else None
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, data), timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def constants(folder, young, fraction, **changes):
    changes = {"phases.fibre.young": young, "cell.volume_fraction": fraction, "mesh_error": False} | changes
    return hmm.jobs.running.homogenized(hmm.jobs.read_job(folder / "job.toml", changes=changes)).constants


# -- the protocol ---------------------------------------------------------------------------------------------------


def test_what_the_server_says_of_itself(server):
    assert server.url.startswith("http://127.0.0.1:")
    assert ask(server, "/Info") == (200, {"protocolVersion": 1.0, "models": ["forward"]})
    support = ask(server, "/ModelInfo")[1]["support"]
    assert support == {"Evaluate": True, "Gradient": False, "ApplyJacobian": False, "ApplyHessian": False}
    assert ask(server, "/InputSizes") == (200, {"inputSizes": [2]})
    assert ask(server, "/OutputSizes", config={}) == (200, {"outputSizes": [2]})


def test_an_evaluation_is_the_job(server, folder):
    status, answer = ask(server, "/Evaluate", input=[[100.0, 0.2]])
    expected = constants(folder, 100.0, 0.2)
    assert status == 200
    assert answer["output"] == [pytest.approx([expected["E1"], expected["G12"]], rel=1e-9)]


def test_config_changes_further_keys(server, folder):
    answer = ask(server, "/Evaluate", input=[[100.0, 0.2]], config={"cell.mesh_size": 0.5})[1]
    expected = constants(folder, 100.0, 0.2, **{"cell.mesh_size": 0.5})
    assert answer["output"][0][0] == pytest.approx(expected["E1"], rel=1e-9)


def test_the_client_of_umbridge(server, folder):
    umbridge = pytest.importorskip("umbridge", reason="needs umbridge (the extra uq)")
    assert umbridge.supported_models(server.url) == ["forward"]
    model = umbridge.HTTPModel(server.url, "forward")
    assert (model.get_input_sizes(), model.get_output_sizes()) == ([2], [2])
    assert model.supports_evaluate() and not model.supports_gradient()
    expected = constants(folder, 80.0, 0.4)
    assert model([[80.0, 0.4]]) == [pytest.approx([expected["E1"], expected["G12"]], rel=1e-9)]
    with pytest.raises(Exception, match="volume_fraction = 2"):
        model([[80.0, 2.0]])


@pytest.mark.parametrize(
    ("path", "question", "status", "kind", "words"),
    [
        ("/Evaluate", {"input": [[1.0]]}, 400, "InvalidInput", "2 numbers"),
        ("/Evaluate", {"input": [1.0, 0.2]}, 400, "InvalidInput", "2 numbers"),
        ("/Evaluate", {"input": [["a", 0.2]]}, 400, "InvalidInput", "2 numbers"),
        ("/Evaluate", {}, 400, "InvalidInput", "2 numbers"),
        ("/Evaluate", {"input": [[1.0, 0.2]], "config": 3}, 400, "InvalidInput", "2 numbers"),
        ("/Evaluate", {"input": [[-1.0, 0.2]]}, 500, "ModelError", "young = -1"),
        ("/Evaluate", {"input": [[1.0, 0.2]], "config": {"cell.meshsize": 1}}, 500, "ModelError", "did you mean"),
        ("/Evaluate", {"input": [[1.0, 0.2]], "config": {"cell.mesh": "a"}}, 500, "ModelError", "give a number"),
        ("/Gradient", {"input": [[1.0, 0.2]]}, 400, "UnsupportedFeature", "Gradient is not supported"),
        ("/InputSizes", {"name": "backward"}, 400, "ModelNotFound", "'backward'"),
    ],
)
def test_wrong_questions(server, path, question, status, kind, words):
    found, answer = ask(server, path, **({"name": "forward"} | question))
    assert (found, answer["error"]["type"]) == (status, kind)
    assert words in answer["error"]["message"] and "\n" not in answer["error"]["message"]


def test_questions_that_are_no_json(server):
    for data in (b"no", b"[]", b"[" * 100_000):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(server.url + "/Evaluate", data), timeout=60)
        assert error.value.code == 400
    assert ask(server, "/Nothing", name="forward")[0] == 400


# -- the function ---------------------------------------------------------------------------------------------------


def test_the_curve_of_a_load_test(folder):
    function = JobFunction(folder / "test.toml", ["phases.matrix.young"], ["last stress", "curve"])
    try:
        assert function.sizes == [1, 5]
        (last,), curve = function([3.0])
        assert curve[-1] == last and curve[0] == 0
        assert curve[1] == pytest.approx(last / 4, rel=1e-9)  # elastic
    finally:
        function.close()


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(folder):
    function = JobFunction(folder / "job.toml", ["phases.fibre.young"], ["E1"])
    try:
        (process,) = function._pool._processes.values()
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        with pytest.raises(hmm.InputError, match="died"):
            function([50.0])
        assert function([50.0])[0][0] > 3
    finally:
        function.close()


@pytest.mark.parametrize(
    ("keys", "outputs", "words"),
    [
        ([], [], "no key is an argument"),
        (["phases.fibre.young"] * 2, [], "are not different"),
        (["phases.fibre.youngs"], [], "did you mean 'young'?"),
        (["phases.fiber.young"], [], "did you mean 'fibre'?"),
        (["cell.generator"], [], "cell.generator = 'fibre' is not a number"),
        (["phases.fibre.young"], ["E_1"], "gives no 'E_1' (did you mean 'E1'?): it gives E1, E2"),
        (["phases.fibre.young"], ["curve"], "gives no 'curve'"),
    ],
)
def test_wrong_functions_are_one_line(folder, keys, outputs, words):
    with pytest.raises(hmm.InputError) as error:
        JobFunction(folder / "job.toml", keys, outputs)
    assert words in str(error.value) and "\n" not in str(error.value)


# -- the command ----------------------------------------------------------------------------------------------------


def test_a_port_in_use(folder, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit):
            cli.main(["serve", str(folder / "job.toml"), "--vary", "phases.fibre.young", "--port", str(port)])
    assert capsys.readouterr().err == (
        f"error: port {port} of 127.0.0.1 is in use: give another one with --port, or 0 for any free one\n"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "port = 70000: give a whole number"),
        (["--host", "192.0.2.7"], "give an address of this machine with --host"),
        (["--workers", "0", "--port", "0"], "workers = 0"),
    ],
)
def test_wrong_options_are_one_line(folder, options, words, capsys):
    with pytest.raises(SystemExit):
        cli.main(["serve", str(folder / "job.toml"), "--vary", "phases.fibre.young", *options])
    errors = capsys.readouterr().err
    assert words in errors and errors.count("\n") == 1


@pytest.mark.slow
def test_the_command_until_an_interrupt(folder):
    argv = ["serve", str(folder / "job.toml"), "--vary", "phases.fibre.young", "--outputs", "E1", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hmm", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    )
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"(http://\S+), model 'forward': \(phases.fibre.young\) -> \(E1\)\n", line)
        data = json.dumps({"name": "forward", "input": [[70.0]]}).encode()
        with urllib.request.urlopen(urllib.request.Request(found[1] + "/Evaluate", data), timeout=60) as response:
            assert json.loads(response.read())["output"][0][0] == pytest.approx(constants(folder, 70.0, 0.3)["E1"])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130 and errors == "stopped by SIGINT\n"
        end = time.monotonic() + 20
        while (left := _of_group(process.pid)) and time.monotonic() < end:
            time.sleep(0.1)
        assert not left
    finally:
        process.kill()


def _of_group(number):
    """The processes of a group that are alive, by their command lines."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == number and state != "Z":
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
