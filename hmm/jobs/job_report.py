"""Reports of jobs: the results with the job file and how to repeat it, as HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hmm.foundation.files import write_atomically
from hmm.foundation.versions import versions
from hmm.pages import Code, Document, Facts, Section, Tabular, markdown_of, sections_of, write_html

HTML, MARKDOWN = "report.html", "report.md"

MOST_ROWS = 200
"""Largest number of rows of a table; of more, every n-th is listed."""


def write_job_report(
    directory: Path,
    title: str,
    summary: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    job: str,
    command: str,
) -> list[Path]:
    """Write ``report.html`` and ``report.md`` into the directory of a job; not collective.

    Parameters
    ----------
    directory
        Directory of the results and their pictures.
    title
        The heading.
    summary
        The main results, names and values.
    sections
        The results.
    job
        Text of the job file.
    command
        The command that repeats it.

    Returns
    -------
    list of pathlib.Path
        The files.
    """
    made = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")} | versions()
    closing = [
        *sections_of("The job", [Code(job)]),
        *sections_of("How to repeat", [Code(command), Facts(list(made.items()))], True),
    ]
    document = Document(title, [f"`{command}`, {made['date']}."], [*sections, *closing], summary)
    write_atomically(directory / MARKDOWN, markdown_of(document))
    return [write_html(directory / HTML, document), directory / MARKDOWN]


def tabular(columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> Tabular:
    """A table with numbers of five digits; of many rows every n-th, which its note says."""
    every = -(-len(rows) // MOST_ROWS) if rows else 1
    if every > 1:
        note = f"Every {every}th row; all are in the files. {note}".strip()
    return Tabular(columns, [[_cell(value) for value in row] for row in rows[::every]], note)


def _cell(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
