"""Linear solvers of the cell problem: assembled matrices, and grids in `fft`.

Begin with `choose`, which selects the solver of a cell.
"""
