"""The jobs that are timed on several ranks, ``mpirun -n R parallel_jobs.py NAME ...``: rank 0 prints its JSON."""

from __future__ import annotations

import json
import sys
import time

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh
from jobs import FIBRE, MATRIX, cantilever
from numpy.typing import NDArray

WORLD = MPI.COMM_WORLD


def fibre_rve(comm: MPI.Comm, mesh_size: float) -> hmm.RVE:
    """P1 fibre in a J2 matrix."""
    cell = hmm.cells.fibre(0.3, mesh_size=mesh_size, comm=comm)
    return hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law={"matrix": MATRIX, "fibre": FIBRE})


def watch(hom: hmm.Homogenizer) -> list[NDArray[np.float64]]:
    """A list that gets the CPU seconds of each row of this rank in each accepted step."""
    measured: list[NDArray[np.float64]] = []
    commit = hom.commit

    def remember_and_commit() -> None:
        measured.append(hom.ensemble.seconds.copy())
        commit()

    hom.commit = remember_and_commit  # type: ignore[method-assign]
    return measured


def strip(policy: str, zone: float = 0.5, nx: int = 24, mesh_size: float = 0.03, n_steps: int = 16) -> dict:
    """A strip of 4 nx points that is sheared on the left `zone` of its length, which yields; the rest stays elastic.

    With two ranks and a zone of one half, one rank owns all points that yield.
    """
    group = hmm.Ensemble.split(WORLD, WORLD.size) if policy == "grouped" else MPI.COMM_SELF
    domain = mesh.create_rectangle(WORLD, [[0.0, 0.0], [nx / 2, 1.0]], [nx, 2])
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v, load = fem.Function(V), ufl.TestFunction(V), fem.Constant(domain, 0.0)
    inside = ufl.conditional(ufl.lt(ufl.SpatialCoordinate(domain)[0], zone * nx / 2), 1.0, 0.01)
    strain = ufl.sym(ufl.grad(u)) + load * inside * ufl.as_tensor([[0.0, 1.0], [1.0, 0.0]])
    hom = hmm.Homogenizer(fibre_rve(group, mesh_size), strain, degree=1, ensemble=policy)
    boundary = mesh.locate_entities_boundary(domain, 1, lambda x: np.full(x.shape[1], True))
    bc = fem.dirichletbc(np.zeros(2), fem.locate_dofs_topological(V, 1, boundary), V)
    problem = hmm.MacroProblem(ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx, u, hom, bcs=[bc])
    measured = watch(hom)
    WORLD.barrier()
    start, seconds = time.perf_counter(), []
    for _ in hmm.steps(problem, load, 0.012, n_steps):
        seconds.append(time.perf_counter() - start - sum(seconds))
    plastic = int((hom.point_average("matrix", "p") > 0).sum())
    cpu = [WORLD.allreduce(float(m.sum()), MPI.MAX) for m in measured]
    return {
        "seconds": sum(seconds),
        "later_seconds": sum(seconds[n_steps // 2 :]),
        "cpu": sum(cpu),
        "later_cpu": sum(cpu[n_steps // 2 :]),
        "points": WORLD.allreduce(hom.n_points),
        "plastic": WORLD.allreduce(plastic),
        "most_plastic": WORLD.allreduce(plastic, MPI.MAX),
        "busiest": WORLD.allreduce(hom.count.factorizations, MPI.MAX),
        "moved": WORLD.allreduce(hom.ensemble.moved),
    }


def costs(nx: int = 16, ny: int = 4, mesh_size: float = 0.05, n_steps: int = 10) -> dict:
    """CPU seconds that each point of a cantilever takes in each step, apart for those that yield in it."""
    problem, tip, _ = cantilever(fibre_rve(MPI.COMM_SELF, mesh_size), nx, ny, "monolithic")
    hom, measured = problem.hom, watch(problem.hom)
    old, elastic, plastic = np.zeros(hom.n_points), [], []
    for k, _ in enumerate(hmm.steps(problem, tip, -0.15, n_steps)):
        p = hom.point_average("matrix", "p").ravel()
        if k > 0:  # the first step warms up caches
            elastic.append(measured[-1][p == old])
            plastic.append(measured[-1][p > old])
        old = p
    return {
        "elastic": np.concatenate(elastic).tolist(),
        "plastic": np.concatenate(plastic).tolist(),
        "plastic_share": [p.size / hom.n_points for p in plastic],
        "evaluations": sum(s.iterations + 1 for s in problem.stats) / n_steps,
        "bytes_per_point": hom.states.nbytes_per_point,
        "unknowns": hom.model.n_unknowns,
    }


JOBS = {f.__name__: f for f in (strip, costs)}


def main() -> None:
    name, *arguments = sys.argv[1:]
    parsed = [json.loads(a) if a.replace(".", "", 1).isdigit() else a for a in arguments]
    result = JOBS[name](*parsed)
    if WORLD.rank == 0:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
