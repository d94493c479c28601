"""Jobs with reduced RVEs: a beam in bending against the same with the RVE, and many points."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import numpy as np
from bodies import Made, at, body
from dolfinx import mesh
from jobs import FIBRE, MATRIX, peak_mb

from hmm import reduced
from hmm.reduced.measuring import path_errors
from hmm.reduced.snapshots import follow_path

DEFLECTIONS = (0.025, 0.05, 0.075, 0.10, 0.125, 0.15, 0.12, 0.08)
"""The tip is bent into plasticity, and partly unloaded."""

MODES, POINTS = 8, 100
"""Of the reduced model: modes beside the elastic ones, and cubature points of the matrix."""

MULTIGRID = {"ksp_type": "cg", "pc_type": "gamg", "ksp_rtol": 1e-8}
"""Macro solves of many unknowns, without a factorization."""


def sphere_rve(h: float) -> hmm.RVE:
    """An elastic sphere in a J2 matrix, periodic, P1."""
    cell = hmm.cells.sphere(0.2, mesh_size=h)
    law = {"matrix": MATRIX, "inclusion": FIBRE}
    return hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=law)


def fibres_rve(h: float) -> hmm.RVE:
    """Four elastic fibres in a J2 matrix, periodic, P2."""
    cell = hmm.cells.random_fibres(0.35, number=4, mesh_size=h, seed=1)
    law = {"matrix": MATRIX, "fibre": FIBRE}
    return hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell), law=law)


def beam(model: hmm.models.MicroModel, domain: mesh.Mesh, order: int, **options: object) -> Made:
    """A cantilever of 10 x 2 x 2 whose tip is moved."""
    return body(model, domain, at(0, 0.0), at(0, 10.0), 2, order, **options)


def bend(model: hmm.models.MicroModel, deflections: Sequence[float] = DEFLECTIONS) -> dict:
    """The job with 240 points: reactions, inputs of all points after each step, processor time."""
    cells = (mesh.create_box, [[0.0, 0.0, 0.0], [10.0, 2.0, 2.0]], [5, 1, 2], mesh.CellType.tetrahedron)
    problem, tip, right = beam(model, cells[0](MPI.COMM_SELF, *cells[1:]), 2)
    reactions, inputs, start = [], [], time.process_time()
    for deflection in deflections:
        tip.value = -deflection
        problem.solve()
        reactions.append(float(problem.reaction(right)))
        inputs.append(problem.hom.states.committed.E.copy())
    states = problem.hom.states
    return {
        "seconds": time.process_time() - start,
        "reactions": np.array(reactions),
        "inputs": np.array(inputs),
        "points": states.n,
        "bytes": states.nbytes_per_point,
        **vars(problem.hom.count),
    }


def trained(rve: hmm.RVE, paths: int) -> reduced.ReducedModel:
    """A model of what the job does: a first one, made on a few straight paths, records the paths for the second."""
    size = np.array([0.004, 0.004, 0.004, 0.001, 0.001, 0.001])
    first = reduced.train(rve, reduced.proportional(rve.inputs, size, 4, 4, seed=1), modes=MODES, points=POINTS)
    recorded = bend(first)["inputs"]
    return reduced.train(rve, reduced.select_paths(recorded, paths), modes=MODES, points=POINTS)


def against_full(h: float = 0.08, paths: int = 8) -> dict:
    """The job with a reduced model and with the RVE, in one process, with the time of training."""
    rve = sphere_rve(h)
    rve.solve({"11": 1e-5})  # compiles
    start = time.process_time()
    model = trained(rve, paths)
    training = time.process_time() - start
    runs = [bend(model) for _ in range(3)]
    full = bend(rve)
    ours, largest = float(np.median([run["seconds"] for run in runs])), np.abs(full["reactions"]).max()
    return {
        "unknowns": rve.n_unknowns,
        "points": full["points"],
        "modes": model.report.modes,
        "cubature": model.report.points,
        "full": full["seconds"],
        "reduced": ours,
        "training": training,
        "error": float(np.abs(runs[0]["reactions"] - full["reactions"]).max() / largest),
        "bytes": [runs[0]["bytes"], full["bytes"]],
        "solves": [runs[0]["solves"], full["solves"]],
        "factorizations": [runs[0]["factorizations"], full["factorizations"]],
        "reactions": [runs[0]["reactions"].tolist(), full["reactions"].tolist()],
    }


def many_points(h: float = 0.2, cells: int = 16) -> dict:
    """One macro iteration of about 100,000 reduced points: the last one of the last step, in which most yield."""
    model = trained(sphere_rve(h), 8)
    box = [[0.0, 0.0, 0.0], [10.0, 2.0, 2.0]]
    domain = mesh.create_box(MPI.COMM_SELF, box, [50, cells, cells], mesh.CellType.hexahedron)
    problem, tip, _ = beam(model, domain, 1, petsc_options=MULTIGRID)
    found = {}
    for deflection in DEFLECTIONS[:6]:
        before, start = problem.hom.count.copy(), time.process_time()
        tip.value = -deflection
        stats = problem.solve()
        seconds, done = time.process_time() - start, problem.hom.count - before
        iterations = done.solves / problem.hom.n_points
        found = {
            "points": problem.hom.n_points,
            "cubature": model.report.points,
            "seconds": seconds / iterations,
            "condensed": done.factorizations / done.solves,
            "iterations": stats.iterations,
        }
    return {**found, "bytes": problem.hom.states.nbytes_per_point, "peak_mb": peak_mb()}


def blind_paths(dim: int = 2, h: float = 0.15, tolerance: float = 0.01, paths: int = 40, steps: int = 20) -> dict:
    """Errors on random walks to 1.2 % strain that the training to a tolerance never saw."""
    rve = fibres_rve(h) if dim == 2 else sphere_rve(h)
    walks, given, others = (
        reduced.random_walks(rve.inputs, 0.012, n, steps, seed=seed) for n, seed in ((paths, 1), (8, 77), (12, 123))
    )
    start = time.process_time()
    model = reduced.train(rve, walks, blind=given, tolerance=tolerance)
    seconds = time.process_time() - start
    errors = path_errors(model, [(path, follow_path(rve, path, None)) for path in others])
    return {
        "dim": dim,
        "unknowns": rve.n_unknowns,
        "paths": model.report.paths,
        "modes": model.report.modes,
        "points": model.report.points,
        "seconds": seconds,
        "given": [model.report.median, model.report.worst],
        "others": [float(np.median(errors)), float(errors.max())],
    }


JOBS = {f.__name__: f for f in (against_full, many_points, blind_paths)}


def main() -> None:
    name, *arguments = sys.argv[1:]
    print(json.dumps(JOBS[name](*map(json.loads, arguments))))


if __name__ == "__main__":
    main()
