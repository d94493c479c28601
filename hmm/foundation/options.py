"""Checks of what a user gives: one for each kind of value, with one form of message.

What is checked is called by a `name`; with ``{}`` in it, that is where the message shows the value.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError

LARGEST_QUADRATURE = 30
"""The highest degree of a quadrature rule that is taken: its points grow with the degree to the power of d."""

LARGEST_DEGREE = 10
"""The highest degree of a fluctuation field: rounding spoils the elements beyond."""


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """A whole number from `low` to `high`; ``True``, ``2.0`` and ``"2"`` are none.

    Raises
    ------
    InputError
        If it is not.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    number = int(cast(int, value)) if whole else low - 1
    if number >= low and (high is None or number <= high):
        return number
    wanted = f"of at least {low}" if high is None else f"of at least {low} and at most {high}"
    raise InputError(f"{_shown(name, value)}: give a whole number {wanted}")


def positive(name: str, value: object, below: float = np.inf) -> float:
    """A real number above zero and below `below`.

    Raises
    ------
    InputError
        If it is not.
    """
    number = float(cast(float, value)) if is_real(value) else 0.0
    if 0.0 < number < below:
        return number
    wanted = "a positive, finite number" if below == np.inf else f"a number between 0 and {below:g}"
    raise InputError(f"{_shown(name, value)}: give {wanted}")


def is_real(value: object) -> bool:
    """Whether a value is a number that a float can be; ``True``, ``"2"`` and ``10**400`` are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return not isinstance(value, int) or abs(value) <= sys.float_info.max


def numbers(name: str, value: Any) -> NDArray[np.float64]:
    """A new array of the numbers in a value, which may be nested.

    Raises
    ------
    InputError
        If there is anything else in it.
    """
    try:
        return np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{_shown(name, value)}: give numbers") from None


def choice(name: str, value: object, choices: Iterable[str]) -> str:
    """One of some names.

    Raises
    ------
    InputError
        If it is not.
    """
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    shown = _shown(name if "{}" in name else f"{name} {{}}", value)
    raise InputError(f"{shown} is unknown: choose one of {', '.join(map(repr, known))}")


def dictionary(name: str, value: object, of: str) -> dict[Any, Any]:
    """A new dictionary with the items of a mapping `of` something; empty for None.

    Raises
    ------
    InputError
        If it is no mapping.
    """
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    raise InputError(f"{_shown(name, value)}: give a dictionary of {of}")


def instance(name: str, value: object, kind: type | tuple[type, ...], remedy: str) -> None:
    """Check that a value is an object of a class, or of one of several.

    Raises
    ------
    InputError
        If it is not; the message ends with the `remedy`.
    """
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise InputError(f"{_shown(name, value)} is no {' or '.join(k.__name__ for k in kinds)}: {remedy}")


def quadrature_degree(name: str, value: object) -> int:
    """The degree of a quadrature rule.

    Raises
    ------
    InputError
        If it is none, or so high that a cell has thousands of points.
    """
    return integer(name, value, 0, LARGEST_QUADRATURE)


def _shown(name: str, value: object) -> str:
    """The name and the value in one short line; of large objects the type only."""
    plain = isinstance(value, str | Real | list | tuple | Mapping | None)
    try:
        text = repr(value) if plain else f"<{type(value).__name__}>"
    except ValueError:  # Python does not write integers of thousands of digits
        text = "<int>"
    line = " ".join(re.sub(r" at 0x[0-9a-f]+", "", text).split())  # addresses differ between ranks
    line = line if len(line) <= 80 else f"{line[:77]}..."
    return name.format(line) if "{}" in name else f"{name} = {line}"


class Destroyed:
    """What stands in for objects that were freed: whoever uses it is told so, where PETSc would crash."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copies and pickles look for those
            raise AttributeError(name)
        raise InputError(f"{self._what} was destroyed and cannot be used any more: create a new one")
