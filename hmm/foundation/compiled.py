"""C loops of `hmm`, compiled once and kept beside FFCx' own modules."""

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

from dolfinx.jit import get_options

from hmm.foundation.errors import EnvironmentMismatch

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno")


@cache
def compiled_module(prefix: str, source: str, declaration: str, remedy: str) -> ModuleType:
    """The compiled module of C `source`; may run on several ranks, the file appears only when it is complete.

    Parameters
    ----------
    prefix
        Beginning of the module's name.
    source, declaration
        The C code, and what of it Python calls.
    remedy
        What to do if the C compiler cannot build it, for the message.

    Raises
    ------
    EnvironmentMismatch
        If it cannot be built.
    """
    key = hashlib.sha256("".join((source, declaration, *FLAGS, _processor())).encode()).hexdigest()[:16]
    name = f"{prefix}_{key}"
    folder = Path(get_options()["cache_dir"])
    target = folder / f"{name}.so"
    if not target.exists():
        import cffi

        folder.mkdir(parents=True, exist_ok=True)
        builder = cffi.FFI()
        builder.cdef(declaration)
        builder.set_source(name, source, extra_compile_args=list(FLAGS))
        with tempfile.TemporaryDirectory(dir=folder) as work:
            os.replace(_compile(builder, work, remedy), target)
    spec = importlib.util.spec_from_file_location(name, target)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compile(builder: Any, folder: str, remedy: str) -> str:
    """Path of the compiled module."""
    import cffi

    try:
        return str(builder.compile(tmpdir=folder))
    except cffi.VerificationError as error:
        raise EnvironmentMismatch(f"the C compiler failed ({str(error).splitlines()[-1]}): {remedy}") from None


def _processor() -> str:
    """What -march=native depends on."""
    try:
        return next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.processor()
