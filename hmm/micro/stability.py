"""Loss of stability of a cell that did not converge."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from petsc4py import PETSc

from hmm.micro.loaded_cell import LoadedCell

LARGEST = 50_000
"""Number of unknowns above which a failed cell is not factorized again to explain the failure."""


def explain(loaded: LoadedCell) -> str:
    """A possible cause of a failed solve at the loaded point, to be added to its message; or empty.

    Collective on the cell's ranks.
    """
    n = negative_eigenvalues(loaded)
    if not n:
        return ""
    return (
        f"; at the last iterate the stiffness of the cell has {n} negative eigenvalue{'s' * (n > 1)}: a law softens or "
        "the cell buckles, and the path may snap back, where no step in the strain can follow; give softening laws a "
        "viscosity (hmm.laws.Damage) and use smaller steps"
    )


def negative_eigenvalues(loaded: LoadedCell) -> int:
    """Negative eigenvalues of the symmetric part of the cell's tangent at the loaded point (collective).

    By Sylvester's law of inertia they are the negative pivots of its LDL^T factorization. Zero if this is not
    meaningful: for saddle points (several fields, multipliers), linear or very large cells, non-finite tangents.
    """
    problem = loaded.problem
    is_saddle = problem.is_mixed or bool(problem.micro) or problem.constraint == "minimal"
    if is_saddle or loaded.forms.is_linear or loaded.reduced.size_global > LARGEST:
        return 0
    matrix = loaded.reduced.create_matrix()
    loaded.reduced.assemble(matrix, *loaded.forms.K.packed())
    found = 0
    if np.isfinite(matrix.norm()):
        transposed = matrix.transpose(PETSc.Mat())
        matrix.axpy(1.0, transposed)
        transposed.destroy()
        with suppress(PETSc.Error):  # a pivot that vanishes, on all ranks of the cell
            found = _negative_pivots(matrix)
    matrix.destroy()
    return found


def _negative_pivots(matrix: PETSc.Mat) -> int:
    matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    factorization = PETSc.PC().create(matrix.comm)
    try:
        factorization.setOperators(matrix)
        factorization.setType("cholesky")
        factorization.setFactorSolverType("mumps")
        factorization.setUp()
        return int(factorization.getFactorMatrix().getMumpsInfog(12))
    finally:
        factorization.destroy()
