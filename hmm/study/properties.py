"""Apparent properties of one cell, each a single number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import NDArray

from hmm.bounds import moduli_of
from hmm.cell import Cell
from hmm.errors import InputError
from hmm.fields import fluctuation, macro_gradient, macro_strain
from hmm.forms import compile_expression, quadrature_points, quadrature_weights
from hmm.laws.base import Law
from hmm.rve import RVE
from hmm.tensors import symmetric


class Property(Protocol):
    """What is asked of a cell: any function of the cell and the name of a constraint that returns a number.

    It is given what ``make_cell`` returned: a `hmm.Cell`, or an array as it is.
    """

    def __call__(self, cell: Any, constraint: str, /) -> float:
        """The apparent property of `cell` under `constraint`."""
        ...


@dataclass(frozen=True)
class Stiffness:
    """See `stiffness`."""

    laws: Mapping[str, Law]
    component: str

    @property
    def name(self) -> str:
        """What it is called in tables and pictures."""
        return {"bulk": "bulk modulus", "shear": "shear modulus"}.get(self.component, f"stiffness {self.component}")

    def __call__(self, cell: Cell, constraint: str) -> float:
        """The component of the apparent stiffness."""
        return self._component(_elastic_rve(cell, self.laws, constraint).solve(np.zeros((cell.dim, cell.dim))).tangent)

    def of_phases(self, dim: int) -> dict[str, float]:
        """The component of each phase's own stiffness."""
        return {phase: self._component(_stiffness_of(law, dim)) for phase, law in self.laws.items()}

    def _component(self, C: NDArray[np.float64]) -> float:
        if self.component in ("bulk", "shear"):
            return moduli_of(C)[self.component == "shear"]
        labels = symmetric({3: 2, 6: 3}[len(C)]).labels
        pairs = {a + b: C[i, j] for i, a in enumerate(labels) for j, b in enumerate(labels)}
        if self.component not in pairs:
            raise InputError(f"stiffness component {self.component!r} is none of bulk, shear, {', '.join(pairs)}")
        return float(pairs[self.component])


@dataclass(frozen=True)
class Conductivity:
    """See `conductivity`."""

    conductivities: Mapping[str, float]

    name = "conductivity"

    def __call__(self, cell: Cell, constraint: str) -> float:
        """A third (in 2D: half) of the trace of the apparent conductivity."""
        _require_phases(cell, self.conductivities)
        T, G = fluctuation(cell, shape=()), macro_gradient(cell)
        g, dx = G.local(T), cell.measure()
        k = {phase: fem.Constant(cell.mesh, float(self.conductivities[phase])) for phase in cell.phases}
        energy = sum(k[phase] / 2 * ufl.inner(g, g) * dx(tag) for phase, tag in cell.phases.items())
        rve = RVE(cell, T, G, energy=energy, constraint=constraint)
        return float(np.trace(rve.solve(np.zeros(cell.dim)).tangent)) / cell.dim

    def of_phases(self, dim: int) -> dict[str, float]:
        """The conductivity of each phase."""
        return dict(self.conductivities)


@dataclass(frozen=True)
class YieldOnset:
    """See `yield_onset`."""

    laws: Mapping[str, Law]
    direction: str
    volume: float

    name = "yield onset"

    def __call__(self, cell: Cell, constraint: str) -> float:
        """The macro stress at the onset."""
        rve = _elastic_rve(cell, self.laws, constraint)
        packing = rve.inputs[0].packing
        if self.direction not in packing.labels:
            raise InputError(f"direction {self.direction!r} of the stress is none of {', '.join(packing.labels)}")
        k = packing.labels.index(self.direction)
        unit = np.eye(packing.size)[k] * packing.factors[k]
        C = rve.solve(rve.reference).tangent
        rve.solve(np.linalg.solve(C, unit), tangent=False)
        yielding = [phase for phase in cell.phases if hasattr(self.laws[phase], "yield_stress")]
        if not yielding:
            raise InputError(f"no phase of the cell, {list(cell.phases)}, has a yield stress: make the cell larger")
        return min(self._onset(rve, phase) for phase in yielding)

    def _onset(self, rve: RVE, phase: str) -> float:
        """Multiple of the loaded state at which the part `volume` of the phase has reached its yield stress."""
        cell, degree = rve.cell, rve.quadrature_degree
        cells = cell.phase_tags.find(cell.phases[phase])
        sigma = compile_expression(rve.local_response(phase), quadrature_points(cell.mesh, degree))
        s = sigma.eval(cell.mesh, cells).reshape(-1, 3, 3)
        s = s - np.trace(s, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
        q = np.sqrt(1.5 * np.einsum("pij,pij->p", s, s))
        weights = quadrature_weights(cell.mesh, degree, cells).ravel()
        order = np.argsort(-q)
        reached = np.searchsorted(np.cumsum(weights[order]), self.volume * weights.sum())
        return float(self.laws[phase].yield_stress / q[order[reached]])  # type: ignore[attr-defined]


def stiffness(laws: Mapping[str, Law], component: str = "bulk") -> Property:
    """Apparent elastic stiffness, in the unit of the laws.

    Parameters
    ----------
    laws
        The law of each phase; of laws with an ``elastic`` part, such as `hmm.laws.J2`, that part.
    component
        ``"bulk"`` or ``"shear"``, the modulus of the isotropic part (see `hmm.bounds.moduli_of`), or a component of
        the Mandel matrix such as ``"1111"`` or ``"1122"``.
    """
    return Stiffness(dict(laws), component)


def conductivity(conductivities: Mapping[str, float]) -> Property:
    """Apparent conductivity, the mean over the directions, of a number for each phase and in its unit."""
    for phase, k in conductivities.items():
        if not (isinstance(k, int | float) and 0 < k < float("inf")):
            raise InputError(f"the conductivity of phase {phase!r} is {k!r}: give a positive number")
    return Conductivity(dict(conductivities))


def yield_onset(laws: Mapping[str, Law], direction: str = "11", volume: float = 1e-3) -> Property:
    """The macro stress at which a small part of a phase first reaches its yield stress, by the elastic solution.

    The cell is loaded by the mean stress ``Sigma e_i e_j``, all other mean stresses zero (in 2D: those in the plane).
    The onset is the Sigma at which the von Mises stress ``q`` is at the yield stress or above in the part `volume` of
    the volume of a phase: the first phase counts. It is decided by the tail of the local field, not by its mean, and
    belongs to the mesh as much as to the material where stresses are singular.

    Parameters
    ----------
    laws
        The law of each phase, at least one of which has a ``yield_stress``, such as `hmm.laws.J2`.
    direction
        Label of the mean stress, such as ``"11"`` or ``"12"``.
    volume
        Part of the phase's volume, in (0, 1).
    """
    if not 0 < volume < 1:
        raise InputError(f"volume = {volume} is the part of a phase that yields at the onset: give one in (0, 1)")
    if not any(hasattr(law, "yield_stress") for law in laws.values()):
        raise InputError(f"no law of the phases {list(laws)} has a yield stress: give one of them hmm.laws.J2")
    return YieldOnset(dict(laws), direction, volume)


def _elastic_rve(cell: Cell, laws: Mapping[str, Law], constraint: str) -> RVE:
    _require_phases(cell, laws)
    law = {phase: getattr(laws[phase], "elastic", laws[phase]) for phase in cell.phases}
    return RVE(cell, fluctuation(cell), macro_strain(cell), law=law, constraint=constraint)


def _stiffness_of(law: Law, dim: int) -> NDArray[np.float64]:
    """Mandel stiffness of an isotropic elastic law, in 2D that of plane strain."""
    elastic: Any = getattr(law, "elastic", law)
    if not hasattr(elastic, "shear_modulus"):
        raise InputError(f"{type(law).__name__} is no isotropic elastic law: take your own function as property")
    mu, kappa = elastic.shear_modulus, elastic.bulk_modulus
    one = np.r_[np.ones(dim), np.zeros(dim * (dim - 1) // 2)]
    return (kappa - 2 * mu / 3) * np.outer(one, one) + 2 * mu * np.eye(one.size)


def _require_phases(cell: Cell, given: Mapping[str, object]) -> None:
    for phase in cell.phases:
        if phase not in given:
            raise InputError(f"phase {phase!r} of the cell has no law: the laws are those of {list(given)}")
