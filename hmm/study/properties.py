"""Apparent properties of one cell, each a single number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hmm.cells import Polycrystal
from hmm.cells.cell import Cell
from hmm.checks.bounds import moduli_of
from hmm.effective.homogenize import REST, homogenize
from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_expression, quadrature_points, quadrature_weights
from hmm.foundation.tensors import symmetric
from hmm.laws.base import Law
from hmm.micro.fluctuation import fluctuation
from hmm.micro.inputs import macro_strain
from hmm.micro.rve import RVE


class Property(Protocol):
    """An apparent property: any function of a cell and the name of a constraint that returns a number.

    The cell is the return value of ``make_cell``: an `hmm.Cell`, or an array.
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
        """Name in tables and pictures."""
        return {"bulk": "bulk modulus", "shear": "shear modulus"}.get(self.component, f"stiffness {self.component}")

    def __call__(self, cell: Cell | Polycrystal, constraint: str) -> float:
        """The component of the apparent stiffness."""
        return self._component(homogenize(cell, _present(cell, _elastic(self.laws)), constraint).tensor)

    def of_phases(self, dim: int) -> dict[str, float] | None:
        """The component of each phase's own stiffness; None if a phase is not isotropic."""
        stiffnesses = {phase: _stiffness_of(law, dim) for phase, law in _elastic(self.laws).items()}
        known = {phase: self._component(C) for phase, C in stiffnesses.items() if C is not None}
        return known if len(known) == len(stiffnesses) else None

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

    def __call__(self, cell: Cell | Polycrystal, constraint: str) -> float:
        """A third (in 2D: half) of the trace of the apparent conductivity."""
        found = homogenize(cell, _present(cell, self.conductivities), constraint, "conduction")
        return float(np.trace(found.tensor)) / found.dim

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
        law = _present(cell, _elastic(self.laws))
        rve = RVE(cell, fluctuation(cell), macro_strain(cell), law=law, constraint=constraint)
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
        cell, degree = rve.cell, rve.problem.quadrature_degree
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
        The law of each phase; ``"*"`` for all phases that are not named, such as the grains of a polycrystal, which
        rotate it. Laws with an ``elastic`` part, such as `hmm.laws.J2`, contribute this part.
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
    The onset is the smallest Sigma at which the von Mises stress ``q`` reaches the yield stress in the part `volume` of
    the volume of a phase. It depends on the tail of the local field, not on its mean. If stresses are singular, it
    depends on the mesh too.

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


def _elastic(laws: Mapping[str, Law]) -> dict[str, Law]:
    """The elastic part of each law, or the law itself."""
    return {phase: getattr(law, "elastic", law) for phase, law in laws.items()}


def _present[T](cell: Cell | Polycrystal, given: Mapping[str, T]) -> dict[str, T]:
    """The values for the phases of a cell; a random cell may lack some phases."""
    phases = (cell.cell if isinstance(cell, Polycrystal) else cell).phases
    for phase in phases:
        if phase not in given and REST not in given:
            raise InputError(f"phase {phase!r} of the cell has no law: the laws are those of {list(given)}")
    return {name: value for name, value in given.items() if name in phases or name == REST}


def _stiffness_of(law: Any, dim: int) -> NDArray[np.float64] | None:
    """Mandel stiffness of an isotropic elastic law, in 2D that of plane strain; None if it is another one."""
    if not hasattr(law, "shear_modulus"):
        return None
    mu, kappa = law.shear_modulus, law.bulk_modulus
    one = np.r_[np.ones(dim), np.zeros(dim * (dim - 1) // 2)]
    return (kappa - 2 * mu / 3) * np.outer(one, one) + 2 * mu * np.eye(one.size)
