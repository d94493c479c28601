"""The page docs/verification.md, its table as CSV, and its picture."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from mpi4py import MPI

import hmm
from hmm.foundation.files import write_atomically
from hmm.foundation.tables import write_csv

from . import ROOT, picture
from .cases import Row
from .running import Result

DOCS = ROOT / "docs"
COLUMNS = ("group", "case", "quantity", "relation", "reference", "hmm", "relative error", "allowed", "verdict")
FURTHER = ("mesh", "CPU s of the case", "source of the reference")


def write(directory: Path, results: Sequence[Result]) -> list[Path]:
    """Write the page, its CSV table and its picture; the text around the tables is that of docs/verification.md."""
    csv = write_csv(directory / "verification.csv", MPI.COMM_SELF, (*COLUMNS, *FURTHER), csv_rows(results))
    text = (DOCS / "verification.md").read_text(encoding="utf-8")
    found = directory / "verification.md"
    write_atomically(found, filled(text, {"summary": summary(results), "cases": cases(results)}))
    return [found, csv, *picture.write(directory / "images" / "verification.png", results)]


def filled(text: str, blocks: dict[str, str]) -> str:
    """The text with new blocks between ``<!-- verification: NAME -->`` and ``<!-- end -->``."""
    block = re.compile(r"(<!-- verification: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return block.sub(lambda m: f"{m[1]}\n{blocks[m[2]]}\n\n{m[3]}" if m[2] in blocks else m[0], text)


def csv_rows(results: Sequence[Result]) -> list[tuple[object, ...]]:
    """One line for each number."""
    lines: list[tuple[object, ...]] = []
    for r in results:
        of_case = (r.mesh, round(r.seconds, 2), r.case.source)
        for row in r.rows:
            told = (row.relation, row.reference, row.found, f"{row.error:.2e}", r.case.tolerance, outcome(r, row))
            lines.append((r.case.group, r.case.name, row.quantity, *told, *of_case))
    return lines


def verdict(passed: bool) -> str:
    """The word for it."""
    return "pass" if passed else "FAIL"


def outcome(result: Result, row: Row) -> str:
    """The verdict on a number, if it is judged."""
    return verdict(result.passes(row)) if row.judged else "shown"


def reference(row: Row) -> str:
    """The reference, with the relation if it is a bound."""
    sign = {"=": "", "~": "", "<=": "≤ ", ">=": "≥ "}[row.relation]
    return f"{sign}{row.reference:.8g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *escaped])


def summary(results: Sequence[Result]) -> str:
    """When and with what it ran, and one line for each case: its largest error."""
    passed, seconds = sum(r.passed for r in results), sum(r.seconds for r in results)
    lines = []
    for r in results:
        numbers = ("", r.failure, "", "") if r.worst is None else _numbers(r.worst)
        name = f"[{r.case.name}](#{r.case.name})"
        lines.append((name, *numbers, power(r.case.tolerance, 0), verdict(r.passed), f"{r.seconds:.1f}"))
    head = ("case", "largest error in", "reference", "hmm", "error", "allowed", "", "CPU s")
    return (
        f"**{passed} of {len(results)} cases pass** ({sum(len(r.rows) for r in results)} numbers, {seconds:.0f} CPU "
        f"seconds on one core). Run on {date.today():%d %B %Y} with {versions()}.\n\n{table(head, lines)}"
    )


def versions() -> str:
    """Versions of what takes part."""
    names = {"dolfinx": "fenics-dolfinx", "petsc4py": "petsc4py", "gmsh": "gmsh", "numpy": "numpy"}
    found = [f"hmm {hmm.__version__}", f"Python {platform.python_version()}"]
    return ", ".join(found + [f"{name} {_version(name, package)}" for name, package in names.items()])


def _version(name: str, package: str) -> str:
    module = __import__(name)
    return str(getattr(module, "__version__", None) or version(package))


def cases(results: Sequence[Result]) -> str:
    """The numbers of each case, by group."""
    parts, last = [], ""
    for r in results:
        if r.case.group != last:
            parts.append(f"## {r.case.group}")
            last = r.case.group
        parts.append(_case(r))
    return "\n\n".join(parts)


def _numbers(row: Row) -> tuple[str, str, str, str]:
    """Quantity, reference, answer and error."""
    return row.quantity, reference(row), f"{row.found:.8g}", power(row.error)


def power(value: float, digits: int = 1) -> str:
    """A small number, with a minus sign at which no line ends."""
    return f"{value:.{digits}e}".replace("-", "−")


def _case(r: Result) -> str:
    """Heading, table and explanation of a case."""
    rows = [(*_numbers(row), outcome(r, row)) for row in r.rows]
    numbers = table(("quantity", "reference", "hmm", "error", ""), rows) if rows else f"**{r.failure}**"
    return (
        f"### {r.case.name}\n\n{r.case.what}\n\n{numbers}\n\n"
        f"Reference: {r.case.source}. Mesh: {r.mesh or 'none'}; {r.seconds:.1f} CPU s. "
        f"Allowed: {power(r.case.tolerance, 0)} ({r.case.because})."
    )
