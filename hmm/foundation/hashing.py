"""Hashes that are the same on any machine and any number of ranks."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): each bit depends on all."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(keys: NDArray[np.integer], seed: int) -> NDArray[np.float64]:
    """A pseudo-random number in [0, 1) for each key, which depends on key and seed only."""
    start = splitmix(np.array([seed % 2**64], dtype=np.uint64))
    return (splitmix(splitmix(keys.astype(np.uint64)) ^ start) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def digest(*arrays: NDArray[np.generic]) -> str:
    """A hash of arrays by shape, type and content: sixteen characters."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(str((array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:16]


GRID = 2.0**32
"""Coordinates are rounded to multiples of this fraction of the largest one."""


def short(signature: str) -> str:
    """A hash of a text: sixteen characters."""
    return hashlib.sha256(signature.encode()).hexdigest()[:16]
