"""Changes of single keys of a job, such as ``phases.fibre.young = 100``."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping
from typing import Any

from hmm.foundation.errors import InputError
from hmm.foundation.naming import nearest
from hmm.jobs.values import listed, shown

OPTIONAL = ("output", "time")
"""Sections that a change may add to a job."""


def path_of(key: str) -> list[str]:
    """The parts of a dotted key; a part in quotes may contain anything: ``phases."*".young``.

    Raises
    ------
    InputError
        If it is not a dotted key.
    """
    try:
        found: Any = tomllib.loads(f"{key} = 0")
    except (tomllib.TOMLDecodeError, RecursionError):
        found = 0
    path = []
    while isinstance(found, dict) and len(found) == 1:
        ((part, found),) = found.items()
        path.append(part)
    if not path or "\n" in key or found != 0 or isinstance(found, bool):
        raise InputError(f"{shown(key)} is not a key of a job: write it with dots, as in phases.fibre.young")
    return path


def parsed_value(text: str) -> Any:
    """The value that a text stands for in TOML: a number, true, a list; any other text is itself."""
    try:
        return tomllib.loads(f"x = {text}")["x"] if "\n" not in text else text
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()


def changes_of(settings: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Changes from texts ``KEY=VALUE``, as the command takes them.

    Raises
    ------
    InputError
        If one has no ``=``, or its key is given twice.
    """
    found: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals:
            raise InputError(f"--set {shown(setting)}: write KEY=VALUE, as in phases.fibre.young=100")
        path_of(key)
        if key in found:
            raise InputError(f"--set {key} is given twice: give it once")
        found[key] = parsed_value(text)
    return found


def changed(table: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of the table of a job with some keys changed or added.

    Parameters
    ----------
    table
        The table of the file.
    changes
        Values by dotted key. The sections of a key must exist; whether it is a key of its section is checked by what
        reads the job.
    where
        Name of the file in errors.

    Raises
    ------
    InputError
        If there is no such section; the message names the nearest one.
    """
    found = copy.deepcopy(dict(table))
    for key, value in changes.items():
        *sections, last = path_of(key)
        inner: Any = found
        for k, name in enumerate(sections):
            if k == 0 and name in OPTIONAL:
                inner.setdefault(name, {})
            if not isinstance(inner.get(name), dict):
                known = [n for n, entry in inner.items() if isinstance(entry, dict)]
                place = ".".join(sections[:k])
                hint = nearest(name, known) or nearest(last, [n for n in known if n != name])
                what = f"[{place}] has no section" if place else "there is no section"
                raise InputError(f"{where}: {key}: {what} {shown(name)}{hint}: the sections are {listed(known)}")
            inner = inner[name]
        inner[last] = value
    return found
