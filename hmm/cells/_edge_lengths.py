"""Wanted edge lengths of a mesh, on a grid that Gmsh interpolates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import sqrt
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from hmm.cells._checks import check_elements

BLOCK = 12
"""Edge of the blocks of grid points whose edge lengths are computed together, from the same bodies nearby."""


@dataclass(frozen=True)
class EdgeLengths:
    """Edge lengths on a grid, which Gmsh interpolates; calls into Python for each point would take minutes.

    Attributes
    ----------
    low, step
        Shape (d,); origin and spacing of the grid.
    values
        Shape (n_1, ..., n_d).
    """

    low: NDArray[np.float64]
    step: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def tabulate(
        cls,
        lattice: NDArray[np.float64],
        edge_lengths: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        shortest: float,
    ) -> EdgeLengths:
        """The edge lengths in a cell.

        Parameters
        ----------
        lattice
            Shape (d, d), rows the lattice vectors; the cell starts at the origin.
        edge_lengths
            Edge length at points of shape (p, d).
        shortest
            Edge length the grid should resolve.

        Raises
        ------
        InputError
            If the mesh would not fit into the free memory.
        """
        dim = len(lattice)
        corners = np.array(list(product((0, 1), repeat=dim))) @ lattice
        low, high = corners.min(axis=0), corners.max(axis=0)
        n = int(np.clip(np.ceil((high - low).max() / shortest), 24, {2: 400, 3: 72}[dim]))
        points = np.stack(np.meshgrid(*np.linspace(low, high, n + 1).T, indexing="ij"), axis=-1).reshape(-1, dim)
        block = np.ravel_multi_index(tuple(np.indices((n + 1,) * dim) // BLOCK), (n // BLOCK + 1,) * dim).ravel()
        order = np.argsort(block, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(block[order])) + 1)
        sizes = np.zeros(len(points))
        for part in parts:
            sizes[part] = edge_lengths(points[part])
        simplex = {2: sqrt(3) / 4, 3: 1 / (6 * sqrt(2))}[dim]
        check_elements(abs(float(np.linalg.det(lattice))) * float(np.mean(1 / (simplex * sizes**dim))), "mesh_size")
        return cls(low, (high - low) / n, sizes.astype(float).reshape((n + 1,) * dim))

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Edge lengths at points of shape (p, d), periodic, for a cell that is the unit square or cube."""
        index = ((points - self.low) % 1.0) / self.step
        return np.asarray(map_coordinates(self.values, index.T, order=1, mode="nearest"))

    @contextmanager
    def background(self, model: Any) -> Iterator[None]:
        """Set these edge lengths in Gmsh."""
        dim = self.values.ndim
        with NamedTemporaryFile(suffix=".bin") as file:
            file.write(np.r_[self.low, np.zeros(3 - dim)].tobytes() + np.r_[self.step, np.ones(3 - dim)].tobytes())
            file.write(np.array([*self.values.shape, *[1] * (3 - dim)], dtype=np.intc).tobytes())
            file.write(self.values.tobytes())
            file.flush()
            field = model.mesh.field.add("Structured")
            model.mesh.field.setString(field, "FileName", file.name)
            model.mesh.field.setAsBackgroundMesh(field)
            yield
            model.mesh.field.remove(field)
