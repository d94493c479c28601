"""A law as a micro model: a homogeneous material at macro points, without a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from dolfinx import fem

from hmm.foundation.described import described
from hmm.foundation.errors import InputError
from hmm.laws.base import Law
from hmm.laws.kernel import LawKernel, checked_law, kind_of
from hmm.models import inputs as standard
from hmm.models.plain import PlainModel
from hmm.models.points import InitialPoint, Input, Points, Variable

KINDS: Mapping[str, Callable[[int, str], Input]] = {
    "strain": lambda dim, name: standard.strain(dim, name=name),
    "deformation_gradient": lambda dim, name: standard.deformation_gradient(dim, name=name),
    "gradient": lambda dim, name: standard.gradient(dim, name=name),
    "temperature": lambda dim, name: standard.scalar(name, "entropy"),
}
"""The macroscopic input for each field of a law, by what the law calls it."""


class LawModel(PlainModel):
    """A law at macro points without a cell: all points of a rank are answered in one compiled loop.

    It answers what an `hmm.RVE` of a homogeneous cell answers, and may stand wherever a micro model does: in an
    `hmm.Homogenizer`, in `hmm.MixedControl`, `hmm.plane_stress`, `hmm.uniaxial`, `hmm.variation` and
    `hmm.checks.tangent`.

    Parameters
    ----------
    law
        One of `hmm.laws`, or your own. Constants in it may change between two solves.
    dim
        Dimension, 2 (plane strain) or 3.
    inputs
        Macroscopic inputs in place of the usual ones, one for each field of the law by its name: with the component 33
        in 2D, ``hmm.models.strain(2, out_of_plane=True)``, or a temperature with another reference,
        ``hmm.models.scalar("temperature", "entropy", 293.0)``.

    Attributes
    ----------
    kernel
        The compiled law.
    inputs
        The macroscopic inputs: the law's fields in their order.
    variables
        The law's internal variables, packed.

    Raises
    ------
    InputError
        If `law` is no law, contains a Function, or has a field for which there is no macroscopic input.
    """

    def __init__(self, law: Law, dim: int = 3, *, inputs: Input | Sequence[Input] = ()) -> None:
        law = checked_law(law)
        own = {e.name: e for e in ([inputs] if isinstance(inputs, Input) else inputs)}
        if unknown := [name for name in own if name not in law.fields]:
            raise InputError(f"{type(law).__name__} has no field {unknown[0]!r}: it answers {', '.join(law.fields)}")
        self.inputs = tuple(own[name] if name in own else _input(law, name, dim) for name in law.fields)
        self.kernel = LawKernel(law, dim, {e.name: e.packing for e in self.inputs})
        sizes = {name: packing.size for name, packing in self.kernel.internal.items()}
        self.variables = {name: Variable((size,)) for name, size in sizes.items()}
        self._described = described(law)

    @property
    def law(self) -> Law:
        """The law."""
        return self.kernel.law

    @property
    def has_rates(self) -> bool:
        """Whether the answers depend on the duration of the step."""
        return self.kernel.has_rates

    @property
    def parameters(self) -> Sequence[fem.Constant]:
        """The Constants in the law, which may change between two solves."""
        return self.kernel.constants

    def fingerprint(self) -> dict[str, str]:
        """The law in words, and a hash of its equations."""
        return {"law of the micro model": self._described, "equations of the law": self.kernel.signature}

    def initial(self) -> InitialPoint:
        """A point before the first step: all internal variables are zero."""
        return InitialPoint()

    def answer(self, points: Points) -> None:
        """Answer the rows asked, all at once (see `hmm.models.MicroModel`)."""
        rows = points.asked
        parts = (points.committed.variables[name][rows] for name in self.kernel.variables)
        old = np.concatenate([np.zeros((rows.size, 0)), *parts], axis=1)
        response, tangent, new = self.kernel(points.E[rows], old, points.dt)
        points.count.evaluations += rows.size
        points.trial.response[rows], points.tangent[rows] = response, tangent
        for name, values in self.kernel.variables.split(new).items():
            points.trial.variables[name][rows] = values
        unsolved = np.isnan(response).any(axis=1)
        points.converged[rows] = ~unsolved
        why = f"{type(self.law).__name__}: the response is not a number, or the local equations were not solved"
        points.failures |= dict.fromkeys(rows[unsolved].tolist(), why)


def _input(law: Law, name: str, dim: int) -> Input:
    """The usual macroscopic input for a field of a law."""
    make = KINDS.get(kind_of(law, name))
    if make is None:
        raise InputError(
            f"{type(law).__name__} answers the field {name!r}, for which there is no macroscopic input: "
            f"give inputs= with one of that name, or make an RVE"
        )
    return make(dim, name)
