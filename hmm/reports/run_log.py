"""The log of an FE2 run, from which its report is made."""

from __future__ import annotations

import re
import shlex
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.effective.law_words import law_in_words
from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.problem import MacroProblem
from hmm.fe2.worst_point import WorstPoint, point_fields, worst_point
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import regular_file, require_writable
from hmm.foundation.options import instance, integer
from hmm.foundation.versions import versions
from hmm.micro.mixed_control import MixedControl, rve_of
from hmm.micro.rve import RVE
from hmm.pictures import check_available, plot_rve
from hmm.plotting import plot_fe2
from hmm.reports.run_contents import write_run
from hmm.reports.run_record import RECORD, RunRecord, StepRecord, WorstRecord
from hmm.runs.load_steps import Step

PICTURES = re.compile(r"worst_\d+\.png|macro\.png")
"""Names of the pictures of RVEs and of the body."""


class RunLog:
    """Records the steps of an FE2 run and writes its report (collective).

    Each step is on disk when `add` returns, in ``run.json``, so that ``hmm report DIRECTORY`` also writes the report of
    a run that was killed. A run that continues from a checkpoint goes on with the record: steps of a smaller number are
    kept.

    Parameters
    ----------
    directory
        The directory of the results, created if necessary.
    problem
        The macro problem.
    title
        Heading of the report.
    axes
        Labels of the macro curve with units, such as ``("deflection in mm", "force in N")``.
    script
        The program, copied into the report: ``__file__``.

    Raises
    ------
    InputError
        On all ranks, if the directory cannot be written to or an argument is wrong.

    Examples
    --------
    >>> log = hmm.RunLog("results", problem, "A beam", ("deflection in mm", "force in N"))  # doctest: +SKIP
    >>> for step in hmm.steps(problem, load, target, 10):
    ...     log.add(step, step.load, problem.reaction(end))
    >>> log.finish(hom.point_average("matrix", "p"), "p")
    """

    def __init__(
        self,
        directory: str | Path,
        problem: MacroProblem,
        title: str,
        axes: tuple[str, str],
        *,
        script: str | Path | None = None,
    ) -> None:
        instance("problem", problem, MacroProblem, "make it with hmm.MacroProblem")
        instance("title", title, str, "give the heading of the report")
        if not isinstance(axes, tuple | list) or len(axes) != 2 or not all(isinstance(name, str) for name in axes):
            raise InputError(f"axes = {axes!r} are not the two labels of a curve: give (abscissa, ordinate)")
        self.problem, self.directory = problem, Path(directory)
        self._since = time.perf_counter()
        self.record = RunRecord(title, list(axes), set_up_of(problem), phase_rows(problem.hom))
        with collectively(self._comm):
            if self._comm.rank == 0:
                require_writable(self.directory)
                text = "" if script is None else regular_file(script, "script").read_text(encoding="utf-8")
                self.record = replace(
                    self.record, script=text, repeat=_command(self._comm.size), steps=self._earlier(), made=_made()
                )

    def add(self, step: Step, x: ArrayLike, y: ArrayLike, bar: ArrayLike | None = None) -> None:
        """Record an accepted step (collective).

        Parameters
        ----------
        step
            From `hmm.steps`.
        x, y
            The point of the macro curve: numbers, such as a displacement and a reaction.
        bar
            Half the width of its error bar, such as ``step.stats.error.reactions[0].bar``.
        """
        seconds, self._since = time.perf_counter() - self._since, time.perf_counter()
        with collectively(self._comm):
            instance("step", step, Step, "give what hmm.steps yields")
            numbers = [
                _number(name, value) for name, value in (("x", x), ("y", y), ("bar", 0.0 if bar is None else bar))
            ]
            if self._comm.rank == 0:
                self.record.add(_row(step, numbers[0], numbers[1], None if bar is None else numbers[2], seconds))
                self.record.write(self.directory)

    def finish(
        self,
        values: ArrayLike | None = None,
        variable: str = "von_mises",
        *,
        label: str | None = None,
        n_worst: int = 3,
    ) -> Path:
        """Draw the worst RVEs and write ``report.html`` (collective).

        Parameters
        ----------
        values
            One number for each point of this rank, such as ``hom.point_average("matrix", "p")``: the RVEs with the
            largest ones are shown. None shows no RVE.
        variable
            The scalar field that colours them.
        label
            Name of `values` with its unit; `variable` by default.
        n_worst
            How many are shown.

        Returns
        -------
        pathlib.Path
            The report.

        Raises
        ------
        InputError
            On all ranks, if `values` have another shape, or the RVEs have no such variable.
        EnvironmentMismatch
            On all ranks, if a package for pictures is missing.
        """
        integer("n_worst", n_worst, 0, 20)
        with collectively(self._comm):
            check_available()
        if values is not None:
            self._draw_worst(np.array(values, dtype=float), variable, label or variable, n_worst)
        with collectively(self._comm):
            if self._comm.rank == 0:
                self.record.write(self.directory)
                write_run(self.record, self.directory)
        return self.directory / "report.html"

    @property
    def _comm(self) -> MPI.Comm:
        return self.problem.hom.comm

    def _earlier(self) -> list[StepRecord]:
        """The steps in the directory, which a continued run keeps."""
        return RunRecord.read(self.directory).steps if (self.directory / RECORD).exists() else []

    def _draw_worst(self, values: NDArray[np.float64], variable: str, label: str, n_worst: int) -> None:
        """The macro body with the worst RVE, and pictures of all of them."""
        hom, found, left = self.problem.hom, [], values.copy()
        with collectively(self._comm):
            if self._comm.rank == 0:
                self._remove_pictures()
        for k in range(n_worst):
            where = worst_point(hom, left)
            if not np.isfinite(where.value):
                break
            found.append(self._draw_rve(where, variable, f"worst_{k + 1}.png"))
            left = _without(hom, left, where)
        self.record.worst = found
        if found and self.problem.u.ufl_shape == (hom.mesh.geometry.dim,):
            drawn = plot_fe2(
                self.directory / "macro.png", hom, self.problem.u, values, worst_point(hom, values), label=label,
                variable=variable,
            )  # fmt: skip
            self.record.pictures = {"The body and its worst RVE": drawn.name}

    def _remove_pictures(self) -> None:
        """Remove those of an earlier run."""
        for picture in self.directory.iterdir():
            if PICTURES.fullmatch(picture.name):
                picture.unlink()

    def _draw_rve(self, where: WorstPoint, variable: str, name: str) -> WorstRecord:
        """Draw one RVE on the rank that evaluates it."""
        hom = self.problem.hom
        with collectively(hom.comm):
            if hom.comm.rank == where.rank:
                model = hom.batches.member(where.point).model
                if not isinstance(model, RVE | MixedControl):
                    raise InputError(f"the micro model {type(model).__name__} has no cell to draw: give no values")
                plot_rve(
                    self.directory / name, rve_of(model).cell, point_fields(hom, where.point), variable, pixels=600
                )
        return WorstRecord(where.x, where.value, variable, name)


def set_up_of(problem: MacroProblem) -> dict[str, str]:
    """The macro problem and its micro models, names and values (collective)."""
    hom, V = problem.hom, problem.u.function_space
    topology = hom.mesh.topology
    n_points = hom.comm.allreduce(hom.n_points)
    unknowns = V.dofmap.index_map.size_global * V.dofmap.index_map_bs
    said = {
        "macro mesh": f"{topology.index_map(topology.dim).size_global} {topology.cell_name()}s",
        "macro unknowns": f"{unknowns}, degree {V.ufl_element().embedded_superdegree}",
        "integration points": f"{n_points}, quadrature of degree {hom.degree}",
        "algorithm": f"{hom.algorithm}, relative tolerance {problem.rtol:g}",
        "ranks": str(hom.comm.size),
    }
    return said | {f"micro model {name}".strip(): _model(model) for name, model in hom.models.items()}


def phase_rows(hom: Homogenizer) -> list[list[str]]:
    """RVE type, phase, volume fraction and law of each phase."""
    cells = {name: rve_of(m) for name, m in hom.models.items() if isinstance(m, RVE | MixedControl)}
    return [
        [name, phase, f"{rve.cell.volume_fractions[phase]:.4g}", f"`{law_in_words(law)}`"]
        for name, rve in cells.items()
        for phase, law in rve.law.items()
    ]


def _model(model: object) -> str:
    """A micro model in words."""
    if not isinstance(model, RVE | MixedControl):
        return type(model).__name__
    rve = rve_of(model)
    topology, problem = rve.cell.mesh.topology, rve.problem
    elements = f"{topology.index_map(topology.dim).size_global} {topology.cell_name()}s"
    unknowns = rve.system.loaded.reduced.size_global
    degree = rve.w.function_space.ufl_element().embedded_superdegree
    return f"{type(model).__name__}, {problem.constraint}, {elements}, {unknowns} unknowns, degree {degree}"


def _row(step: Step, x: float, y: float, bar: float | None, seconds: float) -> StepRecord:
    stats = step.stats
    micro = {name: count for name, count in asdict(stats.micro).items() if count}
    error = None if stats.error is None else float(stats.error.point)
    residuals = [float(r) for r in stats.residuals]
    counts = (stats.iterations, step.increments, step.cutbacks)
    return StepRecord(
        step.number, x, y, bar, *counts, residuals, micro, seconds, stats.algorithm, stats.trouble(), error
    )


def _number(name: str, value: ArrayLike) -> float:
    """A finite number of the macro curve."""
    found = np.asarray(value, dtype=float)
    if found.size != 1 or not np.isfinite(found).all():
        raise InputError(f"{name} = {found.tolist()} of the macro curve is not one finite number: give one component")
    return float(found.ravel()[0])


def _without(hom: Homogenizer, values: NDArray[np.float64], where: WorstPoint) -> NDArray[np.float64]:
    """The values without those in the macro cell of a point, so that the next worst RVE lies elsewhere."""
    x = hom.coordinates()
    at = (
        np.all(np.abs(x - np.array(where.x)) <= 1e-8 * (1 + np.abs(where.x).max()), axis=1)
        if len(x)
        else np.zeros(0, bool)
    )
    per_cell = max(1, hom.points.shape[0])
    rows = np.flatnonzero(at)[:, None] // per_cell * per_cell + np.arange(per_cell)
    left = values.reshape(-1).copy()
    left[rows.ravel()] = np.nan
    return left


def _command(n_ranks: int) -> str:
    """The command of this program as one writes it in a shell."""
    name = Path(sys.argv[0])
    started = ["hmm"] if name.name in ("__main__.py", "hmm") else ["python", name.name]
    ranks = ["mpirun", "-n", str(n_ranks)] if n_ranks > 1 else []
    return shlex.join([*ranks, *started, *map(str, sys.argv[1:])])


def _made() -> dict[str, str]:
    return {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")} | versions()
