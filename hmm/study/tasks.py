"""Tasks distributed over ranks; each result is stored on disk at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.foundation.console import progress
from hmm.foundation.errors import HMMError, InputError, collectively
from hmm.foundation.files import regular_file, require_writable
from hmm.foundation.locking import sole

Record = dict[str, Any]
"""The result of a task, as a JSON object."""


def run_tasks(
    comm: MPI.Comm,
    tasks: Sequence[Record],
    work: Callable[[Record], Record],
    journal: Journal | None,
    label: str,
    n_done: int,
) -> list[Record]:
    """Run all tasks, assigned to the ranks cyclically, with one progress bar (collective).

    A task that fails ends the run on all ranks, after the other ranks have finished and stored their own tasks.

    Returns
    -------
    list of Record
        The new results of all ranks, on all ranks.
    """
    mine: list[Record] = []
    with collectively(comm), _counted(comm, label, len(tasks) + n_done, n_done) as advance:
        for task in tasks[comm.rank :: comm.size]:
            try:
                result = work(task)
            except HMMError as error:
                raise type(error)(f"{_named(task)}: {error}") from error
            mine.append(result)
            if journal is not None:
                journal.append(result)
            advance()
    return [record for part in comm.allgather(mine) for record in part]


def _named(task: Record) -> str:
    return f"realisation {task['realisation']} of size {task['size']:g} (seed {task['seed']})"


@contextmanager
def _counted(comm: MPI.Comm, label: str, total: int, done: int) -> Iterator[Callable[[], None]]:
    """A progress bar that also counts the tasks of other ranks, which send messages to rank 0."""
    line = comm.Dup()
    requests: list[MPI.Request] = []
    try:
        if comm.rank:
            yield lambda: requests.append(line.isend(True, 0))
            return
        with progress(comm, label, total, done) as advance:
            working = [comm.size - 1]

            def listen(wait: bool) -> None:
                while working[0] and (wait or line.iprobe()):
                    if line.recv():
                        advance()
                    else:
                        working[0] -= 1

            def own() -> None:
                advance()
                listen(wait=False)

            try:
                yield own
            finally:
                listen(wait=True)
    finally:
        if comm.rank:
            requests.append(line.isend(False, 0))
            MPI.Request.waitall(requests)
        line.Free()


class Journal:
    """A file of JSON lines, a heading and the records, that remains valid if the run is killed.

    During a run, each rank appends its results to its own file beside it, one complete line at a time. At the end, or
    when the next run begins, these files are merged, and the merged file replaces the old one atomically.

    Parameters
    ----------
    path
        The file, which is created when first needed.
    heading
        The data that the records depend on, by their names in messages.
    comm
        The ranks of the run.
    """

    def __init__(self, path: Path, heading: Mapping[str, object], comm: MPI.Comm) -> None:
        self.path, self.heading, self.comm = path, dict(heading), comm
        self._own = path.with_name(f"{path.name}.rank{comm.rank}")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the file while the body runs (collective).

        Raises
        ------
        InputError
            On all ranks, if another study uses it or the folder is not writable.
        """
        with collectively(self.comm):
            if self.comm.rank == 0:
                require_writable(self.path.parent)
        with sole(self.path, "study file", self.comm):
            yield

    def read(self) -> list[Record]:
        """Merge the results of earlier runs, and return them on all ranks (collective).

        Raises
        ------
        InputError
            If the file belongs to another study, or is not a study file.
        """
        records: list[Record] = []
        with collectively(self.comm):
            if self.comm.rank == 0:
                records = self._read(self.path) if self.path.exists() else []
                for part in self._parts():
                    records += self._read(part, may_end_early=True)
                self._replace(records)
        records = self.comm.bcast(records)
        with collectively(self.comm):
            self._begin()
        return records

    def append(self, record: Record) -> None:
        """Add a record of this rank; it is on disk when this returns."""
        self._write(record)

    def close(self, records: Sequence[Record]) -> None:
        """Write all `records` to the one file (collective)."""
        with collectively(self.comm):
            if self.comm.rank == 0:
                self._replace(records)

    def _parts(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}.rank*"))

    def _begin(self) -> None:
        self._write(self.heading)

    def _write(self, record: Record) -> None:
        try:
            with self._own.open("a") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{self._own} cannot be written: {error.strerror}") from None

    def _replace(self, records: Sequence[Record]) -> None:
        """Rank 0: write the complete file again and remove the parts."""
        new = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("w") as file:
                file.writelines(json.dumps(line) + "\n" for line in [self.heading, *records])
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            for part in self._parts():
                part.unlink()
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}") from None

    def _read(self, path: Path, may_end_early: bool = False) -> list[Record]:
        lines = regular_file(path, "study file", "give another one").read_text().split("\n")
        if may_end_early:
            lines = lines[:-1]  # a line without its end was being written when the run was killed
        try:
            heading, *records = [json.loads(line) for line in lines if line.strip()] or [self.heading]
            if not all(isinstance(line, dict) for line in (heading, *records)):
                raise ValueError("a line is not a JSON object")
        except ValueError as error:
            raise InputError(f"{path} is not a study file ({error}): give another file, or remove it") from None
        for name, value in self.heading.items():
            if heading.get(name) != value:
                raise InputError(
                    f"{path} belongs to a study with {name} = {heading.get(name)!r}, but this study has {value!r}: "
                    "give another file"
                )
        return records
