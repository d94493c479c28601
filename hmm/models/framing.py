"""Messages between a `ProcessModel` and its workers: named arrays of doubles in a simple binary format.

A message is a head and `count` arrays, all little-endian::

    "HMM1"  uint32 kind  uint32 count
    count times:  uint32 length  name (ASCII)  uint32 rank  uint64 extent[rank]  float64 data[...]  (C order)

======= ========= =====================================================================================
kind    from      arrays
======= ========= =====================================================================================
1       hmm       a question: ``E`` (n, m), ``dt`` (1,), each variable ``old:NAME`` (n, ...)
2       worker    the answer: ``response`` (n, m), ``tangent`` (n, m, m) if known, each ``new:NAME``
3       worker    a failure of all points: an empty array whose name is the reason
======= ========= =====================================================================================

A worker reads questions from standard input and writes answers to standard output until the input ends. A point
without an answer has NaN in its response. The module needs NumPy only, so that workers can import it from its file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

MAGIC = b"HMM1"
QUESTION, ANSWER, FAILURE = 1, 2, 3

MOST_ARRAYS, LONGEST_NAME, HIGHEST_RANK, MOST_NUMBERS = 4096, 4096, 8, 2**34
"""Limits of a valid message."""

Arrays = dict[str, NDArray[np.float64]]

Read = Callable[[int], bytes]
"""Reads a given number of bytes; raises `EOFError` if there are fewer."""


class BadMessage(ValueError):
    """The bytes are not a valid message."""


def encode(kind: int, arrays: Mapping[str, NDArray[np.float64]]) -> bytes:
    """The bytes of a message."""
    parts = [MAGIC, struct.pack("<II", kind, len(arrays))]
    for name, array in arrays.items():
        text = name.encode("ascii", "replace")[:LONGEST_NAME]
        values = np.asarray(array, dtype="<f8", order="C")
        parts += [struct.pack("<I", len(text)), text, struct.pack(f"<I{values.ndim}Q", values.ndim, *values.shape)]
        parts.append(values.tobytes())
    return b"".join(parts)


def decode(read: Read) -> tuple[int, Arrays]:
    """The kind and the arrays of the next message.

    Raises
    ------
    BadMessage
        If the bytes are not a valid message.
    EOFError
        If they end.
    """
    if (magic := read(4)) != MAGIC:
        raise BadMessage(f"a message begins with {magic!r} and should begin with {MAGIC!r}")
    kind, count = struct.unpack("<II", read(8))
    _require(count <= MOST_ARRAYS, f"{count} arrays")
    arrays: Arrays = {}
    for _ in range(count):
        (length,) = struct.unpack("<I", read(4))
        _require(length <= LONGEST_NAME, f"a name of {length} bytes")
        name = read(length).decode("ascii", "replace")
        (rank,) = struct.unpack("<I", read(4))
        _require(rank <= HIGHEST_RANK, f"{name} of rank {rank}")
        shape = struct.unpack(f"<{rank}Q", read(8 * rank))
        numbers = int(np.prod(shape, dtype=object))
        _require(numbers <= MOST_NUMBERS, f"{name} of shape {shape}")
        arrays[name] = np.frombuffer(read(8 * numbers), dtype="<f8").reshape(shape).copy()
    return kind, arrays


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise BadMessage(f"a message announces {what}")
