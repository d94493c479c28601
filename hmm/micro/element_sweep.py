"""The tangent of a cell and its condensation columns in one sweep over the elements.

The local fields depend on the fluctuation w and on the macroscopic input E only through the total field ``A E + w``,
with the nodal values A of the affine fields of unit inputs. Therefore the element matrices ``K_e`` of the fluctuation
contain all derivatives:

    K = T^T K_e T,    L = T^T K_e A,    M^T = A^T K_e T,    D = A^T K_e A,

with the constraint T. Three assemblies, which evaluate the law again and again, are not needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.foundation.cell_loop import CellLoop
from hmm.micro.loaded_cell import LoadedCell

Floats = NDArray[np.float64]

MOST_ENTRIES = 4_000_000
"""Entries of all element matrices up to which they are kept: 100 MB with their places in the tangent.

In larger cells the factorization costs much more than the assembly.
"""


class ElementSweep:
    """Assembly of K together with L, M and D, for a serial cell without multipliers.

    Parameters
    ----------
    loaded
        The cell, with affine fields.
    loop
        The loop over the elements of its tangent.
    symmetric
        Whether that is symmetric.

    Attributes
    ----------
    L, M
        Shape (n_unknowns, m); the columns of the last assembly.
    D
        Shape (m, m); the mean moduli times the volume.
    """

    def __init__(self, loaded: LoadedCell, loop: CellLoop, symmetric: bool) -> None:
        assert loaded.affine is not None
        self._loop, self._reduced, self._symmetric = loop, loaded.reduced, symmetric
        reduced_dof = loaded.reduced.numbers()
        dofs = [integral.dofs for integral in loop.integrals]
        self._targets = [reduced_dof[d].astype(np.int32) for d in dofs]
        self._fields = [np.ascontiguousarray(loaded.affine[:, d].swapaxes(0, 1)) for d in dofs]
        sizes = [(*d.shape, d.shape[1]) for d in dofs]
        self._entries = np.zeros(sum(int(np.prod(size)) for size in sizes))
        ends = np.cumsum([np.prod(size) for size in sizes])[:-1].astype(int)
        parts = np.split(self._entries, ends)
        self._matrices = [part.reshape(size) for part, size in zip(parts, sizes, strict=True)]
        self._constant = self._columns(constant=True)
        self.L, self.M, self.D = self._constant

    @staticmethod
    def of(loaded: LoadedCell, symmetric: bool) -> ElementSweep | None:
        """The sweep of a cell, or None if its tangent and columns need forms of their own."""
        plain = loaded.affine is not None and loaded.comm.size == 1
        if not plain or loaded.reduced.constraint.multipliers.size or loaded.reduced.scales is not None:
            return None
        loop = loaded.forms.K.loop
        if loop is None or sum(i.dofs.size * i.dofs.shape[1] for i in loop.integrals) > MOST_ENTRIES:
            return None
        return ElementSweep(loaded, loop, symmetric)

    def create_matrix(self) -> PETSc.Mat:
        """A matrix for `assemble`, with both triangles."""
        size = self._reduced.size_owned
        matrix = PETSc.Mat().create(self._reduced.comm)
        matrix.setSizes((size, size), bsize=self._reduced.constraint.block_size)
        matrix.setType(PETSc.Mat.Type.AIJ)
        shape = [m.shape for m in self._matrices]
        rows = [np.broadcast_to(t[:, :, None], s).ravel() for t, s in zip(self._targets, shape, strict=True)]
        columns = [np.broadcast_to(t[:, None, :], s).ravel() for t, s in zip(self._targets, shape, strict=True)]
        matrix.setPreallocationCOO(np.concatenate(rows), np.concatenate(columns))
        return matrix

    def assemble(self, matrix: PETSc.Mat) -> None:
        """Assemble the tangent and its columns at the loaded point."""
        changing = self._columns(constant=False)
        for part, constant in zip(changing[self._symmetric :], self._constant[self._symmetric :], strict=True):
            part += constant  # L and M are the same array if the tangent is symmetric
        self.L, self.M, self.D = changing
        matrix.setValuesCOO(self._entries, addv=PETSc.InsertMode.INSERT)

    def _columns(self, constant: bool) -> tuple[Floats, Floats, Floats]:
        """L, M and D of the elements whose tangent is constant, such as those of elastic phases, or of the others."""
        n = self._reduced.size_owned
        return self._loop.columns(self._targets, self._fields, self._matrices, n, self._symmetric, constant)
