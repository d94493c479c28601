"""Orientation of the RVEs of a macro mesh: rotations between the frame of a cell and that of the macro problem."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hmm.fe2.quadrature_points import MacroField, MacroPoints
from hmm.foundation.errors import InputError, collectively
from hmm.models.points import Input, input_blocks

Floats = NDArray[np.float64]


class Orientation:
    """Orientation of the RVEs of points: rotations between the frame of a cell and that of the macro problem.

    The columns of the rotation R are the axes of the cell in the macro frame. The cell receives ``R^T E R``, and the
    macro problem receives ``R Sigma R^T``; vectors are rotated likewise. In packed form,
    ``E_cell = Q E``, ``Sigma = Q^T Sigma_cell`` and ``A = Q^T A_cell Q`` with an orthogonal Q.

    Parameters
    ----------
    points
        The macro points.
    orientation
        A field of directions of the first axis of the cell, shape (d,), or of matrices R, shape (d, d); in 2D also of
        angles (radians, anticlockwise). In 3D the rotation to a direction is the one with the smallest angle.
    inputs
        The macroscopic inputs.

    Raises
    ------
    InputError
        On all ranks, if a direction is zero, a matrix is not a rotation, or an input lacks components that a rotation
        needs.
    """

    def __init__(self, points: MacroPoints, orientation: MacroField, inputs: Sequence[Input]) -> None:
        dim = points.mesh.geometry.dim
        shapes: list[tuple[int, ...]] = [(dim,), (dim, dim)]
        with collectively(points.comm):
            given = points.values(orientation, "orientation", *([()] if dim == 2 else []), *shapes)
            self.R = _rotations(given, dim, points)
            self.packed = _packed(self.R, inputs)

    def to_cells(self, E: Floats, point: NDArray[np.int64]) -> Floats:
        """Macro inputs, shape (n_rows, m), in the frames of the cells; rows belong to the points."""
        return np.einsum("nij,nj->ni", self.packed[point], E)

    def to_macro(self, response: Floats, tangent: Floats, point: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Responses and tangents, shapes (n_rows, m) and (n_rows, m, m), in the frame of the macro problem."""
        Q = self.packed[point]
        transposed = Q.transpose(0, 2, 1)
        return np.einsum("nij,nj->ni", transposed, response), transposed @ tangent @ Q


def _rotations(given: Floats, dim: int, points: MacroPoints) -> Floats:
    """Rotation matrices, shape (n, d, d), of angles, directions of the first axis or matrices."""
    if given.ndim == 1:
        c, s = np.cos(given), np.sin(given)
        return np.stack([np.stack([c, -s], axis=-1), np.stack([s, c], axis=-1)], axis=-2)
    if given.ndim == 2:
        length = np.linalg.norm(given, axis=1)
        zero = np.flatnonzero(length < 1e-12)
        if zero.size:
            raise InputError(f"orientation: the direction is zero at {points.describe(zero[0])}")
        return _rotation_to(given / length[:, None])
    defect = (
        np.abs(given @ given.transpose(0, 2, 1) - np.eye(dim)).reshape(len(given), dim * dim).max(axis=1, initial=0.0)
    )
    bad = np.flatnonzero((defect > 1e-8) | (np.linalg.det(given) < 0))
    if bad.size:
        raise InputError(f"orientation: {given[bad[0]].tolist()} at {points.describe(bad[0])} is not a rotation matrix")
    return given


def _rotation_to(a: Floats) -> Floats:
    """Rotations with the smallest angle that map the first axis to unit vectors of shape (n, d)."""
    if a.shape[1] == 2:
        return np.stack([a, np.stack([-a[:, 1], a[:, 0]], axis=1)], axis=2)
    c, zero = a[:, 0], np.zeros(len(a))
    v = np.stack([zero, -a[:, 2], a[:, 1]], axis=1)  # e1 x a
    W = np.stack(
        [
            np.stack([zero, -v[:, 2], v[:, 1]], axis=1),
            np.stack([v[:, 2], zero, -v[:, 0]], axis=1),
            np.stack([-v[:, 1], v[:, 0], zero], axis=1),
        ],
        axis=1,
    )
    back = c < -1 + 1e-12
    R = np.eye(3) + W + W @ W / np.where(back, 1.0, 1 + c)[:, None, None]
    R[back] = np.diag([-1.0, -1.0, 1.0])
    return R


def _packed(R: Floats, inputs: Sequence[Input]) -> Floats:
    """The rotations of all packed inputs, shape (n, m, m)."""
    blocks = input_blocks(inputs)
    Q = np.zeros((len(R), blocks.size, blocks.size))
    for e in inputs:
        own = blocks[e.name]
        fits = not e.packing.shape or e.packing.shape[0] in (R.shape[-1], 3)
        if fits:
            Q[:, own, own] = block = e.packing.rotation(R.transpose(0, 2, 1))
            fits = np.abs(block @ block.transpose(0, 2, 1) - np.eye(e.size)).max(initial=0.0) < 1e-6
        if not fits:
            raise InputError(
                f"orientation: the macro {e.name} has only the components {', '.join(e.packing.labels)}, and a "
                "rotation needs the others too: control single components only where cells are not rotated"
            )
    return Q
