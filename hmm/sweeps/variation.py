"""The values of the keys that a sweep varies, and their combinations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hmm.foundation.errors import InputError
from hmm.jobs.changes import parsed_value, path_of
from hmm.jobs.values import shown

MOST = 100_000
"""Largest number of variants."""


@dataclass(frozen=True)
class SweepAxis:
    """The values of one key.

    Attributes
    ----------
    key
        A dotted key of the job, such as ``"phases.fibre.young"``.
    values
        Its values.
    text
        The same as ``KEY=VALUES``, as the command takes it.
    """

    key: str
    values: tuple[Any, ...]
    text: str = ""

    def __post_init__(self) -> None:
        path_of(self.key)
        if not self.values:
            raise InputError(f"{self.key} has no values: give at least one")
        if len({repr(value) for value in self.values}) < len(self.values):
            raise InputError(f"{self.key} has a value twice: give different ones")

    @classmethod
    def parsed(cls, text: str) -> Self:
        """An axis from a text: ``KEY=a,b,c``, or ``KEY=FIRST:LAST:NUMBER``, evenly spaced, with ``:log`` by a factor.

        Raises
        ------
        InputError
            If it is not understood.
        """
        key, equals, values = text.partition("=")
        if not equals or not values.strip():
            raise InputError(
                f"--vary {shown(text)}: write KEY=VALUE,VALUE or KEY=FIRST:LAST:NUMBER, "
                "as in phases.fibre.young=100:400:7"
            )
        parts = values.split(":")
        if len(parts) in (3, 4) and not any(c in values for c in "\"'[{"):
            return cls(key.strip(), _spaced(parts, text), text)
        return cls(key.strip(), tuple(_listed(values, text)), text)

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)


def _spaced(parts: Sequence[str], text: str) -> tuple[Any, ...]:
    first, last, number = (parsed_value(part) for part in parts[:3])
    is_log = len(parts) == 4
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in (first, last))
    if not numbers or not isinstance(number, int) or isinstance(number, bool) or (is_log and parts[3] != "log"):
        raise InputError(f"--vary {shown(text)}: write FIRST:LAST:NUMBER or FIRST:LAST:NUMBER:log, as in 100:400:7")
    if not 2 <= number <= MOST or first == last:
        raise InputError(f"--vary {shown(text)}: give 2 to {MOST} values between different ends")
    if is_log and not first * last > 0:
        raise InputError(f"--vary {shown(text)}: values with equal factors need ends of the same sign, not zero")
    found = (np.geomspace if is_log else np.linspace)(first, last, number)
    found = np.array([float(f"{value:.12g}") for value in found])  # 0.3, not 0.30000000000000004
    if isinstance(first, int) and isinstance(last, int) and (found == found.round()).all():
        return tuple(int(value) for value in found)
    return tuple(map(float, found))


def _listed(values: str, text: str) -> list[Any]:
    """Values between commas; commas within brackets, braces and quotes belong to a value."""
    whole = parsed_value(f"[{values}]")
    if isinstance(whole, list):
        return whole
    if any(c in values for c in "\"'[{"):
        raise InputError(f"--vary {shown(text)}: {shown(values)} is not a list of values of TOML")
    parts = [part.strip() for part in values.split(",")]
    if not all(parts):
        raise InputError(f"--vary {shown(text)}: a value between commas is empty")
    return [parsed_value(part) for part in parts]


def combinations(axes: Sequence[SweepAxis], together: bool = False) -> list[dict[str, Any]]:
    """The changes of all variants: each value with each, or the first ones `together`, the second ones, and so on.

    Raises
    ------
    InputError
        If there is no axis, a key is given twice, or the numbers of values differ but should go together.
    """
    keys = [axis.key for axis in axes]
    if not axes:
        raise InputError("nothing varies: give --vary KEY=VALUES, as in phases.fibre.young=100:400:7")
    if len(set(keys)) < len(keys):
        raise InputError(f"{next(k for k in keys if keys.count(k) > 1)} varies twice: give all its values once")
    counts = [len(axis.values) for axis in axes]
    if together and len(set(counts)) > 1:
        raise InputError(f"the keys have {counts} values: values that vary together are equally many")
    if not together and np.prod(counts, dtype=float) > MOST:
        raise InputError(f"the sweep has {np.prod(counts, dtype=float):.3g} variants, and {MOST} are the limit")
    values = [axis.values for axis in axes]
    rows = zip(*values, strict=True) if together else itertools.product(*values)
    return [dict(zip(keys, row, strict=True)) for row in rows]
