"""Laws as text: the data to create a law of `hmm.laws` again, without executable code."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from hmm.foundation.errors import InputError
from hmm.laws import registry


def as_text(law: object) -> Any:
    """A law as lists, dictionaries, numbers and strings, which `json` writes with all digits.

    Raises
    ------
    TypeError
        If it is not from `hmm.laws`, or has a parameter that does not consist of numbers, such as a function.
    """
    if isinstance(law, np.generic):
        law = law.item()
    if law is None or isinstance(law, bool | int | float | str):
        return law
    if isinstance(law, tuple | list):
        return {"tuple" if isinstance(law, tuple) else "list": [as_text(part) for part in law]}
    if isinstance(law, np.ndarray) and law.dtype == np.float64:
        return {"array": law.tolist()}
    kind = type(law)
    if not is_dataclass(law) or _kinds().get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not of hmm.laws")
    return {"law": kind.__name__, "with": {f.name: as_text(getattr(law, f.name)) for f in fields(law) if f.init}}


def from_text(text: Any) -> Any:
    """The law of a text from `as_text`; only classes of `hmm.laws` are created.

    Raises
    ------
    InputError
        If it is not such a text, or the law rejects its parameters.
    """
    if text is None or isinstance(text, bool | int | float | str):
        return text
    match text:
        case {"tuple": list(parts)}:
            return tuple(map(from_text, parts))
        case {"list": list(parts)}:
            return list(map(from_text, parts))
        case {"array": list(values)}:
            return np.array(values, dtype=np.float64)
        case {"law": str(name), "with": dict(given)} if name in _kinds():
            return _kinds()[name](**{key: from_text(value) for key, value in given.items()})
    raise InputError(f"{str(text)[:60]!r} is not a law of hmm.laws: give the RVE")


def _kinds() -> dict[str, type]:
    """The classes of laws and parts of laws that their fields define."""
    return registry.classes()
