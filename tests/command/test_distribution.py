"""What a release consists of: one version, and every file of the package in both archives."""

import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

from mpi4py import MPI

import pytest

import hmm

ROOT = Path(__file__).parents[2]
CHECK = runpy.run_path(str(ROOT / "scripts" / "check_dist.py"))
FILES = ["README.md", "hmm/__init__.py", "hmm/laws/batch.c", "tests/test_a.py"]

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="reads files, on one rank")


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    source = (ROOT / project["tool"]["hatch"]["version"]["path"]).read_text()
    version = re.search(r'^VERSION = "(.+)"$', source, re.MULTILINE)[1]
    assert version == hmm.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version


def archives(folder, in_wheel, in_source):
    with zipfile.ZipFile(folder / "hmm-1-py3-none-any.whl", "w") as wheel:
        for name in [*in_wheel, "hmm-1.dist-info/METADATA"]:
            wheel.writestr(name, "")
    with tarfile.open(folder / "hmm-1.tar.gz", "w:gz") as source:
        for name in [*in_source, "PKG-INFO"]:
            source.add(__file__, f"hmm-1/{name}")
    return CHECK["in_wheel"](folder / "hmm-1-py3-none-any.whl"), CHECK["in_archive"](folder / "hmm-1.tar.gz")


def test_complete_archives_have_no_problems(tmp_path):
    assert CHECK["problems"](FILES, *archives(tmp_path, FILES[1:3], FILES)) == []


def test_what_is_missing_or_too_much_is_named(tmp_path):
    found = CHECK["problems"](FILES, *archives(tmp_path, ["hmm/__init__.py", "tests/test_a.py"], [*FILES[1:], "x.log"]))
    assert found == [
        "the wheel lacks hmm/laws/batch.c",
        "the wheel has tests/test_a.py, which is no file of the package",
        "the source archive lacks README.md",
        "the source archive has x.log, which git does not track",
    ]


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_tiny_cell_of_the_check_is_right(ranks):
    mpirun = [str(Path(sys.executable).with_name("mpirun")), "-n", str(ranks)] if ranks > 1 else []
    command = [*mpirun, sys.executable, str(ROOT / "scripts" / "smoke.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == f"hmm {hmm.__version__} on {ranks} rank(s): laminate 1.562500, closed form 1.562500\n"
