"""`hmm new`: each project runs as it was written."""

import os
import subprocess
import sys

from mpi4py import MPI

import pytest

from hmm import cli

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts processes of its own")

RUNS = {
    "fe2": (["-m", "hmm", "run", "beam.toml"], "results/beam/report.html"),
    "cell": (["-m", "hmm", "homogenize", "cell.toml"], "results/cell/properties.json"),
    "study": (["study.py"], "results/study/study.json"),
    "law": (["-m", "hmm", "homogenize", "job.toml", "--trust-laws"], "results/job/properties.json"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_project_runs(kind, tmp_path, capsys):
    command, result = RUNS[kind]
    cli.main(["new", kind, str(tmp_path / "mine")])
    assert "README.md" in capsys.readouterr().out
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path / "mine",
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine" / result).is_file()


@pytest.mark.slow
def test_the_checks_of_a_law_run(tmp_path):
    cli.main(["new", "law", str(tmp_path), "--quiet"])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "check.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stress" in done.stdout


def test_what_exists_is_not_overwritten(tmp_path, capsys):
    cli.main(["new", "cell", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        cli.main(["new", "cell", str(tmp_path)])
    assert end.value.code == 1
    assert "README.md exists: give another directory" in capsys.readouterr().err


def test_an_unknown_kind(capsys):
    with pytest.raises(SystemExit):
        cli.main(["new", "cel"])
    assert 'Did you mean "cell"' in capsys.readouterr().err
