"""The files of the container image, and what builds it; `make docker docker-test` builds and uses the image."""

import os
import re
import subprocess
from pathlib import Path

from mpi4py import MPI

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
ENGINE = """#!/bin/sh
[ "$1" = info ] && exit {info}
[ "$1" = from ] && echo container-1 && exit
echo {name} "$@" >>calls
"""

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts processes of its own")


def image(folder, engines, *arguments):
    """Run scripts/image in a copy with stand-ins for the engines; returns the process and their calls."""
    (folder / "scripts").mkdir()
    (folder / "scripts" / "image").write_text((ROOT / "scripts" / "image").read_text())
    for name, info in engines.items():
        (folder / name).write_text(ENGINE.format(name=name, info=info))
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"} | {k: v for k, v in os.environ.items() if k == "HOME"}
    for name in ("docker", "podman", "buildah"):  # those of this machine do not count
        if name not in engines:
            (folder / name).write_text("#!/bin/sh\nexit 1\n")
            (folder / name).chmod(0o755)
    command = ["sh", "scripts/image", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    calls = folder / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_the_first_engine_that_answers_builds(tmp_path):
    """An installed docker without its service is not used."""
    done, calls = image(tmp_path, {"docker": 1, "podman": 0}, "build", "--build-arg", "UID=7")
    assert done.returncode == 0
    assert calls[0] == "podman build -f docker/Dockerfile -t fenicsx-hmm --build-arg UID=7 ."
    assert calls[1] == "podman images fenicsx-hmm"


@pytest.mark.parametrize(
    ("engine", "calls"),
    [
        ("docker", ["docker run --rm --init --shm-size=1g fenicsx-hmm hmm info"]),
        ("buildah", ["buildah run container-1 -- hmm info", "buildah rm container-1"]),
    ],
)
def test_a_command_runs_in_a_new_container(tmp_path, engine, calls):
    assert image(tmp_path, {engine: 0}, "run", "hmm", "info")[1] == calls


def test_without_an_engine_it_is_one_line(tmp_path):
    done, _ = image(tmp_path, {}, "build")
    assert done.returncode == 1
    assert done.stderr.startswith("none of these works here: docker, podman, buildah; ")
    assert done.stderr.count("\n") == 1


def test_dockerfile_and_apptainer_install_the_same():
    dockerfile, definition = (DOCKER / "Dockerfile").read_text(), (DOCKER / "apptainer.def").read_text()
    for name in ("BASE", "EXTRAS"):
        assert re.search(rf"{name}=(\S+)", dockerfile)[1] == re.search(rf"{name}=(\S+)", definition)[1]
    for script in ("install-system", "install-hmm"):
        assert script in dockerfile and f"docker/{script}" in definition
        subprocess.run(["sh", "-n", DOCKER / script], check=True)
        assert os.access(DOCKER / script, os.X_OK)
    for variable in ("OMP_NUM_THREADS=1", "PYVISTA_OFF_SCREEN=true", "PATH=/opt/venv/bin:$PATH", "VENV=/opt/venv"):
        assert variable in dockerfile and variable in definition


def test_the_image_does_not_run_as_root():
    last = (DOCKER / "Dockerfile").read_text().split("FROM ")[-1]
    assert "USER hmm" in last


def test_every_system_library_of_gmsh_is_installed():
    """The packages that check_env.py would ask for."""
    wanted = re.findall(r'": \("(lib[\w-]+)"', (ROOT / "scripts" / "check_env.py").read_text())
    installed = (DOCKER / "install-system").read_text()
    assert len(wanted) > 9
    assert [package for package in wanted if package not in installed] == []
