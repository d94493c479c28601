"""Floating fields and residual scales of a cell of several fields, determined before the first solve.

Both are measured by residuals of the undeformed cell, for any law and any energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmm.micro.fluctuation import Field
from hmm.micro.loaded_cell import LoadedCell

SMALL = 1e-4
"""Magnitude of the test fields relative to the length of the cell, small enough for finite-strain laws."""


def floating_fields(loaded: LoadedCell, fields: Sequence[Field]) -> list[int]:
    """Numbers of the continuous fields to which a constant can be added without any force.

    Such a field is determined up to a constant (the displacement of a periodic cell, the pressure of an incompressible
    flow), and one point of it must be fixed. The cell must have its constraint, but no point fixed for this reason.
    """
    with _asked(loaded):
        floating = []
        for f in fields:
            if f.continuous:
                noise, _ = _forces(loaded, _random(loaded, f))
                _, drift = _forces(loaded, _constant(loaded, f))
                if not drift > 1e-11 * noise:  # also if the law fails here: mostly the field floats
                    floating.append(f.number)
    return floating


@dataclass(frozen=True)
class Sizes:
    """Weights and scales that make the fields of a cell comparable.

    Attributes
    ----------
    weights
        Shape (n_local,); factors of the residuals in their norm.
    scales
        Shape (n_local,); factors of the rows and columns of the tangent before factorization.
    stiffness
        The weighted stiffness, to bound rounding errors.
    """

    weights: NDArray[np.float64]
    scales: NDArray[np.float64]
    stiffness: float


def sizes_of_fields(loaded: LoadedCell, fields: Sequence[Field]) -> Sizes:
    """Weights that make the residuals of all fields comparable, scales for their unknowns, and the weighted stiffness.

    The forces of a field are divided by those of unit macroscopic inputs. For a field that inputs do not act on, such
    as a pressure, the reference is its force for the displacement that unit inputs cause. The stiffness is that of the
    fields that macroscopic inputs act on, per cell length, to bound rounding errors.
    """
    n = len(fields)
    with _asked(loaded):
        direct = np.zeros(n)
        for unit in np.eye(loaded.problem.n_inputs):
            direct = np.maximum(
                direct, _forces_by_field(loaded, fields, 0 * _random(loaded, fields[0]), SMALL * unit) / SMALL
            )
        coupling = np.array([_forces_by_field(loaded, fields, _random(loaded, f)) for f in fields]) / SMALL
    size = direct.copy()
    for i in np.flatnonzero(~(direct > 0)):
        through = [direct[j] * coupling[j, i] / coupling[j, j] for j in range(n) if direct[j] * coupling[j, j] > 0]
        size[i] = max(through, default=0.0)
    size[~((size > 0) & np.isfinite(size))] = 1.0
    weights, scales = np.zeros(loaded.reduced.size_fluctuation), np.zeros(loaded.reduced.size_fluctuation)
    order = sorted(range(n), key=lambda i: (not coupling[i, i] > 0, i not in loaded.problem.driven))
    of_field = _scales(coupling, order)
    for f in fields:
        weights[f.dofs], scales[f.dofs] = 1 / size[f.number], of_field[f.number]
    driven = [np.linalg.norm(coupling[f.number] / size) for f in fields if f.number in loaded.problem.driven]
    return Sizes(weights, scales, float(max(driven, default=0.0)))


def _scales(coupling: NDArray[np.float64], order: Sequence[int]) -> NDArray[np.float64]:
    """Scales s, one per field, that bring the largest ``s_i C_ij s_j`` of each field near one, in any units.

    Parameters
    ----------
    coupling
        Shape (n_fields, n_fields); the forces C on each field that noise in each field causes.
    order
        The fields, beginning with those that are scaled by their own stiffness. A field with little or no stiffness,
        such as a pressure, is scaled by its coupling to the previous fields.
    """
    C = np.maximum(coupling, coupling.T)
    C = np.where(np.isfinite(C), C, 0.0)
    s = np.zeros(len(C))
    for i in order:
        largest = max(np.sqrt(C[i, i]), *(s * C[i]))
        s[i] = 1 / largest if largest > 0 else 0.0
    s[s == 0] = 1.0
    return s


@contextmanager
def _asked(loaded: LoadedCell) -> Iterator[None]:
    """Load the undeformed cell with a step of duration one; restore the cell afterwards."""
    dt = loaded.problem.dt
    duration = float(dt.value)
    dt.value[...] = 1.0
    loaded.load_history(np.zeros(loaded.n_history))
    yield
    loaded.load(np.zeros(loaded.n_unknowns), loaded.problem.reference)
    dt.value[...] = duration


def _length(loaded: LoadedCell) -> float:
    return float(loaded.problem.cell.volume ** (1 / loaded.problem.cell.dim))


def _forces(loaded: LoadedCell, z: NDArray[np.float64], dE: float | NDArray[np.float64] = 0.0) -> tuple[float, float]:
    """Norms of the changes of the nodal forces and of the reduced residual from the undeformed cell to (z, dE)."""
    loaded.load(np.zeros(loaded.n_unknowns), loaded.problem.reference)
    start, nodal = loaded.residual().copy(), loaded.nodal_forces.copy()
    loaded.load(z, loaded.problem.reference + dE)
    end = loaded.residual()
    nodal = loaded.nodal_forces - nodal
    return float(np.sqrt(loaded.reduced.sum(float(nodal @ nodal)))), loaded.reduced.norm(end - start)


def _forces_by_field(
    loaded: LoadedCell, fields: Sequence[Field], z: NDArray[np.float64], dE: float | NDArray[np.float64] = 0.0
) -> NDArray[np.float64]:
    """Norms of the changes of each field's nodal forces from the undeformed cell to (z, dE)."""
    loaded.load(np.zeros(loaded.n_unknowns), loaded.problem.reference)
    loaded.residual()
    before = loaded.nodal_forces.copy()
    loaded.load(z, loaded.problem.reference + dE)
    loaded.residual()
    change = loaded.nodal_forces - before
    return np.sqrt(loaded.reduced.sum(np.array([change[f.dofs] @ change[f.dofs] for f in fields])))


def _random(loaded: LoadedCell, f: Field) -> NDArray[np.float64]:
    """Reduced unknowns, shape (n_unknowns,), with noise in one field."""
    noise = np.random.default_rng(f.number).normal(size=loaded.n_unknowns)
    return SMALL * _length(loaded) * noise * loaded.reduced.indicator(f.dofs)


def _constant(loaded: LoadedCell, f: Field) -> NDArray[np.float64]:
    """Reduced unknowns, shape (n_unknowns,), with one constant in all components of a field."""
    return SMALL * _length(loaded) * loaded.reduced.indicator(f.dofs)
