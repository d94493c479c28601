"""Strong and weak scaling on the ranks there are, and a simulated schedule on many: ``python benchmarks scaling``.

``python benchmarks/scaling.py [--latency S] [--bandwidth B] [--cells N ...] [--means E P] [--picture FILE]``
only simulates.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measure import HERE, medians, run, table
from schedule import Body, Costs, Machine, Outcome, balanced, cube, grouped, owner, scattered

GROUP, GROUP_EFFICIENCY = 8, 0.8
"""Ranks of a simulated group, and what each RVE makes of them (an assumption; it depends on the size of the cell)."""

MEASURED = ("owner", "balanced", "scattered")
FORESEEN = "scattered, foreseen"
POLICIES = ("owner", "balanced", f"grouped({GROUP})", "scattered", FORESEEN)
COLOURS = ("#5b7c99", "#e07b39", "#8e6c8a", "#6a994e", "#6a994e")


def parallel_job(ranks: int, name: str, *arguments: object) -> dict:
    """Run ``parallel_jobs.py NAME ARGUMENTS`` on several ranks and return the numbers that rank 0 prints."""
    beside = Path(sys.executable).parent / "mpirun"  # the MPI of this environment, not of the system
    launcher = str(beside) if beside.exists() else shutil.which("mpirun") or sys.exit("mpirun was not found")
    out = run([launcher, "-n", str(ranks), sys.executable, str(HERE / "parallel_jobs.py"), name, *map(str, arguments)])
    return json.loads(out.strip().splitlines()[-1])


def scaling(repeats: int) -> None:
    """Strips of RVEs on 1 and 2 ranks, and the schedule simulated on many ranks with the costs of a cantilever."""
    cases = [("strong, all yield", 1, 24, 24), ("strong, half yields", 0.5, 24, 24), ("weak, all yield", 1, 12, 24)]
    rows = []
    for title, zone, alone, together in cases:
        sides = {name: [] for name in ("1 rank", *MEASURED)}
        for _ in range(repeats):
            sides["1 rank"].append(parallel_job(1, "strip", "owner", zone, alone))
            for policy in MEASURED:
                sides[policy].append(parallel_job(2, "strip", policy, zone, together))
        growth = together / alone
        one, own = medians(sides["1 rank"]), medians(sides["owner"])
        for policy, runs in sides.items():
            r = medians(runs)
            ranks = 1 if policy == "1 rank" else 2
            against = [(1 if ranks == 1 else growth) * one[k] / r[k] / ranks for k in ("seconds", "cpu")]
            rows.append([title, policy, *against, *(own[k] / r[k] for k in ("seconds", "cpu", "later_cpu"))])
    columns = ["", "", "efficiency", "by CPU", "times faster than owner", "by CPU", "by CPU, second half"]
    table("Measured (by CPU: of the busiest rank in each step, without what other programs take)", columns, rows)
    simulate(measured_costs())


def measured_costs(means: Sequence[float] | None = None) -> Costs:
    """What a point of a cantilever costs, without the slowest hundredth (interruptions by other programs).

    With `means`, milliseconds of an elastic and of a plastic point, the samples are scaled to them: other programs that
    share caches slow all points down.
    """
    c = parallel_job(1, "costs")
    elastic, plastic = (np.sort(c[k])[: int(0.99 * len(c[k]))] for k in ("elastic", "plastic"))
    print(f"elastic {1e3 * elastic.mean():.2f} ms, plastic {1e3 * plastic.mean():.2f} ms a point and step, measured")
    if means:
        elastic, plastic = (1e-3 * mean / x.mean() * x for mean, x in zip(means, (elastic, plastic), strict=True))
    print(f"elastic {1e3 * elastic.mean():.2f} ms, plastic {1e3 * plastic.mean():.2f} ms a point and step, simulated")
    return Costs(elastic, plastic, c["evaluations"], c["bytes_per_point"])


def simulate(
    costs: Costs, machine: Machine | None = None, sizes: Sequence[int] = (5, 10, 22, 46), picture: str | None = None
) -> None:
    """Weak scaling with 64 points a rank: table, and picture if asked for."""
    machine = machine or Machine()
    results: dict[int, list[tuple[int, list[Outcome]]]] = {10: [], 40: []}
    for n_steps, outcomes in results.items():
        for n in sizes:
            outcomes.append((n**3, _all_policies(cube(n, 4, n_steps), costs, machine)))
    rows = [
        [n_steps, n_ranks, *(f"{o.efficiency:.2f}" for o in found), *(f"{found[k].moved:.2f}" for k in (1, 3))]
        for n_steps, outcomes in results.items()
        for n_ranks, found in outcomes
    ]
    columns = ["steps", "ranks", *POLICIES, "moved: balanced", "moved: scattered"]
    table("Simulated parallel efficiency, 64 points a rank", columns, rows)
    if picture:
        _draw(results, picture)


def _all_policies(body: Body, costs: Costs, machine: Machine) -> list[Outcome]:
    return [
        owner(body, costs, machine),
        balanced(body, costs, machine),
        grouped(body, costs, machine, GROUP, GROUP_EFFICIENCY),
        scattered(body, costs, machine),
        scattered(body, costs, machine, foreseen=True),
    ]


def _draw(results: dict[int, list[tuple[int, list[Outcome]]]], path: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(9.5, 4), sharey=True, layout="constrained")
    for ax, (n_steps, outcomes) in zip(axes, results.items(), strict=True):
        ranks = [n for n, _ in outcomes]
        for k, (name, colour) in enumerate(zip(POLICIES, COLOURS, strict=True)):
            y = [found[k].efficiency for _, found in outcomes]
            style = "--" if name == FORESEEN else "-"
            ax.semilogx(ranks, y, style, color=colour, marker="o", markersize=5, linewidth=2, label=name)
        ax.set(title=f"The zone grows in {n_steps} steps", xlabel="ranks, 64 points each", ylim=(0, 1))
        ax.set_xticks(ranks, [f"{n:,}" for n in ranks])
        ax.minorticks_off()
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("parallel efficiency, simulated")
    place = {"ncols": len(POLICIES), "loc": "outside lower center", "handlelength": 4.2}  # dashes beside the marker
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, **place)
    figure.savefig(path, dpi=160)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=Machine.latency, help="seconds a message (alpha)")
    parser.add_argument("--bandwidth", type=float, default=Machine.bandwidth, help="bytes a second of a rank (1/beta)")
    parser.add_argument("--cells", type=int, nargs="+", default=[5, 10, 22, 46], help="ranks along an edge of the cube")
    parser.add_argument("--means", type=float, nargs=2, help="ms of an elastic and a plastic point on an idle machine")
    parser.add_argument("--picture", help="file of the picture")
    a = parser.parse_args()
    simulate(measured_costs(a.means), Machine(a.latency, a.bandwidth), a.cells, a.picture)


if __name__ == "__main__":
    main()
