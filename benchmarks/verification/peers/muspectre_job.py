"""The stiffness by muSpectre: its projection with six linear tetrahedra a voxel and CG, for grids of voxels."""

from importlib.metadata import version

import muSpectre
import numpy as np
from muSpectre import material, solvers
from muSpectre.linear_finite_elements import gradient_3d
from problem import Problem, main

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def cell_of(problem: Problem):
    """The cell with a material for each phase."""
    cell = muSpectre.Cell(
        list(problem.grid.shape), problem.size.tolist(), muSpectre.Formulation.small_strain, *gradient_3d
    )
    made = {
        tag: material.MaterialLinearElastic1_3d.make(cell, f"phase {tag:g}", E, nu) for tag, E, nu in problem.moduli
    }
    for index, place in cell.pixels.enumerate():
        made[problem.grid[tuple(place)]].add_pixel(index)
    cell.initialise()
    return cell


def solve(problem: Problem) -> np.ndarray:
    """Voigt stiffness."""
    cell, columns = cell_of(problem), []
    for i, j in PAIRS:
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = 1e-3 if i == j else 5e-4
        krylov = solvers.KrylovSolverCG(cell, 1e-8, 1000)
        found = solvers.newton_cg(cell, strain, krylov, 1e-6, 1e-6)
        stress = np.reshape(found.stress, (3, 3, -1), order="F").mean(axis=2)
        columns.append([stress[pair] / 1e-3 for pair in PAIRS])
    return np.array(columns).T


if __name__ == "__main__":
    main(solve, f"muSpectre {version('muspectre')}")
