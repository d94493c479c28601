"""What a job for ``hmm run`` will take, from its meshes and one solve of each cell; and a picture of its set-up."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpi4py import MPI

from dolfinx.plot import vtk_mesh

from hmm.cells import Polycrystal
from hmm.effective.homogenize import by_phase
from hmm.effective.physics import PHYSICS
from hmm.fe2.quadrature_points import MacroPoints, sufficient_degree
from hmm.foundation.errors import ConvergenceError
from hmm.jobs.fe2.body import MacroBody
from hmm.jobs.fe2.building import MacroSetUp, macro_degree, macro_set_up, rve_of_material
from hmm.jobs.fe2.reading import RunJob
from hmm.jobs.reading import Job
from hmm.jobs.running import in_job
from hmm.micro.loading import plane_stress
from hmm.micro.rve import RVE
from hmm.models.asking import points_of
from hmm.models.points import reference_of
from hmm.models.protocol import MicroModel
from hmm.models.single import solve_one
from hmm.pictures import check_available, draw_groups, plot_cell

ITERATIONS = 5
"""Macro iterations of a step that the estimate of time assumes."""

SIZE = 1e-4
"""Components of the macroscopic input at which a cell is solved."""


@dataclass
class JobEstimate:
    """What a job will take.

    Attributes
    ----------
    rows
        Names and values, in the order of the table.
    pictures
        What was drawn.
    """

    rows: dict[str, Any] = field(default_factory=dict)
    pictures: list[Path] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The estimate for JSON."""
        return {**self.rows, "pictures": [str(path) for path in self.pictures]}


def estimate_run(job: RunJob, directory: Path | None = None) -> JobEstimate:
    """What a job will take; not collective.

    The macro mesh and the cells are made, and each cell is solved once for a small macroscopic input. Time is that of
    all points and steps on one core, each with `ITERATIONS` solves of a cell: elastic points take less, points with
    difficult laws more. Memory is that of the process with the cells, and of the states of all points.

    Parameters
    ----------
    job
        From `hmm.jobs.read_run`.
    directory
        Where pictures of the set-up are drawn; none by default.

    Raises
    ------
    InputError
        If meshes, groups, laws and formulation do not fit each other.
    """
    found = JobEstimate()
    made = macro_set_up(job, MPI.COMM_SELF)
    rves = {group: rve_of_material(job, material, MPI.COMM_SELF) for group, material in job.materials.items()}
    if "" not in rves:
        made.body.cell_tags(list(rves))
    n_points = _macro_rows(job, made, found.rows)
    seconds, state = 0.0, 0
    for group, rve in rves.items():
        took, size = _cell_rows(job, f"cell of {group}" if group else "cell", rve, found.rows)
        seconds, state = max(seconds, took), max(state, size)
    found.rows["memory of each rank, MB"] = round(_resident() / 1e6)
    found.rows["memory of all states, MB"] = round(n_points * state / 1e6, 1)
    found.rows["time on one core, s"] = float(f"{n_points * (len(job.times) - 1) * ITERATIONS * seconds:.2g}")
    if directory is not None:
        found.pictures = _pictures(job, made.body, rves, directory)
    return found


def estimate_cell(job: Job, directory: Path | None = None) -> JobEstimate:
    """What a job for ``hmm homogenize`` will take: its cell is made, but not solved.

    Parameters
    ----------
    job
        From `hmm.jobs.read_job`.
    directory
        Where a picture of the cell is drawn; none by default.
    """
    found = JobEstimate()
    with in_job(f"{job.path}: [cell]"):
        made = job.source.make(MPI.COMM_SELF)
    cell = made.cell if isinstance(made, Polycrystal) else made
    job.check_phases(cell)
    degree = job.options.get("degree", PHYSICS[job.physics].degree)
    _, laws = by_phase(made, job.laws)
    with in_job(str(job.path)):
        problem = PHYSICS[job.physics].set_up(cell, laws, degree, job.options.get("out_of_plane", False))
    dofs = problem.w.function_space.dofmap
    unknowns = dofs.index_map.size_local * dofs.index_map_bs
    found.rows["elements"] = f"{cell.mesh.topology.index_map(cell.dim).size_local} {cell.mesh.topology.cell_name()}s"
    found.rows["unknowns"] = unknowns
    found.rows["load cases"] = sum(e.packing.size for e in problem.inputs)
    found.rows["memory so far, MB"] = round(_resident() / 1e6)
    if directory is not None:
        check_available()
        found.pictures = [plot_cell(directory / "cell.png", cell)]
    return found


def _resident() -> int:
    """Largest memory of the process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _macro_rows(job: RunJob, made: MacroSetUp, rows: dict[str, Any]) -> int:
    """Elements, unknowns, points and steps; returns the number of points."""
    mesh, dofs = made.body.mesh, made.u.function_space.dofmap
    rows["macro elements"] = f"{mesh.topology.index_map(mesh.topology.dim).size_local} {mesh.topology.cell_name()}s"
    rows["macro unknowns"] = dofs.index_map.size_local * dofs.index_map_bs
    points = MacroPoints(mesh, macro_degree(job) or sufficient_degree(mesh, tuple(made.inputs))).n
    rows["integration points"], rows["load steps"] = points, len(job.times) - 1
    return points


def _cell_rows(job: RunJob, name: str, rve: RVE, rows: dict[str, Any]) -> tuple[float, int]:
    """Elements, unknowns and one solve of a cell; returns its seconds, and the bytes of a state."""
    mesh = rve.cell.mesh
    rows[f"{name}: elements"] = f"{mesh.topology.index_map(mesh.topology.dim).size_local} {mesh.topology.cell_name()}s"
    rows[f"{name}: unknowns"] = rve.n_unknowns
    model: MicroModel = plane_stress(rve) if job.formulation.plane_stress else rve
    seconds = _seconds(model, job.times[1] - job.times[0])
    rows[f"{name}: one solve, ms"] = float(f"{1e3 * seconds:.3g}")
    return seconds, points_of(model, 1).nbytes_per_point


def _seconds(model: MicroModel, dt: float) -> float:
    """CPU time of one solve; the first compiles and allocates, and does not count."""
    E = reference_of(model.inputs) + SIZE
    took = 0.0
    for _ in range(2):
        start = time.thread_time()
        try:
            solve_one(model, E, dt=dt)
        except ConvergenceError:
            return time.thread_time() - start
        took = time.thread_time() - start
    return took


def _labels(job: RunJob, body: MacroBody) -> dict[str, str]:
    """For each group with a support or a load its name, and what is prescribed and acts there."""
    said: dict[str, list[str]] = {name: [] for name in body.groups}
    for support in job.asked.support:
        for name in support.group.split("&"):
            said[name.strip()] += support.given
    for load in job.asked.load:
        if load.group is not None:
            said[load.group].append(load.kind)
    return {name: f"{name}: {', '.join(words)}" for name, words in said.items() if words}


def _pictures(job: RunJob, body: MacroBody, rves: dict[str, RVE], directory: Path) -> list[Path]:
    """The macro mesh with its groups, and the cells."""
    check_available()
    dim, labels = body.mesh.topology.dim, _labels(job, body)
    parts = {labels[name]: vtk_mesh(body.mesh, *body.groups[name]) for name in labels if body.groups[name][0] > 0}
    drawn = [draw_groups(directory / "body.png", vtk_mesh(body.mesh), parts, dim)]
    for group, rve in rves.items():
        drawn.append(plot_cell(directory / f"cell{'_' if group else ''}{group}.png", rve.cell))
    return drawn
