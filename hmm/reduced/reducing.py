"""From what an RVE did along training paths to a reduced cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hmm.micro.rve import RVE
from hmm.reduced.basis import modes_of
from hmm.reduced.phase_cubature import linear_forces, reduce_phase
from hmm.reduced.phases import CellPoints, PhasePoints
from hmm.reduced.reduction import ReducedPhase, Reduction
from hmm.reduced.snapshots import Snapshots
from hmm.reduced.stability import stable_reduction

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Accuracy:
    """How accurate a reduced cell is made.

    Attributes
    ----------
    modes, points
        Most modes beside the elastic ones, and most combinations of forces that cubature keeps in each phase.
    energy
        Modes with less than this part of the energy that is not elastic are left out.
    integrals
        The part of the forces of the training paths that cubature may miss.
    all_points
        Whether all quadrature points are kept, with their own weights.
    """

    modes: int
    points: int
    energy: float
    integrals: float
    all_points: bool = False


@dataclass(frozen=True, eq=False)
class Basis:
    """Modes of the fluctuation, and what training paths did.

    Attributes
    ----------
    Z, n_elastic
        Shape (N, n_unknowns); modes, and how many of them are elastic.
    H
        For each phase, shape (n, f, m + N); local fields per unit of inputs and modes.
    elastic
        Shape (m, n_unknowns); fluctuations of the undeformed cell for unit inputs.
    snapshots
        What the RVE did along the training paths.
    """

    Z: Floats
    n_elastic: int
    H: dict[str, Floats]
    elastic: Floats
    snapshots: tuple[Snapshots, ...]

    @classmethod
    def of(cls, rve: RVE, cell: CellPoints, snapshots: Sequence[Snapshots], most: int, energy: float) -> Basis:
        """The modes of some snapshots.

        Parameters
        ----------
        rve, cell
            The RVE and its points.
        snapshots
            What it did along the training paths; one step at least.
        most, energy
            Most modes beside the elastic ones, and the part of the energy below which they are left out.
        """
        z, E = np.concatenate([s.z for s in snapshots]), np.concatenate([s.E for s in snapshots])
        elastic = np.asarray(rve.initial().values["sensitivity"])
        size = np.linalg.norm(E - rve.reference, axis=1)
        moved = size > 1e-3 * size.max()
        Z, n_elastic = modes_of(cell, elastic, z[moved], size[moved], most, energy)
        units, of_modes = cell.of_inputs(), cell.of_fluctuations(Z)
        H = {name: np.concatenate([units[name], of_modes[name].transpose(1, 2, 0)], axis=2) for name in cell.phases}
        return cls(Z, n_elastic, H, elastic, tuple(snapshots))

    def first(self, most: int) -> Basis:
        """The elastic modes and at most so many of the others."""
        N, m = min(self.n_elastic + most, len(self.Z)), len(self.elastic)
        H = {name: np.ascontiguousarray(fields[:, :, : m + N]) for name, fields in self.H.items()}
        return replace(self, Z=self.Z[:N], H=H)


def reduce_cell(rve: RVE, cell: CellPoints, basis: Basis, accuracy: Accuracy) -> Reduction:
    """The reduced cell that training paths give, stable along them.

    Parameters
    ----------
    rve, cell
        The RVE and its points.
    basis
        The modes of the paths; the first of them are taken.
    accuracy
        How accurate to be.
    """
    kernels, few = {name: p.kernel for name, p in cell.phases.items()}, basis.first(accuracy.modes)
    return stable_reduction(lambda limit: _reduce(rve, cell, few, accuracy, limit), kernels, basis.snapshots)


def _reduce(rve: RVE, cell: CellPoints, basis: Basis, accuracy: Accuracy, limit: float) -> Reduction:
    """The reduced cell for one limit of the stiffness of its cubature points (see `reduce_phase`)."""
    Z, H, snapshots = basis.Z, basis.H, basis.snapshots
    z, E = np.concatenate([s.z for s in snapshots]), np.concatenate([s.E for s in snapshots])
    coordinates = np.linalg.lstsq(Z.T, np.concatenate([basis.elastic, z]).T, rcond=None)[0].T
    states = np.concatenate([np.concatenate([np.eye(rve.n_inputs), E - rve.reference]), coordinates], axis=1)
    phases, parts = dict[str, ReducedPhase](), list[tuple[Floats, Floats]]()
    for name, p in cell.phases.items():
        if p.is_linear:
            parts.append(linear_forces(p, p.weights, H[name], p.offset))
        else:
            phases[name], *forces = _reduced_phase(p, H[name], states, snapshots, accuracy, limit)
            parts.append((forces[0], forces[1]))
    stiffness, constant = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    lowest, highest = np.minimum(E.min(axis=0), rve.reference), np.maximum(E.max(axis=0), rve.reference)
    return Reduction(Z, stiffness, constant, phases, rve.cell.volume, lowest, highest)


def _reduced_phase(
    p: PhasePoints, H: Floats, states: Floats, snapshots: Sequence[Snapshots], accuracy: Accuracy, limit: float
) -> tuple[ReducedPhase, Floats, Floats]:
    """A phase at its cubature points or, if asked for, at all quadrature points, with its undeformed forces.

    The first `states` are those of the undeformed cell, the others those of the snapshots.
    """
    if not accuracy.all_points:
        elastic, seen = np.split(states, [len(states) - sum(len(s.E) for s in snapshots)])
        return reduce_phase(p, H, elastic, seen, snapshots, accuracy.integrals, accuracy.points, limit)
    nothing = np.zeros((0, p.n, 0))
    phase = ReducedPhase(np.arange(p.n), p.weights, p.x, p.offset, H, p.stiffness, p.start, nothing)
    return phase, *linear_forces(p, p.weights, H, p.offset)
