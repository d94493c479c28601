"""Statistical descriptors of label arrays and voxel cells (Torquato 2002, chapter 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from dolfinx.mesh import compute_midpoints
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from hmm.cells.cell import Cell
from hmm.cells.pieces import Piece, pieces_of_mask
from hmm.foundation.errors import InputError

Floats = NDArray[np.float64]
Labelled = ArrayLike | Cell
"""An image: labels, shape (nx, ny) or (nx, ny, nz), or a cell whose `Cell.grid` is complete."""


def labels_of(image: Labelled) -> NDArray[np.int64]:
    """The labels of an image or, voxel by voxel, the phase tags of a cell.

    Raises
    ------
    InputError
        If the cell has no grid or is distributed over ranks, or the array does not hold integers in 2D or 3D.
    """
    if isinstance(image, Cell):
        return _labels_of_cell(image)
    labels = np.asarray(image)
    if labels.ndim not in (2, 3) or labels.size == 0:
        raise InputError(f"the image has shape {labels.shape}: give an array of two or three dimensions")
    if labels.dtype.kind not in "iub":
        raise InputError(f"the image has values of type {labels.dtype}: give labels, see hmm.images.segment")
    return labels.astype(np.int64)


def phases_of(image: Labelled, phases: Mapping[str, int] | None = None) -> dict[str, int]:
    """Label of each phase: as given, as in the cell, or all labels with the names ``phase 0``, ..."""
    if phases is not None:
        return dict(phases)
    if isinstance(image, Cell):
        return dict(image.phases)
    return {f"phase {label}": int(label) for label in np.unique(labels_of(image))}


def volume_fractions(image: Labelled, phases: Mapping[str, int] | None = None) -> dict[str, float]:
    """Volume fraction of each phase."""
    labels = labels_of(image)
    return {name: float(np.mean(labels == label)) for name, label in phases_of(image, phases).items()}


def two_point_correlation(image: Labelled, phase: int, periodic: bool = True) -> Floats:
    """Probability ``S2(r)`` that both ends of a vector r at a random place lie in a phase.

    Parameters
    ----------
    image
        Labels or a voxel cell.
    phase
        Label of the phase.
    periodic
        Whether the image is periodic; if not, only vectors with both ends inside the image count.

    Returns
    -------
    ndarray
        Periodic: shape of the image, entry [i, j] for the vector of i voxels along x and j along y, negative indices
        for negative vectors as in `numpy.fft`. Else shape 2 n - 1 along each axis, in the same order.
    """
    inside = (labels_of(image) == phase).astype(float)
    shape = inside.shape if periodic else tuple(2 * n - 1 for n in inside.shape)
    count = _autocorrelation(inside, shape)
    pairs = inside.size if periodic else np.round(_autocorrelation(np.ones_like(inside), shape))
    return np.clip(np.round(count) / pairs, 0.0, 1.0)


def radial_average(correlation: ArrayLike, largest: int | None = None) -> tuple[Floats, Floats]:
    """Mean of ``S2`` over all directions.

    Parameters
    ----------
    correlation
        From `two_point_correlation`.
    largest
        Largest distance in voxels; by default half the shortest edge.

    Returns
    -------
    r, S2
        Distances 0, 1, 2, ... voxels, and the mean over the vectors of this length, to the nearest voxel.
    """
    S2 = np.asarray(correlation, dtype=float)
    steps = np.meshgrid(*(n * fft.fftfreq(n) for n in S2.shape), indexing="ij", sparse=True)
    bins = np.rint(np.sqrt(sum(s**2 for s in steps))).astype(int).ravel()
    last = min(S2.shape) // 2 if largest is None else largest
    mean = np.bincount(bins, S2.ravel()) / np.maximum(np.bincount(bins), 1)
    return np.arange(last + 1.0), mean[: last + 1]


def chord_lengths(image: Labelled, phase: int, axis: int, periodic: bool = False) -> NDArray[np.int64]:
    """Lengths in voxels of all chords of a phase: the segments of lines along an axis that lie in the phase.

    Chords that reach a face of the image are not counted. In a periodic image they continue across the faces, and lines
    that lie entirely in the phase have none.
    """
    labels = labels_of(image)
    if axis not in range(labels.ndim):
        raise InputError(f"axis = {axis} is not an axis of an image of shape {labels.shape}: take 0, 1, ...")
    lines = np.moveaxis(labels == phase, axis, -1).reshape(-1, labels.shape[axis])
    lines = lines[~lines.all(axis=1)]
    if periodic:
        first = np.argmin(lines, axis=1)  # start each line outside the phase
        lines = np.take_along_axis(lines, (first[:, None] + np.arange(lines.shape[1])) % lines.shape[1], axis=1)
    ends = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, stops = np.argwhere(ends == 1), np.argwhere(ends == -1)
    whole = np.full(len(starts), True) if periodic else (starts[:, 1] > 0) & (stops[:, 1] < lines.shape[1])
    return (stops[:, 1] - starts[:, 1])[whole]


def connected_pieces(image: Labelled, phase: int | list[int], periodic: bool = True) -> list[Piece]:
    """The connected pieces of a phase, or of several as one solid, largest first."""
    return pieces_of_mask(np.isin(labels_of(image), phase), periodic)[1]


def percolation(image: Labelled, phase: int, periodic: bool = True) -> tuple[bool, ...]:
    """Whether a connected piece of a phase percolates along each axis (crosses the image if not `periodic`)."""
    labels = labels_of(image)
    axes = {axis for piece in pieces_of_mask(labels == phase, periodic)[1] for axis in piece.axes}
    return tuple(axis in axes for axis in range(labels.ndim))


def fabric_tensor(
    image: Labelled, phase: int, method: str = "interface", periodic: bool = True, sigma: float = 1.0
) -> Floats:
    """Mean orientation of a phase, shape (d, d), symmetric and of trace one; the unit tensor / d if there is none.

    Parameters
    ----------
    image
        Labels or a voxel cell.
    phase
        Label of the phase.
    method
        ``"interface"``: mean of n (x) n over the interface, n its normal, from the gradient of the smoothed phase; long
        inclusions along x have small 11 entries. ``"particles"``: mean of p (x) p over connected pieces, weighted by
        their size, p the axis of least inertia, as the orientation tensor of fibres (Advani and Tucker 1987); long
        inclusions along x have 11 near one. A piece that a face cuts counts as several.
    periodic
        Whether the image is periodic.
    sigma
        Width in voxels of the Gaussian whose derivative is the gradient.

    Raises
    ------
    InputError
        For another method.
    """
    inside = labels_of(image) == phase
    if method == "interface":
        mode = "wrap" if periodic else "nearest"
        g = [
            ndimage.gaussian_filter(inside.astype(float), sigma, order=row.tolist(), mode=mode)
            for row in np.eye(inside.ndim, dtype=int)
        ]
        norm = np.sqrt(sum(component**2 for component in g))
        weight = np.where(norm > 1e-3 * norm.max(), 1 / np.maximum(norm, 1e-300), 0.0)
        tensor = np.array([[(a * b * weight).sum() for b in g] for a in g])
    elif method == "particles":
        tensor = _axes_of_particles(inside)
    else:
        raise InputError(f"method = {method!r} is unknown: choose 'interface' or 'particles'")
    trace = np.trace(tensor)
    return tensor / trace if trace > 0 else np.eye(inside.ndim) / inside.ndim


def _axes_of_particles(inside: NDArray[np.bool_]) -> Floats:
    """Sum of p (x) p times size over the pieces; round pieces without an axis count as isotropic."""
    numbers, n = ndimage.label(inside)
    where = np.argwhere(inside)
    of = numbers[inside] - 1
    size = np.bincount(of, minlength=n)
    centre = np.stack([np.bincount(of, x, n) for x in where.T], axis=1) / np.maximum(size, 1)[:, None]
    r = where - centre[of]
    moments = np.array([[np.bincount(of, a * b, n) for b in r.T] for a in r.T]).transpose(2, 0, 1)
    values, vectors = np.linalg.eigh(moments)
    p = vectors[:, :, -1]
    has_axis = values[:, -1] > (1 + 1e-9) * values[:, -2]
    isotropic = np.eye(inside.ndim) / inside.ndim
    each = np.where(has_axis[:, None, None], p[:, :, None] * p[:, None, :], isotropic)
    return np.einsum("k,kij->ij", size, each)


def _autocorrelation(inside: Floats, shape: tuple[int, ...]) -> Floats:
    axes = tuple(range(inside.ndim))
    power = np.abs(fft.rfftn(inside, shape, axes)) ** 2
    result: Floats = fft.irfftn(power, shape, axes)
    return result


def _labels_of_cell(cell: Cell) -> NDArray[np.int64]:
    if not cell.has_whole_grid or cell.comm.size > 1:
        raise InputError("the cell is not a complete grid of voxels on one rank: give its label array")
    tags: Any = cell.phase_tags
    shape: Any = cell.grid
    edges = np.diag(cell.lattice) / shape
    middle = compute_midpoints(cell.mesh, cell.dim, tags.indices)[:, : cell.dim] - cell.origin
    labels = np.zeros(shape, dtype=np.int64)
    labels[tuple(np.floor(middle / edges).astype(int).T)] = tags.values
    return labels
