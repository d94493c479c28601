"""A large voxel cell without a factorization: the stiffness of a cube with a sphere, from images.

The cell is a label array, such as one from tomography. Its tangent is never assembled: conjugate gradients apply one
element matrix per phase, preconditioned by the FFT inverse of a homogeneous cell. The number of iterations does not
grow with the resolution, and the stiffness converges from above to that of a conforming mesh.
"""

from __future__ import annotations

from argparse import Namespace

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import numpy as np
from numpy.typing import NDArray

LAWS = {"matrix": hmm.laws.Elastic(young=1.0, poisson=0.3), "sphere": hmm.laws.Elastic(young=10.0, poisson=0.3)}
RADIUS = 0.3
CONVERGED = np.array([1.6126, 0.6579, 0.4602])  # C11, C12, C44 on curved tetrahedra, extrapolated


def sphere_labels(n: int) -> NDArray[np.int64]:
    """1 in the voxels of an n^3 cube whose centre is in the sphere, else 0."""
    centre = (np.indices((n, n, n)) + 0.5) / n - 0.5
    return ((centre**2).sum(axis=0) < RADIUS**2).astype(int)


def stiffness(n: int) -> tuple[NDArray[np.float64], float]:
    """C11, C12 and C44 of the cell with n^3 voxels, and the iterations of one load case."""
    cell = hmm.cells.voxels(sphere_labels(n), {"matrix": 0, "sphere": 1})
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    rve = hmm.RVE(cell, w, E, law=LAWS, solver="iterative", petsc_options={"ksp_rtol": 1e-6})
    C = hmm.tensors.mandel_to_voigt(rve.solve(np.zeros((3, 3))).tangent)
    assert np.allclose(np.diag(C)[:3], C[0, 0]), "the three axes of a cubic cell must be equivalent"
    return C[[0, 0, 3], [0, 1, 3]], rve.system.solver.iterations / 6


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "Homogenize a voxel cell at growing resolution.", "voxel_cell", "up to 16^3 voxels"
    )
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    row = hmm.console.live_table(comm, ["voxels", "C11", "C12", "C44", "CG per case", "error of C11"])
    errors = []
    for n in (8, 16) if options.quick else (8, 16, 32, 64):
        C, iterations = stiffness(n)
        errors.append(abs(C[0] / CONVERGED[0] - 1))
        row(f"{n}^3", *C.tolist(), iterations, errors[-1])
        assert iterations < 20, "the iterations must be bounded at any resolution"
    assert errors[-1] < (0.035 if options.quick else 0.005)
    if options.no_plots or comm.rank:
        return
    cell = hmm.cells.voxels(sphere_labels(16), {"matrix": 0, "sphere": 1})
    print("Written:", hmm.plotting.plot_cell(options.output / "cell.png", cell), sep="\n  ")


if __name__ == "__main__":
    hmm.errors.run(main)
