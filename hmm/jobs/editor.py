"""JSON Schema of job files, with which editors complete and check them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin

from numpy.typing import ArrayLike

from hmm import images
from hmm.foundation.options import choice
from hmm.jobs.cells import generators
from hmm.jobs.fe2.schema import RunFile
from hmm.jobs.schema import HomogenizeFile
from hmm.jobs.sections import JobSection
from hmm.jobs.values import known_parameters, parts_of
from hmm.laws.registry import LAWS, Entry

FILES: dict[str, type[JobSection]] = {"run": RunFile, "homogenize": HomogenizeFile}
"""The schema of each kind of job, by subcommand."""

PLAIN = {float: "number", int: "integer", bool: "boolean", str: "string", Path: "string"}

CLAIM = {"type": "object", "properties": {"low": {"type": "number"}, "high": {"type": "number"}}}


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a job file.

    Parameters
    ----------
    kind
        The subcommand that takes it, ``"run"`` or ``"homogenize"``.

    Returns
    -------
    dict
        All keys with their types and descriptions; those of cells and laws from the functions of `hmm.cells` and the
        registry of laws.

    Raises
    ------
    InputError
        If there is no such kind of job.
    """
    found = FILES[choice("the job file", kind, tuple(FILES))].model_json_schema()
    definitions = found.setdefault("$defs", {})
    definitions |= {"cell": _cell(), "phases": _phases()}
    for owner in (found, *definitions.values()):
        for key in ("cell", "phases"):
            if "properties" in owner and owner["properties"].get(key, {}).get("words") == "a table":
                owner["properties"][key] |= {"$ref": f"#/$defs/{key}"}
                owner["properties"][key].pop("default", None)
    if kind == "homogenize":
        found["required"] = ["cell", "phases"]
    return found | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"Job for hmm {kind}"}


def _cell() -> dict[str, Any]:
    """The section [cell]: a generator, an image or a mesh file."""
    extrude = {"extrude": {"type": "number", "description": "height by which a plane cell is swept along z"}}
    made = [_table(f, {"generator": {"const": name}} | extrude) for name, f in generators().items()]
    phases = {"type": "object", "additionalProperties": {"anyOf": [{"type": ["integer", "array"]}, CLAIM]}}
    given = ("image", "phases", "physics")
    image = _table(images.image_cell, {"image": {"type": "string"}}, {"mesh": "elements"}, given)
    image["properties"]["phases"] = phases
    image["required"].append("phases")
    mesh = _table(images.mesh_cell, {"mesh": {"type": "string"}} | extrude, {}, ("path",))
    names = {"type": "object", "properties": {"generator": {"enum": list(generators())}}}
    return {"allOf": [names], "anyOf": [*made, image, mesh]}


def _phases() -> dict[str, Any]:
    """The sections [phases.NAME]: the parameters of laws."""
    named = [law for law in LAWS.values() if "law" not in law.parameters]  # this key names the law
    return {"type": "object", "additionalProperties": {"anyOf": [*map(_law, named), _own()]}}


def _own() -> dict[str, Any]:
    """A law of the user's own, by dotted path."""
    known = [name for name in LAWS if "." in name]
    return {"type": "object", "required": ["law"], "properties": {"law": {"pattern": r"\.", "not": {"enum": known}}}}


def _law(entry: Entry) -> dict[str, Any]:
    return _table(entry.make, {"law": {"const": entry.name, "description": entry.summary}}, required=False)


def _table(
    function: Callable[..., Any],
    further: Mapping[str, Any],
    renamed: Mapping[str, str] | None = None,
    omitted: Sequence[str] = (),
    required: bool = True,
) -> dict[str, Any]:
    """A table of the parameters of a function and further keys, of which the first is required if it is to be."""
    parameters = {n: p for n, p in known_parameters(function).items() if n not in omitted}
    keys = {(renamed or {}).get(n, n): schema_of_type(p.annotation) for n, p in parameters.items()}
    needed = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty]
    return {
        "type": "object",
        "properties": dict(further) | keys,
        "required": [*list(further)[: int(required)], *needed],
        "additionalProperties": False,
    }


def schema_of_type(hint: Any) -> dict[str, Any]:
    """The JSON Schema of the values that a type of a parameter allows in a file; anything if it is not known."""
    hint = hint.__value__ if isinstance(hint, TypeAliasType) and hint is not ArrayLike else hint
    origin, inner = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        options = [schema_of_type(part) for part in inner if part is not type(None)]
        return options[0] if len(options) == 1 else {} if {} in options else {"anyOf": options}
    if origin in (Sequence, list) or (origin is tuple and inner[-1] is Ellipsis):
        return {"type": "array", "items": schema_of_type(inner[0])}
    if origin is tuple:
        return {"type": "array", "minItems": len(inner), "maxItems": len(inner)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": schema_of_type(inner[1])}
    parts = parts_of(hint)
    if any(name in LAWS for name in parts):  # laws of laws: only their names, as they could be nested without end
        return {"type": "object", "properties": {"law": {"enum": list(parts)}}}
    return {"anyOf": [_law(part) for part in parts.values()]} if parts else {}
