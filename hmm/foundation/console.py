"""Console output of a run: on rank 0 only, without progress bars if there is no terminal."""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from mpi4py import MPI

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hmm.foundation.errors import flush_output, silence_output

_MUTED: ContextVar[bool] = ContextVar("muted", default=False)


@contextmanager
def muted(wanted: bool = True) -> Iterator[None]:
    """Print no text, tables and progress in the body, if `wanted`; errors and warnings remain."""
    token = _MUTED.set(wanted or _MUTED.get())
    try:
        yield
    finally:
        _MUTED.reset(token)


_TELLING: ContextVar[bool] = ContextVar("telling", default=False)


@contextmanager
def telling() -> Iterator[None]:
    """Print in the body what `tell` says of the work that is going on."""
    token = _TELLING.set(True)
    try:
        yield
    finally:
        _TELLING.reset(token)


def tell(comm: MPI.Comm, text: str) -> None:
    """Print on rank 0 of `comm` what begins now, if the caller listens (see `telling`)."""
    if _TELLING.get():
        say(comm, text)


class Paper(Console):
    """A console that ignores a closed pipe (``| head``), since results are in files."""

    def on_broken_pipe(self) -> None:
        """Do not exit, as rich would."""
        silence_output(BrokenPipeError())

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print unless the pipe is closed or printing is muted."""
        if _MUTED.get():
            return
        with lasting():
            super().print(*args, **kwargs)


@contextmanager
def lasting() -> Iterator[None]:
    """Print in the body, and continue if standard output fails."""
    try:
        yield
    except OSError as error:
        silence_output(error)
    flush_output()


@contextmanager
def progress(comm: MPI.Comm, label: str, total: int, completed: int = 0) -> Iterator[Callable[[], None]]:
    """One progress bar on rank 0 of `comm`, or none when standard error is not a terminal.

    Parameters
    ----------
    comm
        The communicator.
    label
        Its label.
    total, completed
        Number of parts, and number of parts completed before.

    Yields
    ------
    callable
        Call it after each of the `total` parts.
    """
    if comm.rank or _MUTED.get() or not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(label, total=total, completed=completed)
        yield lambda: bar.advance(task)


def print_table(comm: MPI.Comm, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on rank 0 of `comm`; numbers are shown with five digits."""
    if comm.rank:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(Text(f"{v:.5g}" if isinstance(v, float) else str(v)) for v in row))
    Paper().print(table)


def live_table(comm: MPI.Comm, columns: Sequence[str]) -> Callable[..., None]:
    """Print a heading on rank 0 of `comm`, and return a function that prints a row.

    Parameters
    ----------
    comm
        The communicator.
    columns
        Titles; a column is as wide as its title, and ten characters at least.

    Returns
    -------
    callable
        Call it with one value for each column; real numbers are shown with five digits.
    """
    widths = [max(len(title), 10) for title in columns]

    def print_row(*values: object) -> None:
        cells = (f"{v:.5g}" if isinstance(v, float) else str(v) for v in values)
        say(comm, "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))

    print_row(*columns)
    return print_row


def say(comm: MPI.Comm, text: str = "") -> None:
    """Print on rank 0 of `comm` immediately."""
    if comm.rank == 0 and not _MUTED.get():
        with lasting():
            print(text, flush=True)


def demo_parser(description: str, name: str, quick: str) -> ArgumentParser:
    """A parser with the options of all demos: ``--quick``, ``--output DIR`` and ``--no-plots``.

    Parameters
    ----------
    description
        What the demo does.
    name
        Folder of ``results`` for the output, unless ``--output`` is given.
    quick
        What ``--quick`` reduces.
    """
    parser = ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--output", type=Path, default=Path("results", name), help="directory of the results")
    parser.add_argument("--no-plots", action="store_true", help="no pictures")
    return parser


def demo_options(argv: Sequence[str] | None, description: str, name: str, quick: str) -> Namespace:
    """The options of a demo without further arguments: those of `demo_parser`, parsed on every rank."""
    return parse_arguments(demo_parser(description, name, quick), argv, MPI.COMM_WORLD)


def parse_arguments(parser: ArgumentParser, argv: Sequence[str] | None, comm: MPI.Comm) -> Namespace:
    """Parse the arguments of a script on every rank of `comm`; rank 0 prints help and errors."""
    with ExitStack() as stack:
        if comm.rank:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        return parser.parse_args(argv)


def warn(text: str) -> None:
    """A warning of the logger ``hmm``, once for all ranks with the same cell."""
    if MPI.COMM_WORLD.rank == 0:
        logging.getLogger("hmm").warning("%s", text)
