"""Packing of tensors into vectors; defines the Mandel ordering.

Symmetric tensors are stored as Mandel vectors, in which the scalar product of two vectors equals the double contraction
of the tensors: (11, 22, sqrt2*12) in 2D and (11, 22, 33, sqrt2*12, sqrt2*13, sqrt2*23) in 3D. The plane-strain vector
(11, 22, 33, sqrt2*12) holds a 3D tensor without out-of-plane shear. General tensors are stored row by row. For tensors
of any order with symmetric indices, one of the equal entries is stored, multiplied by the square root of their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import ufl
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.blocks import Blocks
from hmm.foundation.errors import InputError

SQRT2 = 2.0**0.5


@dataclass(frozen=True)
class Packing:
    """The packing of a tensor of a given shape into a vector.

    Attributes
    ----------
    shape
        Shape of the tensor: ``()``, ``(d,)``, ``(d, d)``, ``(d, d, d)`` and so on.
    indices
        Tensor index of each component of the vector.
    factors
        Weight of each component: vector = factor * tensor. It is the square root of the number of equal
        entries, so that the scalar product of two vectors is the full contraction of the tensors.
    symmetric
        Axes with exchangeable indices: ``(0, 1)`` for a symmetric matrix, ``(1, 2)`` for a ``(d, d, d)``
        tensor with ``G_ijk = G_ikj``; none for a general tensor.
    """

    shape: tuple[int, ...]
    indices: tuple[tuple[int, ...], ...]
    factors: tuple[float, ...]
    symmetric: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of components of the vector."""
        return len(self.indices)

    @property
    def labels(self) -> tuple[str, ...]:
        """Index labels such as ``("11", "22", "12")``, as used in tables and errors."""
        return tuple(map(_label, self.indices))

    @property
    def synonyms(self) -> tuple[tuple[str, ...], ...]:
        """All labels of each component: ``("12", "21")`` where these entries are equal by symmetry."""
        return tuple(tuple(map(_label, self.entries(index))) for index in self.indices)

    def entries(self, index: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The entries of the tensor that are equal to that of an `index` by symmetry, itself first."""
        orders = permutations([index[axis] for axis in self.symmetric])
        return tuple(dict.fromkeys(_replaced(index, self.symmetric, order) for order in orders))

    @property
    def dropped(self) -> tuple[tuple[int, ...], ...]:
        """Shear entries between the plane and axis 3 that a ``(3, 3)`` tensor may have, but not the vector."""
        if self.shape != (3, 3) or (2, 2) not in self.indices:
            return ()
        kept = {entry for index in self.indices for entry in self.entries(index)}
        return tuple((i, j) for i, j in np.ndindex(3, 3) if (i, j) not in kept and (i == 2) != (j == 2))

    def restrict(self, components: Sequence[int]) -> Packing:
        """The packing of some `components` only, for the smallest tensors that contain them.

        Without its out-of-plane components a (3, 3) tensor becomes a (2, 2) one.
        """
        indices = tuple(self.indices[k] for k in components)
        size = 1 + max((i for index in indices for i in index), default=-1)
        shape = tuple(size for _ in self.shape)
        return Packing(shape, indices, tuple(self.factors[k] for k in components), self.symmetric)

    def pack(self, tensor: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """UFL vector of a UFL tensor (the tensor is taken as symmetric where this packing is)."""
        return ufl.as_vector(
            [f * self._entry(tensor, index) for index, f in zip(self.indices, self.factors, strict=True)]
        )

    def unpack(self, vector: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """UFL tensor of a UFL vector; the inverse of `pack`."""
        entries = {
            entry: vector[k] / f
            for k, (index, f) in enumerate(zip(self.indices, self.factors, strict=True))
            for entry in self.entries(index)
        }
        return entries[()] if self.shape == () else ufl.as_tensor(self._nested(entries, ()))

    def symmetrized(self, tensor: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
        """The part of a UFL tensor that has the symmetry of this packing."""
        if len(self.shape) == 2 and self.symmetric:
            return ufl.sym(tensor)
        parts = [ufl.as_tensor(tensor[i], j) for i, j in self._exchanged()]
        return sum(parts[1:], parts[0]) / len(parts) if self.symmetric else tensor

    def asymmetry(self, tensor: NDArray[np.float64]) -> float:
        """Largest deviation of a NumPy tensor from the symmetry of this packing."""
        axes = range(len(self.shape))
        orders = [_replaced(tuple(axes), self.symmetric, order) for order in permutations(self.symmetric)]
        return max(float(np.abs(tensor - np.transpose(tensor, order)).max(initial=0.0)) for order in orders)

    def to_vector(self, tensor: ArrayLike) -> NDArray[np.float64]:
        """NumPy vector(s), shape ``(..., size)``, of tensor(s) of shape ``(..., *shape)``."""
        array = np.asarray(tensor, dtype=float)
        return np.stack([f * array[_last(index)] for index, f in zip(self.indices, self.factors, strict=True)], axis=-1)

    def to_tensor(self, vector: ArrayLike) -> NDArray[np.float64]:
        """NumPy tensor(s), shape ``(..., *shape)``, of vector(s) of shape ``(..., size)``."""
        array = np.asarray(vector, dtype=float)
        tensor = np.zeros((*array.shape[:-1], *self.shape))
        for k, (index, f) in enumerate(zip(self.indices, self.factors, strict=True)):
            for entry in self.entries(index):
                tensor[_last(entry)] = array[..., k] / f
        return tensor

    def to_fourth_order(self, matrix: ArrayLike, columns: Packing | None = None) -> NDArray[np.float64]:
        """NumPy tensor, shape ``(*shape, *columns.shape)``, of a packed matrix such as a tangent.

        It is of fourth order if both are of second order.

        Parameters
        ----------
        matrix
            Shape ``(size, columns.size)``.
        columns
            Packing of the columns; this one by default.
        """
        columns = columns or self
        rows_done = np.moveaxis(self.to_tensor(np.moveaxis(np.asarray(matrix, dtype=float), 0, -1)), 0, -1)
        return columns.to_tensor(rows_done)

    def rotation(self, Q: ArrayLike) -> NDArray[np.float64]:
        """Matrices that rotate packed tensors, each index by Q: a vector as ``T -> Q T``, a matrix as ``T -> Q T Q^T``.

        Parameters
        ----------
        Q
            Orthogonal matrices, shape ``(..., d, d)``. For tensors of shape (3, 3) those of the plane (d = 2) are about
            axis 3.

        Returns
        -------
        ndarray
            Shape ``(..., size, size)``; orthogonal, if the rotated tensors have no components beyond those packed.
        """
        Q = np.asarray(Q, dtype=float)
        if not self.shape:
            return np.ones((*Q.shape[:-2], 1, 1))
        if self.shape[0] == 3 and Q.shape[-1] == 2:
            Q = np.pad(Q, [(0, 0)] * (Q.ndim - 2) + [(0, 1), (0, 1)])
            Q[..., 2, 2] = 1.0
        tensor = self.to_tensor(np.eye(self.size))
        for axis in range(-len(self.shape), 0):
            last = np.moveaxis(tensor, axis, -1)  # the axes before are broadcast against those of Q
            Qs = Q[(..., *[None] * (len(self.shape) - 1), slice(None), slice(None))]
            tensor = np.moveaxis(last @ np.swapaxes(Qs, -1, -2), -1, axis)
        return np.swapaxes(self.to_vector(tensor), -1, -2)

    def _nested(self, entries: Mapping[tuple[int, ...], Any], start: tuple[int, ...]) -> Any:
        """Nested lists of the entries whose indices begin with `start`; zero where there are none."""
        if len(start) == len(self.shape):
            return entries.get(start, ufl.as_ufl(0.0))
        return [self._nested(entries, (*start, i)) for i in range(self.shape[len(start)])]

    def _exchanged(self) -> list[tuple[tuple[ufl.core.multiindex.Index, ...], tuple[ufl.core.multiindex.Index, ...]]]:
        """Free indices of a tensor in each order that the symmetry allows, and in their own."""
        own = ufl.indices(len(self.shape))
        orders = permutations([own[axis] for axis in self.symmetric])
        return [(_replaced(own, self.symmetric, order), own) for order in orders]

    @staticmethod
    def _entry(tensor: ufl.core.expr.Expr, index: tuple[int, ...]) -> ufl.core.expr.Expr:
        return tensor[index] if index else tensor


def _label(index: tuple[int, ...]) -> str:
    return "".join(str(i + 1) for i in index)


def _replaced(values: tuple[Any, ...], places: Sequence[int], new: Sequence[Any]) -> tuple[Any, ...]:
    """The values with new ones at some places."""
    at = dict(zip(places, new, strict=True))
    return tuple(at.get(k, value) for k, value in enumerate(values))


def _last(index: tuple[int, ...]) -> Any:
    """An index of the last axes of an array."""
    return (Ellipsis, *index)


def symmetric(dim: int) -> Packing:
    """Mandel packing of symmetric ``(dim, dim)`` tensors."""
    pairs = [(i, i) for i in range(dim)] + [(i, j) for i in range(dim) for j in range(i + 1, dim)]
    return _mandel((dim, dim), pairs)


def plane(dim: int) -> Packing:
    """Mandel packing of the symmetric ``(3, 3)`` tensors that live in plane strain (`dim` 2) or in 3D (`dim` 3)."""
    return symmetric(3) if dim == 3 else _mandel((3, 3), [(0, 0), (1, 1), (2, 2), (0, 1)])


def general(*shape: int, symmetric: Sequence[int] = ()) -> Packing:
    """Row-by-row packing of tensors of any `shape` and order; ``general()`` packs a scalar.

    Parameters
    ----------
    shape
        Shape of the tensor.
    symmetric
        Axes with exchangeable indices, of equal length. A strain gradient ``G_ijk = E_ij,k`` has (0, 1), a second
        gradient ``u_i,jk`` has (1, 2); both have 18 components in 3D and 6 in 2D.

    Raises
    ------
    InputError
        If an axis does not exist, occurs twice or has another length than the others.

    Examples
    --------
    >>> general(2, 2, 2, symmetric=(1, 2)).labels
    ('111', '112', '122', '211', '212', '222')
    """
    axes = tuple(sorted(symmetric))
    exists = all(0 <= axis < len(shape) for axis in axes)
    if not exists or len(set(axes)) < len(axes) or len(axes) == 1 or len({shape[axis] for axis in axes}) > 1:
        raise InputError(f"symmetric = {tuple(symmetric)} of a tensor of shape {shape}: give two or more of its axes")
    indices = [tuple(int(i) for i in index) for index in np.ndindex(*shape)]
    plain = Packing(shape, tuple(indices), (1.0,) * len(indices), axes)
    kept = tuple(index for index in indices if index == min(plain.entries(index)))
    return Packing(shape, kept, tuple(float(len(plain.entries(index))) ** 0.5 for index in kept), axes)


def plane_general(dim: int) -> Packing:
    """Row-by-row packing of the ``(3, 3)`` tensors without out-of-plane shear (`dim` 2), or of all (`dim` 3)."""
    indices = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2))
    return general(3, 3) if dim == 3 else Packing((3, 3), indices, (1.0,) * len(indices))


def blocks(packings: Mapping[str, Packing]) -> Blocks:
    """The range of each of several tensors in the vector of all, by name."""
    return Blocks({name: packing.size for name, packing in packings.items()})


def pack_all(packings: Mapping[str, Packing], tensors: Mapping[str, ufl.core.expr.Expr]) -> ufl.core.expr.Expr:
    """One UFL vector of several UFL tensors, given by name, in the order of the packings."""
    parts = [packing.pack(ufl.as_ufl(tensors[name])) for name, packing in packings.items()]
    return ufl.as_vector([part[k] for part in parts for k in range(part.ufl_shape[0])])


def unpack_all(packings: Mapping[str, Packing], vector: ufl.core.expr.Expr) -> dict[str, ufl.core.expr.Expr]:
    """UFL tensors by name of one UFL vector; the inverse of `pack_all`."""
    parts = {name: [vector[k] for k in range(r.start, r.stop)] for name, r in blocks(packings).items()}
    return {name: packings[name].unpack(ufl.as_vector(part)) for name, part in parts.items()}


def embed(tensor: ufl.core.expr.Expr, out_of_plane: float = 0.0) -> ufl.core.expr.Expr:
    """The ``(3, 3)`` tensor of a ``(2, 2)`` one, `out_of_plane` in its entry 33; all others pass unchanged."""
    if tensor.ufl_shape != (2, 2):
        return tensor
    T = tensor
    return ufl.as_tensor([[T[0, 0], T[0, 1], 0], [T[1, 0], T[1, 1], 0], [0, 0, out_of_plane]])


def packing_of(size: int) -> Packing:
    """The Mandel packing of symmetric tensors that has `size` components: 3 in 2D, 4 with the component 33, 6 in 3D."""
    return {3: symmetric(2), 4: plane(2), 6: symmetric(3)}[size]


def mandel_to_voigt(matrix: ArrayLike) -> NDArray[np.float64]:
    """Voigt stiffness, shape (m, m), with engineering shear strains, of a Mandel stiffness."""
    array = np.asarray(matrix, dtype=float)
    normal = {3: 2, 4: 3, 6: 3}[array.shape[0]]
    scale = np.r_[np.ones(normal), np.full(array.shape[0] - normal, 1 / SQRT2)]
    return scale[:, None] * array * scale


def _mandel(shape: tuple[int, int], pairs: Sequence[tuple[int, int]]) -> Packing:
    return Packing(shape, tuple(pairs), tuple(1.0 if i == j else SQRT2 for i, j in pairs), symmetric=(0, 1))
