"""Error bars of reduced FE2 jobs against the truth: ``python error_bar_jobs.py [PICTURE]`` prints JSON.

The reduced models, one crude and one better, are trained on random strain paths and know none of the jobs. Each job
runs with RVEs, and with `hmm.reduced.Controlled` at each tolerance.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import numpy as np
from bodies import Made, Where, at, body, cook_mesh
from dolfinx import mesh

from hmm import reduced

SIZE = 0.012
"""Largest strain of the training paths."""

TOLERANCES = (1e9, 3.0, 1.0)
"""Of points, in MPa; the first gives none to the full RVE."""


MODES = (3, 12)
"""Of the models, beside the elastic ones."""


def cell_model() -> hmm.RVE:
    """Four elastic fibres in a J2 matrix, with a yield stress of 100 MPa."""
    cell = hmm.cells.random_fibres(0.35, number=4, mesh_size=0.15, seed=1)
    law = {"matrix": hmm.laws.J2(70e3, 0.3, 100.0, 1000.0), "fibre": hmm.laws.Elastic(400e3, 0.2)}
    return hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell), law=law)


def trained(rve: hmm.RVE, modes: int) -> reduced.ReducedModel:
    """A reduced model of so many modes beside the elastic ones."""
    paths = [
        *reduced.proportional(rve.inputs, SIZE, 8, 8, seed=1),
        *reduced.random_walks(rve.inputs, SIZE, 8, 16, seed=3),
    ]
    return reduced.train(rve, paths, blind=reduced.random_walks(rve.inputs, SIZE, 4, 16, seed=5), modes=modes)


class Job:
    """A body, held on one side and moved on another in one direction."""

    def __init__(self, domain: mesh.Mesh, held: Where, moved: Where, direction: int, stages: tuple) -> None:
        self.domain, self.held, self.moved = domain, held, moved
        self.direction, self.stages = direction, stages

    def run(self, model: hmm.models.MicroModel) -> dict:
        """Reactions, and estimated errors."""
        start = time.thread_time()
        problem, g, bc = self.problem(model)
        reactions, values, bars = [], [], []
        for end, n in self.stages:
            for _ in hmm.steps(problem, g, end, n):
                reactions.append(problem.reaction(bc))
                error = problem.stats[-1].error
                values.append(error.reactions[1].value if error else 0.0)
                bars.append(error.reactions[1].bar if error else 0.0)
        seconds = time.thread_time() - start
        return {
            "points": problem.hom.n_points,
            "seconds": seconds,
            "reactions": reactions,
            "errors": values,
            "bars": bars,
        }

    def problem(self, model: hmm.models.MicroModel) -> Made:
        return body(model, self.domain, self.held, self.moved, self.direction, rtol=1e-8)


def jobs() -> dict[str, Job]:
    """Five jobs with plastic strain, three of them with unloading or reversal."""

    def rectangle(a: float, b: float, nx: int, ny: int) -> mesh.Mesh:
        return mesh.create_rectangle(MPI.COMM_WORLD, [[0.0, 0.0], [a, b]], [nx, ny])

    beam = rectangle(6.0, 2.0, 4, 1)
    return {
        "cantilever, unloaded": Job(beam, at(0, 0.0), at(0, 6.0), 1, ((-0.06, 6), (-0.04, 2))),
        "Cook's membrane": Job(cook_mesh(MPI.COMM_WORLD, 2), at(0, 0.0), at(0, 48.0), 1, ((0.6, 8),)),
        "shear strip, reversed": Job(rectangle(3.0, 1.0, 3, 2), at(1, 0.0), at(1, 1.0), 0, ((0.012, 5), (-0.004, 5))),
        "punched plate": Job(rectangle(4.0, 2.0, 4, 2), at(1, 0.0), at(1, 2.0, 0.9, 2.1), 1, ((-0.02, 8), (-0.015, 2))),
        "cyclic bending": Job(beam, at(0, 0.0), at(0, 6.0), 1, ((-0.04, 4), (0.04, 6), (-0.02, 4))),
    }


def compared(full: dict, found: dict, watched: reduced.Controlled) -> dict:
    """A job against the truth: true errors, those inside the bar, and effectivities where errors matter."""
    exact = np.array(full["reactions"])
    true, value, bar = exact - found["reactions"], np.array(found["errors"]), np.array(found["bars"])
    large = np.abs(true) > 0.1 * np.abs(true).max()
    inside = np.abs(true) <= bar + 1e-6 * np.abs(exact).max()
    return {
        "points": full["points"],
        "times faster": full["seconds"] / found["seconds"],
        "error": float(np.abs(true).max() / np.abs(exact).max()),
        "steps": true.size,
        "inside": int(inside.sum()),
        "estimate": (value / true)[large].tolist(),
        "bar": (bar / np.abs(true))[large].tolist(),
        "to full": watched.n_full,
    }


def draw(path: str, curves: dict[str, tuple[dict, dict]]) -> None:
    """The true error of each job over its steps, the estimate, and the bar around zero."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(2.6 * len(curves), 2.7), layout="constrained")
    for ax, (name, (full, found)) in zip(axes, curves.items(), strict=True):
        percent = 100 / np.abs(full["reactions"]).max()
        true = percent * (np.array(full["reactions"]) - found["reactions"])
        step, bar = np.arange(1, true.size + 1), percent * np.array(found["bars"])
        ax.fill_between(step, -bar, bar, color="0.85", label="error bar")
        ax.plot(step, percent * np.array(found["errors"]), "C1o", mfc="none", label="estimate")
        ax.plot(step, true, "C0.-", label="true error")
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("step")
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("% of the largest reaction")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    rve = cell_model()
    models = {modes: trained(rve, modes) for modes in MODES}
    rows, curves = [], {}
    for name, job in jobs().items():
        full = job.run(rve)
        for modes, tolerance in itertools.product(MODES, TOLERANCES):
            watched = reduced.Controlled(models[modes], rve, tolerance)
            found = job.run(watched)
            size = models[modes].report.modes
            rows.append({"job": name, "modes": size, "tolerance": tolerance, **compared(full, found, watched)})
            print(rows[-1], file=sys.stderr, flush=True)
            if modes == MODES[-1] and tolerance == TOLERANCES[0]:
                curves[name] = (full, found)
    if len(sys.argv) > 1:
        draw(sys.argv[1], curves)
    reports = [str(model.report) for model in models.values()]
    print(json.dumps({"models": reports, "unknowns": rve.n_unknowns, "rows": rows}))


if __name__ == "__main__":
    main()
