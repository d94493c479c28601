"""The compiled loops, built once for each block size and dimension and kept beside FFCx' own modules."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from dolfinx.jit import get_options
from numpy.typing import NDArray

from hmm.foundation.errors import EnvironmentMismatch

DECLARATION = """
void apply(const int* n, const uint8_t* phase, const double* K, const double* u, double* y);
void symbol_real_d(int64_t n, const double* G, double* x);
void symbol_real_f(int64_t n, const float* G, float* x);
void symbol_hermitian_d(int64_t n, const double* G, double* x);
void symbol_hermitian_f(int64_t n, const float* G, float* x);
"""
TANGENT_DECLARATION = """
void apply_tangent(const int* n, const uint8_t* solid, const double* B, const float* C, const double* u, double* y);
"""
VOID = 255
"""The phase of a grid cell that has no element."""
SOURCE = Path(__file__).with_name("voxel.c").read_text()
FLAGS = ["-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno"]


@cache
def kernel(
    block: int, dim: int, strains: int = 0, vectors: int = 0, pairs: tuple[tuple[int, int], ...] = ()
) -> ModuleType:
    """The compiled module; may run on several ranks, the file appears under its name only when it is complete."""
    header = f"#define BS {block}\n#define DIM {dim}\n#define VOID {VOID}\n"
    declaration = DECLARATION
    if strains:
        table = "{" + ", ".join(f"{{{i}, {s}}}" for i, s in pairs) + "}"
        header += f"#define NS {strains}\n#define QV {vectors}\n#define PAIRS {table}\n"
        declaration += TANGENT_DECLARATION
    key = hashlib.sha256("".join((header, SOURCE, declaration, *FLAGS, _processor())).encode()).hexdigest()[:16]
    name = f"hmm_voxel_{key}"
    folder = Path(get_options()["cache_dir"])
    target = folder / f"{name}.so"
    if not target.exists():
        import cffi

        folder.mkdir(parents=True, exist_ok=True)
        builder = cffi.FFI()
        builder.cdef(declaration)
        builder.set_source(name, header + SOURCE, extra_compile_args=FLAGS)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            os.replace(_compile(builder, work), target)
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compile(builder: Any, folder: str) -> str:
    """Path of the compiled module; an `EnvironmentMismatch` if the C compiler cannot build it."""
    import cffi

    try:
        return str(builder.compile(tmpdir=folder))
    except cffi.VerificationError as error:
        raise EnvironmentMismatch(
            f"the C compiler cannot build the loops over voxels ({str(error).splitlines()[-1]}): "
            "they need GCC 12, Clang 15 or newer; or use solver='direct'"
        ) from None


def _processor() -> str:
    """What -march=native depends on."""
    try:
        return next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.processor()


def aligned(a: NDArray[Any]) -> NDArray[Any]:
    """A copy that starts on a cache line, as the vector loads need."""
    raw = np.empty(a.nbytes + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    out[:] = a
    return out
