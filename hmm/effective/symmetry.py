"""The symmetry class of a tensor, independent of its axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing

Floats = NDArray[np.float64]

TOLERANCE = 1e-2
"""Relative distance up to which a tensor belongs to a class; larger than the effect of an unsymmetric mesh."""

MISALIGNED = 0.05
"""Distance per anisotropy up to which given axes count as symmetry axes: about a rotation by one degree."""

GRID = 2000
"""Number of initial orientations in the search for the axes; neighbours are about 15 degrees apart."""


@dataclass(frozen=True, eq=False)
class Symmetry:
    """The symmetry class of a stiffness, a conductivity or a permeability.

    Attributes
    ----------
    name
        The class, the most symmetric one within the tolerance. Stiffness in 3D: ``"isotropic"``, ``"cubic"``,
        ``"transversely isotropic"`` (hexagonal), ``"tetragonal"``, ``"trigonal"``, ``"orthotropic"``,
        ``"monoclinic"``, ``"triclinic"``; in 2D ``"isotropic"``, ``"square"``, ``"rectangular"``, ``"oblique"``.
        Second-order tensors: ``"isotropic"``, ``"uniaxial"`` (3D only), ``"orthotropic"``.
    axes
        Shape (d, d); row i is the unit vector of the symmetry axis i. A single axis of symmetry is the last one. If
        the given axes are symmetry axes, they are returned; otherwise the symmetry axes nearest to them.
    distances
        For each class the distance ``|C - C_class| / |C|`` (Frobenius) to its nearest tensor, with any axes.
    tolerance
        Distance up to which a tensor belongs to a class.
    """

    name: str
    axes: Floats
    distances: Mapping[str, float]
    tolerance: float

    @property
    def distance(self) -> float:
        """Distance to the class."""
        return self.distances[self.name]


def symmetry_of_stiffness(stiffness: ArrayLike, tolerance: float = TOLERANCE) -> Symmetry:
    """Find the symmetry class of a stiffness and its axes.

    For each class the distance to it is minimized over all orientations of its axes. For given axes the nearest
    tensor is the mean over the rotations of the class (Moakher and Norris 2006). The initial axes are the eigenvectors
    of the dilatational tensor C_ijkk and the Voigt tensor C_ikjk (Cowin and Mehrabadi 1987) and a grid of orientations,
    since these tensors are isotropic for a cubic material. The best of them are refined by least squares.

    Parameters
    ----------
    stiffness
        Mandel matrix: (6, 6) in 3D, (3, 3) in 2D, or (4, 4) in 2D with the component 33. In 2D the classes are those of
        rotations and reflections in the plane.
    tolerance
        Relative distance up to which the stiffness belongs to a class.

    Raises
    ------
    InputError
        If it has another shape, is zero or not finite, or the tolerance is not in (0, 1).

    Notes
    -----
    Sources: Moakher and Norris, *J. Elasticity* 85 (2006) 215; Cowin and Mehrabadi, *Q. J. Mech. Appl. Math.* 40 (1987)
    451; Browaeys and Chevrot, *Geophys. J. Int.* 159 (2004) 667; in 2D Verchery (1979), in Vannucci, *Anisotropic
    Elasticity* (2018), ch. 4.
    """
    C = _checked(stiffness, {3, 4, 6}, tolerance)
    packing, size = tensors.packing_of(len(C)), float(np.linalg.norm(C))
    C = (C + C.T) / (2 * size)
    d = 2 if len(C) < 6 else 3
    starts = _starts(C, packing)
    rotated = _rotated(C, packing, starts)
    kinds = {kind.name: kind for kind in _classes(len(C))}
    found = {name: kind.nearest(C, packing, starts, rotated) for name, kind in kinds.items()}
    distances = {name: distance for name, (distance, _) in found.items()}
    name = _most_symmetric(distances, tolerance)
    near_enough = max(1.2 * distances[name] + 1e-9, min(tolerance, MISALIGNED * distances["isotropic"]))
    axes = kinds[name].among_given(rotated, starts, near_enough)
    return Symmetry(name, kinds[name].tidy(found[name][1] if axes is None else axes)[:d, :d], distances, tolerance)


def symmetry_of_matrix(matrix: ArrayLike, tolerance: float = TOLERANCE) -> Symmetry:
    """Find the symmetry class of a second-order tensor, shape (2, 2) or (3, 3), from its eigenvalues.

    Its axes are the eigenvectors of the symmetric part. The skew part increases all distances.
    """
    k = _checked(matrix, {2, 3}, tolerance)
    size, d = np.linalg.norm(k), len(k)
    values, vectors = np.linalg.eigh((k + k.T) / 2)
    skew = np.linalg.norm(k - k.T) / 2
    gaps = np.diff(values)
    rest = {"isotropic": float(np.linalg.norm(values - values.mean())), "orthotropic": 0.0}
    if d == 3:
        rest = {"isotropic": rest["isotropic"], "uniaxial": float(gaps.min()) / np.sqrt(2), "orthotropic": 0.0}
    distances = {name: float(np.hypot(value, skew) / size) for name, value in rest.items()}
    name = next((name for name, distance in distances.items() if distance <= tolerance), "orthotropic")
    if name == "isotropic":
        return Symmetry(name, np.eye(d), distances, tolerance)
    if name == "uniaxial":
        single_last = vectors.T if gaps[0] < gaps[1] else vectors.T[[1, 2, 0]]
        axes = _about_last(single_last * np.sign(np.linalg.det(vectors)))
    else:
        axes = _nearest_signed(vectors.T)
    return Symmetry(name, axes, distances, tolerance)


def polar_invariants(stiffness: ArrayLike) -> dict[str, float]:
    """Polar invariants of a plane stiffness: T0, T1, R0, R1 and, in radians, the angles Phi0 and Phi1.

    R0 = R1 = 0 if it is isotropic, R1 = 0 if it is square, Phi0 - Phi1 a multiple of pi/4 if it is rectangular.
    Source: Verchery (1979), in Vannucci, *Anisotropic Elasticity* (2018), ch. 4.

    Parameters
    ----------
    stiffness
        Mandel matrix, shape (3, 3).
    """
    C = tensors.mandel_to_voigt(_checked(stiffness, {3}, TOLERANCE))
    C11, C22, C12, C66, C16, C26 = C[0, 0], C[1, 1], C[0, 1], C[2, 2], C[0, 2], C[1, 2]
    r0, r1 = complex(C11 - 2 * C12 - 4 * C66 + C22, 4 * (C16 - C26)), complex(C11 - C22, 2 * (C16 + C26))
    return {
        "T0": (C11 - 2 * C12 + 4 * C66 + C22) / 8,
        "T1": (C11 + 2 * C12 + C22) / 8,
        "R0": abs(r0) / 8,
        "R1": abs(r1) / 8,
        "Phi0": float(np.angle(r0)) / 4,
        "Phi1": float(np.angle(r1)) / 2,
    }


@dataclass(frozen=True, eq=False)
class _Class:
    """A symmetry class: its rotations relative to its axes; None for all rotations.

    With `axial` the axes may be rotated about the last one. Otherwise `equivalent` orientations of the axes are those
    of its own rotations, or of the given group.
    """

    name: str
    group: Floats | None
    axial: bool = False
    equivalent: Floats | None = None
    free: bool = False  # whether axes do not matter: isotropic or triclinic

    def defect(self, rotated: Floats) -> Floats:
        """The difference of tensors in the axes of the class from the nearest tensor of the class, shape (n, m, m)."""
        m = rotated.shape[-1]
        return rotated - (rotated.reshape(len(rotated), -1) @ self._mean(m).T).reshape(rotated.shape)

    def nearest(self, C: Floats, packing: Packing, starts: Floats, rotated: Floats) -> tuple[float, Floats]:
        """Distance to the class and the axes where it is attained."""
        distances = np.linalg.norm(self.defect(rotated), axis=(1, 2))
        if self.free:
            return float(distances[0]), starts[0]
        best = float("inf"), starts[0]
        for k in np.argsort(distances)[:4]:
            best = min(best, self._refined(C, packing, starts[k]), key=lambda found: found[0])
            if best[0] < 1e-9:
                break
        return best

    def among_given(self, rotated: Floats, starts: Floats, near_enough: float) -> Floats | None:
        """The given axes in the order with the smallest distance to the class, or None if it is too large."""
        n = len(_given(rotated.shape[-1]))
        distances = np.linalg.norm(self.defect(rotated[:n]), axis=(1, 2))
        return starts[distances.argmin()] if distances.min() <= near_enough else None

    def tidy(self, axes: Floats) -> Floats:
        """Of all equivalent axes, those nearest to the given ones."""
        if self.free:
            return np.eye(len(axes))
        if self.axial:
            return _about_last(axes)
        group = self.equivalent if self.equivalent is not None else self.group
        assert group is not None
        choices = group @ axes
        return choices[np.trace(choices, axis1=1, axis2=2).round(9).argmax()]

    def _refined(self, C: Floats, packing: Packing, start: Floats) -> tuple[float, Floats]:
        from scipy.optimize import least_squares

        def axes(v: Floats) -> Floats:
            return _turn(v, len(start)) @ start

        def defect(v: Floats) -> Floats:
            return self.defect(_rotated(C, packing, axes(v)[None])).ravel()

        n = 3 if packing.size == 6 else 1
        found = least_squares(defect, np.zeros(n), method="lm", xtol=1e-10, ftol=1e-14, gtol=1e-14, max_nfev=200)
        return float(np.linalg.norm(found.fun)), axes(found.x)

    @cache  # noqa: B019  there are a dozen classes, which live as long as the module
    def _mean(self, size: int) -> Floats:
        """The mean over the rotations as a matrix on packed stiffnesses, shape (m^2, m^2)."""
        packing = tensors.packing_of(size)
        if self.group is None:
            one = packing.to_vector(np.eye(3))
            J = np.outer(one, one) / 3
            parts = (J, np.eye(size) - J)
            return sum(np.outer(P, P) / np.trace(P) for P in parts)
        R = packing.rotation(self.group)
        return np.einsum("gij,gkl->ikjl", R, R).reshape(size**2, size**2) / len(R)


def _most_symmetric(distances: Mapping[str, float], tolerance: float) -> str:
    """The first class within the tolerance; of tetragonal and trigonal, with equally many constants, the nearer one."""
    within = [name for name, distance in distances.items() if distance <= tolerance] or [list(distances)[-1]]
    pair = {"tetragonal", "trigonal"}
    return min(pair, key=lambda name: distances[name]) if within[0] in pair and pair <= set(within) else within[0]


@cache
def _classes(size: int) -> tuple[_Class, ...]:
    """The classes of a stiffness of `size` components, the most symmetric first."""
    if size < 6:
        d = 2 if size == 3 else 3
        mirror, quarter = np.diag([1.0, -1.0, 1.0][:d]), _about_z(np.pi / 2)[:d, :d]
        return (
            _Class("isotropic", _closure(_about_z(2 * np.pi / 5)[:d, :d], mirror), free=True),
            _Class("square", _closure(quarter, mirror)),
            _Class("rectangular", _closure(mirror), equivalent=_closure(quarter)),
            _Class("oblique", np.eye(d)[None], free=True),
        )
    half_x, half_z = np.diag([1.0, -1.0, -1.0]), np.diag([-1.0, -1.0, 1.0])
    cubic = _closure(_about_z(np.pi / 2), np.roll(np.eye(3), 1, axis=0))
    return (
        _Class("isotropic", None, free=True),
        _Class("cubic", cubic),
        # fivefold: tensors of fourth order cannot tell it from all rotations about the axis (Hermann's theorem)
        _Class("transversely isotropic", _closure(_about_z(2 * np.pi / 5), half_x), axial=True),
        _Class("tetragonal", _closure(_about_z(np.pi / 2), half_x)),
        _Class("trigonal", _closure(_about_z(2 * np.pi / 3), half_x), equivalent=_closure(_about_z(np.pi / 3), half_x)),
        _Class("orthotropic", _closure(half_x, half_z), equivalent=cubic),
        _Class("monoclinic", _closure(half_z), axial=True),
        _Class("triclinic", np.eye(3)[None], free=True),
    )


def _closure(*generators: Floats) -> Floats:
    """The group that some matrices generate, shape (n, d, d)."""
    group = [np.eye(len(generators[0]))]
    for element in group:  # grows during the iteration
        for generator in generators:
            product = generator @ element
            if not any(np.allclose(product, known) for known in group):
                group.append(product)
    return np.array(group)


def _starts(C: Floats, packing: Packing) -> Floats:
    """Initial axes of the search, as rows, shape (n, d, d); the given axes come first."""
    d = packing.shape[0]
    if packing.size < 6:
        angles = np.linspace(0, np.pi, 180, endpoint=False)
        return np.concatenate([_given(packing.size), np.array([_about_z(-a)[:d, :d] for a in angles])])
    full = packing.to_fourth_order(C)
    frames = [np.linalg.eigh(np.einsum(how, full))[1].T for how in ("ijkk->ij", "ikjk->ij")]
    frames = [frame * np.sign(np.linalg.det(frame)) for frame in frames]  # all three reversed: right-handed
    frames += [frame[order] for frame in frames for order in ([1, 2, 0], [2, 0, 1])]
    return np.concatenate([_given(6), np.array(frames), _grid()])


@cache
def _given(size: int) -> Floats:
    """The given axes in each order and with all signs that keep them right-handed; in 2D the last one is fixed."""
    quarter = _about_z(np.pi / 2)
    if size < 6:
        return _closure(quarter[: 2 if size == 3 else 3, : 2 if size == 3 else 3])
    return _closure(quarter, np.roll(np.eye(3), 1, axis=0))


@cache
def _grid() -> Floats:
    """Evenly distributed orientations: the super-Fibonacci spiral of Alexa (2022)."""
    from scipy.spatial.transform import Rotation

    s = np.arange(GRID) + 0.5
    a, b = 2 * np.pi * s / np.sqrt(2), 2 * np.pi * s / 1.533751168755204288118041
    r, R = np.sqrt(s / GRID), np.sqrt(1 - s / GRID)
    return Rotation.from_quat(np.column_stack([r * np.sin(a), r * np.cos(a), R * np.sin(b), R * np.cos(b)])).as_matrix()


def _rotated(C: Floats, packing: Packing, axes: Floats) -> Floats:
    """A stiffness relative to several systems of axes, shape (n, m, m)."""
    R = packing.rotation(axes)
    return R @ C @ np.swapaxes(R, -1, -2)


def _turn(v: Floats, d: int) -> Floats:
    """The rotation by a vector, or in the plane by an angle."""
    if v.size == 1:
        return _about_z(float(v[0]))[:d, :d]
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(v).as_matrix()


def _about_z(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_last(axes: Floats) -> Floats:
    """Axes with the given last one, whose largest component is made positive; the first is near a given axis."""
    last = axes[2]
    k = int(np.abs(last).round(9).argmax())
    last = last * np.sign(last[k])
    first = np.eye(3)[(k + 1) % 3]
    first = first - (first @ last) * last
    first = first / np.linalg.norm(first)
    return np.array([first, np.cross(last, first), last])


def _nearest_signed(axes: Floats) -> Floats:
    """Axes in the order and with the signs that make them nearest to the given ones, right-handed."""
    right = axes * np.array([1.0] * (len(axes) - 1) + [np.sign(np.linalg.det(axes))])[:, None]
    choices = _given(3 * (len(axes) - 1)) @ right
    return choices[np.trace(choices, axis1=1, axis2=2).round(9).argmax()]


def _checked(tensor: ArrayLike, sizes: set[int], tolerance: float) -> Floats:
    C = np.asarray(tensor, dtype=float)
    if C.ndim != 2 or C.shape[0] != C.shape[1] or len(C) not in sizes:
        raise InputError(f"the tensor has shape {C.shape}: give a square matrix of {sorted(sizes)} rows")
    if not np.isfinite(C).all() or not np.any(C):
        raise InputError("the tensor is zero or not finite: it has no symmetry class")
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance = {tolerance} is a relative distance: give a number in (0, 1)")
    return C
