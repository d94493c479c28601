"""The same RVE with MUMPS and with CG on voxel grids."""

import numpy as np

from hmm.micro.solvers.assembled import AssembledSolver
from hmm.micro.solvers.fft import GridSolver


def pair(create, *arguments, **options):
    """The same RVE with either solver."""
    rves = [create(*arguments, solver=solver, **options) for solver in ("direct", "iterative")]
    assert [type(rve.system.solver) for rve in rves] == [AssembledSolver, GridSolver]
    return rves


def some_input(rve):
    """A macroscopic input of size 1 in which no component is alike."""
    E = np.arange(1.0, rve.n_inputs + 1)
    return E / np.linalg.norm(E)
