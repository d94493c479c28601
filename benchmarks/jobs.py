"""The jobs that are timed: each prints one line of JSON. Imports, meshing and just-in-time compilation do not count."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import numpy as np
import ufl
from bodies import Made, at, body
from dolfinx import fem, mesh
from measure import BASELINE
from problems import sphere_labels

from hmm.micro.cell_forms import dense
from hmm.micro.columns import assembled_columns
from hmm.micro.solvers.assembled import AssembledSolver, direct_options

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


def cantilever(rve: hmm.models.MicroModel, nx: int, ny: int, algorithm: str) -> Made:
    """Problem D on any macro mesh."""
    domain = mesh.create_rectangle(MPI.COMM_SELF, [[0.0, 0.0], [10.0, 2.0]], [nx, ny], mesh.CellType.triangle)
    return body(rve, domain, at(0, 0.0), at(0, 10.0), 1, algorithm=algorithm)


def fe2(algorithm: str = "monolithic", nx: int = 8, ny: int = 4, h: float = 0.075, n_steps: int = 5) -> dict:
    """Problem D: five load steps of the cantilever, in seconds of the processor."""
    problem, tip, right = cantilever(fibre_rve(baseline_cell(h)), nx, ny, algorithm)
    start = time.process_time()
    reactions = [problem.reaction(right) for _ in hmm.steps(problem, tip, -0.15, n_steps)]
    seconds = time.process_time() - start
    states = problem.hom.states
    return {
        "seconds": seconds,
        "iterations": sum(s.iterations for s in problem.stats),
        "points": states.n,
        "bytes_per_point": states.nbytes_per_point,
        "peak_mb": peak_mb(),
        "reactions": reactions,
        **vars(problem.hom.count),
    }


def sheared_block(n: int = 8, h: float = 0.15) -> dict:
    """FE2 of n x n split squares in simple shear: every point yields alike, so that only their number grows."""
    rve = fibre_rve(baseline_cell(h))
    domain = mesh.create_unit_square(MPI.COMM_SELF, n, n)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=1)
    top = fem.Constant(domain, 0.0)

    def held(axis: int, where) -> np.ndarray:
        return fem.locate_dofs_geometrical((V.sub(axis), V.sub(axis).collapse()[0]), where)[0]

    flat = fem.dirichletbc(0.0, held(1, lambda x: x[0] > -1), V.sub(1))
    bottom = fem.dirichletbc(0.0, held(0, lambda x: np.isclose(x[1], 0)), V.sub(0))
    moved = fem.dirichletbc(top, held(0, lambda x: np.isclose(x[1], 1)), V.sub(0))
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    problem = hmm.MacroProblem(F, u, hom, bcs=[flat, bottom, moved])
    start = time.perf_counter()
    for _ in hmm.steps(problem, top, 0.01, 3):
        pass
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "points": hom.n_points, "peak_mb": peak_mb(), **vars(hom.count)}


def rve_step(h: float = 0.075, repeats: int = 200) -> dict:
    """One plastic step of a point, and the floor: DOLFINx assembly, MUMPS and the solves of its factorization alone."""
    rve = fibre_rve(baseline_cell(h))
    floor = AssembledSolver(rve.system.loaded.reduced, rve.forms.K, True, direct_options(True, well_scaled=True))
    points = hmm.models.points_of(rve, 1)
    E = rve.pack(np.array([[0.0, 0.002], [0.002, 0.0]]))[None]

    def answer(E: np.ndarray) -> None:
        points.ask(E, 0.0, "monolithic")
        rve.answer(points)

    answer(E)
    steps, floors = [], []
    for k in range(repeats):
        start = time.perf_counter()
        answer(E * (1 + 0.01 * (k % 7 + 1)))
        steps.append(time.perf_counter() - start)
        start = time.perf_counter()
        _floor(rve, floor)
        floors.append(time.perf_counter() - start)
    assert points.count.factorizations == repeats + 1
    return {"seconds": float(np.median(steps)), "floor": float(np.median(floors)), "unknowns": rve.n_unknowns}


def _floor(rve: hmm.RVE, solver: AssembledSolver) -> None:
    """What DOLFINx and MUMPS need for a factorization: the residual, three assemblies, four right-hand sides."""
    system, forms, loaded = rve.system, rve.forms, rve.system.loaded
    fem.assemble_vector(loaded.nodal_forces, *forms.R_w.packed())
    solver.update()
    assembled_columns(loaded.reduced, system._columns_of, forms.L)
    dense(forms.D)
    solver.solve_columns(system._rhs, system._solution)


def voxel_elastic(n: int = 32) -> dict:
    """Problem A: six load cases of a voxel cell, mesh and set-up included."""
    start = time.perf_counter()
    cell = hmm.cells.voxels(sphere_labels(n), {"matrix": 0, "sphere": 1})
    law = {"matrix": hmm.laws.Elastic(1.0, 0.3), "sphere": hmm.laws.Elastic(10.0, 0.3)}
    options = {"ksp_rtol": 1e-6}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=law, petsc_options=options)
    C = hmm.tensors.mandel_to_voigt(rve.solve(np.zeros((3, 3))).tangent)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time(),
        "iterations": rve.system.solver.iterations,
        "C": [C[0, 0], C[0, 1], C[3, 3]],
        "peak_mb": peak_mb(),
    }


def voxel_porous(n: int = 32, surface: str = "gyroid", fraction: float = 0.5, path: str = "grid") -> dict:
    """Six load cases of a sheet in the void, on the grid or by multigrid on the assembled matrix; without meshing."""
    cell = hmm.cells.tpms(fraction, surface=surface, mesh_size=1 / n, void=True)
    if path != "grid":
        cell = replace(cell, grid=None)
    w, E, law = hmm.fluctuation(cell, 1), hmm.macro_strain(cell), {"solid": hmm.laws.Elastic(1.0, 0.3)}
    rve = hmm.RVE(cell, w, E, law=law, solver="iterative")
    start = time.perf_counter()
    C = hmm.tensors.mandel_to_voigt(rve.solve(np.zeros((3, 3))).tangent)
    result = {"seconds": time.perf_counter() - start, "C": [C[0, 0], C[0, 1], C[3, 3]], "peak_mb": peak_mb()}
    return result | ({"iterations": rve.system.solver.iterations} if path == "grid" else {})


def conforming_elastic(h: float = 0.1) -> dict:
    """Problem A on a conforming mesh of curved quadratic tetrahedra."""
    start = time.perf_counter()
    cell = hmm.cells.sphere(radius=0.3, mesh_size=h, phases=("matrix", "sphere"), order=2)
    law = {"matrix": hmm.laws.Elastic(1.0, 0.3), "sphere": hmm.laws.Elastic(10.0, 0.3)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell), law=law)
    C = hmm.tensors.mandel_to_voigt(rve.solve(np.zeros((3, 3))).tangent)
    return {
        "seconds": time.perf_counter() - start,
        "unknowns": rve.n_unknowns,
        "C": [C[0, 0], C[0, 1], C[3, 3]],
        "peak_mb": peak_mb(),
    }


def voxel_plastic(n: int = 32, increments: int = 20) -> dict:
    """Problem B3: J2 under shear in 20 increments, stress at increments 2, 5, 10 and 20."""
    cell = hmm.cells.voxels(sphere_labels(n), {"matrix": 0, "sphere": 1})
    law = {"matrix": MATRIX, "sphere": FIBRE}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=law)
    state, stress = None, []
    start = time.perf_counter()
    for k in range(1, increments + 1):
        shear = 0.01 * k / 20
        response = rve.solve([[0, shear, 0], [shear, 0, 0], [0, 0, 0]], state, tangent=False)
        state = response.state
        stress.append(float(response.stress[0, 1]))
    return {
        "seconds": (time.perf_counter() - start) / increments,
        "iterations": rve.system.solver.iterations / increments,
        "stress": [stress[i - 1] for i in (2, 5, 10, 20) if i <= increments],
        "peak_mb": peak_mb(),
    }


def linear_solver(solver: str, h: float) -> dict:
    """A plastic 3D cell: one Newton step, and one consistent tangent."""
    cell = hmm.cells.sphere(0.2, mesh_size=h)
    law = {"matrix": MATRIX, "inclusion": FIBRE}
    rve = hmm.RVE(cell, hmm.fluctuation(cell, 1), hmm.macro_strain(cell), law=law, solver=solver)
    state, steps, start = None, 0, time.perf_counter()
    for k in range(1, 5):
        shear = 0.01 * k / 20
        response = rve.solve([[0, shear, 0], [shear, 0, 0], [0, 0, 0]], state, tangent=False)
        state, steps = response.state, steps + response.iterations
    newton = (time.perf_counter() - start) / steps
    start = time.perf_counter()
    rve.system.linearize()
    rve.system.condense()
    return {"seconds": newton, "tangent": time.perf_counter() - start, "unknowns": rve.n_unknowns, "steps": steps}


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
        compiled = (
            (name in kernels)
            or (file.endswith("fem/petsc.py") and name == "_")
            or "petsc4py" in name
            or "hmm_cells" in name
        )
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
    states = hmm.models.points_of(rve, points)
    return {
        "seconds": time.perf_counter() - start,
        "unknowns": rve.n_unknowns,
        "bytes_per_point": states.nbytes_per_point,
        "peak_mb": peak_mb(),
        "state_mb": peak_mb() - before,
    }


def material_points(n: int = 100_000, size: int = 1000, repeats: int = 3) -> dict:
    """Updates with tangent per second of 3D J2 points, most of which yield: the compiled law, and NumPy.

    Both work on `size` points at a time, which fit the cache. The time is the processor's.
    """
    kernel = hmm.laws.LawKernel(MATRIX)
    rng = np.random.default_rng(0)
    strain = rng.uniform(-3e-3, 3e-3, (n, 6))
    old = kernel(rng.uniform(-3e-3, 3e-3, (n, 6)))[2]
    parts = [slice(i, i + size) for i in range(0, n, size)]
    sides = {"law": kernel, "numpy": radial_return}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    answers = {}
    for name in [*sides] * repeats:
        start = time.thread_time()
        for part in parts:
            answers[name] = sides[name](strain[part], old[part])
        seconds[name].append(time.thread_time() - start)
    ours, theirs = answers.values()
    return {
        **{side: n / min(times) for side, times in seconds.items()},
        "yielding": float((ours[2][:, -1] > old[-size:, -1]).mean()),
        "differ": max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(ours, theirs, strict=True)),
    }


def radial_return(strain: np.ndarray, old: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radial return of `MATRIX` (Simo and Hughes 1998, box 3.1) in NumPy: Mandel rows; old (plastic strain, p)."""
    one = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    deviator = np.eye(6) - np.outer(one, one) / 3
    mu, kappa = MATRIX.young / (2 * (1 + MATRIX.poisson)), MATRIX.young / (3 * (1 - 2 * MATRIX.poisson))
    slope, p = float(MATRIX.hardening), old[:, 6]
    elastic = strain - old[:, :6]
    s = 2 * mu * elastic @ deviator
    length = np.maximum(np.linalg.norm(s, axis=1), 1e-300)
    n = s / length[:, None]
    dp = np.maximum(np.sqrt(1.5) * length - MATRIX.yield_stress - slope * p, 0) / (3 * mu + slope)
    theta = 1 - np.sqrt(6) * mu * dp / length
    theta_bar = np.where(dp > 0, 3 * mu / (3 * mu + slope) - 1 + theta, 0.0)
    stress = theta[:, None] * s + kappa * (elastic @ one)[:, None] * one
    tangent = kappa * np.outer(one, one) + 2 * mu * theta[:, None, None] * deviator
    tangent -= (2 * mu * theta_bar)[:, None, None] * n[:, :, None] * n[:, None, :]
    plastic = old[:, :6] + (np.sqrt(1.5) * dp)[:, None] * n
    return stress, tangent, np.column_stack([plastic, p + dp])


ALL = (
    fe2,
    sheared_block,
    rve_step,
    profile,
    memory,
    voxel_elastic,
    voxel_porous,
    conforming_elastic,
    voxel_plastic,
    linear_solver,
    material_points,
)
JOBS = {f.__name__: f for f in ALL}


def main() -> None:
    name, *arguments = sys.argv[1:]
    parsed = [json.loads(a) if a.replace(".", "", 1).isdigit() else a for a in arguments]
    print(json.dumps(JOBS[name](*parsed)))


if __name__ == "__main__":
    main()
