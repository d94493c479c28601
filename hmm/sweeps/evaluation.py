"""A job as a function of some of its keys, evaluated by processes that stay alive."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from hmm.foundation.console import muted
from hmm.foundation.errors import HMMError, InputError
from hmm.foundation.naming import nearest
from hmm.foundation.options import integer
from hmm.jobs.values import listed
from hmm.sweeps.kinds import KINDS, given, kind_of_job, plain_changes

CURVE = "curve"
"""Name of the output that is the curve of a load test."""


@dataclass(frozen=True)
class Outcome:
    """What a job gave.

    Attributes
    ----------
    numbers
        Its numbers by name.
    curve
        Its curve, for a load test.
    error
        What went wrong, in one line.
    """

    numbers: Mapping[str, float]
    curve: Sequence[float] = ()
    error: str = ""


def outcome_of(command: str, job: str, changes: Mapping[str, Any], trust_laws: bool) -> Outcome:
    """Run a changed job in this process; its files are temporary."""
    kind = next(kind for kind in KINDS if kind.command == command)
    with tempfile.TemporaryDirectory(prefix="hmm-") as folder, muted():
        where = Path(folder)
        try:
            kind.run(kind.read(Path(job), changes, trust_laws), where)
            return Outcome(kind.values(where), kind.points(where))
        except HMMError as error:
            return Outcome({}, error=" ".join(str(error).split()))


def _leave_interrupts() -> None:
    """Leave Ctrl-C to the main process, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class JobFunction:
    """A job as a function of the values of some keys.

    Parameters
    ----------
    job
        The job file.
    keys
        The dotted keys that are the arguments.
    outputs
        Names of the numbers that are the result, or ``"curve"`` for that of a load test; by default all numbers.
    workers
        Number of processes, which evaluate at the same time.
    trust_laws
        As for `hmm.jobs.read_job`.

    Raises
    ------
    InputError
        If the job or a key is wrong, or it has no such output. The job is run once as it is in the file.
    """

    def __init__(
        self,
        job: str | Path,
        keys: Sequence[str],
        outputs: Sequence[str] = (),
        *,
        workers: int = 1,
        trust_laws: bool = False,
    ) -> None:
        self.job, self.keys, self.trust_laws = Path(job), tuple(keys), trust_laws
        self.workers = integer("workers", workers, 1, 4096)
        self.kind, self.table = kind_of_job(self.job)
        self._check_keys()
        self._pool, self._lock = self._new_pool(), Lock()
        try:
            first = self.outcome({})
            if first.error:
                raise InputError(first.error)
            self.outputs, self.sizes = self._chosen(outputs, first)
        except BaseException:
            self.close()
            raise

    def __call__(self, values: Sequence[float], config: Mapping[str, Any] | None = None) -> list[list[float]]:
        """The numbers of the outputs, and the curve if it is one of them.

        Parameters
        ----------
        values
            One for each key.
        config
            Values of further keys, numbers or truth values only, such as ``{"cell.mesh_size": 0.05}``.

        Raises
        ------
        InputError
            If the number of values is wrong, the job fails or gives a number that is not finite.
        """
        if len(values) != len(self.keys):
            raise InputError(f"{len(values)} values are given for {len(self.keys)} keys: {listed(self.keys)}")
        found = self.outcome(self.changes(values, config or {}))
        if found.error:
            raise InputError(found.error)
        names = [name for name in self.outputs if name != CURVE]
        results = [[found.numbers.get(name, np.nan) for name in names]] if names else []
        results += [list(found.curve)] if CURVE in self.outputs else []
        if not np.isfinite(np.concatenate(results)).all():
            raise InputError(f"the job gives numbers that are not finite: {dict(zip(names, results[0], strict=False))}")
        return results

    def changes(self, values: Sequence[float], config: Mapping[str, Any]) -> dict[str, Any]:
        """The changes of the job; keys that are integers in the file stay integers."""
        odd = [key for key, value in config.items() if not isinstance(value, bool | int | float)]
        if odd:
            raise InputError(f"config {odd[0]!r} = {config[odd[0]]!r}: give a number, or true or false")
        found: dict[str, Any] = {}
        for key, value in [*config.items(), *zip(self.keys, values, strict=True)]:
            is_whole = type(given(self.table, key)) is int and isinstance(value, float) and value.is_integer()
            found[key] = int(value) if is_whole else value
        return found

    def outcome(self, changes: Mapping[str, Any]) -> Outcome:
        """What the changed job gives; a worker that dies is replaced."""
        pool, both = self._pool, plain_changes(self.kind, self.table) | dict(changes)
        try:
            return pool.submit(outcome_of, self.kind.command, str(self.job), both, self.trust_laws).result()
        except BrokenProcessPool:
            with self._lock:
                if self._pool is pool:
                    self._pool = self._new_pool()
            return Outcome({}, error="the process that computed this died: is there enough memory?")

    def close(self) -> None:
        """End the processes."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()

    def _new_pool(self) -> ProcessPoolExecutor:
        """Processes that begin afresh: MPI and PETSc do not survive a fork."""
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=_leave_interrupts)

    def _check_keys(self) -> None:
        if not self.keys:
            raise InputError("no key is an argument: give --vary KEY, as in phases.fibre.young")
        if len(set(self.keys)) < len(self.keys):
            raise InputError(f"the keys {listed(self.keys)} are not different: give each once")
        for key in self.keys:
            value = given(self.table, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InputError(f"{self.job}: {key} = {value!r} is not a number: an argument is one")
            self.kind.check(self.job, {key: 1.0 if value is None else value}, self.trust_laws)

    def _chosen(self, outputs: Sequence[str], first: Outcome) -> tuple[tuple[str, ...], list[int]]:
        """The outputs, and the sizes of the vectors of results."""
        known = [*first.numbers, *([CURVE] if first.curve else [])]
        names = tuple(outputs) or tuple(first.numbers)
        for name in names:
            if name not in known:
                raise InputError(f"{self.job} gives no {name!r}{nearest(name, known)}: it gives {listed(known)}")
        n = sum(name != CURVE for name in names)
        return names, [n] * (n > 0) + [len(first.curve)] * (CURVE in names)
