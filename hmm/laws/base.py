"""What a constitutive law is, and checks its parameters share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import ufl

from hmm.errors import InputError
from hmm.tensors import Packing

State = Mapping[str, ufl.core.expr.Expr]
"""Internal variables by name, as UFL tensors; ``old`` ones are those of the last accepted step."""


@runtime_checkable
class Law(Protocol):
    """A law between the local strain and stress, with internal variables and their implicit update.

    A law is written once, in 3D tensors; in a 2D cell the strain has no out-of-plane components (plane strain).
    """

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """Internal variables in a cell of dimension `dim`, by name, and how each is packed; empty if there are none."""
        ...

    def stress(self, strain: ufl.core.expr.Expr, old: State) -> ufl.core.expr.Expr:
        """Stress at the end of the step, shape (3, 3), for the total strain, shape (3, 3), and the old variables."""
        ...

    def update(self, strain: ufl.core.expr.Expr, old: State) -> State:
        """Internal variables at the end of the step."""
        ...


def require_positive(law: str, **values: float) -> None:
    """Raise `InputError` unless each of the named parameters is a positive, finite number."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{law}: {name} = {value} must be positive and finite")


def require_not_negative(law: str, **values: float) -> None:
    """Raise `InputError` unless each of the named parameters is zero or more, and finite."""
    for name, value in values.items():
        if not 0 <= value < float("inf"):
            raise InputError(f"{law}: {name} = {value} must be zero or more, and finite")


def require_poisson(law: str, poisson: float) -> None:
    """Raise `InputError` unless Poisson's ratio is in (-1, 0.5)."""
    if not -1 < poisson < 0.5:
        raise InputError(
            f"{law}: poisson = {poisson} must be in (-1, 0.5); for a nearly incompressible phase take 0.49 or less"
        )
