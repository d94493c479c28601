"""Dense columns between the unknowns and the macroscopic inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from petsc4py import PETSc

from hmm.foundation.forms import PackedForm
from hmm.micro.reduced_system import ReducedSystem


def assembled_columns(
    reduced: ReducedSystem, matrices: Sequence[PETSc.Mat], forms: Sequence[PackedForm]
) -> NDArray[np.float64]:
    """Reduced columns, shape (n_unknowns, m), of forms between the fluctuation and the macro inputs.

    Parameters
    ----------
    reduced
        The reduced system.
    matrices
        A dense matrix for each form, which is assembled into it.
    forms
        One form for each macroscopic input.
    """
    for matrix, form in zip(matrices, forms, strict=True):
        reduced.assemble(matrix, *form.packed())
    return np.hstack([matrix.getDenseArray() for matrix in matrices])
