"""Laws that combine others, each for some of the fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import ufl
from numpy.typing import NDArray

from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing
from hmm.laws.base import ImplicitLaw, Law, Local, State, responses
from hmm.laws.registry import declare

DIM = 3
"""Dimension of the cell for the names of internal variables, which are the same for all dimensions."""


def combine(*parts: Law, add: Collection[str] = ()) -> Combined:
    """Combine several laws, each for some of the fields, such as ``combine(Elastic(...), Fourier(...))``.

    Parameters
    ----------
    parts
        The laws, at least two.
    add
        Fields of several laws, whose responses are added: the parts act in parallel, at the same local field, and their
        stored energies are added too. Any other field may belong to one law only.

    Raises
    ------
    InputError
        If two parts have a field that is not in `add`, or fewer than two parts have a field in `add`.
    """
    return Combined(tuple(parts), tuple(add))


@declare("of its parts", {"parts": "laws", "added": "names of fields"}, tests=["laws/test_combined.py"])
@dataclass(frozen=True)
class Combined:
    """Several laws as one, each for some of the fields; created by `hmm.laws.combine`.

    The parts are coupled only through the local fields. For thermal expansion use `hmm.laws.ThermoElastic`. Internal
    variables and local unknowns keep their names; if several parts use the same name, the number of the part is
    appended, as in ``p_1`` and ``p_2``.

    Attributes
    ----------
    parts
        The laws.
    added
        Fields of several parts, whose responses are added.
    """

    parts: tuple[Law, ...]
    added: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise InputError(f"combine: {len(self.parts)} laws are given: give at least two")
        for k, part in enumerate(self.parts):
            if not isinstance(part, Law):
                raise InputError(f"combine: part {k + 1}, {part!r}, is not a law: give one of hmm.laws, or your own")
        for name, answers in self._answers().items():
            if len(answers) > 1 and name not in self.added:
                raise InputError(
                    f"combine: {' and '.join(answers)} both respond to {name!r}: omit one, or give add=({name!r},) if "
                    "they act in parallel and their responses are added"
                )
        for name in self.added:
            if len(answers := self._answers().get(name, [])) < 2:
                raise InputError(
                    f"combine: add = {name!r} is a field of {' and '.join(answers) or 'none'} of the laws: name "
                    "fields of two or more laws"
                )

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of all parts."""
        return tuple(self._answers())

    @property
    def axis(self) -> NDArray[np.float64] | None:
        """Axis of transverse isotropy, shape (3,), of the first part that has one."""
        return next((a for part in self.parts if (a := getattr(part, "axis", None)) is not None), None)

    @property
    def initial_modulus(self) -> float:
        """The largest initial modulus of a part, for `hmm.laws.Rigid`."""
        return max(initial_modulus(part) for part in self.parts)

    @property
    def relaxation_times(self) -> tuple[float, ...]:
        """Relaxation times of all parts."""
        return tuple(tau for part in self.parts for tau in getattr(part, "relaxation_times", ()))

    @property
    def energy(self) -> Callable[[Local], ufl.core.expr.Expr]:
        """The sum of the stored energy densities; it exists only if each part has one."""
        silent = [type(part).__name__ for part in self.parts if not hasattr(part, "energy")]
        if silent:
            raise AttributeError(f"{', '.join(silent)} has no stored energy")
        return self._energy

    def _energy(self, at: Local) -> ufl.core.expr.Expr:
        total = ufl.as_ufl(0.0)
        for part, own in self._each(at):
            total += part.energy(own)  # type: ignore[attr-defined]
        return total

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """Internal variables of all parts."""
        own = [part.internal(dim) for part in self.parts]
        return {new: of[old] for of, names in zip(own, self._internal, strict=True) for old, new in names.items()}

    def unknowns(self, dim: int) -> Mapping[str, Packing]:
        """Local unknowns of all parts."""
        own = [_unknowns(part, dim) for part in self.parts]
        return {new: of[old] for of, names in zip(own, self._unknown, strict=True) for old, new in names.items()}

    def response(self, at: Local) -> State:
        """The responses of all parts by field."""
        total: dict[str, ufl.core.expr.Expr] = {}
        for part, own in self._each(at):
            for name, value in responses(part, own).items():
                total[name] = total[name] + value if name in total else value
        return total

    def update(self, at: Local) -> State:
        """Internal variables of all parts at the end of the step."""
        return _renamed([part.update(own) for part, own in self._each(at)], self._internal)

    def guess(self, at: Local) -> State:
        """Initial guesses of all local unknowns."""
        return self._implicit(at, lambda part, own: part.guess(own))

    def residual(self, at: Local) -> State:
        """The equations of all local unknowns."""
        return self._implicit(at, lambda part, own: part.residual(own))

    def _implicit(self, at: Local, ask: Callable[[ImplicitLaw, Local], State]) -> State:
        each = zip(self._each(at), self._unknown, strict=True)
        found = [ask(part, own) if names and isinstance(part, ImplicitLaw) else {} for (part, own), names in each]
        return _renamed(found, self._unknown)

    def _answers(self) -> dict[str, list[str]]:
        """Names of the parts with each field."""
        found: dict[str, list[str]] = {}
        for part in self.parts:
            for name in part.fields:
                found.setdefault(name, []).append(type(part).__name__)
        return found

    @property
    def _internal(self) -> list[dict[str, str]]:
        return _unique([list(part.internal(DIM)) for part in self.parts])

    @property
    def _unknown(self) -> list[dict[str, str]]:
        return _unique([list(_unknowns(part, DIM)) for part in self.parts])

    def _each(self, at: Local) -> list[tuple[Law, Local]]:
        """Each part with its input: its own internal variables and unknowns, under its own names."""
        return [
            (part, replace(at, old=_selected(at.old, old), unknown=_selected(at.unknown, unknown)))
            for part, old, unknown in zip(self.parts, self._internal, self._unknown, strict=True)
        ]


def initial_modulus(law: object) -> float:
    """The largest eigenvalue of a law's stiffness in the undeformed state, or a bound on it; 0 if it is unknown.

    It is the attribute ``initial_modulus`` of the law or of its part ``elastic``.
    """
    for one in (law, getattr(law, "elastic", None)):
        if (modulus := getattr(one, "initial_modulus", None)) is not None:
            return float(modulus)
    return 0.0


def _unknowns(part: Law, dim: int) -> Mapping[str, Packing]:
    return part.unknowns(dim) if isinstance(part, ImplicitLaw) else {}


def _unique(names: list[list[str]]) -> list[dict[str, str]]:
    """For each part, its names and the corresponding unique names."""
    count = Counter(name for of in names for name in of)
    found = [{name: name if count[name] == 1 else f"{name}_{k + 1}" for name in of} for k, of in enumerate(names)]
    if len({new for of in found for new in of.values()}) == sum(map(len, found)):
        return found
    return [{name: f"{name}_{k + 1}" for name in of} for k, of in enumerate(names)]  # all names are unique


def _selected(values: State, names: Mapping[str, str]) -> State:
    """The available values of one part, under its own names."""
    return {old: values[new] for old, new in names.items() if new in values}


def _renamed(found: list[State], names: list[dict[str, str]]) -> State:
    return {new: of[old] for of, names_of in zip(found, names, strict=True) for old, new in names_of.items()}
