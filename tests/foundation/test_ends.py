"""How programs end: all ranks together, in one line, with the right exit code, whatever one of them met."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mpi4py import MPI

import pytest
from support.job_files import FIBRE

import hmm

PROGRAM = Path(__file__).parents[1] / "support" / ("ends_program.py")
COMMAND = ("-c", "from hmm.cli import main; main()")
pytestmark = [
    pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts its own ranks"),
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc"),
]


_started = []


@pytest.fixture(autouse=True)
def nothing_is_left():
    """End what a failed test has left running: it would wait, at full speed, for ever."""
    yield
    while _started:
        process = _started.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _default_signals():
    """A shell lets its background jobs ignore Ctrl-C; what is tested here must not inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(ranks, *arguments, **options):
    """A process of its own, with what it prints to standard error in a pipe."""
    launcher = ("PMI", "PMIX", "OMPI", "MPI_", "HYDI", "HYDRA", "MPIR", "MPICH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(launcher)}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(hmm.__file__).parents[1]), str(PROGRAM.parents[1])])
    mpirun = [str(Path(sys.executable).with_name("mpirun")), "-n", str(ranks)] if ranks > 1 else []
    process = subprocess.Popen(
        [*mpirun, sys.executable, *map(str, arguments)],
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_default_signals,
        **options,
    )
    _started.append(process)
    return process


def end_of(process):
    """Exit code and the lines of standard error, without what mpirun says of Ctrl-C."""
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, [line for line in err.splitlines() if not line.startswith("[mpiexec")]


def test_an_error_on_one_rank_ends_the_other():
    """Which waits for it in a barrier; others' errors keep their traceback."""
    code, lines = end_of(start(2, PROGRAM, "HMMError"))
    assert (code, lines) == (1, ["error: size = -1 (on rank 1 alone, which ends the others)"])
    code, lines = end_of(start(2, PROGRAM, "other"))
    assert code == 1 and lines[0].startswith("Traceback") and lines[-1] == "KeyError: 'size = -1'"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_is_one_line(name):
    """Though one rank waits in MPI, where Python cannot hear it; the exit code is that of shells."""
    process = start(2, PROGRAM, "wait")
    said = ""
    while said.count("up") < 2:  # lines of two ranks may come interleaved
        said += process.stdout.readline()
    os.killpg(process.pid, signal.Signals[name])
    code, lines = end_of(process)
    assert code == 128 + signal.Signals[name]
    assert len(lines) == 1 and lines[0].startswith(f"stopped by {name}")


def test_an_interrupt_before_the_main_program():
    """One rank is still importing, the other waits for it to begin."""
    assert end_of(start(2, PROGRAM, "early")) == (130, ["stopped by SIGINT"])


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_full_disk(tmp_path, ranks):
    """ADIOS2 would end one rank with SIGABRT and leave the others waiting."""
    code, lines = end_of(start(ranks, PROGRAM, "full disk", tmp_path))
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"error: cannot write {tmp_path}/macro.bp (File too large): free disk space")


def test_a_reader_that_leaves(tmp_path):
    """As `head` does: the job goes on, and its results are there; without results the exit code is never 0."""
    (tmp_path / "job.toml").write_text(FIBRE + "[output]\nplot = false\n")
    process = start(1, "-u", *COMMAND, "homogenize", tmp_path / "job.toml", "--output", tmp_path / "results")
    process.stdout.close()
    process.stdout = None
    assert end_of(process) == (0, [])
    assert json.loads((tmp_path / "results" / "properties.json").read_text())["quantity"]
    assert (tmp_path / "results" / "report.md").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_set_up(tmp_path, name):
    """In the mesher, in a compilation or wherever it comes: one line, and never a page of PETSc."""
    (tmp_path / "job.toml").write_text(FIBRE.replace("mesh_size = 0.3", "mesh_size = 0.004"))
    process = start(1, *COMMAND, "homogenize", tmp_path / "job.toml", "--output", tmp_path / "results")
    while not (tmp_path / "results").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.Signals[name])
    assert end_of(process) == (128 + signal.Signals[name], [f"stopped by {name}"])
    assert not (tmp_path / "results" / "properties.json").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_all_is_imported(name):
    """It takes seconds until `hmm` is there, and PETSc would print a page as soon as it is."""
    process = start(1, "-c", "import hmm, time; time.sleep(60)")
    caught = 0
    while not caught >> (signal.SIGTERM - 1) & 1 and process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    time.sleep(0.2)
    process.send_signal(signal.Signals[name])
    assert end_of(process) == (128 + signal.Signals[name], [f"stopped by {name}"])
