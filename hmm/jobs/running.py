"""Run a job: create the cell, homogenize it and write the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mpi4py import MPI

from hmm.cells import Polycrystal
from hmm.effective.homogenize import homogenize
from hmm.effective.origin import Origin
from hmm.effective.properties import EffectiveProperties
from hmm.effective.writing import PAGE, PROPERTIES, REPORT, remove_earlier, write_properties, write_report
from hmm.foundation.console import say, telling
from hmm.foundation.errors import HMMError, InputError, collectively
from hmm.foundation.files import require_writable
from hmm.foundation.locking import sole
from hmm.jobs.reading import Job
from hmm.micro.inputs import MacroInput
from hmm.micro.local_fields import write_fields
from hmm.models.components import find_component
from hmm.pictures import check_available, plot_rve

LONGEST_WORDS = 1500
"""Largest number of characters of an error that are shown, as it may contain a value of the job."""


def run_job(
    job: Job, directory: str | Path | None = None, comm: MPI.Comm = MPI.COMM_WORLD
) -> EffectiveProperties | None:
    """Homogenize the cell of a job, print the result and write it (collective).

    Rank 0 computes and the others wait, unless the job has ``spread = true``. A cell that fits on one rank is solved
    fastest there, and the FFT solver of voxel grids runs on one rank only.

    Parameters
    ----------
    job
        From `hmm.jobs.read_job`.
    directory
        Directory of the results, instead of that in the job.
    comm
        The ranks that take part.

    Returns
    -------
    EffectiveProperties or None
        None on ranks that only waited; without local fields if the cell was distributed over several ranks.

    Raises
    ------
    HMMError
        On all ranks.
    """
    where = job.directory if directory is None else Path(directory)
    with collectively(comm):
        if comm.rank == 0:
            require_writable(where)
            _require_places(where)
            if job.output.plot and job.output.report:
                check_available()
    found = None
    with sole(where, "output directory", comm), collectively(comm):  # no rank returns before all results are written
        if job.spread or comm.rank == 0:
            found = _run(job, where, comm if job.spread else MPI.COMM_SELF)
    _require_results(job, where / PROPERTIES, comm)
    return found


def _require_results(job: Job, results: Path, comm: MPI.Comm) -> None:
    """Check that the results exist on disk (collective)."""
    with collectively(comm):
        if comm.rank == 0 and not results.is_file():
            raise HMMError(f"{job.path}: {results} is missing at the end: do not change its directory during the run")


@contextmanager
def in_job(where: str) -> Iterator[None]:
    """Raise an error in one line that names its place in the job, also for an error of a library."""
    try:
        yield
    except InputError as error:
        words = str(error)
        words = words if len(words) <= LONGEST_WORDS else f"{words[:LONGEST_WORDS]} ..."
        raise InputError(f"{where}: {words}") from None
    except HMMError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise HMMError(
            f"{where}: {type(error).__name__} ({words}): check the values and sizes; if they are right, report this "
            "as a bug of hmm"
        ) from error


def _require_places(where: Path) -> None:
    """Reject directories with the name of a result."""
    for path in (where / PROPERTIES, where / REPORT, where / PAGE):
        if path.is_dir():
            raise InputError(f"cannot write {path}, which is a directory: remove it, or give another output directory")


def homogenized(job: Job, comm: MPI.Comm = MPI.COMM_SELF) -> EffectiveProperties:
    """The effective properties that a job describes; nothing is printed or written (collective).

    Raises
    ------
    HMMError
        With the place in the job.
    """
    with in_job(f"{job.path}: [cell]"):
        made = job.source.make(comm)
    job.check_phases(made.cell if isinstance(made, Polycrystal) else made)
    with in_job(str(job.path)):
        return homogenize(made, job.laws, job.constraint, job.physics, **job.options)


def _run(job: Job, where: Path, comm: MPI.Comm) -> EffectiveProperties:
    say(comm, f"{job.path.name}: the cell, {job.source.words}")
    with telling():
        found = homogenized(job, comm)
    if found.solved is not None:
        _check_fields(job, found.solved.rve.inputs)
    found.print()
    written = _write(job, found, where)
    _require_written(comm, written)
    say(comm, "\n".join(["", "Written:", *(f"  {path}" for path in written)]))
    if comm.size == 1 or found.solved is None:
        return found
    found.solved.rve.destroy()
    return replace(found, solved=None)


def _check_fields(job: Job, inputs: Sequence[MacroInput]) -> None:
    for component in job.output.fields:
        try:
            find_component(inputs, component)
        except InputError as error:
            raise InputError(f"{job.path}: [output]: fields: {error}") from None


def _require_written(comm: MPI.Comm, paths: Sequence[Path]) -> None:
    """Raise `HMMError` if a result of the job is missing, so that the job does not seem to succeed."""
    with collectively(comm):
        missing = [path for path in paths if not path.exists()] if comm.rank == 0 else []
        if missing:
            raise HMMError(f"{missing[0]} was not written, or was removed: run the job again")


def _write(job: Job, found: EffectiveProperties, where: Path) -> list[Path]:
    """Write the numbers first, as they took longest, then fields, pictures and the report."""
    with collectively(found.comm):
        if found.comm.rank == 0:
            remove_earlier(where)
    numbers = write_properties(found, where)
    written, pictures = [], {}
    draws = job.output.plot and job.output.report and found.comm.size == 1
    for component in job.output.fields:
        fields = found.fields(component)
        name = f"fields_{component.replace(' ', '_')}"
        written.append(write_fields(where / f"{name}.{job.output.format}", fields))
        if draws and "von_mises" in fields.cellwise and found.solved is not None:
            unit = f" in {found.unit}" if found.unit else ""
            drawn = plot_rve(
                where / f"{name}.png",
                found.solved.rve.cell,
                fields,
                "von_mises",
                label=f"von Mises stress per unit of {component}{unit}",
                warp=0.0,
                quantile=0.99,
            )
            pictures[f"Von Mises stress per unit of {component}"] = drawn.name
    if job.output.report:
        origin = Origin(
            [f"The job {job.path.name}: {job.source.words}."],
            job.text,
            job.defaults,
            f"hmm homogenize {job.path.name}",
            further=pictures,
        )
        return [write_report(found, where, job.output.plot, origin), where / REPORT, numbers, *written]
    return [numbers, *written]
