"""The comparisons: which jobs are run side by side, and what is printed of them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from statistics import median

import fans
import numpy as np
from measure import BASELINE, HERE, job, medians, run, spread, table
from scaling import scaling


def by_hand(*arguments: str) -> dict:
    """The hand-written FE2 script on problem D; its clock is the processor's, so that other programs do not count."""
    code = "import runpy, time; time.perf_counter = time.process_time; runpy.run_path('D.py', run_name='__main__')"
    out = run([sys.executable, "-c", code, *arguments], cwd=BASELINE)
    found = re.search(r"rve solves=(\d+).*factorizations=(\d+)", out)
    seconds = re.search(r"total ([\d.]+) s", out)
    assert found is not None and seconds is not None
    return {
        "seconds": float(seconds.group(1)),
        "solves": int(found.group(1)),
        "factorizations": int(found.group(2)),
        "reactions": [float(r) for r in re.findall(r"reaction (-?[\d.]+)", out)],
    }


def fe2(repeats: int) -> None:
    """D: an FE2 cantilever with 192 RVEs, against the same written by hand in DOLFINx."""
    sides: dict[str, list[dict]] = {"by hand": [], "nested": [], "monolithic": []}
    for _ in range(repeats):
        sides["by hand"].append(by_hand("0.075"))
        sides["nested"].append(job("fe2", "nested"))
        sides["monolithic"].append(job("fe2", "monolithic"))
    hand = sides["by hand"]
    rows = []
    for name, runs in sides.items():
        ratio = median(h["seconds"] / r["seconds"] for h, r in zip(hand, runs, strict=True))
        error = max(abs(a / b - 1) for a, b in zip(runs[0]["reactions"], hand[0]["reactions"], strict=True))
        rows.append([name, spread(runs), ratio, runs[0]["solves"], runs[0]["factorizations"], f"{error:.1e}"])
    columns = ["", "CPU s: median (range)", "times faster", "micro solves", "factorizations", "reactions differ by"]
    table("D: FE2, 5 load steps, one core", columns, rows)


def rve_step(repeats: int) -> None:
    """One plastic RVE step, against its floor: assembly, MUMPS and solves of one factorization alone."""
    runs = [job("rve_step") for _ in range(repeats)]
    ratio = median(r["seconds"] / r["floor"] for r in runs)
    columns = ["unknowns", "step, s", "floor, s", "ratio"]
    table("One RVE step", columns, [[runs[0]["unknowns"], spread(runs), spread(runs, "floor"), ratio]])


def profile(repeats: int) -> None:
    """Where the time of problem D goes, by function."""
    result = job("profile")
    rows = [
        [name, calls, f"{100 * share:.1f} %", "kernel or PETSc" if inside else ""]
        for name, calls, share, inside in result["rows"]
    ]
    table(
        f"Profile of D: {100 * result['outside_share']:.0f} % outside kernels and PETSc",
        ["function", "calls", "own time", ""],
        rows,
    )


def memory(repeats: int) -> None:
    """State of 10,000 points of a J2 cell with about 1,000 dofs, on one rank."""
    r = job("memory")
    columns = ["unknowns", "points", "kB a point", "peak MB of the process"]
    table("Memory", columns, [[r["unknowns"], 10_000, r["bytes_per_point"] / 1e3, r["peak_mb"]]])


def voxels(repeats: int) -> None:
    """A: stiffness of a cell with a sphere, six load cases: voxels against FANS and by hand, and a conforming mesh."""
    rows = []
    for n in (32, 64):
        sides: dict[str, list[dict]] = {"hmm": [], "FANS": []}
        for _ in range(repeats):
            sides["hmm"].append(job("voxel_elastic", n))
            if fans.available():
                sides["FANS"].append(fans.elastic(n))
        rows += [_stiffness_row(f"{name}, {n}^3 voxels", runs, sides["hmm"]) for name, runs in sides.items() if runs]
    hand = [_by_hand_elastic(32) for _ in range(repeats)]
    rows.append(_stiffness_row("by hand (CG, GAMG), 32^3 voxels", hand, [job("voxel_elastic", 32)]))
    for h in (0.15, 0.1):
        rows.append(
            _stiffness_row(f"hmm, curved tetrahedra, h = {h}", [job("conforming_elastic", h) for _ in range(repeats)])
        )
    columns = ["", "s: median (range)", "of hmm's time", "CG per case", "C11, C12, C44", "peak MB"]
    table("A: set-up and six load cases, one core (converged: 1.6126, 0.6579, 0.4602)", columns, rows)


def porous(repeats: int) -> None:
    """Gyroid sheets without the void around them: the grid solver against multigrid on the assembled matrix."""
    rows = []
    for n, fraction in ((16, 0.5), (32, 0.5), (48, 0.5), (32, 0.15)):
        sides: dict[str, list[dict]] = {"grid": [], "multigrid": []}
        for _ in range(repeats):
            for path, runs in sides.items():
                runs.append(job("voxel_porous", n, "gyroid", fraction, path))
        rows += [
            _stiffness_row(f"{path}, {n}^3, solid {fraction:g}", runs, sides["grid"]) for path, runs in sides.items()
        ]
    columns = ["", "s: median (range)", "of the grid's time", "CG per case", "C11, C12, C44", "peak MB"]
    table("Porous voxel cells, six load cases, one core", columns, rows)


def _stiffness_row(name: str, runs: list[dict], ours: list[dict] | None = None) -> list[object]:
    ratio = medians(runs)["seconds"] / medians(ours)["seconds"] if ours else ""
    iterations = f"{runs[0]['iterations'] / 6:.1f}" if "iterations" in runs[0] else ""
    return [name, spread(runs), ratio, iterations, ", ".join(f"{c:.6f}" for c in runs[0]["C"]), runs[0]["peak_mb"]]


def _by_hand_elastic(n: int) -> dict:
    out = run([sys.executable, "A.py", str(n), "gamg"], cwd=BASELINE)
    C = [float(v) for v in re.findall(r"C\d\d=([\d.]+)", out)]
    iterations = sum(int(i) for i in re.findall(r"its=\[(.*)\]", out)[0].split(","))
    seconds = float(re.findall(r"total\(no import\) ([\d.]+)", out)[0])
    return {"seconds": seconds, "iterations": iterations, "C": C, "peak_mb": float(re.findall(r"maxrss (\d+)", out)[0])}


def plastic(repeats: int) -> None:
    """B3: the same cell with a J2 matrix at 32^3, 20 increments of shear, against FANS."""
    sides: dict[str, list[dict]] = {"hmm": [], "FANS": []}
    for _ in range(repeats):
        sides["hmm"].append(job("voxel_plastic", 32))
        if fans.available():
            sides["FANS"].append(fans.plastic(32))
    ours = medians(sides["hmm"])["seconds"]
    rows = [
        [
            name,
            spread(runs),
            medians(runs)["seconds"] / ours,
            runs[0]["iterations"],
            str([round(s, 6) for s in runs[0]["stress"]]),
        ]
        for name, runs in sides.items()
        if runs
    ]
    columns = ["", "s an increment", "of hmm's time", "CG an increment", "stress at 2, 5, 10, 20"]
    table("B3: J2 voxel cell at 32^3, one core", columns, rows)


def solvers(repeats: int) -> None:
    """Linear solvers of a plastic 3D cell, unstructured: cost of a Newton step and of a consistent tangent."""
    rows = []
    for h in (0.2, 0.12, 0.08, 0.06):
        for solver in ("direct", "reuse", "iterative"):
            runs = [job("linear_solver", solver, h) for _ in range(repeats)]
            both = median(r["seconds"] + r["tangent"] for r in runs)
            rows.append([runs[0]["unknowns"], solver, spread(runs), spread(runs, "tangent"), both])
    table("Linear solvers", ["unknowns", "solver", "Newton step, s", "tangent, s", "sum"], rows)


def growth(repeats: int) -> None:
    """Time and memory against the number of macro points, and against the size of the cell."""
    blocks = [job_runs("sheared_block", n, repeats=repeats) for n in (5, 10, 20, 40)]
    _growth_table("macro points, all plastic alike", "points", blocks)
    sizes = [0.15, 0.075, 0.0375, 0.01875]
    cells = [job_runs("rve_step", h, 40, repeats=repeats) for h in sizes]
    _growth_table("cell size, one step of a point", "unknowns", cells)


def law(repeats: int) -> None:
    """A compiled law: J2 updates with tangent per second and core, against a radial return in NumPy."""
    runs = [job("material_points") for _ in range(repeats)]
    ratio = median(r["law"] / r["numpy"] for r in runs)
    columns = ["compiled, 1/s", "NumPy, 1/s", "times faster", "yielding", "answers differ by"]
    speeds = [spread(runs, side) for side in ("law", "numpy")]
    yielding, differ = runs[0]["yielding"], runs[0]["differ"]
    table("J2 at 100,000 points, 3D, one core", columns, [[*speeds, ratio, f"{yielding:.0%}", f"{differ:.0e}"]])


def reduced(repeats: int) -> None:
    """Reduced RVEs: a beam bent into plasticity and unloaded, against the RVE (one run); and 100,000 points."""
    r = job("against_full", script="reduced_jobs.py")
    both = r["training"] + r["reduced"]
    rows = [
        ["RVE", r["unknowns"], r["full"], "", *(r[key][1] for key in ("bytes", "solves", "factorizations"))],
        ["reduced", f"{r['modes']} modes, {r['cubature']} points", r["reduced"], r["full"] / r["reduced"]]
        + [r[key][0] for key in ("bytes", "solves", "factorizations")],
        ["and training", "", both, r["full"] / both, "", "", ""],
    ]
    columns = ["", "unknowns", "CPU s", "times faster", "bytes a point", "answers", "condensed"]
    table(f"Beam of {r['points']} points; reaction curve within {r['error']:.2%}", columns, rows)
    many = job("many_points", script="reduced_jobs.py")
    columns = ["points", "CPU s a macro iteration", "condensed", "bytes a point", "peak MB"]
    keys = ("points", "seconds", "condensed", "bytes", "peak_mb")
    table("Many reduced points, one core", columns, [[many[key] for key in keys]])


def training(repeats: int) -> None:
    """Training to a tolerance of 1 %: errors on random paths that it was given to measure them, and on others."""
    rows = []
    for dim, h in ((2, 0.15), (3, 0.1)):
        r = job("blind_paths", dim, h, script="reduced_jobs.py")
        errors = [f"{value:.2%}" for key in ("given", "others") for value in r[key]]
        rows.append([f"{dim}D", r["unknowns"], r["paths"], r["modes"], r["points"], r["seconds"], *errors])
    columns = ["", "unknowns", "paths solved", "modes", "cubature points", "CPU s"]
    errors = [f"{of}: {size}" for of in ("blind", "others") for size in ("median", "worst")]
    table("Reduced models trained to 1 %", [*columns, *errors], rows)


def error_bar(repeats: int) -> None:
    """Error bars of five reduced FE2 jobs that the model was not trained for, against the RVEs."""
    out = run([sys.executable, str(HERE / "error_bar_jobs.py")])
    found = json.loads(out.strip().splitlines()[-1])
    rows = [
        [
            r["job"],
            r["modes"],
            "-" if r["tolerance"] > 1e6 else r["tolerance"],
            f"{r['error']:.2%}",
            f"{r['inside']} of {r['steps']}",
            *(f"{median(r[key]):.2f} ({min(r[key]):.2f}-{max(r[key]):.2f})" for key in ("estimate", "bar")),
            f"{r['to full']} of {r['points']}",
            r["times faster"],
        ]
        for r in found["rows"]
    ]
    columns = ["", "modes", "tolerance, MPa", "error", "steps inside the bar", "estimate / true", "bar / true"]
    table("\n".join(found["models"]), [*columns, "points given to the RVE", "times faster"], rows)


def adaptive(repeats: int) -> None:
    """Factorizations of adaptive models, against those of the model at all points; they are the same in each run."""
    out = run([sys.executable, str(HERE / "adaptive_jobs.py")])
    rows = [
        [
            r["job"],
            r["points"],
            r["tolerance"],
            r["full"],
            r["adaptive"],
            r["full"] / r["adaptive"],
            "{} / {}".format(*r["iterations"]),
            f"{r['error']:.3%}",
        ]
        for r in json.loads(out.strip().splitlines()[-1])
    ]
    columns = ["", "points", "tolerance, MPa", "factorizations, full", "adaptive", "ratio", "macro iterations", "error"]
    table("Adaptive models: largest error of the reaction over the largest reaction", columns, rows)


def job_runs(*arguments: object, repeats: int) -> list[dict]:
    """The same job `repeats` times."""
    return [job(str(arguments[0]), *arguments[1:]) for _ in range(repeats)]


def _growth_table(title: str, key: str, runs: list[list[dict]]) -> None:
    points = [medians(r) for r in runs]
    x, t = np.array([p[key] for p in points]), np.array([p["seconds"] for p in points])
    exponent = np.polyfit(np.log(x), np.log(t), 1)[0]
    rows = [[int(p[key]), p["seconds"], 1e3 * p["seconds"] / p[key], p.get("peak_mb", "")] for p in points]
    table(f"Growth with {title}: time ~ n^{exponent:.2f}", [key, "s", "ms each", "peak MB"], rows)


ALL = (fe2, rve_step, profile, memory, voxels, porous, plastic, solvers, growth, law)
ALL += (reduced, training, error_bar, adaptive, scaling)
COMPARISONS: dict[str, Callable[[int], None]] = {f.__name__: f for f in ALL}
