"""Conversion of the values of a job file to the types that functions and laws declare."""

from __future__ import annotations

import inspect
import reprlib
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeAliasType, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.naming import nearest
from hmm.jobs import user_laws
from hmm.laws import Law
from hmm.laws.elastic import LinearElasticity
from hmm.laws.registry import LAWS, PARTS, Entry, choices

SMALLEST, LARGEST, LARGEST_INTEGER = 1e-60, 1e60, 2**31 - 1
"""Range of the absolute values of nonzero numbers and integers: products of a few of them do not overflow."""

RANGE = f"give zero or a number from {SMALLEST:g} to {LARGEST:g} in absolute value; use other units if necessary"

LONGEST_NAME = 80
"""Largest number of characters in the name of a phase."""

DEEPEST = 8
"""Largest depth of nested lists in an array."""

WORDS = {float: "a number", int: "an integer", bool: "true or false", str: "a text in quotes", Path: "a path in quotes"}


class Unfit(Exception):
    """A value of the wrong type; the message describes the right one."""


def choose(value: Any, choices: Collection[str], key: str) -> str:
    """The value if it is one of several names; otherwise an error lists them."""
    if not isinstance(value, str) or value not in choices:
        hint = nearest(str(value)[:200], choices)
        raise InputError(f"{key} = {shown(value)} is unknown{hint}: choose one of {listed(choices)}")
    return str(value)


def check_keys(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Reject unknown keys; the error names the nearest known one."""
    for key in table:
        if key not in known:
            raise InputError(
                f"{where} has an unknown key {shown(key)}{nearest(key[:200], known)}: the keys are {listed(known)}"
            )


def listed(names: Collection[str]) -> str:
    """Names separated by commas."""
    return ", ".join(names)


def arguments(function: Callable[..., Any], table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Arguments of a function or fields of a dataclass from a table, checked and converted.

    Raises
    ------
    InputError
        For a key that is not a parameter, a missing parameter without default, or a value of another type.
    """
    parameters = known_parameters(function)
    check_keys(table, parameters, where)
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in table:
            raise InputError(f"{where} lacks {name!r}: add {name} = ... ({type_in_words(parameter.annotation)})")
    return {name: convert(value, parameters[name].annotation, f"{where}: {name}") for name, value in table.items()}


def known_parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Parameters by name with their types resolved, without the communicator and ``**others``."""
    try:
        plain = isinstance(function, type) and not is_dataclass(function)
        hints = get_type_hints(vars(function).get("__init__", function) if plain else function)
    except Exception:  # undefined names in a user's annotations: the user's code then has to check the values
        hints = {}
    given = {name: p for name, p in inspect.signature(function).parameters.items() if p.kind is not p.VAR_KEYWORD}
    return {name: p.replace(annotation=hints.get(name, Any)) for name, p in given.items() if name != "comm"}


def convert(value: Any, hint: Any, key: str) -> Any:
    """The value converted to the type `hint`; otherwise an error describes valid values."""
    try:
        return _fit(value, hint, key)
    except Unfit:
        raise InputError(f"{key} = {shown(value)} is not understood: give {type_in_words(hint)}") from None


def make_law(table: Any, where: str, default: str | None = None, kind: Any = None, trusted: Path | None = None) -> Any:
    """A law of `hmm.laws`, or a part of one, from a table ``{law = "J2", young = ..., ...}``.

    Parameters
    ----------
    table
        The table.
    where
        Name of the table in errors.
    default
        The law if the table has no key ``law``.
    kind
        For a part of a law the class or protocol it must be.
    trusted
        Directory of the job file if laws of the user's own code may be run (see `hmm.jobs.user_laws`).
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where} = {shown(table)} is not a table: write its parameters as name = value")
    names = parts_of(Law if kind is None else kind)
    name = table.get("law", default or (next(iter(names)) if len(names) == 1 else None))
    if name is None:
        raise InputError(f"{where} lacks 'law': choose one of {listed(names)}")
    given = {key: value for key, value in table.items() if key != "law"}
    if kind is None and user_laws.is_path(name):
        own = user_laws.find(name, trusted, where)
        return user_laws.make(own, arguments(own, given, f"{where} ({name})"), f"{where} ({name})")
    chosen = names[choose(name, names, f"{where}: law")].make
    parameters = arguments(chosen, given, f"{where} ({name})")
    try:
        return chosen(**parameters)
    except (InputError, ValueError) as error:  # ValueError comes from NumPy
        raise InputError(f"{where}: {' '.join(str(error).split())}") from None


def _fit(value: Any, hint: Any, key: str) -> Any:
    """The value, converted; raises `Unfit`."""
    hint = hint.__value__ if isinstance(hint, TypeAliasType) and hint is not ArrayLike else hint
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _fit_any(value, inner, key)
    if hint in (ArrayLike,) or origin is get_origin(NDArray[Any]):
        return _array(value, key)
    if origin is tuple:
        return _fit_tuple(value, inner, key)
    if origin in (Sequence, list):
        if not isinstance(value, list):
            raise Unfit
        return [_fit(entry, inner[0], key) for entry in value]
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise Unfit
        return {name: _fit(entry, inner[1], f"{key}: {quoted_key(name)}") for name, entry in value.items()}
    return _fit_plain(value, hint, key)


def _fit_plain(value: Any, hint: Any, key: str) -> Any:
    if hint is Any:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(in_range(value, key))
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_INTEGER:
            raise InputError(f"{key} = {shown(value)} is out of range: give an integer up to {LARGEST_INTEGER}")
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    if parts_of(hint) and isinstance(value, Mapping):
        return make_law(value, key, kind=hint)
    raise Unfit


def _fit_any(value: Any, hints: Sequence[Any], key: str) -> Any:
    """The value as the first of several types that fits; integers stay integers if both types fit."""
    for hint in sorted(hints, key=lambda hint: hint is not int):
        try:
            return _fit(value, hint, key)
        except Unfit:
            continue
    raise Unfit


def _fit_tuple(value: Any, inner: Sequence[Any], key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Unfit
    kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else inner
    if len(kinds) != len(value):
        raise Unfit
    return tuple(_fit(entry, kind, key) for entry, kind in zip(value, kinds, strict=True))


def _array(value: Any, key: str) -> Any:
    """Numbers, as an array."""
    numbers = _numbers(value, key)
    try:
        np.asarray(numbers, dtype=float)
    except ValueError:
        raise InputError(f"{key} = {shown(value)} is ragged: give lists of equal length") from None
    return numbers


def _numbers(value: Any, key: str, depth: int = 0) -> Any:
    """A number, or numbers in nested lists."""
    if isinstance(value, list) and depth < DEEPEST:
        return [_numbers(entry, key, depth + 1) for entry in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return in_range(value, key)
    raise Unfit


def type_in_words(hint: Any) -> str:
    """A type in words, for errors, without the types that a file cannot contain."""
    hint = hint.__value__ if isinstance(hint, TypeAliasType) and hint is not ArrayLike else hint
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(words for part in inner if (words := type_in_words(part))))
    if hint is ArrayLike or origin is get_origin(NDArray[Any]):
        return "a list of numbers"
    if origin in (Sequence, list) or (origin is tuple and inner[-1] is Ellipsis):
        return f"a list, each entry {type_in_words(inner[0])}"
    if origin is tuple:
        return f"a list of {len(inner)}: {', '.join(map(type_in_words, inner))}"
    if origin is Mapping:
        return f"a table {{name = {type_in_words(inner[1])}}}"
    if hint in WORDS:
        return WORDS[hint]
    return f"a table {{law = {' | '.join(map(repr, parts))}, ...}}" if (parts := parts_of(hint)) else ""


def parts_of(kind: Any) -> dict[str, Entry]:
    """Laws or parts of laws of a kind; empty if there are none."""
    if kind in (Law, LinearElasticity):
        found = choices(LAWS, object if kind is Law else kind)
        return {name: law for name, law in found.items() if "law" not in law.parameters}  # this key names the law
    if not isinstance(kind, type) or kind.__module__ != "hmm.laws.hardening":
        return {}
    return {name: part for name, part in choices(PARTS, kind).items() if _answers_alike(part.kind, kind)}


def _answers_alike(part: Any, kind: Any) -> bool:
    """Whether `stress` has the same signature, since a protocol checks only the names of its methods."""
    methods = [getattr(one, "stress", None) for one in (part, kind)]
    asked = [list(inspect.signature(method).parameters) if method else None for method in methods]
    return asked[0] == asked[1]


class _Brief(reprlib.Repr):
    """Shortened values, also of integers that are too long for `repr`."""

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 128 else f"an integer of about {round(x.bit_length() * 0.30103)} digits"


def shown(value: Any) -> str:
    """A value for an error, in one line of moderate length."""
    if isinstance(value, bool):
        return str(value).lower()
    brief = _Brief(maxlevel=4, maxlist=8, maxdict=8, maxstring=80, maxlong=40, maxother=80)
    return " ".join(brief.repr(value).split())


def quoted_key(key: str) -> str:
    """A key for an error: unchanged if it is a bare key of TOML, otherwise in quotes."""
    return key if key.isidentifier() and len(key) <= 80 else shown(key)


def check_name(name: str, where: str) -> None:
    """Reject a phase name that tables and pictures cannot show."""
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"{where}: {shown(name)} is not a valid name of a phase: give 1 to {LONGEST_NAME} characters in one line"
        )


def in_range(value: float, key: str) -> float:
    """The number, if its absolute value is in the permitted range."""
    if value != 0 and not SMALLEST <= abs(value) <= LARGEST:  # no conversion, which may overflow
        raise InputError(f"{key} = {shown(value)} is out of range: {RANGE}")
    return value
