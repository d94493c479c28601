"""Linear solvers of the cell problem: assembled matrices, and grids in `fft`.

Begin with `choose`, which says which solver a cell gets.
"""
