"""The section [cell] of a job file: an image, a mesh file or a generator."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from mpi4py import MPI

from hmm import cells, images
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError
from hmm.foundation.files import regular_file
from hmm.jobs.values import (
    arguments,
    check_keys,
    check_name,
    choose,
    convert,
    known_parameters,
    listed,
    quoted_key,
    shown,
)

SOURCES = ("image", "mesh", "generator")

Claims = dict[str, int | list[int] | tuple[float, float]]


@dataclass(frozen=True, eq=False)
class CellSource:
    """The source of a cell.

    Attributes
    ----------
    words
        Description for the report.
    make
        Returns the cell on a communicator; for grains a polycrystal with their axes.
    """

    words: str
    make: Callable[[MPI.Comm], Cell | cells.Polycrystal]


def generators() -> dict[str, Callable[..., Any]]:
    """The functions of `hmm.cells` that generate a cell from numbers, texts and lists, by name."""
    functions = {name: getattr(cells, name) for name in cells.__all__ if inspect.isfunction(getattr(cells, name))}
    made = {name: get_type_hints(function).get("return") for name, function in functions.items()}
    wanted = [name for name, kind in made.items() if kind in (Cell, cells.Polycrystal) and name != "extrude"]
    return {name: functions[name] for name in wanted}


def read_cell(table: Any, where: str, folder: Path, physics: str = "elasticity") -> CellSource:
    """The source that a table [cell] describes.

    Parameters
    ----------
    table
        The table.
    where
        Name of the table in errors.
    folder
        Folder for relative paths.
    physics
        Physics for which an image must be connected, see `hmm.images.image_cell`.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where} is missing: give the source of the cell, one of {listed(SOURCES)}")
    given = [name for name in SOURCES if name in table]
    if len(given) != 1:
        raise InputError(_which(table, given, where))
    if given[0] == "image":
        return _read_image(dict(table), where, folder, physics)
    return {"mesh": _read_mesh, "generator": _read_generator}[given[0]](dict(table), where, folder)


def _which(table: Mapping[str, Any], given: list[str], where: str) -> str:
    """The error for no source or several ones."""
    kind = table.get("mesh")
    if kind in ("voxels", "smooth"):
        return f"{where} has mesh = {kind!r}, which is not a file: for an image use elements = {kind!r}"
    if given:
        return f"{where} has {' and '.join(given)}: give only one of them"
    return f"{where} has none of {listed(SOURCES)}: give one of them"


def _read_image(table: dict[str, Any], where: str, folder: Path, physics: str) -> CellSource:
    parameters = {name: p for name, p in known_parameters(images.image_cell).items() if name != "physics"}
    known = [{"mesh": "elements"}.get(name, name) for name in parameters]
    check_keys(table, known, where)
    path = _file(table.pop("image"), f"{where}: image", folder)
    if "phases" not in table:
        raise InputError(f"{where} lacks 'phases': give each phase's label, as in phases = {{matrix = 0, fibre = 1}}")
    claims = _claims(table.pop("phases"), f"{where}: phases")
    if "elements" in table:
        choose(table["elements"], ("voxels", "smooth"), f"{where}: elements")
    options = {{"elements": "mesh"}.get(name, name): value for name, value in table.items()}
    for name, value in options.items():
        key = f"{where}: {'elements' if name == 'mesh' else name}"
        options[name] = convert(value, parameters[name].annotation, key)
    return CellSource(
        f"image {path.name}{_options(table)}",
        lambda comm: images.image_cell(path, claims, physics=physics, comm=comm, **options),
    )


def _claims(table: Any, where: str) -> Claims:
    """The values of each phase in an image: a label, a list of labels, or grey values {low = , high = }."""
    remedy = "give a label, a list of labels or {low = ..., high = ...}, grey values low <= v < high"
    if not isinstance(table, Mapping) or not table:
        raise InputError(
            f"{where} = {shown(table)} is not a table: write phases = {{name = ...}}, and for each {remedy[5:]}"
        )
    claims: Claims = {}
    for name, claim in table.items():
        check_name(name, where)
        key = f"{where}: {quoted_key(name)}"
        if isinstance(claim, Mapping):
            if set(claim) != {"low", "high"}:
                raise InputError(f"{key} = {shown(dict(claim))} is not understood: {remedy}")
            claims[name] = (_end(claim["low"], f"{key}: low"), _end(claim["high"], f"{key}: high"))
        elif isinstance(claim, list):
            claims[name] = [convert(label, int, key) for label in claim]
        elif isinstance(claim, int) and not isinstance(claim, bool):
            claims[name] = convert(claim, int, key)
        else:
            raise InputError(f"{key} = {shown(claim)} is not understood: {remedy}")
    return claims


def _end(value: Any, key: str) -> float:
    """A bound of an interval of grey values; it may be infinite, ``inf`` or ``-inf`` in TOML."""
    return value if isinstance(value, float) and math.isinf(value) else float(convert(value, float, key))


def _read_mesh(table: dict[str, Any], where: str, folder: Path) -> CellSource:
    parameters = {name: p for name, p in known_parameters(images.mesh_cell).items() if name != "path"}
    check_keys(table, ["mesh", *parameters, "extrude"], where)
    path, height = _file(table.pop("mesh"), f"{where}: mesh", folder), _height(table, where)
    options = {name: convert(value, parameters[name].annotation, f"{where}: {name}") for name, value in table.items()}
    return _extruded(
        f"mesh {path.name}{_options(table)}", lambda comm: images.mesh_cell(path, comm=comm, **options), height
    )


def _read_generator(table: dict[str, Any], where: str, folder: Path) -> CellSource:
    known = generators()
    name = choose(table.pop("generator"), known, f"{where}: generator")
    function = known[name]
    check_keys(table, [*known_parameters(function), "generator", "extrude"], f"{where} ({name})")
    height = _height(table, where)
    options = arguments(function, table, f"{where} ({name})")
    return _extruded(f"generator {name}{_options(table)}", lambda comm: function(comm=comm, **options), height)


def _height(table: dict[str, Any], where: str) -> float | None:
    """The value of `extrude`, removed from the table."""
    return convert(table.pop("extrude"), float, f"{where}: extrude") if "extrude" in table else None


def _extruded(words: str, make: Callable[[MPI.Comm], Cell | cells.Polycrystal], height: float | None) -> CellSource:
    """The source with its plane cell extruded along z."""
    if height is None:
        return CellSource(words, make)

    def sweep(comm: MPI.Comm) -> Cell | cells.Polycrystal:
        made = make(MPI.COMM_SELF)
        if isinstance(made, cells.Polycrystal):
            return replace(made, cell=cells.extrude(made.cell, height, comm=comm))
        return cells.extrude(made, height, comm=comm)

    return CellSource(f"{words}, extruded by {height:g}", sweep)


def _file(path: Any, key: str, folder: Path) -> Path:
    """A file relative to the job file."""
    if not isinstance(path, str):
        raise InputError(f"{key} = {shown(path)} is not understood: give a path in quotes")
    file = folder / path
    if not os.path.exists(file):  # the method of Path raises an error for a name that is too long
        raise InputError(f"{key} = {shown(path)}: there is no such file; paths are relative to the job file")
    try:
        return regular_file(file, "file", "give one that can be read")
    except InputError as error:
        raise InputError(f"{key} = {shown(path)}: {error}") from None


def _options(table: Mapping[str, Any]) -> str:
    """The parameters as text."""
    return "".join(f", {name} = {shown(value)}" for name, value in table.items())
