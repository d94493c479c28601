"""A ply: the plane-stress compliance of a layer in its own axes, its thermal expansion and its strengths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.effective.data import EffectiveData
from hmm.foundation.errors import InputError
from hmm.foundation.options import instance, is_real, numbers, positive
from hmm.laminates.criteria import Strength

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ply:
    """The material of a layer in plane stress, in its own axes: 1 along the fibres, 2 across them.

    Attributes
    ----------
    compliance
        Shape (3, 3), Voigt: strains ``(e1, e2, g12)``, with the engineering shear strain, per unit of the stresses
        ``(s1, s2, s12)``.
    expansion
        Shape (3,): free strain per unit of temperature.
    strength
        The strengths, for failure criteria.
    name
        Its name in tables.
    """

    compliance: Floats
    expansion: Floats = field(default_factory=lambda: np.zeros(3))
    strength: Strength | None = None
    name: str = "ply"

    def __post_init__(self) -> None:
        S, alpha = numbers("compliance", self.compliance), numbers("expansion", self.expansion)
        if S.shape != (3, 3) or alpha.shape != (3,) or not np.isfinite(S).all() or not np.isfinite(alpha).all():
            raise InputError("give a finite compliance of shape (3, 3) and an expansion of shape (3,)")
        if np.linalg.eigvalsh((S + S.T) / 2).min() <= 0:
            raise InputError("the compliance is not positive definite: check the constants (nu12^2 < E1/E2)")
        object.__setattr__(self, "compliance", (S + S.T) / 2)
        object.__setattr__(self, "expansion", alpha)

    @classmethod
    def of_constants(
        cls,
        E1: float,
        E2: float,
        nu12: float,
        G12: float,
        *,
        alpha1: float = 0.0,
        alpha2: float = 0.0,
        strength: Strength | None = None,
        name: str = "ply",
    ) -> Self:
        """A ply from engineering constants.

        Parameters
        ----------
        E1, E2
            Young's moduli along and across the fibres.
        nu12
            Poisson's ratio: contraction along 2 under stress along 1.
        G12
            Shear modulus.
        alpha1, alpha2
            Thermal expansion.
        strength, name
            As for the class.

        Raises
        ------
        InputError
            If a modulus is not positive, or the constants violate ``nu12^2 < E1 / E2``.
        """
        for key, value in (("E1", E1), ("E2", E2), ("G12", G12)):
            positive(key, value)
        if not is_real(nu12) or not nu12**2 < E1 / E2:
            raise InputError(f"nu12 = {nu12!r}: the energy is positive for nu12^2 < E1/E2 = {E1 / E2:.4g}")
        compliance = np.array([[1 / E1, -nu12 / E1, 0], [-nu12 / E1, 1 / E2, 0], [0, 0, 1 / G12]])
        return cls(compliance, np.array([alpha1, alpha2, 0.0]), strength, name)

    @classmethod
    def of_properties(
        cls,
        found: EffectiveData,
        *,
        fibres: int | ArrayLike = 1,
        normal: int | ArrayLike | None = None,
        strength: Strength | None = None,
        name: str = "ply",
    ) -> Self:
        """A ply of a homogenized material, under zero stress through its thickness.

        Parameters
        ----------
        found
            Effective properties in 3D, of elasticity or thermo-elasticity.
        fibres
            The direction of the fibres in the cell, which becomes the axis 1 of the ply: a vector, or an axis 1, 2 or
            3. It is 3 for a plane cell that was extruded.
        normal
            The direction through the thickness, likewise; by default the axis 3, or 2 if the fibres are along 3.
        strength, name
            As for the class.

        Raises
        ------
        InputError
            If the properties are not a 3D stiffness, or the directions are not orthogonal.
        """
        instance("found", found, EffectiveData, "give the result of hmm.homogenize")
        if not found.is_stiffness or found.dim != 3:
            raise InputError(
                f"a ply needs a stiffness in 3D, but this is a {found.quantity} in {found.dim}D: extrude the "
                "plane cell (hmm.cells.extrude, or 'extrude' in a job)"
            )
        turned = found.in_axes(_axes(fibres, normal))
        voigt = _voigt(turned.compliance)
        alpha = turned.thermal_expansion
        free = np.zeros(3) if alpha is None else alpha[[0, 1, 3]] * [1, 1, np.sqrt(2)]
        return cls(voigt, free, strength, name)

    @property
    def stiffness(self) -> Floats:
        """``Q``, the reduced stiffness, shape (3, 3), Voigt."""
        return np.linalg.inv(self.compliance)

    @property
    def constants(self) -> dict[str, float]:
        """``E1``, ``E2``, ``nu12`` and ``G12``."""
        S = self.compliance
        values = {"E1": 1 / S[0, 0], "E2": 1 / S[1, 1], "nu12": -S[0, 1] / S[0, 0], "G12": 1 / S[2, 2]}
        return {name: float(value) for name, value in values.items()}


def turning(angle: float) -> Floats:
    """The matrix, shape (3, 3), of strains ``(ex, ey, gxy)`` to those of a ply at an angle in degrees from x to y.

    Its transpose turns stresses of the ply to those of the laminate. Source: Jones, *Mechanics of Composite Materials*
    (1999), Eqs. 2.75 to 2.79.
    """
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[c * c, s * s, c * s], [s * s, c * c, -c * s], [-2 * c * s, 2 * c * s, c * c - s * s]])


def _voigt(compliance: Floats) -> Floats:
    """The rows 11, 22, 12 of a Mandel compliance in 3D, with engineering shear strains."""
    factors = np.array([1.0, 1.0, np.sqrt(2)])
    return compliance[np.ix_([0, 1, 3], [0, 1, 3])] * np.outer(factors, factors)


def _axes(fibres: int | ArrayLike, normal: int | ArrayLike | None) -> Floats:
    """Unit vectors along the fibres, across them in the plane, and through the thickness, as rows."""
    one = _direction("fibres", fibres)
    if normal is None:
        normal = next(k for k in (3, 2, 1) if abs(one[k - 1]) < 1e-8 or k == 1)
    three = _direction("normal", normal)
    if abs(one @ three) > 1e-8:
        raise InputError("the directions of fibres and normal are not orthogonal: the ply contains its fibres")
    return np.array([one, np.cross(three, one), three])


def _direction(key: str, value: int | ArrayLike) -> Floats:
    """A unit vector from an axis or a vector."""
    if isinstance(value, int) and value in (1, 2, 3):
        return np.eye(3)[value - 1]
    v = numbers(key, value)
    if v.shape != (3,) or not np.isfinite(v).all() or not v.any():
        raise InputError(f"{key} = {value!r}: give an axis 1, 2 or 3, or a direction of three numbers")
    return v / np.linalg.norm(v)
