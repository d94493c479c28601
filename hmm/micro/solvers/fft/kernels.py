"""The compiled loops, built once for each block size and dimension and kept beside FFCx' own modules."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.compiled import compiled_module

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
    remedy = "the loops over voxels need GCC 12, Clang 15 or newer; or use solver='direct'"
    return compiled_module("hmm_voxel", header + SOURCE, declaration, remedy)


def aligned(a: NDArray[Any]) -> NDArray[Any]:
    """A copy that starts on a cache line, as the vector loads need."""
    raw = np.empty(a.nbytes + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + a.nbytes].view(a.dtype).reshape(a.shape)
    out[:] = a
    return out
