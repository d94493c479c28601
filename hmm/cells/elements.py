"""Checks that points and elements are a valid mesh: faults that crash DOLFINx or give wrong integrals are errors."""

from __future__ import annotations

import basix
import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError

FLAT = 1e-14
"""Jacobian determinant of an element, relative to its longest extent to the power d, below which it has no volume."""

CHUNK = 50_000
"""Number of elements whose Jacobians are computed at once."""


def check_mesh(
    where: str, points: NDArray[np.float64], elements: NDArray[np.int64], kind: str, degree: int = 1
) -> None:
    """Raise an `InputError` unless the arrays are a mesh (on the rank that holds them).

    Parameters
    ----------
    where
        Name of the arrays for the message, such as the path of a file.
    points
        Shape (n_points, d).
    elements
        Shape (n_elements, n_nodes), nodes in DOLFINx's order. Elements are counted from 0.
    kind
        DOLFINx name of the cell type.
    degree
        Geometry degree.

    Raises
    ------
    InputError
        If there is no element, a node is out of range, not finite or twice in an element, an element has no volume or
        is inverted, or two elements lie on the same side of a face they share.
    """
    check_nodes(where, points, elements)
    check_shapes(where, points, elements, kind, degree)
    _check_neighbours(where, points, elements, kind)


def check_nodes(where: str, points: NDArray[np.float64], elements: NDArray[np.int64]) -> None:
    """Raise an `InputError` if a node is out of range, not finite or twice in an element; cheap."""
    if elements.size == 0:
        raise InputError(f"{where} has no elements: give a mesh of the cell")
    wrong = np.flatnonzero(((elements < 0) | (elements >= len(points))).any(axis=1))
    if wrong.size:
        raise InputError(
            f"{where}: element {wrong[0]} has the nodes {elements[wrong[0]].tolist()}, and the nodes there are "
            f"0 to {len(points) - 1}: number them from 0"
        )
    ordered = np.sort(elements, axis=1)
    twice = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if twice.size:
        raise InputError(
            f"{where}: element {twice[0]} has a node twice, its nodes are {elements[twice[0]].tolist()}: "
            f"remove it, or mesh anew ({twice.size} such elements)"
        )
    _check_finite(where, points)


def _check_finite(where: str, points: NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise InputError(f"{where}: node {bad[0]} is at {points[bad[0]].tolist()}: give finite coordinates")


def check_shapes(
    where: str, points: NDArray[np.float64], elements: NDArray[np.integer], kind: str, degree: int = 1
) -> None:
    """Raise an `InputError` if an element has no volume or its Jacobian changes sign.

    The sign itself is free: DOLFINx allows both orientations of an element. Parameters as for `check_mesh`.
    """
    _check_finite(where, points)
    gradients = _gradients(kind, degree)
    scale = _scale(points)
    for start in range(0, len(elements), CHUNK):
        x = points[elements[start : start + CHUNK]] / scale
        extent = np.ptp(x, axis=1).max(axis=1)[:, None]
        relative = (x - x[:, :1]) / np.where(extent > 0, extent, 1.0)[..., None]
        determinants = _determinants(np.einsum("pan,cai->cpni", gradients, relative))
        bad = ~((determinants > FLAT).all(axis=1) | (determinants < -FLAT).all(axis=1))
        if bad.any():
            k = int(np.argmax(bad))
            flat = bool((np.abs(determinants[k]) <= FLAT).all())
            raise InputError(
                f"{where}: element {start + k} with its centre at {_centre(points[elements[start + k]])} "
                f"{'has no volume' if flat else 'is inverted'}: move its nodes, or mesh anew"
            )


def _scale(points: NDArray[np.float64]) -> float:
    """The largest coordinate, for scaling: products then neither overflow nor vanish for any unit of length."""
    return float(np.abs(points).max(initial=0.0)) or 1.0


def _centre(x: NDArray[np.float64]) -> list[float]:
    """The middle of the nodes x, for a message."""
    return [float(f"{value:.6g}") for value in (x / len(x)).sum(axis=0)]


def _order(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """A sorting order of rows of non-negative integers, with equal rows adjacent."""
    size = int(keys.max(initial=0)) + 1
    if size ** keys.shape[1] < 2**63:  # one number a row, which is sorted faster
        return np.argsort(keys @ (size ** np.arange(keys.shape[1])), kind="stable")
    return np.lexsort(keys.T)


def _determinants(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Determinants of many small matrices; LAPACK takes ten times as long."""
    if a.shape[-1] == 2:
        return a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]
    x, y, z = (a[..., k, :] for k in range(3))
    return np.einsum("...i,...i->...", x, np.cross(y, z))


def _gradients(kind: str, degree: int) -> NDArray[np.float64]:
    """Gradients of the shape functions, shape (n_points, n_nodes, d), where elements are integrated."""
    cell = getattr(basix.CellType, kind)
    element = basix.create_element(basix.ElementFamily.P, cell, degree, basix.LagrangeVariant.equispaced)
    at = np.asarray(basix.make_quadrature(cell, 2 * degree)[0], dtype=float)
    if degree == 1 and kind in ("quadrilateral", "hexahedron"):
        corners = np.asarray(basix.geometry(cell), dtype=float)
        at = np.concatenate([at, corners + 1e-3 * (corners.mean(axis=0) - corners)])
    if degree == 1 and kind in ("triangle", "tetrahedron"):
        at = at[:1]  # the Jacobian is constant
    return np.moveaxis(np.asarray(element.tabulate(1, at), dtype=float)[1:, :, :, 0], 0, -1)


def _check_neighbours(where: str, points: NDArray[np.float64], elements: NDArray[np.int64], kind: str) -> None:
    """Refuse elements on the same side of a common face: duplicate or folded ones."""
    dim = points.shape[1]
    cell = getattr(basix.CellType, kind)
    faces = np.array(basix.topology(cell)[dim - 1])
    points = points / _scale(points)
    keys = np.sort(elements[:, faces].reshape(-1, faces.shape[1]), axis=1)
    owner = np.repeat(np.arange(len(elements)), len(faces))
    corner = points[keys[:, :dim]]
    to_centre = points[elements].mean(axis=1)[owner] - corner[:, 0]
    side = np.sign(_determinants(np.concatenate([corner[:, 1:] - corner[:, :1], to_centre[:, None]], axis=1)))
    order = _order(keys)
    keys, owner, side = keys[order], owner[order], side[order]
    same = (keys[1:] == keys[:-1]).all(axis=1)
    bad = np.flatnonzero(same & (side[1:] * side[:-1] > 0))
    if bad.size:
        a, b = sorted((int(owner[bad[0]]), int(owner[bad[0] + 1])))
        raise InputError(
            f"{where}: the elements {a} and {b} lie on the same side of the face they share, near "
            f"{_centre(points[elements[a]])}: one is inverted or given twice, mesh anew"
        )
    if (same[1:] & same[:-1]).any():
        k = int(np.argmax(same[1:] & same[:-1]))
        raise InputError(f"{where}: more than two elements share the face of the nodes {keys[k].tolist()}: mesh anew")
