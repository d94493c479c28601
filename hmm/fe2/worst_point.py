"""The integration point with the largest value of a quantity, and its local fields."""

from __future__ import annotations

from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike

from hmm.fe2.homogenizer import Homogenizer
from hmm.foundation.errors import InputError, collectively
from hmm.micro.local_fields import LocalFields
from hmm.models.points import reference_of
from hmm.models.protocol import Viewable


@dataclass(frozen=True)
class WorstPoint:
    """The integration point with the largest value.

    Attributes
    ----------
    rank, point
        The rank that evaluates it (the first of its group) and its number there; if a point has several RVEs, that of
        the RVE with the largest share.
    x
        Macro coordinates, in the unit of the macro mesh.
    value
        The value, in its own unit.
    """

    rank: int
    point: int
    x: tuple[float, ...]
    value: float


def worst_point(hom: Homogenizer, values: ArrayLike) -> WorstPoint:
    """Find the point with the largest value among all ranks (collective).

    Among values that agree to nine digits, the point with the smallest coordinates is chosen, so that the result does
    not depend on the number of ranks.

    Parameters
    ----------
    hom
        The homogenizer.
    values
        Shape (n_points,) or (n_points, 1); one number for each point of this rank. NaN is ignored.

    Raises
    ------
    InputError
        If there is not one number for each point.
    """
    array = np.asarray(values, dtype=float)
    with collectively(hom.comm):
        if array.shape not in ((hom.n_points,), (hom.n_points, 1)):
            raise InputError(f"values have shape {array.shape}: give one number for each of {hom.n_points} points")
    array = np.where(np.isnan(array), -np.inf, array).ravel()
    largest = hom.comm.allreduce(float(array.max(initial=-np.inf)), op=MPI.MAX)
    candidates = np.flatnonzero(array >= largest - 1e-9 * abs(largest))
    x = hom.coordinates()
    mine = [(tuple(x[p].round(9).tolist()), hom.comm.rank, hom.rows.main(p)) for p in candidates]
    where, owner, index = min(found for part in hom.comm.allgather(mine) for found in part)
    rank, point = hom.ensemble.locate(owner, index)
    return WorstPoint(rank, point, where, largest)


def point_fields(hom: Homogenizer, point: int) -> LocalFields:
    """The local fields of a point that this rank evaluates, at the last accepted step (collective in its group).

    Raises
    ------
    InputError
        If its micro model has no local fields.
    """
    model, points, p = hom.batches.member(point)
    if not isinstance(model, Viewable):
        raise InputError(f"the micro model {type(model).__name__} has no local fields")
    return model.view(points, p)


def largest_input(hom: Homogenizer) -> str:
    """A message with the point and value of the macroscopic input farthest from its reference (collective)."""
    E = hom.macro_inputs() - reference_of(hom.model.inputs)
    size = np.linalg.norm(E, axis=1)
    best = int(np.argmax(size)) if size.size else -1
    x = hom.coordinates()
    mine = (float(size[best]), x[best].tolist(), E[best].tolist()) if size.size else (-1.0, [], [])
    value = max(hom.comm.allgather(mine))
    where = ", ".join(f"{c:.4g}" for c in value[1])
    strain = ", ".join(f"{c:.4g}" for c in value[2])
    return f"largest macro input at ({where}): [{strain}]"
