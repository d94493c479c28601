"""numba beside hmm: PETSc's library must not become global, or h5py writes no more files."""

import os
import subprocess
import sys
from pathlib import Path

from mpi4py import MPI

import pytest

import hmm

FAKES = {
    "llvmlite/__init__.py": "from llvmlite import binding\n",
    "llvmlite/binding.py": """
import ctypes

def load_library_permanently(path):  # as LLVM does it
    ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
""",
    "numba/__init__.py": """
from types import SimpleNamespace
from numba import core

types = SimpleNamespace(complex64=None, complex128=None)
extending = SimpleNamespace(intrinsic=lambda function: function)
from_dtype = lambda kind: kind
""",
    "numba/core/__init__.py": """
from types import SimpleNamespace
from numba.core import typing

def any_type(*arguments):
    return None

types = SimpleNamespace(CPointer=any_type, ExternalFunction=any_type, intc=None, uintp=None)
""",
    "numba/core/typing/__init__.py": "from numba.core.typing import cffi_utils\nsignature = lambda *arguments: None\n",
    "numba/core/typing/cffi_utils.py": "register_type = lambda *arguments: None\n",
}
PROGRAM = """
import sys
{first}
import hmm
import h5py, numpy
with h5py.File(sys.argv[1], "w") as file:
    file["x"] = numpy.arange(3.0)
with h5py.File(sys.argv[1]) as file:
    assert file["x"][2] == 2.0
import numba
assert numba.from_dtype(3) == 3
print("fine")
"""


LATE = """
import mpi4py.MPI, dolfinx.fem.petsc
import hmm
hmm.errors.run(hmm.foundation.hdf5.require_h5py)
"""


@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts a process of its own")
@pytest.mark.parametrize("first", ["", "import numba"])
def test_h5py_works_and_numba_too(tmp_path, first):
    """With a numba that does what counts, loading the library; it is there for who imports it, before or after."""
    done = run_beside_numba(tmp_path, PROGRAM.format(first=first))
    assert done.stdout.endswith("fine\n"), done.stderr


@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts a process of its own")
def test_too_late_is_said_in_one_line(tmp_path):
    done = run_beside_numba(tmp_path, LATE)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: h5py does not work here") and "Traceback" not in done.stderr


def run_beside_numba(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("h5py")
    for name, text in FAKES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    path = os.pathsep.join([str(folder), str(Path(hmm.__file__).parents[1])])
    command = [sys.executable, "-c", program, str(folder / "some.h5")]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120)
