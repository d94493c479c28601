"""Classical laminate theory: the stiffness of a stack of plies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.options import is_real, numbers
from hmm.laminates.plies import Ply, turning
from hmm.laminates.results import LaminateResult
from hmm.laminates.stacking import Layer, stacked

Floats = NDArray[np.float64]


class Laminate:
    """A thin plate of perfectly bonded layers, by classical laminate theory.

    The strain is linear through the thickness, ``e(z) = e0 + z k``, and the forces and moments per unit of width are
    ``N = A e0 + B k - N_T`` and ``M = B e0 + D k - M_T``. All vectors are ``(x, y, xy)`` with the engineering shear
    strain, and ``k`` holds twice the twist. The axis z points from the first layer to the last one, with its origin in
    the middle. Source: Jones, *Mechanics of Composite Materials* (1999), Chapter 4; Reddy, *Mechanics of Laminated
    Composite Plates and Shells* (2004), Section 3.3.

    Parameters
    ----------
    layers
        The layers, from the bottom to the top.

    Raises
    ------
    InputError
        If there is no layer.
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = tuple(layers)
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise InputError(
                    f"a {type(layer).__name__} is not a layer: make it with hmm.laminates.Layer or stacked"
                )
        if not self.layers:
            raise InputError("the laminate has no layers: give at least one")

    @classmethod
    def of(cls, stacking: str | Sequence[float], ply: Ply, thickness: float) -> Self:
        """A laminate of equal plies (see `stacked`): ``Laminate.of("[0/±45/90]s", ply, 0.125)``."""
        return cls(stacked(stacking, ply, thickness))

    # -- stiffness -----------------------------------------------------------------------------------------------------

    @cached_property
    def levels(self) -> Floats:
        """Z at the faces of the layers, shape (n + 1,)."""
        z = np.r_[0.0, np.cumsum([layer.thickness for layer in self.layers])]
        return np.asarray(z - z[-1] / 2)

    @property
    def thickness(self) -> float:
        """Total thickness."""
        return float(self.levels[-1] - self.levels[0])

    @cached_property
    def turnings(self) -> Floats:
        """Matrices that turn strains of the laminate to those of each ply, shape (n, 3, 3)."""
        return np.array([turning(layer.angle) for layer in self.layers])

    @cached_property
    def stiffnesses(self) -> Floats:
        """Reduced stiffness of each layer in the axes of the laminate, shape (n, 3, 3)."""
        Q = np.array([layer.ply.stiffness for layer in self.layers])
        return np.einsum("nji,njk,nkl->nil", self.turnings, Q, self.turnings)

    @property
    def A(self) -> Floats:
        """Stiffness against stretching, shape (3, 3), force per width."""
        return self._integral(1)

    @property
    def B(self) -> Floats:
        """Coupling of stretching and bending, shape (3, 3), force; zero if the laminate is symmetric."""
        return self._integral(2)

    @property
    def D(self) -> Floats:
        """Stiffness against bending, shape (3, 3), force times length."""
        return self._integral(3)

    @cached_property
    def ABD(self) -> Floats:
        """The matrix ``[[A, B], [B, D]]``, shape (6, 6)."""
        return np.block([[self.A, self.B], [self.B, self.D]])

    @cached_property
    def compliance(self) -> Floats:
        """The inverse of `ABD`, shape (6, 6): strains and curvatures per unit of force and moment."""
        units = np.r_[np.ones(3), np.full(3, 1 / self.thickness)]  # of equal magnitude, for the condition number
        return units[:, None] * np.linalg.inv(units[:, None] * self.ABD * units) * units

    @property
    def constants(self) -> dict[str, float]:
        """``Ex``, ``Ey``, ``nuxy``, ``Gxy`` of the plate, and ``Ex bending`` and so on; it may bend when stretched.

        Those of stretching are of a homogeneous plate with the same mean strain under a force, and those of bending of
        one with the same curvature under a moment.
        """
        h, S = self.thickness, self.compliance
        stretching, bending = h * S[:3, :3], h**3 / 12 * S[3:, 3:]
        return _constants(stretching) | {f"{name} bending": value for name, value in _constants(bending).items()}

    @property
    def is_symmetric(self) -> bool:
        """Whether `B` is zero up to rounding errors."""
        return not self.B.any()

    def to_dict(self) -> dict[str, Any]:
        """The laminate as numbers, strings, lists and dictionaries."""
        layers = [[layer.ply.name, float(layer.angle), float(layer.thickness)] for layer in self.layers]
        found: dict[str, Any] = {"layers": layers, "thickness": self.thickness, "symmetric": self.is_symmetric}
        found |= {name: getattr(self, name).tolist() for name in ("A", "B", "D", "compliance", "expansion")}
        return found | {"constants": self.constants}

    # -- loads ---------------------------------------------------------------------------------------------------------

    @cached_property
    def expansions(self) -> Floats:
        """Free strain of each layer per unit of temperature in the axes of the laminate, shape (n, 3)."""
        own = [layer.ply.expansion for layer in self.layers]
        return np.array([np.linalg.solve(T, alpha) for T, alpha in zip(self.turnings, own, strict=True)])

    def thermal_loads(self, temperature: float) -> tuple[Floats, Floats]:
        """``N_T`` and ``M_T``, shape (3,) each: loads that would give the free expansion.

        Parameters
        ----------
        temperature
            Difference from the temperature without stress, in which the laminate was bonded.
        """
        stress = np.einsum("nij,nj->ni", self.stiffnesses, self.expansions) * temperature
        z = self.levels
        return np.diff(z) @ stress, np.diff(z**2) / 2 @ stress

    @property
    def expansion(self) -> Floats:
        """Strains and curvatures of the free laminate per unit of temperature, shape (6,)."""
        return self.compliance @ np.concatenate(self.thermal_loads(1.0))

    def under(self, N: ArrayLike = (0, 0, 0), M: ArrayLike = (0, 0, 0), temperature: float = 0.0) -> LaminateResult:
        """Strains and stresses under loads per unit of width.

        Parameters
        ----------
        N, M
            Shape (3,): forces ``(Nx, Ny, Nxy)`` and moments ``(Mx, My, Mxy)``; a positive moment stretches the top.
        temperature
            Difference from the temperature without stress.

        Raises
        ------
        InputError
            If a load is not three finite numbers.
        """
        for name, value in (("N", N), ("M", M)):
            if numbers(name, value).shape != (3,) or not np.isfinite(numbers(name, value)).all():
                raise InputError(f"{name} = {value!r}: give three finite numbers, for x, y and xy")
        if not is_real(temperature) or not np.isfinite(temperature):
            raise InputError(f"temperature = {temperature!r}: give the difference from the temperature without stress")
        loads = np.r_[numbers("N", N), numbers("M", M)]
        free = np.concatenate(self.thermal_loads(temperature))
        mechanical, thermal = self.compliance @ loads, self.compliance @ free
        return LaminateResult(
            layers=self.layers,
            levels=self.levels,
            loads=loads,
            temperature=float(temperature),
            deformation=mechanical + thermal,
            strain=self._strains(mechanical + thermal),
            mechanical=self._stresses(mechanical, 0.0),
            residual=self._stresses(thermal, temperature),
        )

    def _strains(self, deformation: Floats) -> Floats:
        """Strains in ply axes at the bottom and the top of each layer, shape (n, 2, 3)."""
        faces = np.column_stack([self.levels[:-1], self.levels[1:]])
        in_plate = deformation[:3] + faces[:, :, None] * deformation[3:]
        return np.einsum("nij,nkj->nki", self.turnings, in_plate)

    def _stresses(self, deformation: Floats, temperature: float) -> Floats:
        """Stresses in ply axes at the bottom and the top of each layer, shape (n, 2, 3)."""
        Q = np.array([layer.ply.stiffness for layer in self.layers])
        free = np.array([layer.ply.expansion for layer in self.layers]) * temperature
        return np.einsum("nij,nkj->nki", Q, self._strains(deformation) - free[:, None, :])

    def _integral(self, power: int) -> Floats:
        """The moment of the stiffness over z; entries of the size of rounding errors are zero."""
        weights = np.diff(self.levels**power) / power
        found = np.einsum("n,nij->ij", weights, self.stiffnesses)
        scale = float(np.abs(weights) @ np.abs(self.stiffnesses).max(axis=(1, 2)))
        return np.where(np.abs(found) <= 1e-14 * scale, 0.0, found)


def _constants(S: Floats) -> dict[str, float]:
    values = {"Ex": 1 / S[0, 0], "Ey": 1 / S[1, 1], "nuxy": -S[0, 1] / S[0, 0], "Gxy": 1 / S[2, 2]}
    return {name: float(value) for name, value in values.items()}
