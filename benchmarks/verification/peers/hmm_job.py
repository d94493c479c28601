"""The stiffness by hmm."""

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import basix.ufl
import numpy as np
from dolfinx import mesh
from problem import Problem, main

SWAPPED = [0, 1, 3, 2, 4, 5, 7, 6]
"""DOLFINx numbers the vertices of a hexahedron as a tensor product, VTK around its faces."""


def cell_of(problem: Problem) -> hmm.Cell:
    """The cell, on the mesh of the problem; a grid as voxels."""
    phases = {f"phase {tag:g}": int(tag) for tag in problem.moduli[:, 0]}
    if problem.grid.size:
        return hmm.cells.voxels(problem.grid, phases, spacing=(problem.size / problem.grid.shape).tolist())
    vertices = problem.elements[:, SWAPPED] if problem.kind == "hexahedron" else problem.elements
    element = basix.ufl.element("Lagrange", problem.kind, 1, shape=(problem.dim,))
    domain = mesh.create_mesh(MPI.COMM_SELF, vertices.astype(np.int64), element, problem.points)
    original = domain.topology.original_cell_index
    tags = mesh.meshtags(
        domain, problem.dim, np.arange(len(original), dtype=np.int32), problem.tags[original].astype(np.int32)
    )
    return hmm.Cell(domain, tags, phases, np.diag(problem.size), problem.points.min(axis=0))


def solve(problem: Problem) -> np.ndarray:
    """Voigt stiffness, linear elements."""
    laws = {f"phase {tag:g}": hmm.laws.Elastic(young, poisson) for tag, young, poisson in problem.moduli.tolist()}
    return hmm.homogenize(cell_of(problem), laws).voigt


if __name__ == "__main__":
    main(solve, f"hmm {hmm.__version__}")
