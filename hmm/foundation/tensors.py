"""Packing of tensors into vectors: the only module that knows the Mandel ordering.

Symmetric tensors are stored as Mandel vectors, in which the scalar product of two vectors equals the double contraction
of the tensors: (11, 22, sqrt2*12) in 2D and (11, 22, 33, sqrt2*12, sqrt2*13, sqrt2*23) in 3D. The plane-strain vector
(11, 22, 33, sqrt2*12) holds a 3D tensor without out-of-plane shear. General tensors are stored row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ufl
from numpy.typing import ArrayLike, NDArray

SQRT2 = 2.0**0.5


@dataclass(frozen=True)
class Packing:
    """How a tensor of a given shape is written as a vector.

    Attributes
    ----------
    shape
        Shape of the tensor: ``()``, ``(d,)`` or ``(d, d)``.
    indices
        Tensor index of each component of the vector.
    factors
        Weight of each component: vector = factor * tensor.
    symmetric
        Whether the tensor is symmetric, so that each off-diagonal index stands for two entries.
    """

    shape: tuple[int, ...]
    indices: tuple[tuple[int, ...], ...]
    factors: tuple[float, ...]
    symmetric: bool = False

    @property
    def size(self) -> int:
        """Number of components of the vector."""
        return len(self.indices)

    @property
    def labels(self) -> tuple[str, ...]:
        """Index labels such as ``("11", "22", "12")``, as used in tables and errors."""
        return tuple("".join(str(i + 1) for i in index) for index in self.indices)

    @property
    def dropped(self) -> tuple[tuple[int, ...], ...]:
        """Shear entries between the plane and axis 3 that a ``(3, 3)`` tensor may have, but not the vector."""
        if self.shape != (3, 3) or (2, 2) not in self.indices:
            return ()
        kept = {*self.indices, *(index[::-1] for index in self.indices if self.symmetric)}
        return tuple((i, j) for i, j in np.ndindex(3, 3) if (i, j) not in kept and (i == 2) != (j == 2))

    def restrict(self, components: Sequence[int]) -> Packing:
        """The packing of some `components` only, of tensors just large enough to have them.

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
        entries = {index: vector[k] / f for k, (index, f) in enumerate(zip(self.indices, self.factors, strict=True))}
        if self.symmetric:
            entries |= {(j, i): value for (i, j), value in entries.items()}
        if self.shape == ():
            return entries[()]
        zero = ufl.as_ufl(0.0)
        if len(self.shape) == 1:
            return ufl.as_vector([entries.get((i,), zero) for i in range(self.shape[0])])
        rows, columns = self.shape
        return ufl.as_tensor([[entries.get((i, j), zero) for j in range(columns)] for i in range(rows)])

    def to_vector(self, tensor: ArrayLike) -> NDArray[np.float64]:
        """NumPy vector(s), shape ``(..., size)``, of tensor(s) of shape ``(..., *shape)``."""
        array = np.asarray(tensor, dtype=float)
        return np.stack([f * array[_last(index)] for index, f in zip(self.indices, self.factors, strict=True)], axis=-1)

    def to_tensor(self, vector: ArrayLike) -> NDArray[np.float64]:
        """NumPy tensor(s), shape ``(..., *shape)``, of vector(s) of shape ``(..., size)``."""
        array = np.asarray(vector, dtype=float)
        tensor = np.zeros((*array.shape[:-1], *self.shape))
        for k, (index, f) in enumerate(zip(self.indices, self.factors, strict=True)):
            tensor[_last(index)] = array[..., k] / f
            if self.symmetric:
                tensor[_last(index[::-1])] = array[..., k] / f
        return tensor

    def to_fourth_order(self, matrix: ArrayLike, columns: Packing | None = None) -> NDArray[np.float64]:
        """NumPy tensor, shape ``(*shape, *columns.shape)``, of a packed matrix such as a tangent.

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
        """Matrices that turn packed tensors: second-order ones as ``T -> Q T Q^T``, vectors as ``T -> Q T``.

        Parameters
        ----------
        Q
            Orthogonal matrices, shape ``(..., d, d)``. For tensors of shape (3, 3) those of the plane (d = 2) are about
            axis 3.

        Returns
        -------
        ndarray
            Shape ``(..., size, size)``; orthogonal, if the turned tensors have no components beyond those packed.
        """
        Q = np.asarray(Q, dtype=float)
        if not self.shape:
            return np.ones((*Q.shape[:-2], 1, 1))
        if self.shape[0] == 3 and Q.shape[-1] == 2:
            Q = np.pad(Q, [(0, 0)] * (Q.ndim - 2) + [(0, 1), (0, 1)])
            Q[..., 2, 2] = 1.0
        units = self.to_tensor(np.eye(self.size))
        if len(self.shape) == 1:
            return np.swapaxes(self.to_vector(np.einsum("...ia,ka->...ki", Q, units)), -1, -2)
        Q = Q[..., None, :, :]
        return np.swapaxes(self.to_vector(Q @ units @ np.swapaxes(Q, -1, -2)), -1, -2)

    @staticmethod
    def _entry(tensor: ufl.core.expr.Expr, index: tuple[int, ...]) -> ufl.core.expr.Expr:
        return tensor[index] if index else tensor


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


def general(*shape: int) -> Packing:
    """Row-by-row packing of tensors of any `shape`; ``general()`` packs a scalar."""
    indices = tuple(tuple(int(i) for i in index) for index in np.ndindex(*shape))
    return Packing(shape, indices, (1.0,) * len(indices))


def plane_general(dim: int) -> Packing:
    """Row-by-row packing of the ``(3, 3)`` tensors without out-of-plane shear (`dim` 2), or of all (`dim` 3)."""
    indices = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2))
    return general(3, 3) if dim == 3 else Packing((3, 3), indices, (1.0,) * len(indices))


def ranges(packings: Mapping[str, Packing]) -> dict[str, slice]:
    """Where each of several tensors lies in one vector of them all, by name."""
    ends = np.cumsum([packing.size for packing in packings.values()]).tolist()
    return {name: slice(end - p.size, end) for (name, p), end in zip(packings.items(), ends, strict=True)}


def pack_all(packings: Mapping[str, Packing], tensors: Mapping[str, ufl.core.expr.Expr]) -> ufl.core.expr.Expr:
    """One UFL vector of several UFL tensors, given by name, in the order of the packings."""
    parts = [packing.pack(ufl.as_ufl(tensors[name])) for name, packing in packings.items()]
    return ufl.as_vector([part[k] for part in parts for k in range(part.ufl_shape[0])])


def unpack_all(packings: Mapping[str, Packing], vector: ufl.core.expr.Expr) -> dict[str, ufl.core.expr.Expr]:
    """UFL tensors by name of one UFL vector; the inverse of `pack_all`."""
    parts = {name: [vector[k] for k in range(r.start, r.stop)] for name, r in ranges(packings).items()}
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
    return Packing(shape, tuple(pairs), tuple(1.0 if i == j else SQRT2 for i, j in pairs), symmetric=True)
