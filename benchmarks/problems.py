"""Geometry that several codes are given alike."""

from __future__ import annotations

import numpy as np


def sphere_labels(n: int) -> np.ndarray:
    """Problems A and B3: 1 in the voxels whose centre is in the sphere of radius 0.3, shape (n, n, n)."""
    centre = (np.indices((n, n, n)) + 0.5) / n - 0.5
    return ((centre**2).sum(axis=0) < 0.09).astype(int)
