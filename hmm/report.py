"""What a run says: on rank 0 only, and quietly when nobody is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mpi4py import MPI

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


@contextmanager
def progress(comm: MPI.Comm, label: str, total: int) -> Iterator[Callable[[], None]]:
    """One progress bar on rank 0 of `comm`, or none when standard error is not a terminal.

    Yields
    ------
    callable
        Call it after each of the `total` parts.
    """
    if comm.rank or not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda: bar.advance(task)


def print_table(comm: MPI.Comm, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on rank 0 of `comm`; numbers are shown with five digits."""
    if comm.rank:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.5g}" if isinstance(v, float) else str(v) for v in row))
    Console().print(table)
