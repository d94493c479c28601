"""Run a load test: the stress-strain curve of a cell, and its local fields at some steps."""

from __future__ import annotations

import json
from pathlib import Path

from mpi4py import MPI

import numpy as np

from hmm.cells import Polycrystal
from hmm.effective.homogenize import cell_problem
from hmm.foundation.console import live_table, progress, say
from hmm.foundation.errors import ConvergenceError, collectively
from hmm.foundation.files import require_writable, write_atomically
from hmm.foundation.hashing import short
from hmm.foundation.locking import sole
from hmm.foundation.tables import write_csv
from hmm.jobs.job_report import tabular, write_job_report
from hmm.jobs.load_curve import Halt, LoadCurve
from hmm.jobs.load_test import LoadTest
from hmm.jobs.running import in_job
from hmm.micro.local_fields import write_fields
from hmm.micro.mixed_control import MixedControl
from hmm.micro.response import ControlledResponse, PointState
from hmm.micro.rve import RVE
from hmm.micro.views import local_fields
from hmm.models.components import find_components
from hmm.pages import Picture, sections_of
from hmm.pictures import check_available, plot_curve, plot_rve

CURVE, SUMMARY, PICTURE, STATE = "curve.csv", "test.json", "curve.png", "state.npz"


def run_load_test(
    test: LoadTest, directory: str | Path | None = None, comm: MPI.Comm = MPI.COMM_WORLD
) -> LoadCurve | None:
    """Load the cell of a job step by step, and write the curve and local fields (collective).

    The driven components of the strain follow the path of the job. All other stresses are zero on average, unless the
    job fixes their strains. The curve on disk is complete up to the last step that converged. After Ctrl-C or another
    signal, the same job continues where it was, unless its cell is spread over several ranks.

    Parameters
    ----------
    test
        From `hmm.jobs.read_load_test`.
    directory
        Directory of the results, instead of that in the job.
    comm
        The ranks that take part; rank 0 works alone unless the job has ``spread = true``.

    Returns
    -------
    LoadCurve or None
        None on ranks that only waited.

    Raises
    ------
    InputError
        On all ranks, if the job does not fit its cell, or the directory is not writable.
    ConvergenceError
        On all ranks, if a step does not converge.
    """
    where = test.job.directory if directory is None else Path(directory)
    with collectively(comm):
        if comm.rank == 0:
            require_writable(where)
            if test.job.output.plot:
                check_available()
    curve = None
    with sole(where, "output directory", comm), collectively(comm):
        if test.job.spread or comm.rank == 0:
            curve = _run(test, where, comm if test.job.spread else MPI.COMM_SELF)
    return curve


def _run(test: LoadTest, where: Path, comm: MPI.Comm) -> LoadCurve:
    job = test.job
    say(comm, f"{job.path.name}: the cell, {job.source.words}")
    with in_job(f"{job.path}: [cell]"):
        made = job.source.make(comm)
    job.check_phases(made.cell if isinstance(made, Polycrystal) else made)
    kept = {name: value for name, value in job.options.items() if name not in ("mesh_error", "units", "dt")}
    with in_job(str(job.path)):
        rve = cell_problem(made, job.laws, job.constraint, job.physics, **kept)
    with in_job(f"{job.path}: [test]"):
        problem = controlled(rve, test)
        curve = _stepped(test, rve, problem, where, comm)
    written = _written(test, curve, where, comm)
    say(comm, "\n".join(["", *(f"{name}: {value:.5g}" for name, value in curve.summary.items())]))
    say(comm, "\n".join(["", "Written:", *(f"  {path}" for path in written)]))
    rve.destroy()
    return curve


def controlled(rve: RVE, test: LoadTest) -> MixedControl:
    """The cell under the mixed control of a test.

    Raises
    ------
    InputError
        If the cell has no such component.
    """
    packing = rve.inputs[0].packing
    driven = find_components(rve.inputs, test.asked.directions)
    others = [k for k in range(packing.size) if k not in driven]
    is_turn = [not packing.symmetric and i[0] > i[1] for i in packing.indices]
    free = [k for k in others if test.asked.others == "free" and not is_turn[k]]
    fixed = [packing.labels[k] for k in others if k not in free]
    return MixedControl(rve, {packing.labels[k]: 0.0 for k in free}, fixed)


def _stepped(test: LoadTest, rve: RVE, problem: MixedControl, where: Path, comm: MPI.Comm) -> LoadCurve:
    """All steps, with the curve on disk after each; an interrupted test on one rank continues."""
    levels, curve = [0.0, *map(float, test.asked.levels)], _curve(rve, test)
    signature = "" if comm.size > 1 else short(test.job.text + str(sorted(problem.fingerprint().items())))
    halt = Halt(where / STATE, signature)
    state = halt.read(curve) if comm.size == 1 else None
    done = len(curve.rows)
    if state is not None:
        say(comm, f"continued after step {done - 1}")
    row = live_table(comm, ["step", *curve.driven, "iterations"])
    with progress(comm, "steps", len(levels), done) as advance, halt.kept(curve):
        for k in range(done, len(levels)):
            answer = _step(test, problem, levels, k, state, curve)
            state = answer.state
            if comm.size == 1:
                halt.reached = state, k + 1
            write_csv(where / CURVE, comm, curve.columns, curve.rows)
            row(k, *(curve.column(name)[-1] for name in curve.driven), answer.iterations)
            if k in test.fields:
                E = _input(rve, test.asked.directions, levels[k])
                _write_fields(test, problem, state, E, where / f"fields_{k:04d}.vtu")
            advance()
    return curve


def _step(
    test: LoadTest, problem: MixedControl, levels: list[float], k: int, state: PointState | None, curve: LoadCurve
) -> ControlledResponse:
    """The answer at a level, added to the curve."""
    directions, rate = test.asked.directions, test.asked.rate
    dt = abs(levels[k] - levels[k - 1]) / rate if rate and k else test.job.options.get("dt")
    answer = _solved(problem, _input(problem.rve, directions, levels[k]), state, dt, k, len(levels) - 1)
    if k == 0:
        curve.slope = _slope(problem, answer, directions, find_components(problem.rve.inputs, directions)[0])
    _add(curve, problem.rve, answer, dt if k else 0.0)
    return answer


def _input(rve: RVE, directions: dict[str, float], level: float) -> dict[str, float]:
    """The driven components at a strain; of a deformation gradient, one is added on the diagonal."""
    reference = dict(zip(rve.inputs[0].packing.labels, rve.inputs[0].reference, strict=True))
    return {name: reference.get(name, 0.0) + factor * level for name, factor in directions.items()}


def _solved(
    problem: MixedControl, E: dict[str, float], state: PointState | None, dt: float | None, k: int, n: int
) -> ControlledResponse:
    try:
        return problem.solve(E, state, dt=dt)
    except ConvergenceError as error:
        raise ConvergenceError(f"step {k} of {n}: {error}; the curve up to step {k - 1} is written") from None


def _slope(problem: MixedControl, answer: ControlledResponse, directions: dict[str, float], first: int) -> float:
    """The initial slope of the first driven component, along the direction of the load."""
    factors = np.array([problem.rve.inputs[0].packing.factors[k] for k in problem.components.given])
    given = {k: n for n, k in enumerate(problem.components.given)}
    d = np.zeros(len(given))
    for k, value in zip(find_components(problem.rve.inputs, directions), directions.values(), strict=True):
        d[given[k]] = value
    return float((answer.tangent @ (factors * d))[given[first]] / factors[given[first]])


def _curve(rve: RVE, test: LoadTest) -> LoadCurve:
    """The columns of the curve."""
    packing = rve.inputs[0].packing
    names = ("strain", "stress") if packing.symmetric else ("F", "P")
    first = packing.labels[find_components(rve.inputs, test.asked.directions)[0]]
    columns = [f"{name} {label}" for name in names for label in packing.labels]
    return LoadCurve(["step", "time", *columns, "work"], (f"{names[0]} {first}", f"{names[1]} {first}"))


def _add(curve: LoadCurve, rve: RVE, answer: ControlledResponse, dt: float | None) -> None:
    """Add a row; the work is the integral of stress times strain rate, by the trapezoidal rule."""
    packing = rve.inputs[0].packing
    strain, stress = packing.to_vector(answer.input), np.asarray(answer.full.vector)
    factors = np.asarray(packing.factors)
    last = curve.rows[-1] if curve.rows else None
    time, work = (last[1], last[-1]) if last else (0.0, 0.0)
    if last:
        n = packing.size
        old_strain, old_stress = (np.array(last[2 + s * n : 2 + (s + 1) * n]) * factors for s in (0, 1))
        work += float((stress + old_stress) @ (strain - old_strain)) / 2
    curve.rows.append(
        [len(curve.rows), time + (dt or 0.0), *map(float, strain / factors), *map(float, stress / factors), work]
    )


def _write_fields(test: LoadTest, problem: MixedControl, state: PointState, E: dict[str, float], path: Path) -> None:
    fields = local_fields(problem, state, problem.pack(E))
    write_fields(path, fields)
    if test.job.output.plot and problem.comm.size == 1 and "von_mises" in fields.cellwise:
        plot_rve(
            path.with_suffix(".png"), problem.cell, fields, "von_mises", label=_with_unit("von Mises stress", test)
        )


def _written(test: LoadTest, curve: LoadCurve, where: Path, comm: MPI.Comm) -> list[Path]:
    """Write the summary, the picture and the report; all files, also the earlier ones."""
    output = test.job.output
    if comm.rank == 0:
        write_atomically(where / SUMMARY, json.dumps(curve.to_dict(), indent=1) + "\n")
    if output.plot:
        x, y = (curve.column(name) for name in curve.driven)
        plot_curve(where / PICTURE, comm, x, y, curve.driven[0], _with_unit(curve.driven[1], test))
    fields = [where / f"fields_{k:04d}{suffix}" for k in test.fields for suffix in (".vtu", ".pvtu", ".png")]
    reports = _report(test, curve, where) if output.report and comm.rank == 0 else []
    return [*reports, *(path for path in (where / CURVE, where / SUMMARY, where / PICTURE, *fields) if path.exists())]


def _report(test: LoadTest, curve: LoadCurve, where: Path) -> list[Path]:
    job, unit = test.job, _unit(test)
    drawn = {k: where / f"fields_{k:04d}.png" for k in test.fields}
    pictures = [Picture(f"Von Mises stress at step {k}", path, "half") for k, path in drawn.items() if path.exists()]
    title = f"{curve.driven[1]} over {curve.driven[0]}"
    sections = [
        *sections_of("Curve", [Picture(title, where / PICTURE, "half")] if (where / PICTURE).exists() else []),
        *sections_of("Local fields", pictures),
        *sections_of("Steps", [tabular(curve.columns, curve.rounded, f"Stresses are in {unit}." if unit else "")]),
    ]
    summary = [(name, f"{value:.5g}") for name, value in curve.summary.items()]
    command = f"hmm test {job.path.name}"
    return write_job_report(where, f"Load test {job.path.stem}", summary, sections, job.text, command)


def _with_unit(name: str, test: LoadTest) -> str:
    unit = _unit(test)
    return f"{name} in {unit}" if unit else name


def _unit(test: LoadTest) -> str:
    """The unit of stress that the job names; empty if it names none."""
    return str(dict(test.job.options.get("units") or {}).get("stress", ""))
