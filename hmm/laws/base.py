"""The definition of a constitutive law, and checks of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import ufl

from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing

State = Mapping[str, ufl.core.expr.Expr]
"""Internal variables by name, as UFL tensors; ``old`` ones are those of the last accepted step."""

Parameter = float | ufl.core.expr.Expr
"""A number, or a ``fem.Constant`` whose value may change between solves without new compilation."""

OfField = Parameter | Callable[[ufl.core.expr.Expr], ufl.core.expr.Expr]
"""A parameter, or a function of a local field in UFL, such as ``lambda T: 40 * (1 - 1e-3 * T)``."""

Responses = ufl.core.expr.Expr | Mapping[str, ufl.core.expr.Expr]
"""The response of a law: one UFL tensor, or one for each of its fields by name."""


@dataclass(frozen=True)
class Local:
    """The input of a law at a point of the cell, all as UFL.

    A field is also an attribute: ``at.strain`` is ``at.fields["strain"]``.

    Attributes
    ----------
    fields
        The local fields by name, such as ``strain``, ``deformation_gradient`` (both of shape (3, 3), also in 2D cells),
        ``gradient``, shape (d,), or ``temperature``.
    old
        The internal variables at the start of the step.
    dt
        Duration of the step, in the user's unit of time.
    unknown
        Solved local unknowns by name, for a law that has some (see `ImplicitLaw`).
    """

    fields: State
    old: State
    dt: ufl.core.expr.Expr
    unknown: State = field(default_factory=dict)

    def solving(self, unknown: State) -> Local:
        """The same point with these values of the local unknowns."""
        return replace(self, unknown=unknown)

    def __getattr__(self, name: str) -> ufl.core.expr.Expr:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self.fields:
            raise InputError(f"a law asks for the field {name!r}, but the RVE has {_listed(self.fields)}")
        return self.fields[name]


@runtime_checkable
class Law(Protocol):
    """A law between local fields and their responses, with internal variables and their implicit update.

    A law of solids is written in 3D tensors, also for 2D cells. There the out-of-plane components are zero in the
    strain and those of the identity in the deformation gradient (plane strain).

    A law may also offer ``energy(at)``, the stored energy density at the end of the step as a scalar, for
    `hmm.checks.dissipation`, and ``relaxation_times``, a tuple in the user's unit of time, for
    `hmm.checks.time_scales`.
    """

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields to which it responds, such as ``("strain",)``."""
        ...

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """Internal variables in a cell of dimension `dim`, by name, with their packing; empty if there are none."""
        ...

    def response(self, at: Local) -> Responses:
        """Responses at the end of the step, conjugate to the fields; for one field the tensor itself."""
        ...

    def update(self, at: Local) -> State:
        """Internal variables at the end of the step."""
        ...


class Memoryless:
    """Base of laws without internal variables; their response depends on the present fields only."""

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """No internal variables."""
        return {}

    def update(self, at: Local) -> State:
        """Nothing to update."""
        return {}


@runtime_checkable
class ImplicitLaw(Law, Protocol):
    """A law with local unknowns x: the solution of ``residual = 0`` at each point enters its response and update.

    Tangents are derived automatically and are exact: see `hmm.micro.local_unknowns`.
    """

    def unknowns(self, dim: int) -> Mapping[str, Packing]:
        """Local unknowns in a cell of dimension `dim`, by name, with their packing; empty if there are none."""
        ...

    def guess(self, at: Local) -> State:
        """Initial guess of each unknown for Newton's method."""
        ...

    def residual(self, at: Local) -> State:
        """As many equations as unknowns, under the same names; unknowns are ``at.unknown[name]``.

        Scale them such that 1e-10 is a small error.
        """
        ...


def responses(law: Law, at: Local) -> State:
    """The responses of a law, by the names of its fields.

    Raises
    ------
    InputError
        If the law does not return a response of the field's shape for each of its fields.
    """
    answer = law.response(at)
    named = dict(answer) if isinstance(answer, Mapping) else dict.fromkeys(law.fields[:1], answer)
    if set(named) != set(law.fields):
        raise InputError(
            f"{type(law).__name__} responds to {_listed(named)}: return a response to {_listed(law.fields)}"
        )
    for name, value in named.items():
        shape = ufl.as_ufl(value).ufl_shape
        if shape != at.fields[name].ufl_shape:
            raise InputError(
                f"{type(law).__name__}: the response to {name} has shape {shape}, but the field's is "
                f"{at.fields[name].ufl_shape}"
            )
    return {name: ufl.as_ufl(value) for name, value in named.items()}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def value_of(parameter: Parameter) -> float:
    """The present value of a parameter."""
    return float(getattr(parameter, "value", parameter))


def parameter_at(parameter: OfField, field: ufl.core.expr.Expr) -> Parameter:
    """A parameter, evaluated at the present `field` if it is a function."""
    if isinstance(parameter, ufl.core.expr.Expr) or not callable(parameter):
        return parameter
    return parameter(field)


def constants(**values: OfField) -> dict[str, Parameter]:
    """Those of the named parameters that are not functions, for the checks below."""
    return {
        name: value for name, value in values.items() if isinstance(value, ufl.core.expr.Expr) or not callable(value)
    }


def require_positive(law: str, **values: Parameter) -> None:
    """Raise `InputError` unless each of the named parameters is a positive, finite number."""
    for name, value in _numbers(values):
        if not 0 < value < float("inf"):
            raise InputError(f"{law}: {name} = {value} must be positive and finite")


def require_not_negative(law: str, **values: Parameter) -> None:
    """Raise `InputError` unless each of the named parameters is zero or more, and finite."""
    for name, value in _numbers(values):
        if not 0 <= value < float("inf"):
            raise InputError(f"{law}: {name} = {value} must be zero or more, and finite")


def require_finite(law: str, **values: Parameter) -> None:
    """Raise `InputError` unless each of the named parameters is a finite number."""
    for name, value in _numbers(values):
        if not -float("inf") < value < float("inf"):
            raise InputError(f"{law}: {name} = {value} must be a finite number")


def require_between(law: str, low: float, high: float, **values: Parameter) -> None:
    """Raise `InputError` unless each of the named parameters is in the closed interval from `low` to `high`."""
    for name, value in _numbers(values):
        if not low <= value <= high:
            raise InputError(f"{law}: {name} = {value} must be in [{low:g}, {high:g}]")


def require_poisson(law: str, poisson: Parameter) -> None:
    """Raise `InputError` unless Poisson's ratio is in (-1, 0.5)."""
    for _, value in _numbers({"poisson": poisson}):
        if not -1 < value < 0.5:
            raise InputError(
                f"{law}: poisson = {value} must be in (-1, 0.5); for a nearly incompressible phase take 0.49 or less"
            )


def _numbers(parameters: Mapping[str, Parameter]) -> list[tuple[str, float]]:
    """Parameters by name with their values, if these are known.

    Raises
    ------
    InputError
        If one is neither a number nor a scalar Constant.
    """
    numbers = []
    for name, parameter in parameters.items():
        if isinstance(parameter, ufl.core.expr.Expr) and not hasattr(parameter, "value"):
            continue  # an expression of Constants, which were checked when it was created
        try:
            numbers.append((name, value_of(parameter)))
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} = {parameter!r} must be a number or a scalar fem.Constant") from error
    return numbers
