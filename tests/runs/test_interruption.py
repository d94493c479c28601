"""Runs that are killed or told to stop continue to the same answers."""

import hmm  # isort: skip

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from mpi4py import MPI

import pytest

COMM = MPI.COMM_WORLD
PROGRAM = Path(__file__).parents[1] / "support" / ("checkpoint_program.py")
SERIAL = pytest.mark.skipif(COMM.size > 1, reason="starts mpirun, which MPI forbids under mpirun")
KILLS = int(os.environ.get("HMM_TEST_KILLS", "3"))


def command(ranks: int, *arguments: object) -> list[str]:
    launcher = [str(Path(sys.executable).with_name("mpirun")), "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, sys.executable, str(PROGRAM), *map(str, arguments)]


def start(ranks: int, *arguments: object) -> subprocess.Popen[str]:
    """Start the program as a user would: the child must not see our own launcher's variables."""
    launcher = ("PMI", "PMIX", "OMPI", "MPI_", "HYDI", "HYDRA", "MPIR", "MPICH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(launcher)}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(hmm.__file__).parents[1]), str(PROGRAM.parents[1])])
    return subprocess.Popen(
        command(ranks, *arguments),
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=120)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def table_of(path: Path) -> dict[tuple[int, int], float]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {(int(part), int(step)): float(reaction) for part, step, reaction in rows}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict[tuple[int, int], float]:
    folder = tmp_path_factory.mktemp("whole")
    process = start(1, folder / "run.h5", "--table", folder / "table")
    assert "finished" in finish(process)
    return table_of(folder / "table")


@SERIAL
@pytest.mark.slow
@pytest.mark.timeout(0)
def test_killed_at_random(tmp_path, uninterrupted):
    """Two ranks are killed -9 anywhere; the run goes on alternately on one and three ranks, to the same reactions."""
    rng = random.Random(time.time_ns())
    for number in range(KILLS):
        file, table = tmp_path / f"{number}.h5", tmp_path / f"{number}.table"
        process = start(2, file, "--table", table)
        while not file.exists() and process.poll() is None:
            time.sleep(0.001)  # the first checkpoint is there: steps and their writing follow each other from now on
        time.sleep(rng.uniform(0.0, 0.7))
        for pid in children_of(process.pid):
            kill(pid)
        finish(process)
        assert "finished" in finish(start((1, 3)[number % 2], file, "--table", table))
        found = table_of(table)
        assert found.keys() == uninterrupted.keys()
        for key, reaction in found.items():
            assert reaction == pytest.approx(uninterrupted[key], rel=1e-10), (number, key)


def children_of(pid: int) -> list[int]:
    """The process and all below it, the lowest first."""
    below = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            below += children_of(int(child))
    return [*below, pid]


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@SERIAL
@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGTERM", 0), ("SIGINT", 130), *(pytest.param(s, 0, marks=pytest.mark.slow) for s in ("SIGUSR1", "SIGXCPU"))],
)
def test_signal_ends_the_run_in_order(tmp_path, name, code, uninterrupted):
    """One rank of two gets a signal in the fifth step: the step is done, and the next command goes on."""
    file, table = tmp_path / "run.h5", tmp_path / "table"
    process = start(2, file, "--table", table, "--signal", name)
    out = finish(process)
    assert process.returncode == code
    assert f"stopping: got {name}; 1 of 4 steps are in {file}: run the same command again to continue" in out
    assert "finished" not in out and len(table_of(table)) == 5
    out = finish(start(1, file, "--table", table))
    assert f"{file}: continuing after step 1 of 4, at load -0.05" in out and "finished" in out
    assert len(table.read_text().splitlines()) == 8, "no step is done twice"
    assert table_of(table) == pytest.approx(uninterrupted, rel=1e-10)


@SERIAL
def test_wall_time(tmp_path, uninterrupted):
    """With no time at all each command does one step, and leaves with exit code 0; eight of them do the job."""
    file, table = tmp_path / "run.h5", tmp_path / "table"
    process = start(1, file, "--table", table, "--limit", 0.001)
    out = finish(process)
    assert process.returncode == 0
    assert "1 of 4 steps are in" in out and "max_wall_time is 0.001 s" in out
    assert len(table_of(table)) == 1
    assert "finished" in finish(start(1, file, "--table", table))
    assert table_of(table) == pytest.approx(uninterrupted, rel=1e-10)
