"""Where effective properties come from: what a report says and the numbers do not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hmm.foundation.errors import InputError
from hmm.foundation.files import regular_file, write_atomically
from hmm.foundation.versions import versions

ORIGIN = "report.json"


@dataclass(frozen=True)
class Origin:
    """The origin of a result, for its report.

    Attributes
    ----------
    notes
        Lines under the heading, such as the source of the cell.
    job
        The text of the job file; empty without one.
    defaults
        Parameters that the job left at their defaults, names and values.
    repeat
        The command that repeats it; empty without one.
    phases
        For each law: the phases, their volume fraction and the law in words.
    further
        Further pictures in the directory, file names by title.
    made
        Date and time, versions and duration; they differ from run to run.
    """

    notes: Sequence[str] = ()
    job: str = ""
    defaults: Sequence[tuple[str, str]] = ()
    repeat: str = ""
    phases: Sequence[tuple[str, str, str]] = ()
    further: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)

    def stamped(self, seconds: float | None = None) -> Origin:
        """With the present date, the versions and the CPU time."""
        made = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
        made |= {} if seconds is None else {"CPU time": f"{seconds:.3g} s"}
        return replace(self, made=made | versions() | dict(self.made))

    def write(self, directory: Path) -> Path:
        """Write it into the directory of the report, atomically; not collective."""
        write_atomically(directory / ORIGIN, json.dumps(asdict(self), indent=2, default=dict) + "\n")
        return directory / ORIGIN

    @classmethod
    def read(cls, directory: Path) -> Origin:
        """The origin in the directory of a report; an empty one if there is none.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        path = directory / ORIGIN
        if not path.exists():
            return cls()
        try:
            data: Mapping[str, Any] = json.loads(regular_file(path).read_text(encoding="utf-8"))
            defaults = tuple((str(name), str(value)) for name, value in data["defaults"])
            phases = tuple((str(names), str(fraction), str(law)) for names, fraction, law in data["phases"])
            maps = {name: {str(k): str(v) for k, v in data[name].items()} for name in ("further", "made")}
            notes = tuple(map(str, data["notes"]))
            return cls(notes, str(data["job"]), defaults, str(data["repeat"]), phases, **maps)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it, the report then leaves out the job") from None
