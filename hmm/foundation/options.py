"""Checks of user input: one function for each kind of value, with messages of the same form.

Messages begin with the `name` of the value; ``{}`` in the name is replaced by the value.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.errors import InputError

LARGEST_QUADRATURE = 30
"""The highest degree of a quadrature rule: the number of points grows with its d-th power."""

LARGEST_DEGREE = 10
"""The highest degree of a fluctuation field: higher ones are ill-conditioned."""


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """An integer from `low` to `high`; ``True``, ``2.0`` and ``"2"`` are rejected.

    Raises
    ------
    InputError
        If it is not.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    number = int(cast(int, value)) if is_integer else low - 1
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
    """Whether a value can be converted to a float; not ``True``, ``"2"`` or ``10**400``."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return not isinstance(value, int) or abs(value) <= sys.float_info.max


def numbers(name: str, value: Any) -> NDArray[np.float64]:
    """A new array of the numbers in a value, such as nested lists.

    Raises
    ------
    InputError
        If it contains anything else.
    """
    try:
        return np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{_shown(name, value)}: give numbers") from None


def choice(name: str, value: object, choices: Iterable[str]) -> str:
    """A value that must be one of several names.

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
    """A new dictionary with the items of a mapping; `of` describes them in messages; empty for None.

    Raises
    ------
    InputError
        If it is not a mapping.
    """
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    raise InputError(f"{_shown(name, value)}: give a dictionary of {of}")


def instance(name: str, value: object, kind: type | tuple[type, ...], remedy: str) -> None:
    """Check that a value is an instance of a class, or of one of several.

    Raises
    ------
    InputError
        If it is not; the message ends with the `remedy`.
    """
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(k.__name__ for k in kinds)
        article = "an" if names.startswith(("A", "E", "I", "O", "RVE")) else "a"
        raise InputError(f"{_shown(name, value)} is not {article} {names}: {remedy}")


def function(name: str, value: object, arguments: str, *, by_name: bool = False) -> None:
    """Check that a value is a function that can be called with the given arguments, as far as its signature shows.

    Parameters
    ----------
    name, value
        The function.
    arguments
        Their names, such as ``"E, old, dt"``.
    by_name
        Whether they are passed by name.

    Raises
    ------
    InputError
        If it is not.
    """
    if not callable(value):
        raise InputError(f"{_shown(name, value)} is not a function: give a function of ({arguments})")
    names = [argument.strip() for argument in arguments.split(",") if argument.strip()]
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # some built-in functions have none
        return
    try:
        signature.bind(**dict.fromkeys(names)) if by_name else signature.bind(*names)
    except TypeError as error:
        raise InputError(f"{name} cannot be called with ({arguments}): {error}") from None


def quadrature_degree(name: str, value: object) -> int:
    """The degree of a quadrature rule.

    Raises
    ------
    InputError
        If it is not an integer in the allowed range.
    """
    return integer(name, value, 0, LARGEST_QUADRATURE)


def _shown(name: str, value: object) -> str:
    """The name and the value in one short line; for large objects, only the type."""
    plain = isinstance(value, str | Real | list | tuple | Mapping | None)
    try:
        text = repr(value) if plain else f"<{type(value).__name__}>"
    except ValueError:  # Python does not write integers of thousands of digits
        text = "<int>"
    line = " ".join(re.sub(r" at 0x[0-9a-f]+", "", text).split())  # addresses differ between ranks
    line = line if len(line) <= 80 else f"{line[:77]}..."
    return name.format(line) if "{}" in name else f"{name} = {line}"


class Destroyed:
    """Placeholder for freed objects: its use raises an `InputError`, where PETSc would crash."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle look up these
            raise AttributeError(name)
        raise InputError(f"{self._what} was destroyed and cannot be used any more: create a new one")
