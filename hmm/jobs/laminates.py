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
from hmm.jobs.job_report import tabular, write_job_report
from hmm.jobs.laminate_schema import CONSTANTS, LaminateFile, PlySection, StackSection
from hmm.jobs.reading import read_job
from hmm.jobs.running import homogenized, in_job
from hmm.jobs.sections import validated
from hmm.jobs.tables import parsed_job
from hmm.jobs.values import check_name, choose, listed, quoted_key, shown
from hmm.laminates import Laminate, LaminateResult, Layer, Ply, Strength, stacked
from hmm.laminates.picture import draw_laminate
from hmm.pages import Picture, sections_of

DEFORMATION = ("εx", "εy", "γxy", "κx", "κy", "κxy")
"""Strains of the middle plane and curvatures."""


@dataclass(frozen=True, eq=False)
class LaminateJob:
    """A job of a laminate that was read and checked.

    Attributes
    ----------
    path
        The file.
    asked
        What it says.
    laminate
        The laminate.
    result
        The laminate under the loads of the job.
    text
        The file as it was read.
    """

    path: Path
    asked: LaminateFile
    laminate: Laminate
    result: LaminateResult
    text: str = ""

    @property
    def directory(self) -> Path:
        """Directory of the results, from the job."""
        chosen = self.asked.output.directory
        return Path("results", self.path.stem) if chosen is None else self.path.parent / chosen

    def to_dict(self) -> dict[str, Any]:
        """The laminate and its result as numbers, strings, lists and dictionaries."""
        return {"job": self.path.name, "laminate": self.laminate.to_dict(), "load": self.result.to_dict()}

    def print(self) -> None:
        """Print stiffness, constants, deformation, ply stresses and first failure."""
        for title, columns, rows in self.tables():
            print_table(MPI.COMM_SELF, title, columns, rows)

    def tables(self) -> list[tuple[str, list[str], list[list[object]]]]:
        """Title, columns and rows of each table."""
        result = self.result
        stiffness = zip(("Nx", "Ny", "Nxy", "Mx", "My", "Mxy"), self.laminate.ABD, strict=True)
        failures = [[f.criterion, f.load_factor, f.layer + 1, f.face, f.mode] for f in result.failures()]
        tables: list[tuple[str, list[str], list[list[object]]]] = [
            ("Stiffness ABD", ["", *DEFORMATION], [[name, *map(float, row)] for name, row in stiffness]),
            ("Constants", ["", "value"], [[name, value] for name, value in self.laminate.constants.items()]),
            ("Deformation", [*DEFORMATION], [list(map(float, result.deformation))]),
            ("Stresses in ply axes", *_short(result)),
        ]
        columns = ["criterion", "load factor", "layer", "face", "mode"]
        return tables + [("First-ply failure", columns, failures)] * bool(failures)

    def write(self, directory: Path) -> list[Path]:
        """Write ``laminate.json``, ``plies.csv``, a picture and a report into a directory, as the job says."""
        require_writable(directory)
        output, numbers = self.asked.output, directory / "laminate.json"
        write_atomically(numbers, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")
        written = [numbers, write_csv(directory / "plies.csv", MPI.COMM_SELF, *self.result.table())]
        picture = [draw_laminate(self.result, directory / "stresses.png")] if output.plot else []
        return [*(self._report(directory, picture) if output.report else []), *written, *picture]

    def _report(self, directory: Path, pictures: list[Path]) -> list[Path]:
        constants, failures = self.laminate.constants, self.result.failures()
        summary = [(name, f"{constants[name]:.5g}") for name in ("Ex", "Ey", "nuxy", "Gxy")]
        summary += [(f"load factor, {f.criterion}", f"{f.load_factor:.4g}") for f in failures]
        drawn = [Picture("Stresses in ply axes over the thickness", path) for path in pictures]
        plies = {layer.ply.name: layer.ply.constants for layer in self.laminate.layers}
        sections = sections_of(
            "Plies", [tabular(["ply", "E1", "E2", "nu12", "G12"], [[n, *c.values()] for n, c in plies.items()])]
        )
        for title, columns, rows in self.tables():
            sections += sections_of(title, [*drawn * title.startswith("Stresses"), tabular(columns, rows)])
        command = f"hmm laminate {self.path.name}"
        return write_job_report(directory, f"Laminate {self.path.stem}", summary, sections, self.text, command)


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
    table, text = parsed_job(path, MPI.COMM_SELF, "docs/laminates.md has one", changes)
    asked = validated(LaminateFile, table, str(path))
    if not asked.plies:
        raise InputError(f"{path}: [plies.NAME] is missing: add one for each material, with its constants or its job")
    for name in asked.plies:
        check_name(name, f"{path}: [plies]")
    plies = {
        name: _ply(name, ply, f"{path}: [plies.{quoted_key(name)}]", path.parent) for name, ply in asked.plies.items()
    }
    laminate = Laminate(_layers(asked.laminate, plies, f"{path}: [laminate]"))
    load = asked.load
    if load.temperature and not laminate.expansions.any():
        raise InputError(
            f"{path}: [load]: temperature = {load.temperature:g}, but no ply expands: give alpha1 and alpha2, or cells "
            "with physics = 'thermoelasticity'"
        )
    return LaminateJob(path, asked, laminate, laminate.under(load.N, load.M, load.temperature), text)


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


def _ply(name: str, asked: PlySection, where: str, folder: Path) -> Ply:
    """A ply from constants, from a file of properties, or from a job whose cell is homogenized."""
    with in_job(where):
        strength = None if asked.strength is None else Strength(**asked.strength.model_dump())
        if asked.properties is None and asked.job is None:
            constants = {key: getattr(asked, key) for key in (*CONSTANTS, "alpha1", "alpha2")}
            return Ply.of_constants(**constants, strength=strength, name=name)
        found = _homogenized(asked, folder)
        return Ply.of_properties(found, fibres=asked.fibres, normal=asked.normal, strength=strength, name=name)


def _homogenized(asked: PlySection, folder: Path) -> EffectiveProperties:
    given = asked.properties or asked.job or ""
    file = folder / given
    if not file.is_file():
        key = "properties" if asked.properties else "job"
        raise InputError(f"{key} = {shown(given)}: there is no such file; paths are relative to the job")
    if asked.properties:
        return EffectiveProperties.from_json(file)
    return homogenized(read_job(file, changes={"mesh_error": False}))


def _layers(asked: StackSection, plies: Mapping[str, Ply], where: str) -> list[Layer]:
    """The layers, from a stacking code or from a list."""
    if asked.layers is None:
        ply, thickness = _chosen(asked.ply, plies, where), asked.thickness or 0.0
        with in_job(where):
            return stacked(asked.stacking, ply, thickness)
    found = []
    for k, layer in enumerate(asked.layers, start=1):
        ply = _chosen(layer.ply, plies, f"{where}: layer {k}")
        with in_job(f"{where}: layer {k}"):
            found.append(Layer(ply, layer.angle, layer.thickness))
    return found


def _chosen(name: str | None, plies: Mapping[str, Ply], where: str) -> Ply:
    if name is None and len(plies) == 1:
        return next(iter(plies.values()))
    if name is None:
        raise InputError(f"{where} lacks 'ply': choose one of {listed(plies)}")
    return plies[choose(name, plies, f"{where}: ply")]
