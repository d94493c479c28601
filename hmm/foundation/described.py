"""Descriptions of laws and functions that are reproducible in each run, process and machine."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import ufl
from dolfinx import fem

from hmm.foundation.hashing import digest

DEEPEST = 8
"""Maximum nesting depth of described objects; deeper ones are described by their type."""

LIBRARIES = {"hmm", "basix", "dolfinx", "ffcx", "mpi4py", "numpy", "petsc4py", "scipy", "ufl", *sys.stdlib_module_names}
"""Packages whose code is identified by their versions, not here."""


def described(value: object) -> str:
    """Description of a law, a parameter or a function as text.

    Numbers have all their digits; arrays are hashed. For functions and user classes, the text contains a hash of the
    compiled code, of captured values and of global values that occur in it. Values of Constants and UFL expressions are
    omitted. The text does not depend on addresses, the order of sets and dictionaries, or hashes of strings.

    Parameters
    ----------
    value
        Anything.
    """
    return _Describer().say(value)


class _Describer:
    """One description. In cyclic references, objects are named only.

    Descriptions are cached by object and depth, unless they contain such a name. Without the cache, functions that
    refer to one another would be described once per path between them.
    """

    def __init__(self) -> None:
        self._open: list[int] = []
        self._said: dict[tuple[int, int], tuple[str, object]] = {}  # with the object, so that its id stays unique
        self._is_circular = False

    def say(self, value: object) -> str:
        """The words."""
        plain = _plain(value)
        if plain is not None:
            return plain
        key = id(value), len(self._open)
        if key in self._said:
            return self._said[key][0]
        is_open = id(value) in self._open
        self._is_circular |= is_open
        if is_open or len(self._open) == DEEPEST:
            return _name(type(value))
        was_circular, self._is_circular = self._is_circular, False
        self._open.append(id(value))
        try:
            words = self._compound(value)
        finally:
            self._open.pop()
        if not self._is_circular:
            self._said[key] = words, value
        self._is_circular |= was_circular
        return words

    def _compound(self, value: Any) -> str:
        if isinstance(value, Mapping):
            return f"{{{', '.join(sorted(f'{self.say(k)}: {self.say(v)}' for k, v in value.items()))}}}"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self.say, value)))}}}"
        if isinstance(value, tuple | list):
            return f"({self._all(value)})"
        if isinstance(value, partial):
            return f"partial({self._all([value.func, value.args, value.keywords])})"
        if isinstance(value, MethodType):
            return f"{self.say(value.__func__)} of {self.say(value.__self__)}"
        if isinstance(value, FunctionType):
            return f"{value.__qualname__}{self._code(self._parts_of_function(value))}"
        if isinstance(value, type):
            return self._class(value)
        return self._object(value)

    def _all(self, values: Iterable[object]) -> str:
        return ", ".join(map(self.say, values))

    def _object(self, value: Any) -> str:
        if is_dataclass(value):
            parts = [f"{f.name}={self.say(getattr(value, f.name))}" for f in fields(value)]
        elif _is_library(type(value)):
            return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
        else:
            parts = sorted(f"{k}={self.say(v)}" for k, v in getattr(value, "__dict__", {}).items())
        return f"{self._class(type(value))}({', '.join(parts)})"

    def _class(self, kind: type) -> str:
        """The name of a class; for a user class, with the members of it and its bases."""
        own = [c for c in kind.__mro__ if not _is_library(c)]
        members = [f"{name} {self._member(v)}" for c in own for name, v in sorted(vars(c).items()) if _is_said(name)]
        return _name(kind) + (self._code(members) if own else "")

    def _member(self, value: object) -> str:
        if isinstance(value, property):
            return self._all([value.fget, value.fset])
        if isinstance(value, staticmethod | classmethod):
            return self.say(value.__func__)
        return self.say(value)

    def _parts_of_function(self, function: FunctionType) -> list[str]:
        captured = [_content(cell) for cell in function.__closure__ or ()]
        given = [function.__defaults__, function.__kwdefaults__, captured]
        if function.__module__ and _is_library(function):  # code from exec has no module
            return [function.__module__, *map(self.say, given)]
        named = sorted(_names(function.__code__) & function.__globals__.keys())
        values = [f"{name} {self.say(function.__globals__[name])}" for name in named]
        return [_compiled(function.__code__, self.say), *map(self.say, given), *values]

    @staticmethod
    def _code(parts: Iterable[str]) -> str:
        return f" [code {hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:12]}]"


def _plain(value: object) -> str | None:
    """Description of an object without parts, or None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is Ellipsis or isinstance(value, bool | int | float | complex | str | bytes):
        return repr(value)
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {digest(value) if value.dtype != object else 'of objects'}"
    if isinstance(value, fem.Constant):
        return "Constant"  # its value may change, and is checked at the start of a run
    if isinstance(value, ufl.core.expr.Expr | ufl.Form):
        return "UFL"  # it is part of the form
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, BuiltinFunctionType | np.ufunc):
        return value.__name__
    return None


def _is_library(thing: Any) -> bool:
    return str(getattr(thing, "__module__", None) or "builtins").partition(".")[0] in LIBRARIES


def _name(kind: type) -> str:
    return kind.__qualname__.rpartition("<locals>.")[2]


def _is_said(name: str) -> bool:
    """Whether an entry of a class affects its behaviour."""
    return not (name.startswith("__") and name.endswith("__")) or name in ("__call__", "__post_init__", "__init__")


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return None


def _names(code: CodeType) -> set[str]:
    """Global names in code and its inner functions."""
    inner = (_names(c) for c in code.co_consts if isinstance(c, CodeType))
    return set(code.co_names).union(*inner)


def _compiled(code: CodeType, say: Callable[[object], str]) -> str:
    """Code without its position in files."""
    constants = [_compiled(c, say) if isinstance(c, CodeType) else say(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars} ({', '.join(constants)})"
