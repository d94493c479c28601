"""Macroscopic inputs of models that are not finite element cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.models.points import Input


def strain(dim: int, *, out_of_plane: bool = False, name: str = "strain") -> Input:
    """Small strain, packed after Mandel as (11, 22, sqrt2*12) or (11, 22, 33, sqrt2*12, sqrt2*13, sqrt2*23).

    Parameters
    ----------
    dim
        Dimension, 2 or 3.
    out_of_plane
        In 2D, have the component 33 as well: (11, 22, 33, sqrt2*12).
    name
        Name of the input.
    """
    packing = tensors.plane(_checked(dim)) if out_of_plane else tensors.symmetric(_checked(dim))
    return Input(name, "stress", packing, np.zeros(packing.size))


def deformation_gradient(dim: int, *, name: str = "deformation_gradient") -> Input:
    """Deformation gradient, packed row by row; its response is the first Piola-Kirchhoff stress."""
    packing = tensors.general(_checked(dim), dim)
    return Input(name, "first Piola-Kirchhoff stress", packing, packing.to_vector(np.eye(dim)))


def gradient(dim: int, *, name: str = "gradient", response: str = "flux") -> Input:
    """Gradient of a scalar field."""
    packing = tensors.general(_checked(dim))
    return Input(name, response, packing, np.zeros(dim))


def scalar(name: str, response: str, reference: float = 0.0) -> Input:
    """A scalar, such as a temperature, and its value in the undeformed state."""
    return Input(name, response, tensors.general(), np.array([float(reference)]))


def named(given: Input, name: str) -> Input:
    """The same input with another name."""
    return replace(given, name=name)


def _checked(dim: int) -> int:
    if dim not in (1, 2, 3):
        raise InputError(f"dim = {dim!r} of a macroscopic input must be 1, 2 or 3")
    return dim
