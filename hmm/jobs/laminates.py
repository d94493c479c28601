"""Jobs of laminates: plies from constants, properties or other jobs, the stack, and its loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.effective.properties import EffectiveProperties
from hmm.foundation.console import print_table, say
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import require_writable, write_atomically
from hmm.foundation.tables import write_csv
from hmm.jobs.reading import read_job
from hmm.jobs.running import homogenized, in_job
from hmm.jobs.tables import parsed_job
from hmm.jobs.values import arguments, check_keys, check_name, choose, convert, listed, quoted_key, shown
from hmm.laminates import Laminate, LaminateResult, Layer, Ply, Strength, stacked
from hmm.laminates.picture import draw_laminate

SECTIONS = ("plies", "laminate", "load", "output")

SOURCES = ("E1", "properties", "job")
"""Keys of which a ply has exactly one: it is given by constants, by a file of properties, or by a job to homogenize."""


@dataclass(frozen=True, eq=False)
class LaminateJob:
    """A job of a laminate that was read and checked.

    Attributes
    ----------
    path
        The file.
    laminate
        The laminate.
    result
        The laminate under the loads of the job.
    directory
        Directory of the results, from the job.
    plot
        Whether a picture is drawn.
    """

    path: Path
    laminate: Laminate
    result: LaminateResult
    directory: Path
    plot: bool

    def to_dict(self) -> dict[str, Any]:
        """The laminate and its result as numbers, strings, lists and dictionaries."""
        return {"job": self.path.name, "laminate": self.laminate.to_dict(), "load": self.result.to_dict()}

    def print(self) -> None:
        """Print stiffness, constants, deformation, ply stresses and first failure."""
        comm, result = MPI.COMM_SELF, self.result
        rows = [
            [name, *map(float, row)]
            for name, row in zip(("Nx", "Ny", "Nxy", "Mx", "My", "Mxy"), self.laminate.ABD, strict=True)
        ]
        print_table(comm, "Stiffness ABD", ["", "εx", "εy", "γxy", "κx", "κy", "κxy"], rows)
        print_table(
            comm, "Constants", ["", "value"], [[name, value] for name, value in self.laminate.constants.items()]
        )
        names = ("εx", "εy", "γxy", "κx", "κy", "κxy")
        print_table(comm, "Deformation", [*names], [list(map(float, result.deformation))])
        print_table(comm, "Stresses in ply axes", *_short(result))
        columns = ["criterion", "load factor", "layer", "face", "mode"]
        rows = [[f.criterion, f.load_factor, f.layer + 1, f.face, f.mode] for f in result.failures()]
        if rows:
            print_table(comm, "First-ply failure", columns, rows)

    def write(self, directory: Path) -> list[Path]:
        """Write ``laminate.json``, ``plies.csv`` and, unless the job says no, ``stresses.png`` into a directory."""
        require_writable(directory)
        numbers = directory / "laminate.json"
        write_atomically(numbers, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")
        written = [numbers, write_csv(directory / "plies.csv", MPI.COMM_SELF, *self.result.table())]
        return [*written, draw_laminate(self.result, directory / "stresses.png")] if self.plot else written


def read_laminate_job(path: str | Path, changes: Mapping[str, Any] | None = None) -> LaminateJob:
    """Read a job of a laminate; cells of plies that are given by a job are homogenized. Not collective.

    Parameters
    ----------
    path
        The TOML file with the sections ``[plies.NAME]``, ``[laminate]``, ``[load]`` and ``[output]``.
    changes
        Values of keys that replace those in the file, by dotted key.

    Raises
    ------
    InputError
        If a key is unknown or missing, or a value is invalid.
    """
    path = Path(path)
    table, _ = parsed_job(path, MPI.COMM_SELF, changes=changes)
    check_keys(table, SECTIONS, str(path))
    plies = _plies(table.get("plies"), f"{path}: ", path.parent)
    where = f"{path}: [laminate]"
    laminate = Laminate(_layers(_table(table, "laminate", path), plies, where))
    load = _table(table, "load", path, {})
    kinds: dict[str, Any] = {"N": tuple[float, float, float], "M": tuple[float, float, float], "temperature": float}
    output = _table(table, "output", path, {})
    check_keys(output, ("directory", "plot"), f"{path}: [output]")
    chosen = output.get("directory")
    directory = (
        path.parent / convert(chosen, str, f"{path}: [output]: directory") if chosen else Path("results", path.stem)
    )
    return LaminateJob(
        path,
        laminate,
        laminate.under(**_converted(load, kinds, f"{path}: [load]")),
        directory,
        convert(output.get("plot", True), bool, f"{path}: [output]: plot"),
    )


def run_laminate_job(job: LaminateJob, directory: str | Path | None = None, comm: MPI.Comm = MPI.COMM_WORLD) -> None:
    """Print the result of a job of a laminate, and write it (collective; rank 0 works).

    Parameters
    ----------
    job
        From `read_laminate_job`.
    directory
        Directory of the results, instead of that in the job.
    comm
        The ranks that take part.
    """
    with collectively(comm):
        if comm.rank == 0:
            job.print()
            written = job.write(job.directory if directory is None else Path(directory))
            say(MPI.COMM_SELF, "\n".join(["", "Written:", *(f"  {path}" for path in written)]))


def _short(result: LaminateResult) -> tuple[list[str], list[list[object]]]:
    """The stresses of each layer, for a terminal; the strains are in the file."""
    columns, rows = result.table()
    shown_in = [columns.index(name) for name in ("layer", "angle", "face", "s1", "s2", "s12")]
    return ["layer", "angle", "face", "σ1", "σ2", "σ12"], [[row[k] for k in shown_in] for row in rows]


def _table(table: Mapping[str, Any], name: str, path: Path, default: Any = None) -> Mapping[str, Any]:
    found = table.get(name, default)
    if found is None:
        raise InputError(f"{path}: [{name}] is missing: give the stacking of the plies and their thickness")
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: {name} = {shown(found)} is not a table: write [{name}] and its keys below")
    return found


def _converted(table: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> dict[str, Any]:
    check_keys(table, kinds, where)
    return {name: convert(value, kinds[name], f"{where}: {name}") for name, value in table.items()}


def _plies(table: Any, where: str, folder: Path) -> dict[str, Ply]:
    """The plies by name."""
    if not isinstance(table, Mapping) or not table:
        raise InputError(f"{where}[plies.NAME] is missing: add one for each material, with its constants or its job")
    for name in table:
        check_name(name, f"{where}[plies]")
    return {name: _ply(name, of_ply, f"{where}[plies.{quoted_key(name)}]", folder) for name, of_ply in table.items()}


def _ply(name: str, table: Any, where: str, folder: Path) -> Ply:
    if not isinstance(table, Mapping):
        raise InputError(f"{where} = {shown(table)} is not a table: write its constants as name = value")
    given = dict(table)
    strength = given.pop("strength", None)
    if strength is not None:
        values = arguments(Strength, _strengths(strength, where), f"{where}: strength")
        with in_job(where):
            strength = Strength(**values)
    found = [key for key in SOURCES if key in given]
    if len(found) > 1:
        raise InputError(f"{where} has {' and '.join(found)}: give only one of constants, properties and job")
    if found and found[0] != "E1":
        return _homogenized(name, given, found[0], where, folder, strength)
    kinds = {"E1": float, "E2": float, "nu12": float, "G12": float, "alpha1": float, "alpha2": float}
    check_keys(given, [*kinds, *SOURCES[1:], "fibres", "normal", "strength"], where)
    lacking = [key for key in ("E1", "E2", "nu12", "G12") if key not in given]
    if lacking:
        raise InputError(
            f"{where} lacks {lacking[0]!r}: give E1, E2, nu12 and G12, or properties = FILE, or job = FILE"
        )
    values = _converted(given, kinds, where)
    with in_job(where):
        return Ply.of_constants(**values, strength=strength, name=name)


def _strengths(table: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: strength = {shown(table)} is not a table: write Xt, Xc, Yt, Yc and S12")
    return table


def _homogenized(
    name: str, given: Mapping[str, Any], key: str, where: str, folder: Path, strength: Strength | None
) -> Ply:
    """A ply from a file of properties, or from a job whose cell is homogenized."""
    direction = int | tuple[float, float, float]
    values = _converted(given, {key: str, "fibres": direction, "normal": direction}, where)
    file = folder / values.pop(key)
    if not file.is_file():
        raise InputError(f"{where}: {key} = {shown(given[key])}: there is no such file; paths are relative to the job")
    is_read = key == "properties"
    found = (
        EffectiveProperties.from_json(file) if is_read else homogenized(read_job(file, changes={"mesh_error": False}))
    )
    with in_job(where):
        return Ply.of_properties(found, **values, strength=strength, name=name)


def _layers(table: Mapping[str, Any], plies: Mapping[str, Ply], where: str) -> list[Layer]:
    """The layers, from a stacking code or from a list of tables."""
    if ("stacking" in table) == ("layers" in table):
        raise InputError(f"{where}: give either stacking = '[0/±45/90]s' with ply and thickness, or layers = [...]")
    if "layers" in table:
        check_keys(table, ("layers",), where)
        return _listed(table["layers"], plies, f"{where}: layers")
    values = _converted(table, {"stacking": str | list[float], "ply": str, "thickness": float}, where)
    if "thickness" not in values:
        raise InputError(f"{where} lacks 'thickness': add thickness = ... (of one ply)")
    ply = _chosen(values.get("ply"), plies, where)
    with in_job(where):
        return stacked(values["stacking"], ply, values["thickness"])


def _listed(layers: Any, plies: Mapping[str, Ply], where: str) -> list[Layer]:
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, Mapping) for layer in layers):
        raise InputError(f"{where} = {shown(layers)}: give a list of {{ply = ..., angle = ..., thickness = ...}}")
    found = []
    for k, layer in enumerate(layers):
        values = _converted(layer, {"ply": str, "angle": float, "thickness": float}, f"{where}: {k + 1}")
        for key in ("angle", "thickness"):
            if key not in values:
                raise InputError(f"{where}: {k + 1} lacks {key!r}: add {key} = ... (a number)")
        ply = _chosen(values.get("ply"), plies, f"{where}: {k + 1}")
        with in_job(f"{where}: {k + 1}"):
            found.append(Layer(ply, values["angle"], values["thickness"]))
    return found


def _chosen(name: str | None, plies: Mapping[str, Ply], where: str) -> Ply:
    if name is None and len(plies) == 1:
        return next(iter(plies.values()))
    if name is None:
        raise InputError(f"{where} lacks 'ply': choose one of {listed(plies)}")
    return plies[choose(name, plies, f"{where}: ply")]
