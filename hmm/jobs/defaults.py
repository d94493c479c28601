"""The parameters that a job leaves at their defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hmm import images
from hmm.effective.homogenize import homogenize
from hmm.jobs.cells import generators
from hmm.jobs.values import known_parameters, shown
from hmm.laws.registry import LAWS


def defaults_of(table: Mapping[str, Any], physics: str, law: str) -> list[tuple[str, str]]:
    """Names and values of the parameters that a job does not give.

    Parameters
    ----------
    table
        The table of the job file.
    physics
        The physics of the job.
    law
        The law of phases that name none.
    """
    found = _left(homogenize, table, "", ("cell", "laws", "units", "mesh_error"))
    found += [("mesh_error", "true")] * ("mesh_error" not in table)
    found += [("physics", physics)] * ("physics" not in table)
    cell = table.get("cell", {})
    if "generator" in cell:
        found += _left(generators()[cell["generator"]], cell, "[cell] ")
    elif "image" in cell:
        found += _left(
            images.image_cell, cell | {"mesh": cell.get("elements")} if "elements" in cell else cell, "[cell] "
        )
    elif "mesh" in cell:
        found += _left(images.mesh_cell, cell, "[cell] ", ("path",))
    for name, phase in table["phases"].items():
        known = LAWS.get(phase.get("law", law))
        found += [] if known is None else _left(known.make, phase, f"[phases.{name}] ")
    return list(dict.fromkeys(found))


def _left(
    function: Callable[..., Any], given: Mapping[str, Any], where: str, hidden: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    """The parameters with a default that is not None and no given value."""
    names = {name: p.default for name, p in known_parameters(function).items() if name not in (*hidden, *given)}
    said = {n: v for n, v in names.items() if v is not inspect.Parameter.empty and n != "physics"}
    return [(where + name, _in_words(value)) for name, value in said.items() if value is not None]


def _in_words(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else shown(value)
