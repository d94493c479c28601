"""DOLFINx imported before mpi4py: the wheel finds MPI by links, and without them `hmm info` says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mpi4py import MPI

import pytest

from hmm.foundation import mpi_library
from hmm.foundation.errors import EnvironmentMismatch

FOLDER = mpi_library.wheel_folder()
pytestmark = [
    pytest.mark.skipif(FOLDER is None, reason="DOLFINx is no wheel"),
    pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts processes of its own"),
]

PROGRAM = """
import dolfinx, ufl
from mpi4py import MPI
domain = dolfinx.mesh.create_unit_square(MPI.COMM_WORLD, 3, 3)
one = dolfinx.fem.Constant(domain, 1.0)
area = MPI.COMM_WORLD.allreduce(dolfinx.fem.assemble_scalar(dolfinx.fem.form(one * ufl.dx)))
libraries = {line.split()[-1] for line in open("/proc/self/maps") if "libmpi.so" in line}
found = MPI.COMM_WORLD.gather((MPI.COMM_WORLD.size, round(area, 12), len(libraries)))
if MPI.COMM_WORLD.rank == 0:
    print(found)
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The packages with compiled modules in folders of their own, the files as links; without links to MPI."""
    site = tmp_path_factory.mktemp("site")
    for name in ("basix", "dolfinx", "dolfinx_solver", "dolfinx_solver_real.libs", "fenics_basix.libs", "petsc4py"):
        skipped = shutil.ignore_patterns("__pycache__", *mpi_library.PARTS)
        shutil.copytree(FOLDER.parents[1] / name, site / name, copy_function=os.symlink, ignore=skipped)
    return site


def run(site, *launcher):
    return subprocess.run(
        [*launcher, sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_linked_it_is_imported_first_on_one_rank_and_on_two(copied):
    """Before, it fails; after, there is one MPI library in the process, and the ranks belong together."""
    assert f"ImportError: {mpi_library.LIBRARY}" in run(copied).stderr
    for _ in range(2):  # links that exist are made again
        mpi_library.link_mpi(copied / "dolfinx_solver" / "lib")
    assert run(copied).stdout == "[(1, 1.0, 1)]\n"
    mpirun = Path(sys.executable).with_name("mpirun")
    assert run(copied, mpirun, "-n", "2").stdout == "[(2, 1.0, 1), (2, 1.0, 1)]\n"


def test_files_of_the_wheel_are_not_replaced(tmp_path):
    (tmp_path / mpi_library.LIBRARY).write_text("of the wheel")
    mpi_library.link_mpi(tmp_path)
    assert (tmp_path / mpi_library.LIBRARY).read_text() == "of the wheel"
    assert (tmp_path / "mpich").is_symlink()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(EnvironmentMismatch, match=r"cannot link .*absent.* import mpi4py before dolfinx"):
        mpi_library.link_mpi(tmp_path / "absent")


def test_without_the_wheel_of_mpich(tmp_path, monkeypatch):
    def missing(name):
        raise mpi_library.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(mpi_library.metadata, "files", missing)
    with pytest.raises(EnvironmentMismatch, match="pip install"):
        mpi_library.link_mpi(tmp_path)


def test_the_order_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(mpi_library, "wheel_folder", lambda: tmp_path)
    assert mpi_library.COMMAND in mpi_library.order_of_imports()
    mpi_library.link_mpi(tmp_path)
    assert "any order" in mpi_library.order_of_imports()
    monkeypatch.setattr(mpi_library, "wheel_folder", lambda: None)
    assert mpi_library.order_of_imports() is None
