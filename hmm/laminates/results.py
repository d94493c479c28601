"""Stresses of a laminate under a load, and the load of first-ply failure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError
from hmm.laminates.criteria import CRITERIA, failure_modes, limit
from hmm.laminates.stacking import Layer

Floats = NDArray[np.float64]

FACES = ("bottom", "top")


@dataclass(frozen=True)
class PlyFailure:
    """The first failure of a laminate when its forces and moments grow; the temperature does not.

    Attributes
    ----------
    criterion
        Name of the criterion.
    load_factor
        The factor of the given forces and moments at which the first ply fails: infinite if none does, zero if the
        temperature alone is enough.
    layer
        Number of the layer, from 0 at the bottom.
    face
        ``"bottom"`` or ``"top"`` of this layer.
    mode
        The mode of failure, such as ``"matrix tension"``.
    """

    criterion: str
    load_factor: float
    layer: int
    face: str
    mode: str


@dataclass(frozen=True, eq=False)
class LaminateResult:
    """A laminate under a load, from `hmm.laminates.Laminate.under`.

    Attributes
    ----------
    layers
        The layers, from the bottom to the top.
    levels
        z at their faces, shape (n + 1,).
    loads
        Forces and moments per unit of width, shape (6,).
    temperature
        Difference from the temperature without stress.
    deformation
        Strains of the middle plane and curvatures, shape (6,).
    strain
        Strains ``(e1, e2, g12)`` in ply axes at the bottom and the top of each layer, shape (n, 2, 3).
    mechanical, residual
        Stresses ``(s1, s2, s12)`` in ply axes from the loads and from the temperature, shape (n, 2, 3) each.
    """

    layers: tuple[Layer, ...]
    levels: Floats
    loads: Floats
    temperature: float
    deformation: Floats
    strain: Floats
    mechanical: Floats
    residual: Floats

    @property
    def stress(self) -> Floats:
        """Stresses ``(s1, s2, s12)`` in ply axes at the bottom and the top of each layer, shape (n, 2, 3)."""
        return self.mechanical + self.residual

    def load_factors(self, criterion: str = "tsai-wu") -> Floats:
        """The load factor of failure at the bottom and the top of each layer, shape (n, 2).

        It is infinite for plies without strengths.

        Raises
        ------
        InputError
            If no ply has strengths, or the criterion is unknown.
        """
        return np.array([[found[0] for found in row] for row in self._limits(criterion)])

    def first_failure(self, criterion: str = "tsai-wu") -> PlyFailure:
        """The layer that fails first when the forces and moments grow, and their factor.

        Parameters
        ----------
        criterion
            ``"tsai-wu"``, ``"hashin"`` or ``"maximum stress"``.

        Raises
        ------
        InputError
            If no ply has strengths, or the criterion is unknown.
        """
        rows = self._limits(criterion)
        factors = np.array([[found[0] for found in row] for row in rows])
        lowest = factors.min()
        # of layers that fail together up to rounding errors, the lowest one
        layer, face = map(
            int, np.argwhere(factors <= lowest * (1 + 1e-12) if math.isfinite(lowest) else factors > 0)[0]
        )
        mode = rows[layer][face][1] if math.isfinite(lowest) else "none"
        return PlyFailure(criterion, float(lowest), layer, FACES[face], mode)

    def failures(self) -> list[PlyFailure]:
        """The first failure by each criterion; empty if no ply has strengths."""
        if all(layer.ply.strength is None for layer in self.layers):
            return []
        return [self.first_failure(criterion) for criterion in CRITERIA]

    def _limits(self, criterion: str) -> list[list[tuple[float, str]]]:
        strengths = [layer.ply.strength for layer in self.layers]
        modes = [failure_modes(criterion, strength) if strength else [] for strength in strengths]
        if not any(modes):
            raise InputError("no ply of the laminate has strengths: give strength=hmm.laminates.Strength(...)")
        return [
            [limit(own, *both) if own else (math.inf, "none") for both in zip(*of_layer, strict=True)]
            for own, *of_layer in zip(modes, self.residual, self.mechanical, strict=True)
        ]

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows of strains and stresses in ply axes, at the bottom and the top of each layer."""
        columns = ["layer", "ply", "angle", "face", "z", "e1", "e2", "g12", "s1", "s2", "s12"]
        rows: list[list[Any]] = []
        for k, layer in enumerate(self.layers):
            for f, face in enumerate(FACES):
                values: Sequence[float] = [self.levels[k + f], *self.strain[k, f], *self.stress[k, f]]
                rows.append([k + 1, layer.ply.name, float(layer.angle), face, *map(float, values)])
        return columns, rows

    def to_dict(self) -> dict[str, Any]:
        """The result as numbers, strings, lists and dictionaries; an infinite load factor becomes None."""
        failures = [dict(vars(found)) for found in self.failures()]
        for found in failures:
            found["load_factor"] = found["load_factor"] if math.isfinite(found["load_factor"]) else None
        columns, rows = self.table()
        return {
            "N": self.loads[:3].tolist(),
            "M": self.loads[3:].tolist(),
            "temperature": self.temperature,
            "strain": self.deformation[:3].tolist(),
            "curvature": self.deformation[3:].tolist(),
            "plies": [dict(zip(columns, row, strict=True)) for row in rows],
            "first_failure": failures,
        }
