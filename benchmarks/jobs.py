"""The jobs that are timed: each prints one line of JSON. Imports, meshing and just-in-time compilation do not count."""

from __future__ import annotations

import json
import resource
import sys
import time

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh
from measure import BASELINE

MATRIX = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=700.0)
FIBRE = hmm.laws.Elastic(young=400e3, poisson=0.2)


def peak_mb() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def baseline_cell(h: float = 0.075) -> hmm.Cell:
    """The very mesh of the hand-written scripts (they import under their own name)."""
    sys.path.insert(0, str(BASELINE))
    from rve2d import fitted_mesh

    cell_mesh, tags = fitted_mesh(h)
    return hmm.Cell.box(cell_mesh, tags, {"matrix": 1, "fibre": 2})


def fibre_rve(cell: hmm.Cell, **options: object) -> hmm.RVE:
    """Problem B2: P2, three points a triangle, periodic."""
    w, E = hmm.fluctuation(cell, 2), hmm.macro_strain(cell)
    return hmm.RVE(cell, w, E, law={"matrix": MATRIX, "fibre": FIBRE}, quadrature_degree=2, **options)


def cantilever(
    rve: hmm.RVE, nx: int, ny: int, algorithm: str
) -> tuple[hmm.MacroProblem, fem.Constant, fem.DirichletBC]:
    """Problem D on any macro mesh."""
    domain = mesh.create_rectangle(MPI.COMM_SELF, [[0.0, 0.0], [10.0, 2.0]], [nx, ny], mesh.CellType.triangle)
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=2, algorithm=algorithm)
    left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0))
    right = fem.locate_dofs_geometrical((V.sub(1), V.sub(1).collapse()[0]), lambda x: np.isclose(x[0], 10))[0]
    tip = fem.Constant(domain, 0.0)
    bcs = [fem.dirichletbc(np.zeros(2), left, V), fem.dirichletbc(tip, right, V.sub(1))]
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=bcs, rtol=1e-6), tip, bcs[1]


def fe2(algorithm: str = "monolithic", nx: int = 8, ny: int = 4, h: float = 0.075, n_steps: int = 5) -> dict:
    """Problem D: five load steps of the cantilever."""
    problem, tip, right = cantilever(fibre_rve(baseline_cell(h)), nx, ny, algorithm)
    start = time.perf_counter()
    reactions = [problem.reaction(right) for _ in hmm.steps(problem, tip, -0.15, n_steps)]
    seconds = time.perf_counter() - start
    states = problem.hom.states
    return {
        "seconds": seconds,
        "iterations": sum(s.iterations for s in problem.stats),
        "points": states.n_points,
        "bytes_per_point": states.nbytes_per_point,
        "peak_mb": peak_mb(),
        "reactions": reactions,
        **vars(problem.hom.count),
    }


def rve_step(h: float = 0.075, repeats: int = 200) -> dict:
    """One plastic step of a point, and the floor: DOLFINx assembly, MUMPS and the solves of its factorization alone."""
    from hmm.algorithms import Counters, monolithic
    from hmm.state import MicroState

    rve = fibre_rve(baseline_cell(h))
    states, count = MicroState(rve, 1), Counters()
    E = rve.pack(np.array([[0.0, 0.002], [0.002, 0.0]]))
    monolithic(rve, states, 0, E, count)
    steps, floors = [], []
    for k in range(repeats):
        start = time.perf_counter()
        monolithic(rve, states, 0, E * (1 + 0.01 * (k % 7 + 1)), count)
        steps.append(time.perf_counter() - start)
        start = time.perf_counter()
        _floor(rve)
        floors.append(time.perf_counter() - start)
    assert count.factorizations == repeats + 1
    return {"seconds": float(np.median(steps)), "floor": float(np.median(floors)), "unknowns": rve.n_unknowns}


def _floor(rve: hmm.RVE) -> None:
    """What one factorization costs at least: the residual, three assemblies, MUMPS, four right-hand sides."""
    rve._R_w.assemble(rve._local_residual[: rve.reduced.size_fluctuation])
    rve.reduced.assemble(rve._K, *rve._form_K.packed())
    rve.solver.factorize()
    for matrix, form in zip(rve._columns_of, rve._form_L, strict=True):
        rve.reduced.assemble(matrix, *form.packed())
    rve._form_D[0][0].dense()
    rve.solver.solve_columns(rve._rhs, rve._solution)


def profile(h: float = 0.075) -> dict:
    """Where the time of problem D goes, by function, from a deterministic profile."""
    import cProfile
    import pstats

    problem, tip, _ = cantilever(fibre_rve(baseline_cell(h)), 8, 4, "monolithic")
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in hmm.steps(problem, tip, -0.15, 5):
        pass
    profiler.disable()
    stats = pstats.Stats(profiler)
    kernels = ("_assemble_vector_array", "_assemble_matrix_csr", "_pack", "_set_up", "solve", "solve_columns", "eval")
    inside, rows = 0.0, []
    for (file, _, name), (_, calls, own, _, _) in stats.stats.items():
        compiled = (name in kernels) or (file.endswith("fem/petsc.py") and name == "_") or "petsc4py" in name
        inside += own if compiled else 0.0
        rows.append((own, calls, f"{file.rsplit('/', 1)[-1]}:{name}", compiled))
    total = stats.total_tt
    rows.sort(reverse=True)
    return {
        "seconds": total,
        "outside_share": 1 - inside / total,
        "rows": [[name, calls, own / total, compiled] for own, calls, name, compiled in rows[:14]],
    }


def memory(points: int = 10_000, h: float = 0.075) -> dict:
    """State of many points of one J2 cell of about 1,000 dofs (P1)."""
    cell = hmm.cells.fibre(0.3, mesh_size=h / 1.6)
    w, E = hmm.fluctuation(cell, 1), hmm.macro_strain(cell)
    rve = hmm.RVE(cell, w, E, law={"matrix": MATRIX, "fibre": FIBRE})
    before = peak_mb()
    start = time.perf_counter()
    from hmm.state import MicroState

    states = MicroState(rve, points)
    return {
        "seconds": time.perf_counter() - start,
        "unknowns": rve.n_unknowns,
        "bytes_per_point": states.nbytes_per_point,
        "peak_mb": peak_mb(),
        "state_mb": peak_mb() - before,
    }


JOBS = {f.__name__: f for f in (fe2, rve_step, profile, memory)}


def main() -> None:
    name, *arguments = sys.argv[1:]
    parsed = [json.loads(a) if a.replace(".", "", 1).isdigit() else a for a in arguments]
    print(json.dumps(JOBS[name](*parsed)))


if __name__ == "__main__":
    main()
