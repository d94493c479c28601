"""The command ``hmm``."""

from __future__ import annotations

import platform
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import NoReturn

from mpi4py import MPI

import basix
import dolfinx
import ffcx
import numpy as np
from petsc4py import PETSc

from hmm import jobs, reports
from hmm.foundation import console as report
from hmm.foundation import errors
from hmm.foundation.errors import HMMError, InputError
from hmm.foundation.signals import Interrupted
from hmm.foundation.version import VERSION
from hmm.micro.solvers import assembled as linear
from hmm.runs.replay import replay

OPTIONAL = ("gmsh", "scipy", "pyvista", "matplotlib")


class _Parser(ArgumentParser):
    """A parser that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}: see '{self.prog} --help'")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with the given arguments, by default those of the process.

    Errors are printed as one line by rank 0, and the exit code is then 1.
    """
    errors.run(lambda: _run(argv))


def information() -> dict[str, str]:
    """Names and versions of the installed packages, as needed in a bug report."""
    petsc = ".".join(str(part) for part in PETSc.Sys.getVersion())
    precision = f"{np.dtype(PETSc.ScalarType).name} numbers, {8 * np.dtype(PETSc.IntType).itemsize}-bit indices"
    packages = [p for p in (*linear.SOLVER_PACKAGES, *linear.PRECONDITIONER_PACKAGES) if _petsc_has(p)]
    library = MPI.Get_library_version().replace("\x00", "").splitlines()[0]
    world = MPI.COMM_WORLD.size
    return {
        "hmm": VERSION,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "DOLFINx": f"{dolfinx.__version__} (ADIOS2 {'yes' if dolfinx.has_adios2 else 'no'})",
        "Basix, FFCx, UFL": f"{basix.__version__}, {ffcx.__version__}, {_version('fenics-ufl')}",
        "PETSc": f"{petsc}, {precision}",
        "PETSc packages": ", ".join(packages) or "none",
        "MPI": f"{' '.join(library.split())}; {world} rank{'s' if world > 1 else ''}; mpi4py {_version('mpi4py')}",
        "NumPy": np.__version__,
        **{name: _version(name) for name in OPTIONAL},
    }


def parser() -> ArgumentParser:
    """The parser of the command, with a subparser for each subcommand."""
    top = _Parser(prog="hmm", description="FE2 and computational homogenization on FEniCSx.")
    top.add_argument("--version", action="version", version=f"hmm {VERSION}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("info", help="show the versions of hmm and its dependencies")
    again = commands.add_parser("replay", help="solve again an RVE that failed in a run")
    again.add_argument("dump", help="the .npz file named in the error message")
    again.add_argument("--trust", action="store_true", help="run the code of your own laws; only if you wrote the dump")
    again.add_argument("--plot", metavar="PNG", help="draw the residuals and the deformed cell")
    job = commands.add_parser("homogenize", help="effective properties of the cell that a job file describes")
    job.add_argument("job", nargs="?", help="the job file, in TOML: see docs/effective.md")
    job.add_argument("--output", metavar="DIR", help="directory of the results, instead of that in the job")
    job.add_argument("--example", action="store_true", help="print a job file to start from")
    job.add_argument(
        "--trust-laws",
        action="store_true",
        help="run the code of laws that the job names by dotted path, such as law = 'mylaws.Gent'",
    )
    written = commands.add_parser("report", help="write the report of results again, one HTML file")
    written.add_argument("result", help="the directory of the results of a job or of a run")
    return top


def _run(argv: Sequence[str] | None) -> None:
    top = parser()
    options = report.parse_arguments(top, argv, MPI.COMM_WORLD)
    if options.command == "info":
        rows = information()
        width = max(map(len, rows))
        report.say(MPI.COMM_WORLD, "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items()))
    elif options.command == "replay":
        with errors.collectively(MPI.COMM_WORLD):
            if MPI.COMM_WORLD.rank == 0:
                _replay(options.dump, options.plot, options.trust)
    elif options.command == "report":
        with errors.collectively(MPI.COMM_WORLD):
            if MPI.COMM_WORLD.rank == 0:
                report.say(MPI.COMM_SELF, f"written: {reports.report(options.result)}")
    elif options.command == "homogenize":
        _homogenize(options.job, options.output, options.example, options.trust_laws)
    else:
        report.say(MPI.COMM_WORLD, top.format_help().rstrip())


def _homogenize(job: str | None, directory: str | None, example: bool, trust_laws: bool) -> None:
    if example:
        report.say(MPI.COMM_WORLD, jobs.example().rstrip())
    elif job is None:
        raise InputError("hmm homogenize needs a job file: 'hmm homogenize --example > job.toml' writes one")
    else:
        with _to_its_end(job):
            jobs.run_job(jobs.read_job(job, MPI.COMM_WORLD, trust_laws=trust_laws), directory)


@contextmanager
def _to_its_end(job: str) -> Iterator[None]:
    """Raise an error if the program ends during a job, even with exit code 0."""
    try:
        yield
    except Interrupted:
        raise
    except SystemExit as end:
        raise HMMError(
            f"{job}: something ended the program (exit code {end.code}) before it wrote all results"
        ) from end


def _replay(dump: str, picture: str | None, trust: bool) -> None:
    done = replay(dump, trust=trust)
    report.say(MPI.COMM_SELF, str(done))
    if picture:
        report.say(MPI.COMM_SELF, f"drawn in {done.plot(picture)}")


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _petsc_has(package: str) -> bool:
    return bool(PETSc.Sys.hasExternalPackage(package))
