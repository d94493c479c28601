"""From a job file to a macro problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem

from hmm.cells import Polycrystal
from hmm.effective.homogenize import by_phase
from hmm.effective.physics import PHYSICS
from hmm.fe2 import variation
from hmm.fe2.homogenizer import Homogenizer
from hmm.fe2.problem import MacroProblem
from hmm.foundation.errors import InputError, collectively
from hmm.jobs.fe2.body import MacroBody, box_body, file_body
from hmm.jobs.fe2.reading import Material, RunJob, check_dim
from hmm.jobs.fe2.schema import LoadSection
from hmm.jobs.running import in_job
from hmm.laws.rigid import without_rigid
from hmm.micro.loading import plane_stress
from hmm.micro.rve import RVE
from hmm.models.adaptive import Adaptive
from hmm.models.protocol import MicroModel
from hmm.reduced.paths import random_walks
from hmm.reduced.training import train
from hmm.runs.schedules import Load, Schedule, Value


@dataclass(frozen=True, eq=False)
class Assembly:
    """The macro problem of a job.

    Attributes
    ----------
    body
        The macro mesh.
    u
        The macro field.
    problem
        The macro problem.
    rves
        The cell problem of each material, by group.
    conditions
        For each prescribed component, named ``"group component"``, the condition and its value.
    loads
        All values that depend on time.
    """

    body: MacroBody
    u: fem.Function
    problem: MacroProblem
    rves: dict[str, RVE]
    conditions: dict[str, tuple[fem.DirichletBC, fem.Constant]]
    loads: Schedule


@dataclass
class _Builder:
    """Builds the parts of a macro problem in turn."""

    job: RunJob
    comm: MPI.Comm
    values: dict[Load, Value] = field(default_factory=dict)

    def constant(self, body: MacroBody, value: Any) -> fem.Constant:
        """A Constant that follows a value of the job, a number, a function of time or a list of them."""
        several = isinstance(value, list)
        parts: list[Any] = value if several else [value]
        if all(isinstance(part, float) for part in parts):
            return fem.Constant(body.mesh, np.array(parts) if several else parts[0])

        def at(t: float) -> Any:
            found = [part(t) if callable(part) else part for part in parts]
            return found if several else found[0]

        made = fem.Constant(body.mesh, np.zeros(len(parts)) if several else 0.0)
        self.values[made] = at
        return made

    def conditions(self, body: MacroBody, V: fem.FunctionSpace) -> dict[str, tuple[fem.DirichletBC, fem.Constant]]:
        """A condition for each prescribed component."""
        places, found = self.job.formulation.components(body.mesh.geometry.dim), {}
        for number, support in enumerate(self.job.asked.support, 1):
            for name, value in support.given.items():
                key = f"{support.group} {name}"
                where = f"{self.job.path}: [support] number {number}"
                if key in found:
                    raise InputError(f"{where}: {name} of {support.group!r} is prescribed twice: remove one")
                if name not in places:
                    raise InputError(f"{where} has {name}, but the mesh has the components {', '.join(places)}")
                space, constant = _part(V, places[name]), self.constant(body, value)
                with in_job(where):
                    found[key] = body.condition(space, support.group, constant), constant
        return found

    def work_of_loads(self, body: MacroBody, tests: dict[str, Any]) -> Any:
        """The virtual work of the loads."""
        total: Any = 0
        for number, load in enumerate(self.job.asked.load, 1):
            with in_job(f"{self.job.path}: [load] number {number}"):
                total += self._work(body, load, tests)
        return total

    def _work(self, body: MacroBody, load: LoadSection, tests: dict[str, Any]) -> Any:
        kind = load.kind
        value = getattr(load, kind)
        dim = body.mesh.geometry.dim
        if isinstance(value, list) and len(value) != dim:
            raise InputError(f"{kind} has {len(value)} entries: give {dim}")
        constant = self.constant(body, value)
        measure = body.dx(load.group) if kind in ("body_force", "source") else body.ds(load.group or "")
        v, q = tests.get("displacement"), tests.get("temperature")
        normal = ufl.FacetNormal(body.mesh)
        integrand: Callable[[], Any] = {
            "traction": lambda: ufl.dot(constant, v),
            "body_force": lambda: ufl.dot(constant, v),
            "pressure": lambda: -constant * ufl.dot(normal, v),
            "flux": lambda: constant * q,
            "source": lambda: constant * q,
        }[kind]
        return self.job.formulation.weight(body.mesh) * integrand() * measure


@dataclass(frozen=True, eq=False)
class MacroSetUp:
    """The macro problem without its cells.

    Attributes
    ----------
    body
        The macro mesh.
    u
        The macro field.
    inputs
        The macroscopic inputs of its points.
    tests
        The virtual field of each field.
    conditions
        As in `Assembly`.
    work
        The virtual work of the loads.
    values
        Functions of time of all values that depend on it.
    """

    body: MacroBody
    u: fem.Function
    inputs: list[Any]
    tests: dict[str, Any]
    conditions: dict[str, tuple[fem.DirichletBC, fem.Constant]]
    work: Any
    values: dict[Load, Value]


def macro_set_up(job: RunJob, comm: MPI.Comm) -> MacroSetUp:
    """Mesh, fields, supports and loads of a job (collective).

    Raises
    ------
    InputError
        On all ranks, if the mesh cannot be read, lacks a group, or does not fit the formulation.
    """
    formulation, builder = job.formulation, _Builder(job, comm)
    body = body_of(job, comm)
    V = formulation.space(body.mesh, job.asked.mesh.degree)
    u, test = fem.Function(V, name="_".join(formulation.fields)), ufl.TestFunction(V)
    several = len(formulation.fields) > 1
    fields = ufl.split(u) if several else (u,)
    tests = dict(zip(formulation.fields, ufl.split(test) if several else (test,), strict=True))
    conditions = builder.conditions(body, V)
    work = builder.work_of_loads(body, tests)
    return MacroSetUp(body, u, formulation.inputs(*fields), tests, conditions, work, builder.values)


def assembly_of(job: RunJob, comm: MPI.Comm) -> Assembly:
    """The macro problem of a job (collective).

    Raises
    ------
    InputError
        On all ranks, if the mesh lacks a group, or cells, laws and formulation do not fit each other.
    """
    formulation, made = job.formulation, macro_set_up(job, comm)
    rves = {group: rve_of_material(job, material, comm) for group, material in job.materials.items()}
    _begin(job, made.u, rves)
    hom = _homogenizer(job, made, rves)
    work = formulation.weight(made.body.mesh) * formulation.work(hom.responses, *made.tests.values()) * hom.dx
    with in_job(str(job.path)):
        bcs = [condition for condition, _ in made.conditions.values()]
        problem = MacroProblem(work - made.work, made.u, hom, bcs=bcs)
    return Assembly(made.body, made.u, problem, rves, made.conditions, Schedule(made.values))


def body_of(job: RunJob, comm: MPI.Comm) -> MacroBody:
    """The macro mesh of a job (collective)."""
    mesh = job.asked.mesh
    with in_job(f"{job.path}: [mesh]"):
        if mesh.file is not None:
            body = file_body(comm, job.path.parent / mesh.file)
        else:
            body = box_body(comm, mesh.rectangle or mesh.box or [], mesh.elements or [], mesh.element, mesh.origin)
    check_dim(job.path, job.asked.formulation, job.formulation, body.mesh.geometry.dim)
    return body


def rve_of_material(job: RunJob, material: Material, comm: MPI.Comm) -> RVE:
    """The cell problem of a material; each rank makes its own (collective)."""
    formulation, asked = job.formulation, material.asked
    with collectively(comm), in_job(material.where):
        made = material.source.make(MPI.COMM_SELF)
        material.check_phases(made.cell if isinstance(made, Polycrystal) else made)
        cell, laws = by_phase(made, material.laws)
        laws = without_rigid(laws)
        problem = PHYSICS[formulation.physics].set_up(cell, laws, asked.degree, formulation.out_of_plane)
        answered = set().union(*(getattr(law, "fields", ()) for law in laws.values()))
        if formulation.physics == "elasticity" and answered != {formulation.answered}:
            other = "finite strain" if answered == {"deformation_gradient"} else "plane strain"
            raise InputError(
                f"the laws answer {', '.join(sorted(answered))}, and formulation = {job.asked.formulation!r} needs "
                f"laws of {formulation.answered}: choose other laws, or a formulation such as {other!r}"
            )
        inputs: Any = problem.inputs if len(problem.inputs) > 1 else problem.inputs[0]
        return RVE(cell, problem.w, inputs, problem.laws, constraint=asked.constraint, solver=asked.solver)


def model_of(job: RunJob, rve: RVE, comm: MPI.Comm) -> MicroModel:
    """The micro model of an RVE: itself, a reduced one, or one that similar points share (collective)."""
    asked = job.asked
    model: MicroModel = rve
    if asked.reduced is not None:
        options = asked.reduced
        with in_job(f"{job.path}: [reduced]"):
            paths = random_walks(rve.inputs, options.size, options.paths, options.steps)
            model = train(rve, paths, modes=options.modes, points=options.points, comm=comm)
    if job.formulation.plane_stress:
        with in_job(f"{job.path}: plane stress"):
            model = plane_stress(model)
    if asked.adaptive is not None:
        model = Adaptive(model, asked.adaptive.tolerance)
    return model


def _homogenizer(job: RunJob, made: MacroSetUp, rves: dict[str, RVE]) -> Homogenizer:
    models = [model_of(job, rve, made.body.mesh.comm) for rve in rves.values()]
    chosen: Any = models[0]
    with in_job(str(job.path)):
        if "" not in rves:
            tags = made.body.cell_tags(list(rves))
            chosen = variation.regions(dict(enumerate(models, 1)), tags)
        return Homogenizer(
            chosen,
            made.inputs,
            macro_degree(job),
            job.asked.algorithm,
            job.asked.ensemble,
            dumps=job.directory / "failures",
        )


def macro_degree(job: RunJob) -> int | None:
    """Degree of the macro quadrature: the default, but more for the factor of the circumference."""
    return 2 * job.asked.mesh.degree if job.formulation.around else None


def _begin(job: RunJob, u: fem.Function, rves: dict[str, RVE]) -> None:
    """Start from the reference temperature of the laws."""
    if len(job.formulation.fields) > 1:
        rve = next(iter(rves.values()))
        T0 = float(rve.reference[rve.problem.blocks[rve.inputs[1].name]][0])
        u.sub(1).interpolate(lambda x: np.full(x.shape[1], T0))


def _part(V: fem.FunctionSpace, place: tuple[int, ...]) -> fem.FunctionSpace:
    """A component of a function space."""
    for number in place:
        V = V.sub(number)
    return V
