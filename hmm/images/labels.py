"""Label arrays: assign phases to grey values or labels, crop, downsample, clean and mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from hmm.cells.pieces import label_pieces
from hmm.foundation.errors import InputError

Labels = NDArray[np.int32]
Claim = int | tuple[float, float] | Sequence[int]
"""Values of a phase: a label, a list of labels, or grey values low <= v < high as a tuple."""


def segment(values: ArrayLike, phases: Mapping[str, Claim]) -> Labels:
    """Number the phases of an image: entry k is the k-th phase name, from 0.

    Parameters
    ----------
    values
        Labels or grey values, shape (nx, ny) or (nx, ny, nz).
    phases
        For each phase name a label, a list of labels, or a tuple (low, high) of grey values low <= v < high.

    Returns
    -------
    ndarray
        A new array of the same shape.

    Raises
    ------
    InputError
        If the array has another dimension or values that are not finite numbers, if a value belongs to no phase or to
        two, or if a phase has no voxels.
    """
    array = _checked(values)
    if not phases:
        raise InputError("phases = {} names no phase: give the values of each phase, such as {'matrix': 0, 'fibre': 1}")
    result = np.full(array.shape, -1, dtype=np.int32)
    for k, (name, claim) in enumerate(phases.items()):
        own = _claimed(array, name, claim)
        if not own.any():
            raise InputError(f"phase {name!r} claims {claim}, which the image does not have: it has {_values(array)}")
        if (twice := own & (result >= 0)).any():
            other = list(phases)[result[twice][0]]
            raise InputError(
                f"phases {other!r} and {name!r} both claim {_values(array[twice])}: assign them to one phase"
            )
        result[own] = k
    if (result < 0).any():
        raise InputError(f"the image has {_values(array[result < 0])} that belong to no phase: phases = {dict(phases)}")
    return result


def crop(labels: NDArray[Any], window: Sequence[tuple[int, int]]) -> NDArray[Any]:
    """The voxels from start to stop, stop excluded, along each axis.

    Parameters
    ----------
    labels
        Shape (nx, ny) or (nx, ny, nz).
    window
        (start, stop) for each axis.

    Raises
    ------
    InputError
        If the window does not fit into the image.
    """
    shape = labels.shape
    bounds = [tuple(w) for w in window]
    fits = len(bounds) == len(shape) and all(len(w) == 2 for w in bounds)
    if not fits or not all(0 <= w[0] < w[1] <= n for w, n in zip(bounds, shape, strict=True)):
        raise InputError(f"crop = {bounds} does not fit an image of shape {shape}: give (start, stop) for each axis")
    return labels[tuple(slice(*w) for w in bounds)]


def downsample(labels: Labels, factor: int | Sequence[int]) -> Labels:
    """Replace blocks of voxels by one voxel with their most frequent label (the lowest label if there are several).

    Parameters
    ----------
    labels
        Phase numbers, shape (nx, ny) or (nx, ny, nz).
    factor
        Voxels of a block along each axis, or one number for all.

    Raises
    ------
    InputError
        If the factors are not positive integers that divide the shape.
    """
    given, shape = np.asarray(factor), np.array(labels.shape)
    if given.shape not in ((), shape.shape) or given.dtype.kind not in "iu" or np.any(given < 1):
        raise InputError(f"downsample = {factor} is not a positive integer, nor one for each of {labels.ndim} axes")
    factors = np.broadcast_to(given, shape.shape)
    if np.any(shape % factors):
        kept = [(0, int(n)) for n in shape - shape % factors]
        raise InputError(f"downsample = {factor} does not divide the shape {labels.shape}: add crop={kept}")
    blocks = labels.reshape(np.stack([shape // factors, factors], axis=1).ravel())
    inside = tuple(range(1, 2 * labels.ndim, 2))
    counts = [(blocks == k).sum(axis=inside) for k in range(int(labels.max()) + 1)]
    return np.argmax(counts, axis=0).astype(np.int32)


def check_smallest(smallest: int) -> None:
    """Raise `InputError` unless it is a number of voxels."""
    if isinstance(smallest, bool | np.bool_) or not isinstance(smallest, int | np.integer) or smallest < 0:
        raise InputError(f"fill = {smallest!r} is not a number of voxels: give an integer, 0 for none")


def fill(labels: Labels, smallest: int, periodic: bool = True) -> Labels:
    """Assign pieces of fewer than `smallest` voxels to the phase around them: islands, holes and noise.

    A voxel of such a piece takes the label of the nearest voxel of a larger one.

    Parameters
    ----------
    labels
        Phase numbers, shape (nx, ny) or (nx, ny, nz).
    smallest
        Number of voxels of the smallest piece that remains.
    periodic
        Whether pieces and distances continue across the faces of the image.

    Raises
    ------
    InputError
        If `smallest` is not a number of voxels, or no piece is that large.
    """
    check_smallest(smallest)
    large = np.zeros(labels.shape, dtype=bool)
    for k in np.unique(labels):
        piece_of, n = label_pieces(labels == k, periodic)
        sizes = np.bincount(piece_of.ravel(), minlength=n + 1)
        sizes[0] = 0
        large |= sizes[piece_of] >= smallest
    if not large.any():
        raise InputError(f"fill = {smallest} is more voxels than any piece of the image has: give a smaller number")
    if large.all():
        return labels.copy()
    width = [int(min(n, smallest)) if periodic else 0 for n in labels.shape]
    padded = [(w, w) for w in width]
    nearest = ndimage.distance_transform_edt(
        np.pad(~large, padded, mode="wrap"), return_distances=False, return_indices=True
    )
    inner = tuple(slice(w, w + n) for w, n in zip(width, labels.shape, strict=True))
    source = tuple((i[inner] - w) % n for i, w, n in zip(nearest, width, labels.shape, strict=True))
    return np.asarray(labels[source])


def mirror(labels: NDArray[Any], axes: Sequence[int] | None = None) -> NDArray[Any]:
    """The image and its mirror image side by side along each of the axes (all by default), which is periodic."""
    for axis in range(labels.ndim) if axes is None else axes:
        if axis not in range(labels.ndim):
            raise InputError(f"mirror = {axes} names no axis of an image of shape {labels.shape}: take 0, 1, ...")
        labels = np.concatenate([labels, np.flip(labels, axis)], axis)
    return labels


def _checked(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim == 3 and 1 in array.shape:
        array = array.squeeze(axis=array.shape.index(1)) if array.shape.count(1) == 1 else array
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(f"the image has shape {array.shape}: give an array of two or three dimensions")
    if array.dtype.kind not in "iubf":
        raise InputError(
            f"the image has values of type {array.dtype}: give labels or grey values, one number per voxel"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{bad} voxels are NaN or infinite, the first at {where}: crop them away or give them a value")
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _claimed(array: NDArray[Any], name: str, claim: Claim) -> NDArray[np.bool_]:
    if isinstance(claim, tuple):
        if len(claim) != 2 or not claim[0] < claim[1]:
            raise InputError(f"phase {name!r} claims {claim}: a tuple is a range of grey values, low < high")
        return (array >= claim[0]) & (array < claim[1])
    labels = np.asarray(list(claim) if isinstance(claim, Sequence | range | set | frozenset) else claim)
    if labels.ndim > 1 or labels.size == 0 or labels.dtype.kind not in "iub":
        raise InputError(f"phase {name!r} claims {claim!r}: give a label, a list of labels or a tuple (low, high)")
    return np.isin(array, labels)


def _values(array: NDArray[Any]) -> str:
    """A short description of the values of an array."""
    found = np.unique(array)
    if found.size > 12:
        return f"{found.size} different values from {found[0]:g} to {found[-1]:g}"
    return f"the values {found.tolist()}"
