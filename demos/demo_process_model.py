"""A micro model written in C, in processes of its own, at the Gauss points of a notched plate.

The program `process_model/worker.c` answers strains with damaged stresses and their tangents. It knows nothing of
`hmm` but a small binary framing, and is compiled when the demo starts. What is checked: the tangent against difference
quotients, quadratic convergence of the macro Newton method, and that a worker killed in the middle of the run changes
nothing.
"""

import os
import shutil
import signal
import subprocess
from argparse import Namespace
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh

import hmm

SOURCE = Path(__file__).parent / "process_model" / "worker.c"


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser("A micro model in C.", "process_model", "a coarse plate")
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def compiled(directory: Path, comm: MPI.Comm) -> Path:
    """The worker, compiled once by the first rank (collective)."""
    program = directory / "worker"
    with hmm.errors.collectively(comm):
        if comm.rank == 0:
            compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
            if compiler is None:
                raise hmm.InputError("there is no C compiler: install one, or name it in the variable CC")
            directory.mkdir(parents=True, exist_ok=True)
            subprocess.run([*compiler.split(), "-O2", "-o", str(program), str(SOURCE), "-lm"], check=True)
    return program


def plate(comm: MPI.Comm, n: int, model: hmm.models.MicroModel):
    """A plate clamped at its left end and pulled at its right one."""
    domain = mesh.create_rectangle(comm, [[0.0, 0.0], [2.0, 1.0]], [2 * n, n])
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V, name="displacement"), ufl.TestFunction(V)
    pull = fem.Constant(domain, 0.0)
    left = fem.dirichletbc(np.zeros(2), fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0.0)), V)
    axis, _ = V.sub(0).collapse()
    end = fem.locate_dofs_geometrical((V.sub(0), axis), lambda x: np.isclose(x[0], 2.0))[0]
    right = fem.dirichletbc(pull, end, V.sub(0))
    hom = hmm.Homogenizer(model, ufl.sym(ufl.grad(u)), degree=2)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=[left, right], petsc_options_prefix="plate_"), pull, right


def run(comm: MPI.Comm, n: int, steps: int, model: hmm.models.MicroModel, kill: bool) -> np.ndarray:
    """Reactions at each step; if asked for, a worker is killed in between."""
    problem, pull, right = plate(comm, n, model)
    reactions = []
    for step in hmm.steps(problem, pull, 0.008, steps):
        reactions.append(problem.reaction(right))
        if kill and step.number == steps // 2:
            os.kill(model.pids[0], signal.SIGKILL)
    problem.destroy()
    return np.array(reactions)


def main(argv: list[str] | None = None) -> None:
    comm, args = MPI.COMM_WORLD, arguments(argv)
    n, steps = (4, 4) if args.quick else (12, 10)
    command = [compiled(args.output, comm)]
    model = hmm.models.ProcessModel(command, hmm.models.strain(2), {"k": np.array(0.0)}, workers=2, timeout=30.0)
    check = hmm.checks.tangent(model, [2.5e-3, -0.2e-3, 0.4e-3])
    hmm.console.say(comm, f"tangent of the C program against difference quotients: {check.error:.1e}")
    assert check.error < 1e-6
    undisturbed = run(comm, n, steps, model, kill=False)
    disturbed = run(comm, n, steps, model, kill=True)
    hmm.console.say(comm, f"reactions: {', '.join(f'{r:.4f}' for r in undisturbed)}")
    hmm.console.say(comm, f"a killed worker was restarted ({model.restarts} restarts on rank {comm.rank})")
    assert np.array_equal(disturbed, undisturbed) and model.restarts >= 1
    model.close()


if __name__ == "__main__":
    hmm.errors.run(main)
