"""Descriptions of the linear solvers of a cell, for messages, the docs and the job reader."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SolverEntry:
    """A choice of ``solver=``.

    Attributes
    ----------
    method
        Description of the method.
    cells
        Cells that it can solve.
    suits
        Cases in which it is the best choice.
    """

    method: str
    cells: str
    suits: str


_DEFINITE = 'one field, any constraint but "minimal"'

SOLVERS: dict[str, SolverEntry] = {
    "auto": SolverEntry(
        "one of the others, by cost; where it has chosen iterations and they fail, the cell goes on with `direct`",
        "all",
        "the default",
    ),
    "direct": SolverEntry(
        "MUMPS: one factorization of each tangent for all right-hand sides",
        "all",
        "small cells, several fields, high contrast, all tangents of FE²",
    ),
    "reuse": SolverEntry(
        "CG or GMRES, preconditioned by the factorization of the undeformed cell, which all points share",
        _DEFINITE,
        "stresses of mid-sized plastic 3D cells, not their tangents",
    ),
    "iterative": SolverEntry(
        "on a periodic grid of voxels CG, preconditioned by the FFT inverse of a reference cell, without a matrix "
        "(voids take no part in it); else CG or GMRES with algebraic multigrid, to which rigid motions are given",
        _DEFINITE,
        "large cells",
    ),
}
"""The choices of ``solver=`` by name."""
