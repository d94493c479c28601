"""Block circulant reference problems and their inverse by FFT."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hmm.micro.solvers.fft.kernels import kernel

Floats = NDArray[np.float64]


def reference_matrix(matrices: Floats) -> Floats:
    """The element matrix midway between the extremes of `matrices`, which bounds the condition number.

    For one-parameter families K_p = c_p K the result is (min c + max c) / 2 times K; the factor does not matter to CG.
    """
    base = matrices.mean(axis=0)
    values, vectors = np.linalg.eigh(base)
    keep = vectors[:, values > 1e-10 * values[-1]]
    trace = [np.trace(np.linalg.solve(keep.T @ base @ keep, keep.T @ m @ keep)) for m in matrices]
    return (matrices[np.argmin(trace)] + matrices[np.argmax(trace)]) / 2


def element_stencil(matrix: Floats, dim: int) -> Floats:
    """Blocks S[r], shape (3,) * dim + (block, block), coupling a node to its neighbour r - 1 if all cells are alike."""
    block = matrix.shape[0] // 2**dim
    blocks = matrix.reshape(2**dim, block, 2**dim, block).transpose(0, 2, 1, 3)
    corners = np.array(list(itertools.product((0, 1), repeat=dim)))
    stencil = np.zeros((3,) * dim + (block, block))
    for a, b in itertools.product(range(2**dim), repeat=2):
        stencil[tuple(corners[b] - corners[a] + 1)] += blocks[a, b]
    return stencil


def inverse_symbol(stencil: Floats, shape: Sequence[int], dtype: Any = np.float64) -> NDArray[Any]:
    """Inverse of the block at every frequency of `rfftn`; the zero frequency gets the pseudo-inverse.

    Returns
    -------
    Shape (n_frequencies, block, block). Real if the stencil is even, else complex Hermitian.
    """
    dim, block = len(shape), stencil.shape[-1]
    even = np.allclose(stencil, np.flip(stencil, tuple(range(dim))), rtol=0, atol=1e-12 * np.abs(stencil).max())
    waves = [np.exp(2j * np.pi * np.outer(np.arange(n), (-1, 0, 1)) / n) for n in shape]
    waves[-1] = waves[-1][: shape[-1] // 2 + 1]
    kind = dtype if even else np.result_type(dtype, np.complex64)
    out = np.empty((*(len(w) for w in waves), block, block), dtype=kind)
    for i, wave in enumerate(waves[0]):  # slab by slab: little memory
        slab = np.tensordot(wave, stencil, axes=(0, 0))
        for w in waves[1:]:
            slab = np.tensordot(slab, w, axes=(0, 1))  # consumes an axis, appends its frequencies
        slab = np.moveaxis(slab, (0, 1), (-2, -1))
        slab = slab.real if even else slab
        if i == 0:
            slab[(0,) * (dim - 1)] = np.eye(block)  # replaced below
        out[i] = np.linalg.inv(slab)
    values, vectors = np.linalg.eigh(stencil.sum(axis=tuple(range(dim))))
    keep = np.abs(values) > 1e-8 * np.abs(stencil).max()
    out[(0,) * dim] = vectors[:, keep] / values[keep] @ vectors[:, keep].T
    return out.reshape(-1, block, block)


class CirculantPreconditioner:
    """The inverse of a block circulant matrix by FFT; context of a PETSc PC of type python.

    Parameters
    ----------
    shape
        Nodes along each axis.
    stencil
        Shape (3,) * d + (block, block), see `element_stencil`.
    dtype
        Precision of the transform; CG in double precision loses nothing to single precision here.
    """

    def __init__(self, shape: Sequence[int], stencil: Floats, dtype: Any = np.float32) -> None:
        self.shape, self.block, self.dtype = tuple(shape), stencil.shape[-1], np.dtype(dtype)
        self._axes = tuple(range(len(shape)))
        self._kernel = kernel(self.block, len(shape))
        self._buffer = np.zeros((*shape, self.block), dtype=dtype)
        self._scale: NDArray[Any] | None = None
        self.update(stencil)

    def update(self, stencil: Floats) -> None:
        """Take another reference."""
        symbol = inverse_symbol(stencil, self.shape, self.dtype)
        self._real = symbol.dtype.kind == "f"
        self._symbol = np.ascontiguousarray(symbol[:, *np.tril_indices(self.block)] if self._real else symbol)

    def scale(self, diagonal: Floats) -> None:
        """Precondition ``D^-1/2 K D^-1/2`` instead of K (Ladecky et al. 2025, Jacobi-accelerated FFT solver).

        Parameters
        ----------
        diagonal
            Shape (n_nodes * block,); D in grid order: the diagonal of K over that of the reference.
        """
        self._scale = np.sqrt(1 / diagonal).astype(self.dtype).reshape(*self.shape, self.block)

    def apply(self, _pc: Any, x: Any, y: Any) -> None:
        """Y = M^-1 x (PETSc)."""
        self._buffer[:] = x.getArray(readonly=True).reshape(self._buffer.shape)
        if self._scale is not None:
            self._buffer *= self._scale
        z = self._convolve()
        if self._scale is not None:
            z *= self._scale
        y.getArray()[:] = z.ravel()

    def _convolve(self) -> NDArray[Any]:
        hat = fft.rfftn(self._buffer, axes=self._axes)
        single = self.dtype == np.float32
        multiply = getattr(self._kernel.lib, f"symbol_{'real' if self._real else 'hermitian'}_{'f' if single else 'd'}")
        pointer = self._kernel.ffi.from_buffer
        kind = "float[]" if single else "double[]"
        multiply(
            hat.size // self.block,
            pointer(kind, self._symbol.view(self.dtype)),
            pointer(kind, hat.view(self.dtype), require_writable=True),
        )
        return fft.irfftn(hat, s=self.shape, axes=self._axes, overwrite_x=True)
