"""A worker of a `ProcessModel` in Python: serve a function to `hmm` over standard input and output.

As a program, ``python worker.py FILE FUNCTION`` serves a function of a Python file. It must not be started as a module
of `hmm`, which would start MPI in the worker: the file needs NumPy only.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Hide the neighbours of this module from the user's file: some have names of the standard library.
    folder = sys.path.pop(0)

import os
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, folder)
    import framing  # type: ignore[import-not-found]

    sys.path.pop(0)
else:
    from hmm.models import framing

Function = Callable[[Any, Mapping[str, Any], float], tuple[Any, Any, Mapping[str, Any]]]


def serve(function: Function, question: BinaryIO, answer: BinaryIO) -> None:
    """Answer questions until the input ends.

    Parameters
    ----------
    function
        ``(E, old, dt) -> (response, tangent or None, new)``, vectorized as in `hmm.FunctionModel`.
    question, answer
        Binary streams.
    """

    def read(n: int) -> bytes:
        data = question.read(n)
        if len(data) < n:
            raise EOFError
        return data

    while True:
        try:
            _, asked = framing.decode(read)
        except EOFError:
            return
        answer.write(_reply(function, asked))
        answer.flush()


def _reply(function: Function, asked: Mapping[str, Any]) -> bytes:
    old = {name[4:]: values for name, values in asked.items() if name.startswith("old:")}
    try:
        response, tangent, new = function(asked["E"], old, float(asked["dt"][0]))
    except Exception as error:
        return framing.encode(framing.FAILURE, {f"{type(error).__name__}: {error}": np.zeros(0)})
    arrays = {"response": response, **({} if tangent is None else {"tangent": tangent})}
    arrays |= {f"new:{name}": values for name, values in new.items()}
    return framing.encode(framing.ANSWER, {name: np.asarray(values) for name, values in arrays.items()})


def run_worker(argv: list[str]) -> None:
    """Serve a function of a file, which may import its neighbours; what it prints goes to standard error."""
    file, name = argv
    sys.path.insert(0, str(Path(file).resolve().parent))
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(runpy.run_path(file)[name], sys.stdin.buffer, output)


if __name__ == "__main__":
    run_worker(sys.argv[1:])
