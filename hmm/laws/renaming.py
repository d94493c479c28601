"""Laws with other names for their fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hmm.foundation.errors import InputError
from hmm.foundation.tensors import Packing
from hmm.laws.base import Law, Local, State, responses
from hmm.laws.registry import declare


@declare("of its parts", {"law": "a law", "names": "pairs of names"}, tests=["micro/test_inputs.py"])
@dataclass(frozen=True)
class Renamed:
    """A law whose fields have other names in the cell than in the law (see `rename`).

    Other attributes of the law, such as its parameters, are available here too.

    Attributes
    ----------
    law
        The law.
    names
        Pairs of a field's name in the law and in the cell; other fields keep their names.
    """

    law: Law
    names: tuple[tuple[str, str], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names in the cell of the fields of the law."""
        names = dict(self.names)
        return tuple(names.get(name, name) for name in self.law.fields)

    def internal(self, dim: int) -> Mapping[str, Packing]:
        """The internal variables of the law."""
        return self.law.internal(dim)

    def response(self, at: Local) -> State:
        """The responses of the law, by the names in the cell."""
        names = dict(self.names)
        return {names.get(name, name): value for name, value in responses(self.law, self._inside(at)).items()}

    def update(self, at: Local) -> State:
        """The internal variables at the end of the step."""
        return self.law.update(self._inside(at))

    def unknowns(self, dim: int) -> Mapping[str, Packing]:
        """The local unknowns of the law; empty if it has none."""
        own = getattr(self.law, "unknowns", None)
        return own(dim) if own else {}

    def guess(self, at: Local) -> State:
        """The initial guess of the unknowns."""
        return self._of_law("guess", at)

    def residual(self, at: Local) -> State:
        """The equations of the unknowns."""
        return self._of_law("residual", at)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("law", "names"):
            raise AttributeError(name)
        own = getattr(self.law, name)
        return (lambda at: self._of_law(name, at)) if name == "energy" else own

    def _of_law(self, name: str, at: Local) -> Any:
        return getattr(self.law, name)(self._inside(at))

    def _inside(self, at: Local) -> Local:
        """The point with the law's own names."""
        names = dict(self.names)
        fields = {name: value for name, value in at.fields.items() if name not in names}
        return replace(at, fields=fields | {own: at.fields[outer] for own, outer in self.names if outer in at.fields})


def rename(law: Law, **names: str) -> Renamed:
    """The same law with other names for its fields, such as ``"concentration"`` for the ``gradient``.

    Parameters
    ----------
    law
        One of `hmm.laws`, or your own.
    names
        For each field that has another name in the cell: ``own="name in the cell"``.

    Raises
    ------
    InputError
        If the law has no such field, or two of its fields would have one name.

    Examples
    --------
    >>> import hmm
    >>> hmm.laws.rename(hmm.laws.Fourier(2.0), gradient="concentration").fields
    ('concentration',)
    """
    if not isinstance(law, Law):
        raise InputError(f"law = {law!r} is not a law: give one of hmm.laws, or your own hmm.laws.Law")
    kind = type(law).__name__
    for own, new in names.items():
        if own not in law.fields:
            raise InputError(f"{kind} has no field {own!r} to rename: its fields are {', '.join(law.fields)}")
        if not isinstance(new, str) or not new:
            raise InputError(f"rename: {own} = {new!r} must be the name of an input, such as 'concentration'")
    renamed = Renamed(law, tuple(names.items()))
    if twice := [name for name, n in Counter(renamed.fields).items() if n > 1]:
        raise InputError(f"{kind}: two fields would have the name {twice[0]!r}: give each its own")
    return renamed
