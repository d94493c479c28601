"""Linear elasticity of crystals, fibres and other materials that have axes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import numpy as np
import ufl
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation as Rotations

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.laws.base import require_positive
from hmm.laws.elastic import LinearElasticity
from hmm.laws.registry import declare

type Rotation = ufl.core.expr.Expr | Sequence[Sequence[float]] | None
type Axis = int | Sequence[float]


TRANSVERSELY_ISOTROPIC = {"E1": "stress", "E2": "stress", "nu12": "", "nu23": "", "G12": "stress"}
"""Elastic constants of a transversely isotropic material, and their units."""


@declare(
    "small strain",
    {"stiffness": "stress, (6, 6) Mandel", "rotation": ""},
    {
        "cubic": {"C11": "stress", "C12": "stress", "C44": "stress", "rotation": ""},
        "transversely_isotropic": {**TRANSVERSELY_ISOTROPIC, "rotation": "", "axis": ""},
        "orthotropic": {"young": "stress", "poisson": "", "shear": "stress", "rotation": ""},
        "from_voigt": {"stiffness": "stress, (6, 6)", "order": "labels of its rows", "rotation": ""},
    },
    tests=["laws/test_laws_anisotropic.py"],
)
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

    Notes
    -----
    The axis of `transversely_isotropic` lies along axis 3 of the cell, as do the fibres of plane and extruded cells.

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
        object.__setattr__(self, "rotation", rotation_of("Anisotropic", self.rotation))

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
        cls,
        E1: float,
        E2: float,
        nu12: float,
        nu23: float,
        G12: float,
        rotation: Rotation = None,
        axis: Axis = 3,
    ) -> Self:
        """The same in all directions across one axis, such as a carbon fibre or a hexagonal crystal.

        In the names of the constants, as data sheets have them, 1 is the axis of the material, wherever it lies; in
        the cell it lies along `axis`.

        Parameters
        ----------
        E1, E2
            Young's modulus along the axis and across it, in the unit of stress.
        nu12, nu23
            Poisson's ratio for contraction across under tension along the axis, and within the plane across it.
        G12
            Shear modulus along the axis, in the unit of stress. Across it is ``E2 / (2 (1 + nu23))``.
        rotation
            As above; it turns the axis too.
        axis
            Where the axis lies: 1, 2 or 3, or a direction of any length, shape (3,). By default 3, along the fibres
            of plane fibre cells (across the plane) and of what `hmm.cells.extrude` makes of them.
        """
        require_positive("Anisotropic", E2=E2, **{"1 + nu23": 1 + nu23})
        along = unit_vector("Anisotropic", axis)
        own = cls.orthotropic((E1, E2, E2), (nu12, nu12, nu23), (G12, G12, E2 / (2 * (1 + nu23))))
        return cls(_rotated(np.array(own.stiffness), _frame(along)), rotation)

    @classmethod
    def orthotropic(
        cls,
        young: Sequence[float],
        poisson: Sequence[float],
        shear: Sequence[float],
        rotation: Rotation = None,
    ) -> Self:
        """Three planes of symmetry, such as wood; the axes 1, 2 and 3 are those of the cell.

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

    @property
    def own_axis(self) -> np.ndarray | None:
        """Axis of transverse isotropy in the axes of the material, a unit vector, shape (3,); None without one."""
        return _axis_of(np.array(self.stiffness))

    @property
    def axis(self) -> np.ndarray | None:
        """Axis of transverse isotropy in the frame of the cell, a unit vector, shape (3,).

        None of other materials, and if the rotation is a field.
        """
        own = self.own_axis
        if own is None or isinstance(self.rotation, ufl.core.expr.Expr):
            return None
        return own if self.rotation is None else np.array(self.rotation) @ own

    @property
    def initial_modulus(self) -> float:
        """The largest eigenvalue of the stiffness, for `hmm.laws.Rigid`."""
        return float(np.linalg.eigvalsh(np.array(self.stiffness))[-1])

    def stress(self, strain: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """Cauchy stress, shape (3, 3), of an elastic strain."""
        packing = tensors.symmetric(3)
        R = None if self.rotation is None else ufl.as_tensor(self.rotation)
        own = strain if R is None else R.T * strain * R
        stress = packing.unpack(ufl.dot(ufl.as_matrix(self.stiffness), packing.pack(own)))
        return stress if R is None else R * stress * R.T


def rotation_of(law: str, rotation: Rotation) -> Rotation:
    """The axes of a material as they are kept, checked: UFL of shape (3, 3), tuples of numbers, or None."""
    if rotation is None:
        return None
    if isinstance(rotation, ufl.core.expr.Expr):
        if rotation.ufl_shape != (3, 3):
            raise InputError(f"{law}: the rotation has shape {rotation.ufl_shape}: give one of (3, 3)")
        return rotation
    R = _matrix(rotation, (3, 3), "rotation", law)
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-8) or np.linalg.det(R) < 0:
        raise InputError(f"{law}: rotation = {R.tolist()} must be a (3, 3) rotation matrix")
    return _tuples(R)


def unit_vector(law: str, axis: Axis) -> np.ndarray:
    """The unit vector, shape (3,), of an axis that is given by its number or as a direction of any length."""
    if isinstance(axis, int) and not isinstance(axis, bool) and axis in (1, 2, 3):
        return np.eye(3)[axis - 1]
    with suppress(TypeError, ValueError):
        direction = np.asarray(axis, dtype=float)
        length = float(np.linalg.norm(direction))
        if direction.shape == (3,) and 0 < length < np.inf:
            return direction if abs(length - 1) < 1e-15 else direction / length  # what is one stays the same
    raise InputError(f"{law}: axis = {axis!r} is no axis: give 1, 2 or 3, or a direction of three numbers")


def _frame(first: np.ndarray) -> np.ndarray:
    """A rotation, shape (3, 3), whose first column is a given unit vector; cyclic for the axes themselves."""
    k = int(np.argmax(np.abs(first)))
    second = np.cross(np.eye(3)[(k + 2) % 3], first)
    second /= np.linalg.norm(second)
    return np.column_stack([first, second, np.cross(first, second)])


def _rotated(stiffness: np.ndarray, R: np.ndarray) -> np.ndarray:
    """A Mandel stiffness in a frame in which the columns of R are its axes."""
    Q = tensors.symmetric(3).rotation(R)
    return Q @ stiffness @ Q.T


def _axis_of(stiffness: np.ndarray) -> np.ndarray | None:
    """The only axis about which any rotation leaves a Mandel stiffness as it is; None if there is none or many.

    It is the direction of the eigenvalue that stands alone of ``C_ijkk`` or of ``C_ikjk`` (Cowin and Mehrabadi, *Q. J.
    Mech. Appl. Math.* 40 (1987) 451).
    """
    C = tensors.symmetric(3).to_fourth_order(stiffness)
    for pair in (np.einsum("ijkk", C), np.einsum("ikjk", C)):
        values, vectors = np.linalg.eigh(pair)
        gaps = np.diff(values) / np.abs(values).max()
        if gaps.max() < 1e-6:
            continue
        axis = vectors[:, 2 if gaps[1] > gaps[0] else 0]
        about = Rotations.from_rotvec(axis).as_matrix()  # by one radian: no symmetry of a crystal
        if np.abs(_rotated(stiffness, about) - stiffness).max() < 1e-6 * np.abs(stiffness).max():
            return np.asarray(axis * np.sign(axis[np.argmax(np.abs(axis))]))
    return None


def _matrix(values: object, shape: tuple[int, int], name: str, law: str = "Anisotropic") -> np.ndarray:
    """Finite numbers in an array of that shape."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{law}: {name} = {values!r} is no matrix of numbers: give shape {shape}") from None
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"{law}: {name}, shape {array.shape}, must be a {shape} matrix of finite numbers")
    return array


def _tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
