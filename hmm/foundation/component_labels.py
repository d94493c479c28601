"""Components of several packed tensors by label."""

from __future__ import annotations

from collections.abc import Mapping

from hmm.foundation.errors import InputError
from hmm.foundation.options import instance
from hmm.foundation.tensors import Packing


def names_of_components(packings: Mapping[str, Packing]) -> list[str]:
    """A name for each packed component: its label such as ``"12"``, with the tensor's name if there are several."""
    several = len(packings) > 1
    return [
        f"{name} {label}".strip() if several or not label else label
        for name, packing in packings.items()
        for label in packing.labels
    ]


def index_of_component(packings: Mapping[str, Packing], label: str, what: str = "component") -> int:
    """Index in the packed vector of a component such as ``"12"``, ``"21"`` (if symmetric) or ``"strain 12"``.

    Parameters
    ----------
    packings
        How each tensor is packed, by name.
    label
        The component.
    what
        What messages call it.

    Raises
    ------
    InputError
        If there is none, or several of that label.
    """
    listed = f"the components are {', '.join(names_of_components(packings))}"
    instance("component", label, str, listed)
    wanted = label.strip()
    names = [{*same, *(f"{name} {s}".strip() for s in same)} for name, p in packings.items() for same in p.synonyms]
    found = [k for k, own in enumerate(names) if wanted in own and wanted]
    if len(found) == 1:
        return found[0]
    raise InputError(f"{label!r} {f'is not a {what}' if not found else 'could be one of several'}: {listed}")
