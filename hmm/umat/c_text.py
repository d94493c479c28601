"""Numbers as C: arrays and definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

PER_LINE = 5
"""Numbers in a line."""


def array(name: str, values: ArrayLike) -> str:
    """A static array of doubles or, if the values are integers, of ints; one of no values has a zero."""
    flat = np.asarray(values).ravel()
    if not flat.size:
        flat = np.zeros(1)
    is_whole = np.issubdtype(flat.dtype, np.integer)
    texts = [str(v) for v in flat.tolist()] if is_whole else [repr(float(v)) for v in flat]
    lines = [", ".join(texts[k : k + PER_LINE]) for k in range(0, len(texts), PER_LINE)]
    return (
        f"static const {'int' if is_whole else 'double'} {name}[{flat.size}] = {{\n    "
        + ",\n    ".join(lines)
        + "};\n"
    )


def comment(lines: Sequence[str]) -> str:
    """A comment; what a line contains cannot end it."""
    texts = [" ".join(line.replace("*/", "* /").replace("/*", "/ *").split()) for line in lines]
    return "/* " + "\n * ".join(texts).replace(" \n", "\n") + "\n */\n"


def definitions(values: Mapping[str, int | str]) -> str:
    """One ``#define`` for each name."""
    return "".join(f"#define {name} {value}\n" for name, value in values.items())


def code(name: str) -> str:
    """The C file of a name in this package."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
