"""Components of macroscopic inputs: by label, packed into one vector, and as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation import component_labels
from hmm.foundation.errors import InputError
from hmm.foundation.options import numbers
from hmm.foundation.tensors import Packing
from hmm.models.points import Input, input_blocks, reference_of

NO_SHEAR_13 = (
    "a 2D cell does not have, with out_of_plane=True neither (that adds 33): make the cell 3D with hmm.cells.extrude"
)
"""The reason why out-of-plane shear is rejected, and the remedy."""


def component_names(inputs: Sequence[Input]) -> list[str]:
    """A name for each packed component: its label such as ``"12"``, with the name of the input if there are several."""
    return component_labels.names_of_components(_packings(inputs))


def response_names(inputs: Sequence[Input]) -> list[str]:
    """A name for the response to each input, preceded by the name of the input if it is not unique."""
    responses = [e.response for e in inputs]
    return [e.response if responses.count(e.response) == 1 else f"{e.name} {e.response}" for e in inputs]


def find_component(inputs: Sequence[Input], label: str) -> int:
    """Index in the packed vector of a component such as ``"12"``, ``"21"`` (if symmetric) or ``"strain 12"``.

    Raises
    ------
    InputError
        If no component, or more than one, has this label.
    """
    return component_labels.index_of_component(_packings(inputs), label, "macro component")


def find_components(inputs: Sequence[Input], labels: Iterable[str]) -> list[int]:
    """Indices in the packed vector of components by label.

    Raises
    ------
    InputError
        If one is unknown or named twice, as in ``("12", "21")`` of a symmetric tensor.
    """
    indices: list[int] = []
    for label in labels:
        k = find_component(inputs, label)
        if k in indices:
            raise InputError(f"component {component_names(inputs)[k]} is prescribed twice: name it once")
        indices.append(k)
    return indices


def pack_inputs(inputs: Sequence[Input], E: ArrayLike | Mapping[str, float]) -> NDArray[np.float64]:
    """Packed macroscopic input, shape (m,), of a tensor (single input), a packed vector or components by label."""
    size = input_blocks(inputs).size
    if isinstance(E, Mapping):
        vector = reference_of(inputs)
        k = find_components(inputs, E)
        vector[k] = numbers("values {} of the macroscopic input", list(E.values())) * factors(inputs)[k]
        return vector
    array = numbers("the macroscopic input", E)
    if array.shape == (size,):
        return array
    if len(inputs) == 1 and array.shape == inputs[0].packing.shape:
        _check_entries(inputs[0], array)
        return inputs[0].packing.to_vector(array)
    name, shape = (inputs[0].name, inputs[0].packing.shape) if inputs else ("input", ())
    raise InputError(
        f"the macroscopic {name} has shape {array.shape}: give a tensor of shape {shape} "
        f"or its packed components, shape ({size},)"
    )


def _check_entries(e: Input, tensor: NDArray[np.float64]) -> None:
    """Raise `InputError` if packing would lose entries of a tensor that are not zero or not symmetric."""
    if lost := [f"{i + 1}{j + 1}" for i, j in e.dropped if tensor[i, j]]:
        raise InputError(f"the macroscopic {e.name} has {' and '.join(lost)}, which {NO_SHEAR_13}")
    if e.packing.asymmetry(tensor) > 1e-9 * np.abs(tensor).max(initial=0.0):
        raise InputError(f"the macroscopic {e.name} {tensor.tolist()} is not symmetric: give its symmetric part")


def factors(inputs: Sequence[Input]) -> NDArray[np.float64]:
    """The factor of each packed component relative to the tensor entry, shape (m,)."""
    return np.array([f for e in inputs for f in e.packing.factors])


def split_vector(inputs: Sequence[Input], vector: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Packed values, shape (..., m), as one tensor per macro input."""
    parts = input_blocks(inputs).split(vector)
    return tuple(e.packing.to_tensor(parts[e.name]) for e in inputs)


def _packings(inputs: Sequence[Input]) -> dict[str, Packing]:
    """How each input is packed, by name."""
    return {e.name: e.packing for e in inputs}
