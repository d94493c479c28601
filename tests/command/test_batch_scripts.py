"""The batch scripts of the docs, with stand-ins for the commands of Slurm; `make slurm-test` has the real ones."""

import os
import re
import runpy
import signal
import subprocess
import time
from pathlib import Path

from mpi4py import MPI

import pytest

ROOT = Path(__file__).parents[2]
SLURM = runpy.run_path(str(ROOT / "scripts" / "slurm_test.py"))

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts processes of its own")

SRUN = """#!/bin/bash
trap 'kill $pause; echo stopped; exit CODE' USR1   # as hmm: a signal ends the run in order
sleep SECONDS & pause=$!
echo started >ready
wait $pause
exit CODE
"""


def run(folder, seconds, code, interrupt):
    """The requeueing script; returns its exit code, what it printed, and how Slurm was asked to requeue."""
    programs = {
        "srun": SRUN.replace("SECONDS", str(seconds)).replace("CODE", str(code)),
        "scontrol": '#!/bin/sh\necho "$@" >requeued\n',
    }
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    script = SLURM["batch_script"]("docs/running.md", "scontrol requeue")
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    command = ["bash", "-c", script]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as job:
        while interrupt and not (folder / "ready").exists():
            time.sleep(0.01)
        if interrupt:
            job.send_signal(signal.SIGUSR1)
        printed = job.communicate(timeout=60)[0]
    requeued = folder / "requeued"
    return job.returncode, printed, requeued.read_text() if requeued.exists() else None


def test_a_run_that_the_signal_stops_is_requeued(tmp_path):
    assert run(tmp_path, 60, 0, True) == (0, "stopped\n", "requeue 7\n")


@pytest.mark.parametrize(("code", "interrupt"), [(0, False), (3, False), (3, True)])
def test_a_run_that_is_complete_or_fails_is_not(tmp_path, code, interrupt):
    returned, _, requeued = run(tmp_path, 60 if interrupt else 0.1, code, interrupt)
    assert (returned, requeued) == (code, None)


@pytest.mark.parametrize(
    ("page", "mark"),
    [
        ("README.md", "srun"),
        ("docs/running.md", "scontrol requeue"),
        ("docs/running.md", "SLURM_ARRAY_TASK_ID"),
        ("docs/tutorials/cluster.md", "scontrol requeue"),
    ],
)
def test_each_script_is_there_and_parses(page, mark):
    script = SLURM["batch_script"](page, mark)
    subprocess.run(["bash", "-n", "-c", script], check=True)
    assert re.search(r"^#SBATCH .*--time=", script, re.MULTILINE)


def test_without_slurm_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match=r"not installed: munged, .*sudo apt install slurm-wlm munge"):
        SLURM["main"]()


def test_a_page_without_the_script_is_named():
    with pytest.raises(SystemExit, match=r"CONTRIBUTING.md has 0 batch scripts with 'srun', not 1"):
        SLURM["batch_script"]("CONTRIBUTING.md", "srun")
