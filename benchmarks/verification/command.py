"""``python benchmarks verify``: run the cases, print their table, and write docs/verification.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

from rich.table import Table

from hmm.foundation.console import Paper, progress
from hmm.foundation.naming import nearest

from . import arrays, composites, exact, page, published  # noqa: F401  the modules of cases add them to CASES
from .cases import CASES, Case, ordered
from .running import Result, run

COLOURS = {"pass": "green", "FAIL": "red"}


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code, 1 if a case fails."""
    options = _parser().parse_args(arguments)
    if MPI.COMM_WORLD.size > 1:
        sys.exit("the cases run on one process: leave out mpirun")
    chosen = _chosen(options.only, options.quick)
    if options.list:
        for case in chosen:
            print(f"{case.name:38}{case.what}")
        return 0
    results = _run(chosen)
    print_table(results)
    if len(results) == len(CASES) or options.output:
        directory = options.output or page.DOCS
        print(f"written to {', '.join(str(path) for path in page.write(directory, results))}")
    return int(not all(result.passed for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks verify",
        description="Compare answers of hmm with references. A run of all cases writes docs/verification.md and .csv. "
        "The exit code is 1 if a case fails. Example: python benchmarks verify --only laminate",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="cases with this in their name; may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="the cases that the tests run")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write verification.md and .csv of any run here")
    return parser


def _chosen(names: Sequence[str], quick: bool) -> list[Case]:
    """The cases whose names contain one of `names`, or all."""
    for name in names:
        if not any(name in case for case in CASES):
            sys.exit(f"case {name!r} is unknown{nearest(name, list(CASES))}: list the names with --list")
    named = [case for case in ordered() if not names or any(name in case.name for name in names)]
    chosen = [case for case in named if case.quick or not quick]
    if not chosen:
        sys.exit(f"none of {', '.join(case.name for case in named)} is quick: leave out --quick")
    return chosen


def _run(cases: Sequence[Case]) -> list[Result]:
    results = []
    with progress(MPI.COMM_WORLD, "cases", len(cases)) as advance:
        for case in cases:
            results.append(run(case))
            advance()
    return results


def print_table(results: Sequence[Result]) -> None:
    """Print all numbers, and the sources of those that fail."""
    console, table = Paper(width=150), Table(title=f"hmm {hmm.__version__} beside references", title_justify="left")
    for column in ("case", "quantity", "reference", "hmm", "error", "allowed", "", "mesh", "CPU s"):
        table.add_column(column, overflow="fold")
    for result in results:
        case, first = result.case, True
        if result.failure:
            table.add_row(case.name, result.failure, "", "", "", "", "[red]FAIL[/red]", "", f"{result.seconds:.1f}")
        for row in result.rows:
            told = (case.name, result.mesh, f"{result.seconds:.1f}") if first else ("", "", "")
            verdict = page.outcome(result, row)
            verdict = f"[{COLOURS.get(verdict, 'default')}]{verdict}"
            numbers = (page.reference(row), f"{row.found:.8g}", f"{row.error:.1e}", f"{case.tolerance:.0e}")
            table.add_row(told[0], row.quantity, *numbers, verdict, *told[1:])
            first = False
    console.print(table)
    failed = [result for result in results if not result.passed]
    console.print(f"{len(results) - len(failed)} of {len(results)} cases pass", highlight=False)
    for result in failed:
        console.print(f"{result.case.name}: reference by {result.case.source}", highlight=False, markup=False)
