"""Periodic grids of equal voxels: matrix-free operators and an exact inverse by FFT, without any factorization.

A mesh of equal hexahedra (quadrilaterals in 2D) whose opposite faces are identified is a torus of nodes. On it a form
with piecewise constant coefficients needs one element matrix per phase, a tangent one matrix per quadrature point, and
the matrix of a homogeneous reference material is block circulant, so that two FFTs invert it (Schneider, Merkert,
Kabel, *Int. J. Numer. Meth. Engng.* 109 (2017) 1461; Leute et al., *J. Comput. Phys.* 453 (2022) 110931).

Grid arrays are C-ordered, the last axis fastest, block components innermost. Corner c of a cell is its node with the
binary digits of c as offsets, first axis first.
"""

from hmm.micro.solvers.fft.circulant import CirculantPreconditioner
from hmm.micro.solvers.fft.layout import VoxelGrid
from hmm.micro.solvers.fft.solver import GridSolver

__all__ = ["CirculantPreconditioner", "GridSolver", "VoxelGrid"]
