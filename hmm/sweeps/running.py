"""Runs the variants of a sweep, several at a time, each as a process of its own."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.foundation.console import progress
from hmm.foundation.errors import InputError
from hmm.foundation.files import require_writable
from hmm.foundation.options import integer
from hmm.models.process import FOREIGN
from hmm.sweeps.sweep import Sweep, SweepResult, Variant

LOG = logging.getLogger("hmm")

OUTPUT = "output.txt"
"""What a variant printed, in its directory."""


def run_sweep(sweep: Sweep, *, workers: int = 1, only: int | None = None, collect: bool = False) -> SweepResult:
    """Run the variants of a sweep that have no results yet; one that fails does not stop the others.

    Parameters
    ----------
    sweep
        The sweep.
    workers
        Number of variants that run at the same time. Their ranks are started with ``srun`` in a job of Slurm and with
        ``mpirun`` elsewhere.
    only
        Number of the only variant to run, from 0, as in an array of Slurm.
    collect
        Run nothing: collect the results that are there.

    Returns
    -------
    SweepResult
        With the results of all variants, also of earlier runs.

    Raises
    ------
    InputError
        If an option is out of range, or a directory has the results of another job.
    """
    integer("workers", workers, 1, 4096)
    if only is not None:
        integer("only", only, 0, len(sweep.variants) - 1)
    require_writable(sweep.directory)
    found: list[Any] = [sweep.done(variant) for variant in sweep.variants]
    chosen = range(len(found)) if only is None else [only]
    todo = [] if collect else [k for k in chosen if found[k] is None]
    errors = {k: "no results" for k, values in enumerate(found) if collect and values is None}
    crew = _Crew(sweep, [*launcher(sweep.ranks), sys.executable, "-m", "hmm"])
    counted = progress(MPI.COMM_SELF, "variants", len(chosen), len(chosen) - len(todo))
    with counted as advance, closing(crew.run(todo, workers)) as answers:  # closed also after an interrupt
        for k, answer in answers:
            if isinstance(answer, str):
                errors[k] = answer
            else:
                found[k] = answer
            LOG.info("%s: %s", sweep.variants[k], answer)
            advance()
    return SweepResult(sweep, tuple(found), dict(sorted(errors.items())))


def launcher(ranks: int) -> list[str]:
    """The words that start a program on several ranks.

    Raises
    ------
    InputError
        If there is no such program.
    """
    if ranks == 1:
        return []
    if "SLURM_JOB_ID" in os.environ and shutil.which("srun"):
        return ["srun", "--mpi=pmi2", "-n", str(ranks)]
    own = Path(sys.executable).with_name("mpirun")  # that of the MPI in this environment
    found = str(own) if own.exists() else shutil.which("mpirun") or shutil.which("mpiexec")
    if found is None:
        raise InputError(f"ranks = {ranks} needs mpirun, which is not installed: install MPI, or use one rank")
    return [found, "-n", str(ranks)]


class _Crew:
    """Processes of variants; all are ended if the sweep is interrupted."""

    def __init__(self, sweep: Sweep, start: Sequence[str]) -> None:
        self.sweep, self.start = sweep, list(start)
        self.running: set[subprocess.Popen[bytes]] = set()
        self.lock, self.is_over = threading.Lock(), False

    def run(self, todo: Sequence[int], workers: int) -> Generator[tuple[int, dict[str, float] | str]]:
        """The number of each variant and its values, or what went wrong, as they come."""
        pool = ThreadPoolExecutor(workers)
        futures = {pool.submit(self._one, self.sweep.variants[k]): k for k in todo}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            self._end()
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, variant: Variant) -> dict[str, float] | str:
        """Run a variant: its values, or the error in one line."""
        began = time.monotonic()
        try:
            variant.directory.mkdir(parents=True, exist_ok=True)
            code = self._finished(variant)
            if code:
                return _last_line(variant.directory / OUTPUT) or f"ended with exit code {code}"
            return self.sweep.record(variant, time.monotonic() - began)
        except (InputError, OSError) as error:
            return str(error)

    def _finished(self, variant: Variant) -> int:
        """The exit code of the process of a variant."""
        with (variant.directory / OUTPUT).open("wb") as output:
            with self.lock:
                if self.is_over:
                    return 1
                process = subprocess.Popen(
                    [*self.start, *words(self.sweep, variant)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=_environment(is_slurm="srun" in self.start[:1]),
                    start_new_session=True,
                )
                self.running.add(process)
            code = process.wait()
            with self.lock:
                self.running.discard(process)
            return code

    def _end(self) -> None:
        with self.lock:
            self.is_over = True
            for process in self.running:
                process.terminate()


def words(sweep: Sweep, variant: Variant) -> list[str]:
    """The arguments of ``hmm`` that run a variant."""
    changes = dict(sweep.common) | dict(variant.changes)
    settings = [word for key, value in changes.items() for word in ("--set", f"{key}={_in_toml(value)}")]
    trust = ["--trust-laws"] * sweep.trust_laws
    return [sweep.kind.command, str(sweep.job), "--output", str(variant.directory), *settings, *trust]


def _in_toml(value: Any) -> str:
    """A value of a job as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(_in_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_in_toml(name)} = {_in_toml(entry)}" for name, entry in value.items()) + "}"
    return repr(value)


def _environment(is_slurm: bool) -> dict[str, str]:
    """The environment with one thread each; without the variables of this MPI job, unless Slurm starts the ranks."""
    kept = {name: value for name, value in os.environ.items() if is_slurm or not name.startswith(FOREIGN)}
    return {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | kept


def _last_line(file: Path) -> str:
    """The error that a process printed last."""
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")] or lines
    return errors[-1].removeprefix("error: ")[:500] if errors else ""
