"""Job files for ``hmm run``, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from hmm.cells.cell import Cell
from hmm.effective.physics import PHYSICS
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.files import regular_file
from hmm.foundation.naming import nearest
from hmm.jobs.cells import CellSource, read_cell
from hmm.jobs.fe2.formulations import FORMULATED, Formulation
from hmm.jobs.fe2.schema import MaterialSection, RunFile
from hmm.jobs.reading import check_phases, read_laws
from hmm.jobs.sections import validated
from hmm.jobs.tables import parsed_job


@dataclass(frozen=True, eq=False)
class Material:
    """The cell of each integration point.

    Attributes
    ----------
    where
        The name of its section in errors.
    source
        The source of the cell.
    laws
        The law of each phase.
    asked
        The section of the file.
    """

    where: str
    source: CellSource
    laws: Mapping[str, Any]
    asked: MaterialSection

    def check_phases(self, cell: Cell) -> None:
        """Raise `InputError` if a phase of the cell has no law, or a law has no phase."""
        check_phases(self.where, self.laws, cell)


@dataclass(frozen=True, eq=False)
class RunJob:
    """A job file for ``hmm run`` that was read and checked.

    Attributes
    ----------
    path, text
        The file and its content.
    asked
        What it says.
    table
        The same as a table.
    materials
        For each group of macro cells its material; a single one has the group "".
    """

    path: Path
    text: str
    asked: RunFile
    table: Mapping[str, Any]
    materials: Mapping[str, Material]

    @property
    def formulation(self) -> Formulation:
        """The macro problem."""
        return FORMULATED[self.asked.formulation]

    @property
    def directory(self) -> Path:
        """Directory of the results."""
        chosen = self.asked.output.directory
        return Path("results", self.path.stem) if chosen is None else self.path.parent / chosen

    @property
    def times(self) -> list[float]:
        """Start, and end of each step."""
        time = self.asked.time
        return time.times or [time.end * k / time.steps for k in range(time.steps + 1)]


def read_run(
    path: str | Path,
    comm: MPI.Comm = MPI.COMM_SELF,
    *,
    trust_laws: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> RunJob:
    """Read a job file for ``hmm run``, and check everything that does not depend on its meshes.

    Parameters
    ----------
    path
        The TOML file.
    comm
        The communicator; its rank 0 reads (collective).
    trust_laws, changes
        As for `hmm.jobs.read_job`.

    Raises
    ------
    InputError
        In one line: there is no such file, it is not valid TOML, a key is unknown or missing, a value is invalid, or a
        support or load does not fit the formulation.
    """
    path = Path(path)
    table, text = parsed_job(path, comm, "'hmm new fe2' writes one", changes)
    asked = validated(RunFile, table, str(path))
    formulation = FORMULATED[asked.formulation]
    _check_mesh(path, asked, formulation)
    _check_supports(path, asked, formulation)
    _check_loads(path, asked, formulation)
    sections = {"": asked.material} if asked.material is not None else dict(asked.materials or {})
    with collectively(comm):  # the code of a user's law may exist on some ranks only
        materials = {
            group: _material(path, group, section, formulation, trust_laws) for group, section in sections.items()
        }
    return RunJob(path, text, asked, table, materials)


def _material(path: Path, group: str, section: MaterialSection, formulation: Formulation, trust: bool) -> Material:
    where = f"{path}: [materials.{group}." if group else f"{path}: [material."
    physics = formulation.physics
    laws = read_laws(section.phases, where, PHYSICS[physics].law, path.parent if trust else None)
    return Material(f"{where[:-1]}]", read_cell(section.cell, f"{where}cell]", path.parent, physics), laws, section)


def _dim(asked: RunFile) -> int | None:
    """Dimension of the macro mesh, if the file itself tells."""
    return 2 if asked.mesh.rectangle else 3 if asked.mesh.box else None


def _check_mesh(path: Path, asked: RunFile, formulation: Formulation) -> None:
    if asked.mesh.file is not None:
        try:
            regular_file(path.parent / asked.mesh.file, "mesh file", "paths are relative to the job file")
        except InputError as error:
            raise InputError(f"{path}: [mesh]: file = {asked.mesh.file!r}: {error}") from None
    check_dim(path, asked.formulation, formulation, _dim(asked))


def check_dim(path: Path, name: str, formulation: Formulation, dim: int | None) -> None:
    """Raise `InputError` if a formulation is not for macro meshes of a dimension."""
    if dim is not None and dim not in formulation.dims:
        fits = [other for other, one in FORMULATED.items() if dim in one.dims]
        raise InputError(f"{path}: formulation = {name!r} is not for a {dim}D mesh: choose one of {', '.join(fits)}")


def _check_supports(path: Path, asked: RunFile, formulation: Formulation) -> None:
    """The components must be those of the formulation."""
    known = formulation.components(_dim(asked) or 3)
    for number, support in enumerate(asked.support, 1):
        for name in support.given:
            if name not in known:
                raise InputError(
                    f"{path}: [support] number {number} has {name}, which formulation = {asked.formulation!r} does "
                    f"not have{nearest(name, known)}: the components are {', '.join(known)}"
                )
    if not asked.support:
        raise InputError(f"{path} has no [[support]]: add one, else the body is free to move")


def _check_loads(path: Path, asked: RunFile, formulation: Formulation) -> None:
    """Forces need a displacement, heat needs a temperature."""
    for number, load in enumerate(asked.load, 1):
        kind = load.kind
        field = "temperature" if kind in ("flux", "source") else "displacement"
        if field not in formulation.fields:
            raise InputError(
                f"{path}: [load] number {number}: {kind} acts on a {field}, which formulation = "
                f"{asked.formulation!r} does not have: remove it, or choose another formulation"
            )
        dim, value = _dim(asked), getattr(load, kind)
        if dim is not None and isinstance(value, list) and len(value) != dim:
            raise InputError(f"{path}: [load] number {number}: {kind} has {len(value)} entries: give {dim}")
