"""What a cell of several fields is asked before its first solve: which fields float, and how large residuals are.

Both are measured on the virgin cell, by residuals alone, so that any law and any energy can be asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmm.fields import Field

if TYPE_CHECKING:
    from hmm.rve import RVE

SMALL = 1e-4
"""Size of the fields tried, in the unit of the cell's length: no finite-strain law may leave its domain."""


def floating_fields(rve: RVE, fields: Sequence[Field]) -> list[int]:
    """Numbers of the continuous fields to which a constant can be added without any force.

    Such a field is known up to a constant (the displacement of a periodic cell, the pressure of an incompressible flow)
    and one point of it must be held. The RVE must have its constraint, with no point held for this reason.
    """
    with _asked(rve):
        floating = []
        for f in fields:
            if f.continuous:
                noise, _ = _forces(rve, _random(rve, f))
                _, drift = _forces(rve, _constant(rve, f))
                if not drift > 1e-11 * noise:  # a law that cannot answer here says nothing: held, as it mostly must be
                    floating.append(f.number)
    return floating


@dataclass(frozen=True)
class Sizes:
    """What makes the fields of a cell comparable.

    Attributes
    ----------
    weights
        Shape (n_local,); what residuals are multiplied with in their norm.
    scales
        Shape (n_local,); what rows and columns of the tangent are multiplied with before it is factorized.
    stiffness
        The weighted stiffness, to bound rounding errors.
    """

    weights: NDArray[np.float64]
    scales: NDArray[np.float64]
    stiffness: float


def sizes_of_fields(rve: RVE, fields: Sequence[Field]) -> Sizes:
    """Weights that make the residuals of all fields comparable, scales for their unknowns, and the weighted stiffness.

    The forces of a field are divided by those that macro inputs of one cause. A field that they do not reach directly,
    such as a pressure, is measured by the forces that a displacement of the size they cause gives it. The stiffness is
    that of the fields that macro inputs act on, per cell length, to bound rounding errors.
    """
    n = len(fields)
    with _asked(rve):
        direct = np.zeros(n)
        for unit in np.eye(rve.n_inputs):
            direct = np.maximum(
                direct, _forces_by_field(rve, fields, 0 * _random(rve, fields[0]), SMALL * unit) / SMALL
            )
        coupling = np.array([_forces_by_field(rve, fields, _random(rve, f)) for f in fields]) / SMALL
    size = direct.copy()
    for i in np.flatnonzero(~(direct > 0)):
        through = [direct[j] * coupling[j, i] / coupling[j, j] for j in range(n) if direct[j] * coupling[j, j] > 0]
        size[i] = max(through, default=0.0)
    size[~((size > 0) & np.isfinite(size))] = 1.0
    weights, scales = np.zeros(rve.reduced.size_fluctuation), np.zeros(rve.reduced.size_fluctuation)
    order = sorted(range(n), key=lambda i: (not coupling[i, i] > 0, i not in rve.driven))
    of_field = _scales(coupling, order)
    for f in fields:
        weights[f.dofs], scales[f.dofs] = 1 / size[f.number], of_field[f.number]
    driven = [np.linalg.norm(coupling[f.number] / size) for f in fields if f.number in rve.driven]
    return Sizes(weights, scales, float(max(driven, default=0.0)))


def _scales(coupling: NDArray[np.float64], order: Sequence[int]) -> NDArray[np.float64]:
    """Scales s, one per field, that bring the largest ``s_i C_ij s_j`` of each field near one, in any units.

    Parameters
    ----------
    coupling
        Shape (n_fields, n_fields); the forces C on each field that noise in each field causes.
    order
        The fields, those first whose own stiffness sets their scale. A field without one, such as a pressure, or with
        a small one, is scaled by what couples it to those before.
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
def _asked(rve: RVE) -> Iterator[None]:
    """The virgin cell in a step of duration one; afterwards as it was."""
    duration = rve.time_step
    rve.time_step = 1.0
    rve.load_history(np.zeros(rve.n_history))
    yield
    rve.load(np.zeros(rve.n_unknowns), rve.reference)
    rve.time_step = duration


def _length(rve: RVE) -> float:
    return float(rve.cell.volume ** (1 / rve.cell.dim))


def _forces(rve: RVE, z: NDArray[np.float64], dE: float | NDArray[np.float64] = 0.0) -> tuple[float, float]:
    """Norms of the changes of the nodal forces and of the reduced residual from the virgin cell to (z, dE)."""
    rve.load(np.zeros(rve.n_unknowns), rve.reference)
    start, nodal = rve.residual().copy(), rve.nodal_forces.copy()
    rve.load(z, rve.reference + dE)
    end = rve.residual()
    nodal = rve.nodal_forces - nodal
    return float(np.sqrt(rve.reduced.sum(float(nodal @ nodal)))), rve.reduced.norm(end - start)


def _forces_by_field(
    rve: RVE, fields: Sequence[Field], z: NDArray[np.float64], dE: float | NDArray[np.float64] = 0.0
) -> NDArray[np.float64]:
    """Norms of the changes of each field's nodal forces from the virgin cell to (z, dE)."""
    rve.load(np.zeros(rve.n_unknowns), rve.reference)
    rve.residual()
    before = rve.nodal_forces.copy()
    rve.load(z, rve.reference + dE)
    rve.residual()
    change = rve.nodal_forces - before
    return np.sqrt(rve.reduced.sum(np.array([change[f.dofs] @ change[f.dofs] for f in fields])))


def _random(rve: RVE, f: Field) -> NDArray[np.float64]:
    """Reduced unknowns, shape (n_unknowns,), with noise in one field."""
    noise = np.random.default_rng(f.number).normal(size=rve.n_unknowns)
    return SMALL * _length(rve) * noise * rve.reduced.indicator(f.dofs)


def _constant(rve: RVE, f: Field) -> NDArray[np.float64]:
    """Reduced unknowns, shape (n_unknowns,), with one constant in all components of a field."""
    return SMALL * _length(rve) * rve.reduced.indicator(f.dofs)
