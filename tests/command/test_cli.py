"""The command `hmm`: what it prints, and errors in one line."""

import json
import subprocess
import sys

from mpi4py import MPI

import pytest

import hmm
from hmm import cli
from hmm.commands import application

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="the command runs on one rank, and only rank 0 prints")


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"hmm {hmm.__version__}\n"


def test_info_names_the_stack_and_the_packages_of_petsc(capsys):
    cli.main(["info"])
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["hmm"].strip() == hmm.__version__
    assert {"Python", "DOLFINx", "PETSc", "PETSc packages", "MPI", "gmsh", "pyvista"} <= set(lines)
    assert "mumps" in lines["PETSc packages"]


def test_without_a_command_it_explains_itself(capsys):
    cli.main([])
    assert "info" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["unheard-of"], ["info", "--colour"]])
def test_a_wrong_command_is_one_line_and_exit_code_1(argv, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    printed = capsys.readouterr()
    assert end.value.code == 1
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert argv[-1] in printed.err


@pytest.mark.parametrize("name", [name for name in application() if not name.startswith("-")])
def test_each_command_has_a_help_with_an_example(name, capsys):
    cli.main([name, "--help"])
    printed = capsys.readouterr().out
    assert "Example" in printed and f"  hmm {name}" in printed


def test_json_is_all_that_is_printed(capsys):
    cli.main(["info", "--json"])
    assert json.loads(capsys.readouterr().out)["hmm"] == hmm.__version__


def test_quiet_prints_nothing(capsys):
    cli.main(["info", "-q"])
    assert capsys.readouterr().out == ""
    cli.main(["info"])
    assert "hmm" in capsys.readouterr().out


@pytest.mark.parametrize("other", ["--json", "--quiet"])
def test_verbose_contradicts(other, capsys):
    with pytest.raises(SystemExit):
        cli.main(["info", "--verbose", other])
    assert f"--verbose and {other} contradict each other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [(["homogenise"], 'Did you mean "homogenize"'), (["homogenize", "--outputs", "x"], "Did you mean --output")],
)
def test_a_misspelt_argument_has_a_proposal(argv, words, capsys):
    with pytest.raises(SystemExit):
        cli.main(argv)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, capsys):
    cli.main(["completion", shell])
    assert "homogenize" in capsys.readouterr().out


def test_as_a_process_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", "from hmm.cli import main; main()", "wrong"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
