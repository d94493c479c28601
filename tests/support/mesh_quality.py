"""Shape of the elements of a cell, and whether its faces match."""

import numpy as np

from hmm import Cell


def radius_ratios(cell: Cell) -> np.ndarray:
    """d * inradius / circumradius of each straight-sided simplex; 1 if it is regular, 0 if it is flat."""
    d = cell.dim
    x = cell.mesh.geometry.x[cell.mesh.geometry.dofmaps[0]][:, : d + 1, :d]
    edges = x[:, 1:] - x[:, :1]
    volume = np.abs(np.linalg.det(edges)) / {2: 2, 3: 6}[d]
    # The circumcentre c, from the first vertex, solves 2 edge . c = |edge|^2 for the d edges at that vertex.
    circumradius = np.linalg.norm(np.linalg.solve(2 * edges, (edges**2).sum(axis=2)[..., None])[..., 0], axis=1)
    # Facet i has the measure d * volume * |grad lambda_i|, and the inradius is d * volume / (sum of facet measures).
    gradients = np.linalg.inv(edges)
    norms = np.c_[np.linalg.norm(gradients, axis=1), np.linalg.norm(gradients.sum(axis=2), axis=1)]
    assert np.all(volume > 0)
    return d / norms.sum(axis=1) / circumradius


def unmatched(cell: Cell, points: np.ndarray) -> int:
    """Number of points, on either of two opposite faces, without a partner on the other; zero points are an error."""
    s, count = cell.fractional(points), 0
    for axis in range(cell.dim):
        low, high = (np.delete(s[np.abs(s[:, axis] - side) < 1e-9], axis, axis=1) for side in (0, 1))
        assert len(low) and len(high)
        distance = np.linalg.norm(low[:, None] - high[None], axis=2)
        count += int((distance.min(axis=1) > 1e-9).sum() + (distance.min(axis=0) > 1e-9).sum())
    return count
