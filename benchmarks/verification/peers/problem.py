"""What all codes read and print: a cell with its mesh and moduli, and the stiffness with time and memory.

Only NumPy is needed: this file is used in the environments of the other codes too.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DIM = {"triangle": 2, "tetrahedron": 3, "hexahedron": 3}


@dataclass(frozen=True)
class Problem:
    """A box-shaped cell of isotropic phases, in plane strain if it is plane.

    Attributes
    ----------
    points
        Shape (n, d).
    elements
        Vertices in the order of VTK.
    tags
        Phase of each element.
    kind
        ``"triangle"``, ``"tetrahedron"`` or ``"hexahedron"``.
    size
        Edges of the box.
    moduli
        Rows (tag, Young's modulus, Poisson's ratio).
    grid
        Tags of a voxel grid, shape (nx, ny, nz); empty for other cells.
    """

    points: np.ndarray
    elements: np.ndarray
    tags: np.ndarray
    kind: str
    size: np.ndarray
    moduli: np.ndarray
    grid: np.ndarray

    @property
    def dim(self) -> int:
        """2 or 3."""
        return DIM[self.kind]

    def write(self, path: Path) -> None:
        """Write as .npz."""
        np.savez(path, **vars(self))

    @classmethod
    def read(cls, path: str | Path) -> Problem:
        """Read what `write` wrote."""
        with np.load(path) as data:
            return cls(**{name: str(data[name]) if name == "kind" else data[name] for name in cls.__annotations__})


def main(solve: Callable[[Problem], np.ndarray], version: str) -> None:
    """Solve the problem whose file is the first argument, and print stiffness, CPU seconds and peak memory as JSON.

    `solve` returns the Voigt stiffness, rows 11, 22, 12 or 11, 22, 33, 12, 13, 23. The first of two solutions loads
    and compiles what is needed; the second one counts.
    """
    problem = Problem.read(sys.argv[1])
    solve(problem)
    start = time.process_time()
    stiffness = np.asarray(solve(problem), dtype=float)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"version": version, "C": stiffness.tolist(), "seconds": seconds, "peak_mb": peak}))
