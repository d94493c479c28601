"""Bodies as surfaces of triangles, small enough for a page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 150_000
"""Largest number of triangles of a scene; larger bodies are thinned out."""


@dataclass(frozen=True, eq=False)
class Body:
    """A named surface of one colour.

    Attributes
    ----------
    name, colour
        Its name, and its colour as ``#rrggbb``.
    points
        Shape (n, 3), in the cube [-1, 1]^3.
    triangles
        Shape (k, 3).
    """

    name: str
    colour: str
    points: NDArray[np.float32]
    triangles: NDArray[np.uint32]

    @property
    def data(self) -> dict[str, Any]:
        """The body for the viewer: points as 16-bit integers, base64."""
        whole = np.round((self.points + 1.0) * 32767.5).clip(0, 65535).astype("<u2")
        return {
            "name": self.name,
            "colour": self.colour,
            "points": base64.b64encode(whole.tobytes()).decode(),
            "triangles": base64.b64encode(self.triangles.astype("<u4").tobytes()).decode(),
        }


@dataclass(frozen=True, eq=False)
class Scene:
    """Bodies that are shown together, and the largest edge of their box, in their unit of length."""

    bodies: Sequence[Body]
    size: float

    @property
    def data(self) -> list[dict[str, Any]]:
        """All bodies for the viewer."""
        return [body.data for body in self.bodies]


def scene_of(surfaces: Iterable[tuple[str, str, Any]]) -> Scene | None:
    """A scene of PyVista surfaces with their names and colours; None if there is nothing to show."""
    found = [(name, colour, surface.triangulate()) for name, colour, surface in surfaces if surface.n_cells]
    if not found:
        return None
    total = sum(surface.n_cells for _, _, surface in found)
    if total > LARGEST:
        kept = 1.0 - LARGEST / total
        found = [(name, colour, surface.decimate(kept)) for name, colour, surface in found]
    corners = np.array([np.reshape(surface.bounds, (3, 2)) for _, _, surface in found])
    low, high = corners[:, :, 0].min(axis=0), corners[:, :, 1].max(axis=0)
    size = float((high - low).max()) or 1.0
    bodies = []
    for name, colour, surface in found:
        points = (np.asarray(surface.points) - 0.5 * (low + high)) * (2.0 / size)
        triangles = np.asarray(surface.faces).reshape(-1, 4)[:, 1:]
        bodies.append(Body(name, colour, points.astype(np.float32), triangles.astype(np.uint32)))
    return Scene(bodies, size)
