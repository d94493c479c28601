"""Run a job file for ``hmm run``: load steps, results on disk, and continuation of a run that was interrupted."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.foundation.console import live_table, say
from hmm.foundation.errors import InputError, collectively, writing
from hmm.foundation.files import replacing, require_writable
from hmm.foundation.tables import write_csv
from hmm.jobs.fe2.building import Assembly, assembly_of
from hmm.jobs.fe2.reading import RunJob
from hmm.micro.mixed_control import MixedControl
from hmm.micro.rve import RVE
from hmm.pictures import check_available
from hmm.reports import RunLog
from hmm.runs.load_steps import Step, steps
from hmm.runs.output import Output

JOB, CURVE, SUMMARY, CHECKPOINT = "job.toml", "curve.csv", "summary.json", "checkpoint.h5"
"""Files of the results: a copy of the job, the reactions, a summary (written last), and the state to continue from."""

FIELDS = ("macro.bp", "macro.pvd", "macro", "failures")
PAGE = (
    "report.html",
    "report.md",
    "run.json",
    "macro.png",
    "curve.png",
    "residuals.png",
    *(f"worst_{k}.png" for k in (1, 2, 3)),
)

OWN = (JOB, CURVE, SUMMARY, CHECKPOINT, *FIELDS, *PAGE)
"""What a run writes and `overwrite` removes."""


@dataclass
class RunResult:
    """The result of a job.

    Attributes
    ----------
    directory
        Directory of the results.
    columns
        Names of the columns of the curve: the step, its time, and each prescribed component with its reaction.
    rows
        The curve, one row for each step.
    """

    directory: Path
    columns: list[str]
    rows: list[list[float]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        last = dict(zip(self.columns, self.rows[-1], strict=True)) if self.rows else {}
        return {"directory": str(self.directory), "steps": len(self.rows), "last": last}


def run_fe2(
    job: RunJob, directory: str | Path | None = None, comm: MPI.Comm = MPI.COMM_WORLD, *, overwrite: bool = False
) -> RunResult:
    """Run a job, or continue it where it was interrupted (collective).

    Parameters
    ----------
    job
        From `hmm.jobs.read_run`.
    directory
        Directory of the results, instead of that in the job.
    comm
        The ranks that take part.
    overwrite
        Whether results of another or of a completed run may be replaced.

    Raises
    ------
    InputError
        On all ranks, if there are results that `overwrite` does not allow to replace, or the job does not fit its mesh.
    ConvergenceError
        On all ranks, if a step does not converge; what was reached can be continued.
    SystemExit
        After a signal, when the checkpoint is written (see `hmm.steps`); run the job again to continue.
    """
    where = job.directory if directory is None else Path(directory)
    with collectively(comm):
        if comm.rank == 0:
            _prepare(job, where, overwrite)
    say(comm, "Meshing the cells and compiling their forms ...")
    made = assembly_of(job, comm)
    points = comm.allreduce(made.problem.hom.n_points)
    unknowns = ", ".join(str(rve.n_unknowns) for rve in made.rves.values())
    say(comm, f"{points} integration points, each with a cell of {unknowns} unknowns\n")
    result = _stepped(job, made, where, comm)
    with collectively(comm):
        if comm.rank == 0:
            _put(where / SUMMARY, json.dumps(result.to_dict(), indent=2))
    say(comm, "\n".join(["", "Written:", *(f"  {where / name}" for name in OWN if (where / name).exists())]))
    made.problem.destroy()
    return result


def _prepare(job: RunJob, where: Path, overwrite: bool) -> None:
    """Make the directory of the results; refuse other results in it, unless they may be replaced."""
    require_writable(where)
    copy = where / JOB
    if overwrite:
        _remove(where)
    elif (where / SUMMARY).exists():
        raise InputError(
            f"{where} holds the results of a run: add --overwrite to replace them, or give another --output"
        )
    elif copy.exists() and copy.read_text(encoding="utf-8") != job.text:
        raise InputError(f"{where} holds a run of another job: add --overwrite to replace it, or give another --output")
    elif not copy.exists() and (found := [name for name in OWN if (where / name).exists()]):
        raise InputError(f"{where / found[0]} exists: add --overwrite to replace it, or give another --output")
    _put(copy, job.text)


def _remove(where: Path) -> None:
    for name in OWN:
        path = where / name
        with writing(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _put(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _stepped(job: RunJob, made: Assembly, where: Path, comm: MPI.Comm) -> RunResult:
    """All load steps, with the results of each on disk."""
    asked = job.asked
    columns = ["step", "time"]
    for name in made.conditions:
        columns += [name, f"reaction of {name}"]
    result = RunResult(where, columns)
    row = live_table(comm, ["step", "time", "iterations", *(f"reaction of {name}" for name in made.conditions)])
    checkpoint = where / CHECKPOINT if asked.output.checkpoint else None
    options: dict[str, Any] = {} if checkpoint is None else {"every": asked.output.checkpoint}
    log = _log(job, made, where)
    with _fields(job, made, where) as output:
        for step in steps(
            made.problem,
            made.loads,
            job.times,
            max_cutbacks=asked.time.max_cutbacks,
            checkpoint=checkpoint,
            label=job.path.stem,
            **options,
        ):
            if not result.rows:
                result.rows = _earlier(where / CURVE, columns, step.number, comm)
            result.rows.append(_row(made, step))
            write_csv(where / CURVE, comm, columns, result.rows)
            if output is not None and (step.number % asked.output.every == 0 or step.number == step.total):
                output.write(step.time or 0.0)
            if log is not None:
                log.add(step, *_point(job, made, result.rows[-1]))
            row(step.number, step.time, step.stats.iterations, *result.rows[-1][3::2])
            if trouble := step.stats.trouble():
                say(comm, f"  {trouble}")
    if log is not None:
        log.finish(_strains(job, made), label="norm of the mean strain")
    return result if result.rows else RunResult(where, columns, _earlier(where / CURVE, columns, None, comm))


@contextmanager
def _fields(job: RunJob, made: Assembly, where: Path) -> Iterator[Output | None]:
    """The output of the macro fields, if it is wanted."""
    if job.asked.output.format == "none":
        yield None
        return
    with Output(where, made.problem.hom, made.u, format=job.asked.output.format) as output:
        yield output


def _log(job: RunJob, made: Assembly, where: Path) -> RunLog | None:
    """The record of the run for its report, if it is wanted (collective)."""
    if not job.asked.output.report:
        return None
    check_available()
    x, y = _axes(job, made)
    return RunLog(where, made.problem, job.path.stem, (x or "time", f"reaction of {y}"), script=where / JOB)


def _axes(job: RunJob, made: Assembly) -> tuple[str | None, str]:
    """The prescribed component of the macro curve, None for the time, and the one whose reaction is shown."""
    moving = [name for name, (_, value) in made.conditions.items() if value in made.loads.constants]
    return (moving[-1], moving[-1]) if moving else (None, next(iter(made.conditions)))


def _point(job: RunJob, made: Assembly, row: list[float]) -> tuple[float, float]:
    """The point of the macro curve in a row of results."""
    x, y = _axes(job, made)
    at = 2 + 2 * list(made.conditions).index(y)
    return row[1] if x is None else row[at], row[at + 1]


def _strains(job: RunJob, made: Assembly) -> NDArray[np.float64] | None:
    """The norm of the first macroscopic input's change, for the worst points; None if cells cannot be drawn."""
    hom = made.problem.hom
    if "displacement" not in job.formulation.fields or not isinstance(hom.model, RVE | MixedControl):
        return None
    size = hom.model.inputs[0].packing.size
    reference = np.asarray(hom.model.reference)[:size]
    return np.asarray(np.linalg.norm(hom.macro_inputs()[:, :size] - reference, axis=1))


def _row(made: Assembly, step: Step) -> list[float]:
    """Step, time, and each prescribed component with its reaction (collective)."""
    values: list[float] = [step.number, step.time or 0.0]
    for condition, value in made.conditions.values():
        values += [float(value.value), float(made.problem.reaction(condition))]
    return values


def _earlier(path: Path, columns: list[str], number: int | None, comm: MPI.Comm) -> list[list[float]]:
    """The rows of earlier steps of an interrupted run: those before `number`, or all (collective)."""
    rows: list[list[float]] = []
    with collectively(comm):
        if comm.rank == 0 and number != 1 and path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                head, *lines = list(csv.reader(file)) or [[]]
            if head != columns:
                raise InputError(f"{path} has other columns than this run: remove it")
            rows = [[float(v) for v in line] for line in lines]
            rows = [[int(r[0]), *r[1:]] for r in rows if number is None or r[0] < number]
    return list(comm.bcast(rows))
