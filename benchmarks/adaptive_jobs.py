"""Adaptive models against the model at all points: ``python adaptive_jobs.py`` prints JSON.

Each job runs with RVEs at all points, and with `hmm.Adaptive` at each tolerance.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import numpy as np
from bodies import Made, at, body, cook_mesh
from dolfinx import mesh
from jobs import FIBRE, MATRIX, baseline_cell, cantilever, fibre_rve
from problems import sphere_labels

TOLERANCES = (0.5, 1.5, 3.0)
"""Of points, in MPa; the matrix yields at 100 MPa."""


def cook(model: hmm.models.MicroModel) -> Made:
    """Cook's membrane of 6 x 6 split squares."""
    return body(model, cook_mesh(MPI.COMM_SELF, 6), at(0, 0.0), at(0, 48.0), 1)


def bar(model: hmm.models.MicroModel) -> Made:
    """A bar of 6 x 2 x 2 hexahedra in bending."""
    ends = [[0.0, 0.0, 0.0], [6.0, 1.0, 1.0]]
    domain = mesh.create_box(MPI.COMM_SELF, ends, [6, 2, 2], mesh.CellType.hexahedron)
    return body(model, domain, at(0, 0.0), at(0, 6.0), 1)


def sphere_rve(n: int = 6) -> hmm.RVE:
    """A stiff sphere of voxels in a J2 matrix."""
    cell = hmm.cells.voxels(sphere_labels(n), {"matrix": 0, "sphere": 1})
    law = {"matrix": MATRIX, "sphere": FIBRE}
    return hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=law, solver="direct")


def run(make: Callable[[hmm.models.MicroModel], Made], model: hmm.models.MicroModel, stages: tuple) -> dict:
    """Reactions of all steps, and what they cost."""
    problem, load, bc = make(model)
    reactions = [problem.reaction(bc) for end, n in stages for _ in hmm.steps(problem, load, end, n)]
    return {
        "points": problem.hom.n_points,
        "iterations": sum(s.iterations for s in problem.stats),
        "factorizations": problem.hom.count.factorizations,
        "reactions": np.array(reactions),
    }


def jobs() -> dict[str, tuple[Callable, hmm.RVE, tuple]]:
    """What is made, its RVE, and the loads with their numbers of steps."""
    fine, coarse = fibre_rve(baseline_cell()), fibre_rve(baseline_cell(0.2))
    return {
        "D": (lambda m: cantilever(m, 8, 4, "monolithic"), fine, ((-0.15, 5),)),
        "D, 24 x 12 squares, coarse cell": (lambda m: cantilever(m, 24, 12, "monolithic"), coarse, ((-0.15, 5),)),
        "Cook's membrane, unloaded": (cook, coarse, ((0.6, 6), (0.5, 2))),
        "bar in 3D, unloaded": (bar, sphere_rve(), ((-0.15, 5), (-0.12, 2))),
    }


def main() -> None:
    rows = []
    for name, (make, rve, stages) in jobs().items():
        full = run(make, rve, stages)
        for tolerance in TOLERANCES:
            found = run(make, hmm.Adaptive(rve, tolerance), stages)
            error = np.abs(found["reactions"] - full["reactions"]).max() / np.abs(full["reactions"]).max()
            rows.append(
                {
                    "job": name,
                    "points": full["points"],
                    "tolerance": tolerance,
                    "full": full["factorizations"],
                    "adaptive": found["factorizations"],
                    "iterations": [full["iterations"], found["iterations"]],
                    "error": float(error),
                }
            )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
