"""Checks of generator arguments. Every rank calls them with the same values, before any collective call."""

from __future__ import annotations

import os
from collections.abc import Collection
from math import ceil, floor, log10, sqrt

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError


def check_real(name: str, value: object, remedy: str) -> None:
    """Raise an `InputError` unless `value` is a real number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f"{name} = {value!r} is not a number: {remedy}")


def real_array(name: str, values: object, remedy: str) -> NDArray[np.float64]:
    """The values as an array; raise an `InputError` unless they are one or more real numbers in a regular shape."""
    try:
        array = np.array(values, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.size == 0 or isinstance(values, str):
        raise InputError(f"{name} = {values!r} are not numbers: {remedy}")
    return array


def check_range(name: str, value: float, low: float, high: float, remedy: str, closed: bool = False) -> None:
    """Raise an `InputError` unless `value` lies in the interval (low, high), or in (low, high] if `closed`."""
    check_real(name, value, remedy)
    if not (low < value < high or (closed and value == high)):
        raise InputError(f"{name} = {value:g} is outside ({low:g}, {high:.6g}{']' if closed else ')'}: {remedy}")


def check_sizes(mesh_size: float, size: float) -> None:
    """Raise an `InputError` unless 0 < `mesh_size` <= `size` < infinity."""
    check_range("size", size, 0.0, float("inf"), "give a positive edge length")
    check_range(
        "mesh_size", mesh_size, 0.0, size, "give a positive length up to size, in the unit of size", closed=True
    )


def check_order(order: int) -> None:
    """Raise an `InputError` unless the geometry degree `order` is 1 or 2."""
    if order not in (1, 2):
        raise InputError(f"order = {order!r} is not a geometry degree: choose 1 (straight) or 2 (curved)")


def check_memory(n_cells: int, bytes_per_cell: float, remedy: str) -> None:
    """Raise an `InputError` if a mesh of `n_cells` would not fit into the free memory.

    `bytes_per_cell` is the measured peak memory of mesh and solver per element. If the operating system does not report
    the free memory, nothing is checked.
    """
    free = available_memory()
    if n_cells * bytes_per_cell > free:
        count = f"{n_cells:,}" if n_cells < 10**15 else f"{n_cells:.3g}"
        raise InputError(
            f"a mesh of {count} elements needs about {n_cells * bytes_per_cell / 1e9:.3g} GB, and "
            f"{free / 1e9:.3g} GB of memory are free: {remedy}"
        )


def available_memory() -> float:
    """Free memory in bytes; infinite if the operating system does not report it."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):
        return float("inf")


BYTES_PER_ELEMENT = 4000.0
"""Approximate memory of an element in Gmsh, DOLFINx and an assembled matrix, and the same amount for the solver."""


def check_elements(estimate: float, argument: str) -> None:
    """Raise an `InputError` if about `estimate` elements do not fit; `argument` is the parameter to be made coarser."""
    check_memory(int(estimate), BYTES_PER_ELEMENT, f"make {argument} coarser or the cell smaller")


KERNEL = 1e-7
"""Tolerance of the geometry kernel, an absolute length in cells of unit size; smaller parts are lost."""

LAYER_ELEMENTS = 5e5
"""Largest number of elements in and next to interface layers that Gmsh meshes reliably, in a minute or two."""

PER_LAYER = 1.2
"""Measured number of elements in 3D per area / thickness^2 of a layer, with edges of four times the thickness."""


def check_interface(thickness: float, size: float, dim: int, area: float) -> None:
    """Raise an `InputError` if a layer is too thin for the geometry kernel or, in 3D, has too many elements.

    Parameters
    ----------
    thickness, size
        Of the layer and of the cell; 0 for no layer.
    dim
        Dimension of the cell.
    area
        Of the surfaces with a layer, in a cell of unit size.
    """
    least = 10 * KERNEL
    if dim == 3:
        least = max(least, sqrt(PER_LAYER * area / LAYER_ELEMENTS))
    if 0 < thickness / size < least:
        digits = 10 ** (floor(log10(least * size)) - 1)  # rounded up, so that the recommended value works
        why = "has too many elements" if dim == 3 else "is lost in the tolerance of the geometry kernel"
        raise InputError(
            f"interface = {thickness:g} is too thin, as the layer {why}: give {digits * ceil(least * size / digits):g} "
            "or more, or 0"
        )


def check_seed(seed: int) -> None:
    """Raise an `InputError` unless `seed` is a non-negative integer."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed = {seed!r} is not a seed: give an integer, zero or larger")


def check_number(name: str, value: int, least: int = 1) -> None:
    """Raise an `InputError` unless `value` is an integer not below `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} = {value!r} is not a count: give an integer, {least} or larger")


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise an `InputError` unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name} = {value!r} is unknown: choose from {sorted(choices, key=str)}")


def check_spread(spread: float) -> None:
    """Raise an `InputError` unless `spread` may be a standard deviation of radii over their mean."""
    remedy = "give the standard deviation of the radii / their mean"
    check_real("spread", spread, remedy)
    if not 0 <= spread <= 1:
        raise InputError(f"spread = {spread:g} is outside [0, 1]: {remedy}")
