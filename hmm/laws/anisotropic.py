"""Linear elasticity of crystals, fibres and other materials that have axes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import ufl
from numpy.typing import ArrayLike

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.laws.base import require_positive
from hmm.laws.elastic import LinearElasticity

type Rotation = ufl.core.expr.Expr | Sequence[Sequence[float]] | None


@dataclass(frozen=True)
class Anisotropic(LinearElasticity):
    """Linear elasticity of any symmetry, ``sigma = C : eps``, in axes of its own.

    Attributes
    ----------
    stiffness
        Mandel stiffness, shape (6, 6), in the axes of the material, in the unit of stress: rows 11, 22, 33, 12, 13, 23,
        as `hmm.EffectiveProperties.tensor` of a 3D cell has it. Symmetric and positive definite. Kept as tuples.
    rotation
        Its columns are the axes of the material in the frame of the cell: numbers, shape (3, 3), or UFL such as a
        Function that differs from grain to grain (see `hmm.cells.Polycrystal.laws`); those of the cell by default.

    See Also
    --------
    Anisotropic.cubic, Anisotropic.transversely_isotropic, Anisotropic.orthotropic, Anisotropic.from_voigt
    """

    stiffness: ArrayLike
    rotation: Rotation = None

    def __post_init__(self) -> None:
        C = _matrix(self.stiffness, (6, 6), "stiffness")
        if not np.allclose(C, C.T, rtol=0, atol=1e-8 * np.abs(C).max()):
            raise InputError("Anisotropic: the stiffness is not symmetric: give a symmetric (6, 6) Mandel matrix")
        if not (least := np.linalg.eigvalsh(C)[0]) > 0:
            raise InputError(f"Anisotropic: the stiffness has the eigenvalue {least:.4g}: it must be positive definite")
        object.__setattr__(self, "stiffness", _tuples((C + C.T) / 2))
        if self.rotation is not None and not isinstance(self.rotation, ufl.core.expr.Expr):
            R = _matrix(self.rotation, (3, 3), "rotation")
            if not np.allclose(R @ R.T, np.eye(3), atol=1e-8) or np.linalg.det(R) < 0:
                raise InputError(f"Anisotropic: rotation = {R.tolist()} must be a (3, 3) rotation matrix")
            object.__setattr__(self, "rotation", _tuples(R))
        elif self.rotation is not None and self.rotation.ufl_shape != (3, 3):
            raise InputError(f"Anisotropic: the rotation has shape {self.rotation.ufl_shape}: give one of (3, 3)")

    @classmethod
    def from_voigt(cls, stiffness: ArrayLike, order: Sequence[str], rotation: Rotation = None) -> Self:
        """From a stiffness with engineering shear strains, shape (6, 6).

        Parameters
        ----------
        stiffness
            In the unit of stress.
        order
            Labels of its rows, for there are several habits: Voigt's is 11, 22, 33, 23, 13, 12; that of
            `hmm.EffectiveProperties.voigt` is its `labels`.
        rotation
            As above.
        """
        C, labels = _matrix(stiffness, (6, 6), "stiffness"), [str(label) for label in order]
        wanted = tensors.symmetric(3).labels
        rows = {own: k for k, label in enumerate(labels) for own in wanted if label in (own, own[::-1])}
        if len(labels) != 6 or len(rows) != 6:
            raise InputError(f"Anisotropic: order = {labels} are not the labels {', '.join(wanted)} in some order")
        index = [rows[label] for label in wanted]
        scale = np.r_[np.ones(3), np.full(3, tensors.SQRT2)]
        return cls(scale[:, None] * C[np.ix_(index, index)] * scale, rotation)

    @classmethod
    def cubic(cls, C11: float, C12: float, C44: float, rotation: Rotation = None) -> Self:
        """A cubic crystal; the elastic constants are in the unit of stress."""
        C = np.diag([C11 - C12] * 3 + [C44] * 3)
        C[:3, :3] += C12
        return cls.from_voigt(C, ("11", "22", "33", "23", "13", "12"), rotation)

    @classmethod
    def transversely_isotropic(
        cls, E1: float, E2: float, nu12: float, nu23: float, G12: float, rotation: Rotation = None
    ) -> Self:
        """The same in all directions across the first axis, such as a carbon fibre or a hexagonal crystal.

        Parameters
        ----------
        E1, E2
            Young's modulus along the axis and across it, in the unit of stress.
        nu12, nu23
            Poisson's ratio for contraction across under tension along the axis, and within the plane across it.
        G12
            Shear modulus along the axis, in the unit of stress. Across it is ``E2 / (2 (1 + nu23))``.
        rotation
            As above.
        """
        require_positive("Anisotropic", E2=E2, **{"1 + nu23": 1 + nu23})
        return cls.orthotropic((E1, E2, E2), (nu12, nu12, nu23), (G12, G12, E2 / (2 * (1 + nu23))), rotation)

    @classmethod
    def orthotropic(
        cls,
        young: Sequence[float],
        poisson: Sequence[float],
        shear: Sequence[float],
        rotation: Rotation = None,
    ) -> Self:
        """Three planes of symmetry, such as wood.

        Parameters
        ----------
        young
            E1, E2, E3, in the unit of stress.
        poisson
            nu12, nu13, nu23, where ``nu12 = -eps22 / eps11`` under tension along the first axis.
        shear
            G12, G13, G23, in the unit of stress.
        rotation
            As above.
        """
        if not len(young) == len(poisson) == len(shear) == 3:
            raise InputError(
                f"Anisotropic: young = {young}, poisson = {poisson}, shear = {shear}: give three numbers for each"
            )
        for name, values in (("young", young), ("shear", shear)):
            for value in values:
                require_positive("Anisotropic", **{name: value})
        S = np.diag(1 / np.array([*young, *(2 * G for G in shear)], dtype=float))
        for (i, j), nu in zip(((0, 1), (0, 2), (1, 2)), poisson, strict=True):
            S[i, j] = S[j, i] = -nu / young[i]
        if not np.linalg.eigvalsh(S)[0] > 0:
            raise InputError(
                f"Anisotropic: no material has Poisson's ratios {tuple(poisson)} with Young's moduli {tuple(young)}: "
                "nu12 is -eps22 / eps11 under tension along 1"
            )
        return cls(np.linalg.inv(S), rotation)

    def stress(self, strain: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), of an elastic strain."""
        packing = tensors.symmetric(3)
        R = None if self.rotation is None else ufl.as_tensor(self.rotation)
        own = strain if R is None else R.T * strain * R
        stress = packing.unpack(ufl.dot(ufl.as_matrix(self.stiffness), packing.pack(own)))
        return stress if R is None else R * stress * R.T


def _matrix(values: object, shape: tuple[int, int], name: str) -> np.ndarray:
    """Finite numbers in an array of that shape."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"Anisotropic: {name} = {values!r} is no matrix of numbers: give shape {shape}") from None
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"Anisotropic: {name}, shape {array.shape}, must be a {shape} matrix of finite numbers")
    return array


def _tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
