"""``hmm sweep``: a job for many values of its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from mpi4py import MPI

from cyclopts import Parameter

from hmm.commands.homogenizing import Directory, TrustLaws
from hmm.commands.talking import DEFAULT_TALK, Talk
from hmm.foundation.console import say
from hmm.foundation.errors import HMMError, InputError
from hmm.sweeps import Sweep, SweepAxis, SweepResult, run_sweep, write_slurm_script
from hmm.sweeps.picture import draw_sweep
from hmm.sweeps.report import write_sweep_report

Vary = Annotated[tuple[str, ...], Parameter(name="--vary", metavar="KEY=VALUES", consume_multiple=False)]
"""The keys that vary."""

Outputs = Annotated[str, Parameter(name="--outputs", metavar="NAME,...")]
"""Names of results."""


def sweep_command(
    job: str,
    /,
    *,
    vary: Vary = (),
    together: bool = False,
    workers: int = 1,
    ranks: int = 1,
    outputs: Outputs = "",
    output: Directory = None,
    slurm: bool = False,
    only: Annotated[int | None, Parameter(name="--only", metavar="NUMBER")] = None,
    collect: bool = False,
    reports: bool = False,
    trust_laws: TrustLaws = False,
    talk: Talk = DEFAULT_TALK,
) -> dict[str, Any]:
    """Run a job for all combinations of the values of some keys: a table, a CSV file and a picture.

    Each variant is a process with its own directory. The command continues an interrupted sweep, and repeats what
    failed: run it again.

    Parameters
    ----------
    job
        the job file of hmm homogenize or another command: see docs/sweeps.md
    vary
        values of a key: FIRST:LAST:NUMBER evenly spaced, FIRST:LAST:NUMBER:log, or a list VALUE,VALUE,...; repeat it
        for several keys
    together
        the first values of all keys make one variant, the second ones the next; not each with each
    workers
        number of variants that run at the same time
    ranks
        number of MPI ranks of each variant, which share its cell
    outputs
        the results in the table and the picture, such as E1,nu12; by default all
    output
        directory of the results, by default results/NAME-sweep
    slurm
        run nothing: write a script for sbatch, an array with one task for each variant
    only
        run one variant alone, numbered from 0
    collect
        run nothing: make the table of the results that are there
    reports
        write the report and the pictures of each variant too
    trust_laws
        run the code of laws that the job names by dotted path, such as law = 'mylaws.Gent'

    Examples
    --------
    hmm sweep job.toml --vary phases.fibre.young=100:400:7 --vary cell.volume_fraction=0.2,0.3,0.4 --workers 4
    hmm sweep job.toml --vary cell.mesh_size=0.2,0.1,0.05 --outputs E1,nu12
    """
    if MPI.COMM_WORLD.size > 1:
        raise InputError("hmm sweep starts its own processes: run it without mpirun, with --workers and --ranks")
    axes = [SweepAxis.parsed(text) for text in vary]
    sweep = Sweep.of(job, axes, output, together=together, trust_laws=trust_laws, reports=reports, ranks=ranks)
    if slurm:
        return _script(sweep, vary, together, workers, reports)
    names = [name.strip() for name in outputs.split(",") if name.strip()]
    found = run_sweep(sweep, workers=workers, only=only, collect=collect)
    if only is None:
        _show(found, names)
    _require_all(found, only, talk)
    return found.to_dict()


def _script(sweep: Sweep, vary: tuple[str, ...], together: bool, workers: int, reports: bool) -> dict[str, Any]:
    again = [word for text in vary for word in ("--vary", text)] + ["--together"] * together
    again += ["--output", str(sweep.directory)] + ["--trust-laws"] * sweep.trust_laws + ["--reports"] * reports
    path = write_slurm_script(sweep, ["sweep", str(sweep.job), *again], workers=workers)
    say(MPI.COMM_SELF, f"Written: {path}, for {len(sweep.variants)} variants. Submit it with: sbatch {path}")
    return {"script": str(path), "variants": len(sweep.variants)}


def _show(found: SweepResult, names: list[str]) -> None:
    """Print the table, and write it with a picture."""
    found.print(names)
    written: list[Path] = [found.write_csv(found.sweep.directory / "sweep.csv", names)]
    if found.outputs:
        written.append(draw_sweep(found, found.sweep.directory / "sweep.png", names))
    written = write_sweep_report(found, written[1:], names) + written
    say(MPI.COMM_SELF, "\n".join(["", "Written:", *(f"  {path}" for path in written)]))


def _require_all(found: SweepResult, only: int | None, talk: Talk) -> None:
    """Raise an error that names the variants without results, after the others are shown."""
    if found.errors:
        talk.tell(found.to_dict())
        k, why = next(iter(found.errors.items()))
        n, total = len(found.errors), 1 if only is not None else len(found.values)
        more = f" (and {n - 1} more)" if n > 1 else ""
        raise HMMError(
            f"{n} of {total} variants failed: {found.sweep.variants[k]}: {why}{more}; the same command tries them again"
        )
