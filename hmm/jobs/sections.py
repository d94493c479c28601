"""Sections of job files as pydantic models: one declaration validates, documents and completes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from hmm.foundation.errors import InputError
from hmm.jobs.values import LARGEST, LARGEST_INTEGER, RANGE, SMALLEST, check_keys, choose, shown, type_in_words


class JobSection(BaseModel):
    """A table of a job file; each field is a key, its description the meaning in the reference."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


def _bounded(value: int) -> int:
    if abs(value) > LARGEST_INTEGER:
        raise InputError(f"is out of range: give an integer up to {LARGEST_INTEGER}")
    return value


def _in_range(value: float) -> float:
    if value != 0 and not SMALLEST <= abs(value) <= LARGEST:
        raise InputError(f"is out of range: {RANGE}")
    return value


type Number = Annotated[float, AfterValidator(_in_range)]
"""A number whose products with a few others do not overflow."""

type Whole = Annotated[int, AfterValidator(_bounded)]
"""An integer."""


def validated[S: JobSection](section: type[S], table: Any, where: str) -> S:
    """The section that a table of a file describes.

    Parameters
    ----------
    section
        The model.
    table
        The table.
    where
        Name of the table in errors.

    Raises
    ------
    InputError
        In one line: an unknown key with the nearest known one, a missing key, or a value of the wrong type.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where} = {shown(table)} is not a table: write its keys as name = value")
    try:
        return section.model_validate(dict(table))
    except ValidationError as error:
        raise _in_words(section, error, table, where) from None


def _in_words(section: type[JobSection], error: ValidationError, table: Mapping[str, Any], where: str) -> InputError:
    """An error of pydantic in the words of `hmm`: an unknown key, which may be why another is missing, or the first."""
    first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    loc, kind = first["loc"], first["type"]
    owner, place, rest = _place(section, loc, where, whole=kind == "value_error")
    name = str(rest[0]) if rest else ""
    value = _value(table, loc[: len(loc) - len(rest) + 1])
    key = f"{place}: {name}" if rest else place
    known = keys_of(owner).get(name)
    try:
        if kind == "extra_forbidden":
            check_keys({name: value}, list(keys_of(owner)), place)
        if kind == "missing" and known is not None:
            raise InputError(f"{place} lacks {name!r}: add {_as_added(name, words_of(known))}")
        if kind == "literal_error" and known is not None:
            choose(value, _choices(known.annotation), key)
        if kind in ("greater_than_equal", "less_than_equal") and known is not None:
            raise InputError(f"{key} = {shown(value)} is out of range: give {limits_of(known)}")
        if kind == "value_error":
            said, words = f"{key} = {shown(value)}" if rest else key, str(first["ctx"]["error"])
            raise InputError(f"{said}{' ' if rest and words.startswith('is ') else ': '}{words}")
        if kind == "model_type" or words_of(known) == "a table":
            raise InputError(f"{key} = {shown(value)} is not a table: write its keys as name = value")
        raise InputError(f"{key} = {shown(value)} is not understood: give {words_of(known)}")
    except InputError as found:
        return found


def _as_added(name: str, words: str) -> str:
    """A missing key, as it is added to a file."""
    if words.startswith("tables"):
        return f"[[{name}]]"
    return f"a table [{name}]" if words == "a table" else f"{name} = ... ({words})"


def _value(table: Any, loc: Sequence[int | str]) -> Any:
    """What stands at a place of a table; None if there is nothing."""
    for part in loc:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def _place(
    section: type[JobSection], loc: Sequence[int | str], where: str, whole: bool
) -> tuple[type[JobSection], str, list[int | str]]:
    """The innermost section of an error, its name, and the keys in it; none if the `whole` section may be wrong."""
    rest = list(loc)
    while len(rest) > (not whole) and (inner := _inner(section, str(rest[0]))) is not None:
        kind, section = inner
        where = f"{where}: [{rest[0]}]" if not where.endswith("]") else f"{where[:-1]}.{rest[0]}]"
        rest = rest[1:]
        if kind is not None and rest:  # the name or the number of the table
            where = f"{where[:-1]}.{rest[0]}]" if kind is dict else f"{where} number {int(rest[0]) + 1}"
            rest = rest[1:]
    return section, where, rest


def _inner(section: type[JobSection], key: str) -> tuple[type | None, type[JobSection]] | None:
    """The section that a key holds, and whether in a list or by name."""
    field = keys_of(section).get(key)
    if field is None:
        return None
    for hint in (field.annotation, *get_args(field.annotation)):
        if isinstance(hint, type) and issubclass(hint, JobSection):
            return None, hint
        origin, parts = get_origin(hint), get_args(hint)
        if origin in (list, dict) and isinstance(parts[-1], type) and issubclass(parts[-1], JobSection):
            return origin, parts[-1]
    return None


def keys_of(section: type[JobSection]) -> dict[str, FieldInfo]:
    """The fields of a section by their names in files."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def words_of(field: FieldInfo | None) -> str:
    """The values of a field, in words."""
    if field is None:
        return "a table"
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "words" in extra:
        return str(extra["words"])
    hint = field.annotation
    hints = (
        [h for h in get_args(hint) if h is not type(None)]
        if get_origin(hint) not in (None, Literal, list, dict)
        else [hint]
    )
    if choices := _choices(hint):
        return "one of " + ", ".join(f'"{c}"' for c in choices)
    return " or ".join(type_in_words(_bare(h)) for h in hints) + _range(field)


def _range(field: FieldInfo) -> str:
    """The permitted range of a field, in words."""
    low, high = _limits(field)
    if low is None:
        return "" if high is None else f" up to {high}"
    return f" from {low} to {high}" if high is not None else f", {low} or more"


def limits_of(field: FieldInfo) -> str:
    """The permitted range of an integer for an error that it is out of range."""
    low, high = _limits(field)
    return f"{max(low or 0, 1)} to {high}" if high is not None else f"{low} or more"


def _limits(field: FieldInfo) -> tuple[int | None, int | None]:
    """Least and largest value of a field; None for no limit."""
    inner = [part for hint in get_args(field.annotation) for part in getattr(hint, "__metadata__", ())]
    found = [part for one in inner if isinstance(one, FieldInfo) for part in one.metadata]
    limits = {type(part).__name__: part for part in (*field.metadata, *found)}
    return getattr(limits.get("Ge"), "ge", None), getattr(limits.get("Le"), "le", None)


def _bare(hint: Any) -> Any:
    """A type without what validates it."""
    if hint is Number or hint is Whole:
        return float if hint is Number else int
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) is dict:
        return Mapping[get_args(hint)]  # type: ignore[misc]
    if get_origin(hint) is list:
        return list[_bare(get_args(hint)[0])]  # type: ignore[misc]
    return hint


def _choices(hint: Any) -> tuple[str, ...]:
    """The texts of a literal type, also if it may be absent."""
    for part in (hint, *get_args(hint)):
        if get_origin(part) is Literal:
            return get_args(part)
    return ()
