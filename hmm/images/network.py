"""The network of the interfaces of a plane image: nodes, segments, and the piece on either side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MARGIN = 0.1
"""Smallest distance, in pixels, of interfaces from the boundary of the cell and its corners."""


@dataclass(frozen=True, eq=False)
class Network:
    """Straight segments between nodes, including those of the cell's boundary.

    Attributes
    ----------
    points
        Shape (n, 2), in pixels.
    torus
        Shape (n,); nodes that are images of each other have the same number.
    free
        Shape (n, 2); the directions in which a node may move.
    segments
        Shape (m, 2), nodes.
    sides
        Shape (m, 2); the piece left and right of each segment, -1 outside the cell.
    areas
        Shape (n_pieces,); area of each piece in the image, in pixels.
    tags
        Shape (n_pieces,); the tag of each piece's phase.
    """

    points: Floats
    torus: Ints
    free: NDArray[np.bool_]
    segments: Ints
    sides: Ints
    areas: Floats
    tags: NDArray[np.int32]

    def measured(self) -> Floats:
        """Area of each piece, by Green's theorem."""
        p, q = self.points[self.segments[:, 0]], self.points[self.segments[:, 1]]
        swept = 0.5 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
        result = np.zeros(len(self.areas) + 1)  # the last one is the outside
        np.add.at(result, self.sides[:, 0], swept)
        np.add.at(result, self.sides[:, 1], -swept)
        return result[:-1]

    def moved(self, displacement: Floats) -> Network:
        """The network with each torus node displaced, shape (n_torus, 2), where it is free."""
        low, high = np.min(self.points, axis=0), np.max(self.points, axis=0)
        inside = np.clip(self.points + displacement[self.torus], low + MARGIN, high - MARGIN)
        return replace(self, points=np.where(self.free, inside, self.points))
