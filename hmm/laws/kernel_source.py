"""The compiled laws of `LawKernel` as C source, for programs without Python."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.forms import c_function
from hmm.laws.kernel import POINT, LawKernel, batch_source


@dataclass(frozen=True, eq=False)
class CFunction:
    """One of the C functions of a law.

    Attributes
    ----------
    name, code
        Its name and its definition; its type is ``kernel`` of batch.c.
    constants
        Shape (n,); its argument ``c``.
    dt_at
        Where the duration of the step belongs among these, or -1.
    """

    name: str
    code: str
    constants: NDArray[np.float64]
    dt_at: int


def c_functions(kernel: LawKernel, name: str) -> tuple[CFunction, ...]:
    """The law and, for local unknowns, their equations and first guess, as static C functions with names of their own.

    Constants in the law have their present values.
    """
    found = []
    for k, (expression, constants) in enumerate(zip(kernel.expressions, kernel.at(np.nan).constants, strict=True)):
        durations = np.flatnonzero(np.isnan(constants))
        own = f"{name}_{('response', 'equations', 'guess')[k]}"
        at = int(durations[0]) if durations.size else -1
        found.append(CFunction(own, c_function(expression, POINT, own), np.nan_to_num(constants), at))
    return tuple(found)


def loops_source() -> str:
    """The loops over points of batch.c, as static functions."""
    return re.sub(r"^void ", "static void ", batch_source(), flags=re.MULTILINE)
