"""A small FE2 job with a checkpoint, as slurm_test.py submits it: ``my_script.py``, ``beam.py``.

A beam of plastic laminates is bent in 24 steps. `steps.txt` gets a line for each step that this process solved,
`answer.txt` the number of ranks and the last reaction; `finished` is made at the end. Each step takes HMM_PAUSE seconds
longer than it would.
"""

import os
import signal
import time
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh

import hmm

STEPS = 24


def problem() -> tuple[hmm.MacroProblem, fem.Constant, fem.DirichletBC]:
    """The macro problem, its load, and the clamp whose reaction is the answer."""
    cell = hmm.cells.laminate({"metal": 0.5, "stiff": 0.5}, mesh_size=0.5)
    laws = {
        "metal": hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=700.0),
        "stiff": hmm.laws.Elastic(young=400e3, poisson=0.2),
    }
    rve = hmm.RVE(cell, hmm.fluctuation(cell, degree=2), hmm.macro_strain(cell), law=laws, constraint="periodic")
    domain = mesh.create_rectangle(MPI.COMM_WORLD, [[0.0, 0.0], [4.0, 1.0]], [8, 2])
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)

    def held(x: float, value: fem.Constant) -> fem.DirichletBC:
        return fem.dirichletbc(value, fem.locate_dofs_geometrical(V, lambda p: np.isclose(p[0], x)), V)

    load = fem.Constant(domain, np.zeros(2))
    clamp, moved = held(0.0, fem.Constant(domain, np.zeros(2))), held(4.0, load)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=2)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=[clamp, moved], petsc_options_prefix="macro_"), load, clamp


def main() -> None:
    """Solve the remaining steps, and write what they were and what came out."""
    first = MPI.COMM_WORLD.rank == 0
    beam, load, clamp = problem()
    for step in hmm.steps(beam, load, [0.0, -0.05], STEPS, checkpoint="run.h5"):
        time.sleep(float(os.environ.get("HMM_PAUSE", "0")))
        reaction = beam.reaction(clamp)
        if first:
            with Path("steps.txt").open("a") as file:
                file.write(f"{step.number} {float(reaction[1])!r}\n")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # all steps are done: there is nothing to stop
    reaction = beam.reaction(clamp)
    if first:
        Path("answer.txt").write_text(f"{MPI.COMM_WORLD.size} {float(reaction[1])!r}\n")
        Path("finished").touch()


if __name__ == "__main__":
    hmm.errors.run(main)
