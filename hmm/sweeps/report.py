"""The report of a sweep."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hmm.jobs.job_report import tabular, write_job_report
from hmm.pages import Picture, Words, sections_of
from hmm.sweeps.sweep import SweepResult


def write_sweep_report(result: SweepResult, pictures: Sequence[Path], names: Sequence[str] = ()) -> list[Path]:
    """Write ``report.html`` and ``report.md`` into the directory of a sweep; not collective.

    Parameters
    ----------
    result
        From `run_sweep`.
    pictures
        Pictures of the results, in that directory.
    names
        The outputs; by default all.
    """
    sweep, n = result.sweep, len(result.values)
    columns, rows = result.table(names)
    errors = [f"{sweep.variants[k]}: {why}" for k, why in result.errors.items()]
    sections = [
        *sections_of("Results", [*(Picture(f"{sweep.job.name}, {n} variants", path) for path in pictures)]),
        *sections_of("Variants", [tabular(columns[:-1], [row[:-1] for row in rows])]),
        *sections_of("Failed variants", [Words(text, warning=True) for text in errors[:100]]),
    ]
    summary = [("variants", str(n)), ("failed", str(len(errors)))]
    summary += [(axis.key, f"{len(axis.values)} values") for axis in sweep.axes]
    vary = [word for axis in sweep.axes for word in ("--vary", axis.text or f"{axis.key}=...")]
    text = sweep.job.read_text(encoding="utf-8-sig")
    command = shlex.join(["hmm", "sweep", sweep.job.name, *vary])
    return write_job_report(sweep.directory, f"Sweep of {sweep.job.stem}", summary, sections, text, command)
