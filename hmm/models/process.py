"""A micro model in external processes: any program that exchanges the messages of `hmm.models.framing`."""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.hashing import short
from hmm.models import framing
from hmm.models.function import checked_array, checked_inputs, initial_values, variables_in_words
from hmm.models.plain import PlainModel
from hmm.models.points import InitialPoint, Input, Points, Variable

FOREIGN = ("PMI_", "PMIX_", "HYDI_", "HYDRA_", "MPICH_", "MPIR_", "OMPI_", "I_MPI_", "SLURM_")
"""Prefixes of environment variables that would make a worker join the MPI job of this run."""


class WorkerFailed(Exception):
    """A worker ended, did not respond in time or wrote an invalid message."""


class Worker:
    """One process and the exchange of messages with it.

    Parameters
    ----------
    command
        The program and its arguments.
    timeout
        Seconds to wait for a complete answer.
    """

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self.timeout = timeout
        environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        self.process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._out, self._in = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)

    def ask(self, arrays: Mapping[str, NDArray[np.float64]]) -> tuple[int, framing.Arrays]:
        """The answer of the worker to a question; raises `WorkerFailed`."""
        end = time.monotonic() + self.timeout
        try:
            self._write(memoryview(framing.encode(framing.QUESTION, arrays)), end)
            return framing.decode(lambda n: self._read(n, end))
        except framing.BadMessage as error:
            raise WorkerFailed(f"it wrote an invalid message: {error}") from None
        except (EOFError, BrokenPipeError):
            raise WorkerFailed(f"it ended with {self._how_it_ended()}") from None

    def stop(self) -> None:
        """End the process, by force if necessary."""
        _end(self.process)

    def _write(self, data: memoryview, end: float) -> None:
        while data:
            self._wait(self._out, selectors.EVENT_WRITE, end)
            data = data[os.write(self._out, data[: 2**16]) :]

    def _read(self, n: int, end: float) -> bytes:
        parts, missing = [], n
        while missing:
            self._wait(self._in, selectors.EVENT_READ, end)
            part = os.read(self._in, min(missing, 2**20))
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _wait(self, fd: int, event: int, end: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(fd, event)
            left = end - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise WorkerFailed(f"it did not respond for {self.timeout:g} s")

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "its output closed"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class ProcessModel(PlainModel):
    """A micro model that is evaluated by external processes, with one pool of workers per rank.

    Each worker is a program that reads questions from standard input and writes answers to standard output in the
    format of `hmm.models.framing`: arrays of doubles; no code is transferred. The requested points are divided among
    the workers. A worker that ends or does not respond is restarted, and its points are evaluated again.

    Parameters
    ----------
    command
        The program and its arguments; `python` returns the command for a function in a Python file.
    inputs
        The macroscopic input, such as ``hmm.models.strain(2)``, or several with different names.
    variables
        Variables of a point, as in `hmm.FunctionModel`.
    workers
        Number of processes per rank.
    timeout
        Seconds within which a worker must answer a question.
    retries
        How often points are evaluated again after their worker has failed.
    rates
        Whether the answers depend on the duration of the step.

    Attributes
    ----------
    restarts
        Number of restarts of workers so far.

    Notes
    -----
    Workers start with the first question, in their own session and without the environment variables of the MPI
    launcher. They end with `close`, when the model is deleted, or when the run ends, since this closes their standard
    input. An answer must contain the tangent; difference quotients are up to the worker, which knows its precision.

    Raises
    ------
    InputError
        If an option is wrong or, at the first question, the program cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        inputs: Input | Sequence[Input],
        variables: Mapping[str, int | ArrayLike] | None = None,
        *,
        workers: int = 1,
        timeout: float = 60.0,
        retries: int = 2,
        rates: bool = False,
    ) -> None:
        if isinstance(command, str) or not command:
            raise InputError(f"ProcessModel: command = {command!r} must be a list: the program and its arguments")
        if not isinstance(workers, int) or workers < 1:
            raise InputError(f"ProcessModel: workers = {workers!r} must be an integer of at least 1")
        if not isinstance(retries, int) or retries < 0:
            raise InputError(f"ProcessModel: retries = {retries!r} must be an integer of at least 0")
        if not 0 < timeout < float("inf"):
            raise InputError(f"ProcessModel: timeout = {timeout!r} must be a positive number of seconds")
        self.command = tuple(str(part) for part in command)
        self.name = Path(self.command[0]).name
        self.inputs = checked_inputs(self.name, inputs)
        self._start = initial_values(self.name, variables or {})
        self.variables = {name: Variable(value.shape) for name, value in self._start.items()}
        self.n_workers, self.timeout, self.retries, self.has_rates = workers, timeout, retries, bool(rates)
        self.restarts = 0
        self._pool: list[Worker] = []
        self._finalizer = weakref.finalize(self, _stop_all, self._pool)

    @staticmethod
    def python(file: str | Path, function: str, interpreter: str | None = None) -> list[str]:
        """The command that serves a vectorized function of a Python file (see `hmm.models.worker`)."""
        path = Path(file)
        if not path.is_file():
            raise InputError(f"ProcessModel: there is no file {path}: give the Python file of the function")
        return [interpreter or sys.executable, str(Path(__file__).with_name("worker.py")), str(path), function]

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers of this rank."""
        return [worker.process.pid for worker in self._pool]

    def initial(self) -> InitialPoint:
        """A point before the first step."""
        return InitialPoint(self._start)

    def answer(self, points: Points) -> None:
        """Let the workers answer the requested rows (see `hmm.models.MicroModel`)."""
        self._require_pool()
        parts = [rows for rows in np.array_split(points.asked, self.n_workers) if rows.size]
        before = self.restarts
        with ThreadPoolExecutor(len(parts)) as threads:
            outcomes = list(threads.map(lambda job: self._ask(job[0], job[1], points), enumerate(parts)))
        points.count.restarts += self.restarts - before
        points.count.evaluations += points.asked.size
        for rows, outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome, str):
                points.failures[int(rows[0])] = outcome
            else:
                self._take(points, rows, outcome)

    def fingerprint(self) -> dict[str, str]:
        """The command without the folders of its files, hashes of its scripts, and the variables."""
        command = " ".join(_argument_in_words(part) for part in self.command)
        return {"command of the micro model": command, **variables_in_words(self.variables)}

    def close(self) -> None:
        """End the workers; the next question starts new ones."""
        _stop_all(self._pool)

    def _require_pool(self) -> None:
        while len(self._pool) < self.n_workers:
            self._pool.append(self._started())

    def _started(self) -> Worker:
        try:
            return Worker(self.command, self.timeout)
        except OSError as error:
            raise InputError(
                f"ProcessModel: {self.command[0]} cannot be started ({error.strerror}): give a program on this machine"
            ) from None

    def _ask(self, k: int, rows: NDArray[np.intp], points: Points) -> framing.Arrays | str:
        """The answer of a worker for some rows, or the reason why there is none."""
        question = {"E": points.E[rows], "dt": np.array([points.dt])}
        question |= {f"old:{name}": values[rows] for name, values in points.committed.variables.items()}
        for _ in range(self.retries + 1):
            try:
                kind, arrays = self._pool[k].ask(question)
                if kind == framing.ANSWER:
                    return arrays
                return f"worker {k} of {self.name} says: {next(iter(arrays), 'nothing')}"
            except WorkerFailed as error:
                why = f"worker {k} of {self.name} failed: {error}"
                self._pool[k].stop()
                self._pool[k] = self._started()
                self.restarts += 1
                logging.getLogger("hmm").warning(
                    "%s; it was restarted, and its %d points are evaluated again", why, len(rows)
                )
        return f"{why}, {self.retries + 1} times in a row"

    def _take(self, points: Points, rows: NDArray[np.intp], arrays: framing.Arrays) -> None:
        """Write an answer into its rows."""
        n, m = points.E[rows].shape
        wanted: dict[str, tuple[int, ...]] = {"response": (n, m), "tangent": (n, m, m)}
        wanted |= {f"new:{name}": (n, *v.shape) for name, v in self.variables.items()}
        if set(arrays) != set(wanted):
            raise InputError(f"model {self.name}: a worker answered {', '.join(arrays)} and should {', '.join(wanted)}")
        checked = {key: checked_array(self.name, key, arrays[key], shape) for key, shape in wanted.items()}
        points.trial.response[rows], points.tangent[rows] = checked["response"], checked["tangent"]
        for name in self.variables:
            points.trial.variables[name][rows] = checked[f"new:{name}"]
        points.converged[rows] = True


def _argument_in_words(argument: str) -> str:
    """An argument without the folder of a file; a Python file of the user with a hash of its content."""
    path = Path(argument)
    is_own = path.suffix == ".py" and path.is_file() and path.parent != Path(__file__).parent
    return path.name + (f" [{short(path.read_text(errors='replace'))}]" if is_own else "")


def _stop_all(pool: list[Worker]) -> None:
    while pool:
        pool.pop().stop()


def _end(process: subprocess.Popen[Any]) -> None:
    """Close the pipes of a process, which ends it; kill it if it continues."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
