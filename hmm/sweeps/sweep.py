"""A sweep: its variants, and the table of their results."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mpi4py import MPI

from hmm.foundation.console import print_table
from hmm.foundation.errors import InputError
from hmm.foundation.files import write_atomically
from hmm.foundation.hashing import short
from hmm.foundation.naming import nearest
from hmm.foundation.options import integer
from hmm.foundation.tables import write_csv
from hmm.jobs.changes import path_of
from hmm.jobs.values import listed
from hmm.sweeps.kinds import Kind, kind_of_job, not_given, plain_changes
from hmm.sweeps.variation import SweepAxis, combinations

RECORD = "variant.json"
"""The file in the directory of a variant that says which one it is, written when it is done."""

LONGEST = 100
"""Largest number of characters of a directory's name."""

SHOWN = 8
"""Largest number of results in the table on the screen."""


@dataclass(frozen=True)
class Variant:
    """One job of a sweep.

    Attributes
    ----------
    changes
        Values by dotted key.
    directory
        Directory of its results.
    """

    changes: Mapping[str, Any]
    directory: Path

    def __str__(self) -> str:
        return ", ".join(f"{key} = {_shown(value)}" for key, value in self.changes.items())


@dataclass(frozen=True, eq=False)
class Sweep:
    """A job and the variants of it.

    Attributes
    ----------
    job
        The job file.
    kind
        Its kind.
    axes
        What varies.
    variants
        All combinations.
    directory
        Directory of all results.
    trust_laws
        As for `hmm.jobs.read_job`.
    common
        Changes of all variants, which leave out reports and pictures, and spread the cells of several ranks.
    ranks
        Number of ranks of each variant.
    signature
        Hash of the job.
    """

    job: Path
    kind: Kind
    axes: tuple[SweepAxis, ...]
    variants: tuple[Variant, ...]
    directory: Path
    trust_laws: bool = False
    common: Mapping[str, Any] = field(default_factory=dict)
    ranks: int = 1
    signature: str = ""

    @classmethod
    def of(
        cls,
        job: str | Path,
        axes: Sequence[SweepAxis],
        directory: str | Path | None = None,
        *,
        together: bool = False,
        trust_laws: bool = False,
        reports: bool = False,
        ranks: int = 1,
    ) -> Self:
        """A sweep; all variants are read and checked.

        Parameters
        ----------
        job
            The job file.
        axes
            What varies.
        directory
            Directory of the results; by default ``results/NAME-sweep``, with the name of the job file.
        together
            Whether the first values of all axes are one variant, the second ones the next, and so on; otherwise each
            value is combined with each.
        trust_laws
            As for `hmm.jobs.read_job`.
        reports
            Whether each variant writes its report and pictures too.
        ranks
            Number of ranks of each variant, which share its cell.

        Raises
        ------
        InputError
            If the job or a variant of it is wrong, with its changes.
        """
        job = Path(job)
        kind, table = kind_of_job(job)
        where = Path("results", f"{job.stem}-sweep") if directory is None else Path(directory)
        names = _short_names([axis.key for axis in axes])
        variants = [Variant(c, where / _folder(c, names)) for c in combinations(axes, together)]
        for variant in variants:
            try:
                kind.check(job, variant.changes, trust_laws)
            except InputError as error:
                raise InputError(f"{error} (varied: {variant})" if len(variants) > 1 else str(error)) from None
        text = job.read_text(encoding="utf-8-sig")
        signature = short(f"{kind.command}\n{text}")
        common = {} if reports else plain_changes(kind, table)
        common |= not_given(kind.spread, table) if integer("ranks", ranks, 1) > 1 else {}
        return cls(job, kind, tuple(axes), tuple(variants), where, trust_laws, common, ranks, signature)

    def record(self, variant: Variant, seconds: float) -> dict[str, float]:
        """Note that a variant is done, and return its values."""
        values = self.kind.values(variant.directory)
        data = {"job": self.signature, "changes": dict(variant.changes), "seconds": round(seconds, 3), "values": values}
        write_atomically(variant.directory / RECORD, json.dumps(data, indent=1) + "\n")
        return values

    def done(self, variant: Variant) -> dict[str, float] | None:
        """The values of a variant that was computed before, with this very job; otherwise None.

        Raises
        ------
        InputError
            If the directory has the results of another job.
        """
        file = variant.directory / RECORD
        if not file.is_file():
            return None
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            same = data["job"] == self.signature and data["changes"] == dict(variant.changes)
            values = {str(name): float(value) for name, value in data["values"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        if not same:
            raise InputError(
                f"{variant.directory} has results of another job, or {self.job} was edited since: "
                "give another --output, or remove that directory"
            )
        return values


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The results of a sweep.

    Attributes
    ----------
    sweep
        The sweep.
    values
        The numbers of each variant; None if it has no results.
    errors
        What went wrong, by number of the variant.
    """

    sweep: Sweep
    values: tuple[Mapping[str, float] | None, ...]
    errors: Mapping[int, str] = field(default_factory=dict)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the numbers, in the order of the first variant that has them."""
        return tuple(dict.fromkeys(name for values in self.values if values for name in values))

    def chosen(self, names: Sequence[str] = ()) -> tuple[str, ...]:
        """Some of the outputs, or all.

        Raises
        ------
        InputError
            If there is no such output.
        """
        known = self.outputs
        for name in names if known else ():
            if name not in known:
                raise InputError(f"the jobs give no {name!r}{nearest(name, known)}: their numbers are {listed(known)}")
        return tuple(names) or known

    def table(self, names: Sequence[str] = ()) -> tuple[list[str], list[list[Any]]]:
        """Columns and rows: the varied keys, the numbers, and what went wrong."""
        outputs = self.chosen(names)
        keys = [axis.key for axis in self.sweep.axes]
        rows: list[list[Any]] = []
        for k, (variant, values) in enumerate(zip(self.sweep.variants, self.values, strict=True)):
            numbers: list[Any] = [values.get(name, math.nan) if values else "" for name in outputs]
            rows.append([*(_shown(variant.changes[key]) for key in keys), *numbers, self.errors.get(k, "")])
        return [*keys, *outputs, "error"], rows

    def print(self, names: Sequence[str] = ()) -> None:
        """Print the table; without the long names of keys and the errors."""
        columns, rows = self.table(names or self.outputs[:SHOWN])
        short_names = _short_names([axis.key for axis in self.sweep.axes])
        title = f"{self.sweep.job.name}: {len(self.sweep.variants)} variants"
        heads = [short_names.get(name, name) for name in columns[:-1]]
        print_table(MPI.COMM_SELF, title, heads, [row[:-1] if not row[-1] else _failed(row) for row in rows])

    def write_csv(self, path: Path, names: Sequence[str] = ()) -> Path:
        """Write the table as comma-separated values."""
        return write_csv(path, MPI.COMM_SELF, *self.table(names))

    def to_dict(self) -> dict[str, Any]:
        """All variants as dictionaries."""
        rows = [
            {"changes": dict(variant.changes), "directory": str(variant.directory), "values": values and dict(values)}
            | ({"error": self.errors[k]} if k in self.errors else {})
            for k, (variant, values) in enumerate(zip(self.sweep.variants, self.values, strict=True))
        ]
        return {"job": str(self.sweep.job), "variants": rows}


def _failed(row: list[Any]) -> list[Any]:
    """The row of a variant without results."""
    return [("failed" if k == row.index("") else "") if value == "" else value for k, value in enumerate(row[:-1])]


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last parts of each key that tell them apart."""
    paths = {key: path_of(key) for key in keys}
    found = {}
    for key, path in paths.items():
        for n in range(1, len(path) + 1):
            tail = path[-n:]
            if sum(other[-n:] == tail for other in paths.values()) == 1 or n == len(path):
                found[key] = ".".join(tail)
                break
    return found


def _folder(changes: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The name of the directory of a variant, such as ``young=100,volume_fraction=0.2``."""
    name = ",".join(f"{names[key]}={value!r}" for key, value in changes.items())
    plain = re.sub(r"[^\w.,=+-]", "", name)
    return plain if len(plain) <= LONGEST and plain == name.replace("'", "") else f"{plain[:60]}-{short(name)}"
