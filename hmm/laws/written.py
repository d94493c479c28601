"""Laws as text: what is needed to make one of `hmm.laws` again, and nothing that could be run."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from hmm.foundation.errors import InputError
from hmm.laws import registry


def as_text(law: object) -> Any:
    """A law in lists, dictionaries, numbers and strings, which `json` writes with all digits.

    Raises
    ------
    TypeError
        If it is not of `hmm.laws`, or has a parameter that is more than numbers, such as a function.
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
    """What `as_text` was given; only classes of `hmm.laws` are made.

    Raises
    ------
    InputError
        If it is no such text, or a law refuses its parameters.
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
    raise InputError(f"{str(text)[:60]!r} is no law of hmm.laws: give the RVE")


def _kinds() -> dict[str, type]:
    """The laws, and parts of laws, that are made of their fields."""
    return registry.classes()
