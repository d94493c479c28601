"""A job for ``hmm run`` as a program in Python."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hmm.effective.physics import PHYSICS
from hmm.jobs import user_laws
from hmm.jobs.fe2.expressions import Expression
from hmm.jobs.fe2.formulations import Formulation
from hmm.jobs.fe2.reading import Material, RunJob
from hmm.jobs.fe2.running import CURVE
from hmm.jobs.fe2.schema import LoadSection, MeshSection
from hmm.jobs.values import known_parameters, parts_of
from hmm.laws import Rigid
from hmm.laws.registry import LAWS
from hmm.runs.schedules import Table

HEAD = '''"""{title}: FE2 as a program, written by 'hmm run {name} --show-python'."""

import math
from pathlib import Path

from mpi4py import MPI

import basix.ufl
import hmm
import numpy as np
import ufl
from dolfinx import fem
{modules}
comm = MPI.COMM_WORLD
'''

INPUTS = {
    "strain": "hmm.macro_strain(cell{out})",
    "deformation_gradient": "hmm.macro_deformation_gradient(cell)",
    "gradient": "hmm.macro_gradient(cell)",
}
"""The macroscopic input of a cell with one field, by what the laws answer."""


def python_of(job: RunJob) -> str:
    """The program that computes the same as a job.

    It needs the mesh and image files of the job at the same places. It writes the curve and the fields, but does not
    continue an interrupted run, unless you add ``checkpoint=``.
    """
    blocks = [
        HEAD.format(title=job.path.stem, name=job.path.name, modules=_modules(job)),
        *(_material(job, group, material) for group, material in job.materials.items()),
        _macro(job),
        _supports(job),
        _loads(job),
        _solution(job),
    ]
    return "\n".join(block for block in blocks if block)


def _modules(job: RunJob) -> str:
    """Imports of the modules of the user's own laws."""
    tables = [table for material in job.materials.values() for table in material.asked.phases.values()]
    paths = [str(table["law"]) for table in tables if user_laws.is_path(table.get("law"))]
    return "".join(f"import {module}\n" for module in sorted({path.rpartition(".")[0] for path in paths}))


def _material(job: RunJob, group: str, material: Material) -> str:
    """The cell problem of a material."""
    formulation, asked, laws = job.formulation, material.asked, material.laws.values()
    title = f" of the group {group!r}" if group else ""
    lines = [f"# The cell{title}, and the problem that is solved at each integration point", *_cell(job, material)]
    default = PHYSICS[formulation.physics].law
    lines += ["laws = {", *(f"    {name!r}: {_law(table, default)}," for name, table in asked.phases.items()), "}"]
    lines += [
        "cell, laws = hmm.effective.by_phase(cell, laws)",
        *(["laws = hmm.laws.rigid.without_rigid(laws)"] if any(isinstance(law, Rigid) for law in laws) else []),
        *_problem(formulation, asked.degree),
        f"rve = hmm.RVE(cell, w, E, law=laws, constraint={asked.constraint!r}, solver={asked.solver!r})",
        *_model(job, "rve"),
    ]
    return "\n".join([*lines, f"models[{group!r}] = model" if group else "", ""]).replace("\n\n", "\n")


def _cell(job: RunJob, material: Material) -> Iterator[str]:
    """The lines that make the cell."""
    table = dict(material.asked.cell)
    height = table.pop("extrude", None)
    if "generator" in table:
        yield f"cell = hmm.cells.{table.pop('generator')}({_arguments(table)})"
    else:
        kind = "image" if "image" in table else "mesh"
        path = job.path.parent / table.pop(kind)
        first = [repr(str(path))]
        if kind == "image":
            claims = {n: (c["low"], c["high"]) if isinstance(c, dict) else c for n, c in table.pop("phases").items()}
            first.append(repr(claims))
            table = {{"elements": "mesh"}.get(name, name): value for name, value in table.items()}
            table["physics"] = job.formulation.physics
        yield f"cell = hmm.images.{kind}_cell({', '.join([*first, *([_arguments(table)] if table else [])])})"
    if height is not None:
        yield f"cell = hmm.cells.extrude(cell, {height!r})"


def _arguments(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in table.items())


def _law(table: Any, default: str | None = None, kind: Any = None) -> str:
    """A law or a part of one, as an expression."""
    names = {name: entry.make for name, entry in (LAWS if kind is None else parts_of(kind)).items()}
    name = table.get("law", default or next(iter(names)))
    if user_laws.is_path(name):
        return f"{name}({_arguments({n: v for n, v in table.items() if n != 'law'})})"
    hints = {n: p.annotation for n, p in known_parameters(names[name]).items()}
    given = [
        f"{n}={_law(v, kind=hints[n]) if isinstance(v, dict) else repr(v)}" for n, v in table.items() if n != "law"
    ]
    return f"hmm.laws.{name}({', '.join(given)})"


def _problem(formulation: Formulation, degree: int) -> list[str]:
    """Fluctuation and macroscopic inputs of the cell."""
    out = ", out_of_plane=cell.dim == 2" if formulation.out_of_plane else ""
    if len(formulation.fields) > 1:
        return [
            f"w = hmm.fluctuation(cell, degree=({degree}, {degree}))",
            "T0 = next(iter(laws.values())).reference_temperature",
            "E = [",
            "    hmm.macro_strain(cell, component=0),",
            "    hmm.macro_temperature(cell, reference=T0),",
            "    hmm.macro_gradient(cell, component=1),",
            "]",
        ]
    shape = ", shape=()" if formulation.fields == ("temperature",) else ""
    return [f"w = hmm.fluctuation(cell, degree={degree}{shape})", f"E = {INPUTS[formulation.answered].format(out=out)}"]


def _model(job: RunJob, name: str) -> list[str]:
    """The micro model of the RVE."""
    asked, lines = job.asked, []
    if asked.reduced is not None:
        o = asked.reduced
        lines.append(f"paths = hmm.reduced.random_walks(rve.inputs, {o.size!r}, {o.paths}, {o.steps})")
        name = f"hmm.reduced.train(rve, paths, modes={o.modes}, points={o.points}, comm=comm)"
    if job.formulation.plane_stress:
        name = f"hmm.plane_stress({name})"
    if asked.adaptive is not None:
        name = f"hmm.Adaptive({name}, {asked.adaptive.tolerance!r})"
    return [*lines, f"model = {name}"]


def _macro(job: RunJob) -> str:
    """The macro mesh, its fields and the virtual work."""
    formulation, degree = job.formulation, job.asked.mesh.degree
    mixed = len(formulation.fields) > 1
    shapes = {"displacement": ", shape=(domain.geometry.dim,)", "temperature": ""}
    parts = [f'basix.ufl.element("Lagrange", domain.basix_cell(), {degree}{shapes[f]})' for f in formulation.fields]
    element = f"basix.ufl.mixed_element([{', '.join(parts)}])" if mixed else parts[0]
    name = "_".join(formulation.fields)
    split = ["u, T = ufl.split(U)", "v, q = ufl.split(ufl.TestFunction(V))"] if mixed else []
    unknown, test = ("U", "v, q") if mixed else ("T", "q") if formulation.fields == ("temperature",) else ("u", "v")
    fields = "u, T" if mixed else unknown
    lines = [
        *_sources(formulation),
        "# The macro mesh, its fields, and the virtual work of the homogenized responses",
        f"body = {_body(job, job.asked.mesh)}",
        "domain = body.mesh",
        f"V = fem.functionspace(domain, {element})",
        f"{unknown} = fem.Function(V, name={name!r})",
        *(split or [f"{test} = ufl.TestFunction(V)"]),
        *(["U.sub(1).interpolate(lambda x: np.full(x.shape[1], T0))"] if mixed else []),
        *_regions(job),
        f"hom = hmm.Homogenizer({_homogenized(job, fields)})",
        f"weight = {'2 * np.pi * ufl.SpatialCoordinate(domain)[0]' if formulation.around else '1.0'}",
        f"F = weight * {formulation.work.__name__}(hom.responses, {test}) * hom.dx",
        "",
    ]
    return "\n".join(lines)


def _sources(formulation: Formulation) -> list[str]:
    """The functions of the formulation, as they stand in hmm."""
    texts = [inspect.getsource(function) for function in (formulation.inputs, formulation.work)]
    plain = [text.replace(": Sequence[Any]", "").replace(": Expr", "").replace(" -> Expr", "") for text in texts]
    return ["\n\n".join(textwrap.dedent(text.replace(" -> list[Expr]", "")) for text in plain), ""]


def _body(job: RunJob, mesh: MeshSection) -> str:
    if mesh.file is not None:
        return f"hmm.jobs.file_body(comm, {str(job.path.parent / mesh.file)!r})"
    options = _arguments({n: v for n in ("element", "origin") if (v := getattr(mesh, n)) is not None})
    sizes = f"{mesh.rectangle or mesh.box!r}, elements={mesh.elements!r}"
    return f"hmm.jobs.box_body(comm, {sizes}{', ' if options else ''}{options})"


def _regions(job: RunJob) -> list[str]:
    if "" in job.materials:
        return []
    return [
        "tags = body.cell_tags(list(models))",
        "model = hmm.variation.regions(dict(enumerate(models.values(), 1)), tags)",
    ]


def _homogenized(job: RunJob, fields: str) -> str:
    options: dict[str, Any] = {"degree": 2 * job.asked.mesh.degree} if job.formulation.around else {}
    options |= {"algorithm": job.asked.algorithm, "ensemble": job.asked.ensemble}
    return f"model, {job.formulation.inputs.__name__}({fields}), {_arguments(options)}"


def _value(value: Any) -> str:
    """A value as a function of t."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Expression):
        return value.python
    if isinstance(value, Table):
        return f"float(hmm.table({value.times.tolist()}, {value.values.tolist()})(t))"
    return repr(value)


def _constant(name: str, value: Any) -> list[str]:
    """A Constant that follows the value in time."""
    parts = value if isinstance(value, list) else [value]
    if all(isinstance(part, float) for part in parts):
        return [f"{name} = fem.Constant(domain, {'np.array(' * (parts is value)}{value!r}{')' * (parts is value)})"]
    start = f"np.zeros({len(parts)})" if parts is value else "0.0"
    return [f"{name} = fem.Constant(domain, {start})", f"loads[{name}] = lambda t: {_value(value)}"]


def _supports(job: RunJob) -> str:
    """The prescribed components."""
    places = job.formulation.components(_dim_of(job))
    lines = ["# Supports and loads, as functions of time", "loads, conditions, values = {}, {}, {}"]
    for support in job.asked.support:
        for name, value in support.given.items():
            key = f"{support.group} {name}"
            space = "V" + "".join(f".sub({k})" for k in places[name])
            lines += _constant("value", value)
            lines.append(f"values[{key!r}] = value")
            lines.append(f"conditions[{key!r}] = body.condition({space}, {support.group!r}, value)")
    return "\n".join([*lines, ""])


def _dim_of(job: RunJob) -> int:
    mesh = job.asked.mesh
    return 2 if mesh.rectangle else 3


def _loads(job: RunJob) -> str:
    return "\n".join(line for number, load in enumerate(job.asked.load, 1) for line in _load(number, load))


def _load(number: int, load: LoadSection) -> list[str]:
    """A load in the virtual work."""
    name, kind = f"load_{number}", load.kind
    measure = f"body.{'dx' if kind in ('body_force', 'source') else 'ds'}({load.group!r})"
    work = {
        "traction": f"ufl.dot({name}, v)",
        "body_force": f"ufl.dot({name}, v)",
        "pressure": f"-{name} * ufl.dot(ufl.FacetNormal(domain), v)",
        "flux": f"{name} * q",
        "source": f"{name} * q",
    }[kind]
    return [*_constant(name, getattr(load, kind)), f"F -= weight * {work} * {measure}", ""]


def _solution(job: RunJob) -> str:
    """The load steps and the results."""
    asked, unknown = job.asked, "U" if len(job.formulation.fields) > 1 else job.formulation.fields[0][0]
    unknown = {"d": "u", "t": "T"}.get(unknown, unknown)
    time = asked.time
    times = repr(time.times) if time.times else f"np.arange({time.steps + 1}) * {time.end!r} / {time.steps}"
    where = Path("results", f"{job.path.stem}_python")
    writes = asked.output.format != "none"
    lines = [
        "# Load steps",
        f"problem = hmm.MacroProblem(F, {unknown}, hom, bcs=list(conditions.values()))",
        'columns = ["step", "time", *(f"{words}{name}" for name in conditions for words in ("", "reaction of "))]',
        f"rows, where = [], Path({str(where)!r})",
        *([f"with hmm.Output(where, hom, {unknown}{_format(asked.output.format)}) as output:"] if writes else []),
    ]
    loop = [
        f"for step in hmm.steps(problem, hmm.schedule(loads), {times}, max_cutbacks={time.max_cutbacks}):",
        "    row = [step.number, step.time]",
        "    for name, condition in conditions.items():",
        "        row += [float(values[name].value), problem.reaction(condition)]",
        "    rows.append(row)",
        '    hmm.console.say(comm, "  ".join(f"{value:.6g}" for value in row))',
        *(["    output.write(step.time)"] if writes else []),
    ]
    lines += [("    " if writes else "") + line for line in loop]
    return "\n".join([*lines, f'hmm.write_csv(where / "{CURVE}", comm, columns, rows)', ""])


def _format(name: str) -> str:
    return "" if name == "bp" else f", format={name!r}"
