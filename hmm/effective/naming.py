"""The name that was meant."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def nearest(name: str, choices: Collection[str]) -> str:
    """A question that names the choice most like `name`, or nothing."""
    found = get_close_matches(name.lower(), [choice.lower() for choice in choices], 1, 0.5)
    return next((f" (did you mean {c!r}?)" for c in choices if found and c.lower() == found[0]), "")
