"""A written report of effective properties: HTML, Markdown, pictures and JSON in one directory."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hmm.cells.cell import Cell
from hmm.descriptors import Description, describe
from hmm.effective import table
from hmm.effective.contents import Shown, document_of
from hmm.effective.data import EffectiveData
from hmm.effective.law_words import law_in_words
from hmm.effective.origin import ORIGIN, Origin
from hmm.effective.picture import can_be_drawn, draw_properties
from hmm.foundation.errors import collectively, writing
from hmm.foundation.files import require_writable, write_atomically
from hmm.foundation.vtx import remove_bp
from hmm.pages import Scene, markdown_of, write_html
from hmm.pictures import cell_scene, plot_cell

FIELDS = re.compile(r"fields_\w+?(_\d+)?\.(bp|png|p?vtu)")
"""Names of the local fields of a load case and of their picture."""

PAGE, REPORT, PROPERTIES = "report.html", "report.md", "properties.json"
CELL, DESCRIPTORS, DIRECTIONS = "cell.png", "descriptors.png", "directions.png"


def write_report(found: EffectiveData, directory: Path, plots: bool, origin: Origin | None = None) -> Path:
    """Write ``properties.json``, pictures, ``report.md`` and ``report.html`` (collective on the cell's communicator).

    Parameters
    ----------
    found
        The properties.
    directory
        Created if it does not exist.
    plots
        Whether to draw pictures.
    origin
        The job and what else is known.

    Returns
    -------
    pathlib.Path
        ``report.html``.
    """
    origin = replace(origin or Origin(), phases=_phases(found))
    cell = None if found.solved is None else found.solved.rve.cell
    write_properties(found, directory)
    described = _described(cell)
    drawn, scene = None, None
    if plots and cell is not None:
        drawn = None if described is not None and cell.dim == 2 else plot_cell(directory / CELL, cell)
        scene = cell_scene(cell)
    with collectively(found.comm):
        if found.comm.rank == 0:
            if plots:
                with writing(directory):
                    _draw(found, described, directory)
            origin = origin.stamped()
            origin.write(directory)
            render(found, origin, directory, plots, drawn, scene, described)
    return directory / PAGE


def render(
    found: EffectiveData,
    origin: Origin,
    directory: Path,
    plots: bool = True,
    drawn: Path | None = None,
    scene: Scene | None = None,
    described: Description | None = None,
) -> Path:
    """Write both forms of the report from the pictures in the directory; not collective."""
    titles = _titles(found) | dict(origin.further)
    pictures = {title: directory / name for title, name in titles.items() if plots and (directory / name).is_file()}
    shown = Shown(pictures, drawn, scene, None if described is None else _descriptor_grid(described))
    document = document_of(found, origin, shown)
    write_atomically(directory / REPORT, markdown_of(document))
    return write_html(directory / PAGE, document)


def remove_earlier(directory: Path) -> None:
    """Remove what an earlier report has written into its directory, and nothing else; not collective."""
    with writing(directory):
        for name in (PAGE, REPORT, ORIGIN, CELL, DESCRIPTORS, DIRECTIONS):
            if (directory / name).is_file():
                (directory / name).unlink()
        for path in directory.glob("fields_*"):
            if FIELDS.fullmatch(path.name):
                remove_bp(path) if path.is_dir() else path.unlink()


def write_properties(found: EffectiveData, directory: Path) -> Path:
    """Write ``properties.json`` atomically into a directory (collective on the cell's communicator)."""
    with collectively(found.comm):
        if found.comm.rank == 0:
            require_writable(directory)
            found.to_json(directory / PROPERTIES)
    return directory / PROPERTIES


def _described(cell: Cell | None) -> Description | None:
    """Descriptors of a cell on one rank that is a complete grid of voxels of several phases."""
    if cell is None or cell.comm.size > 1 or not cell.has_whole_grid or len(cell.phases) < 2:
        return None
    return describe(cell)


def _titles(found: EffectiveData) -> dict[str, str]:
    """File names of the pictures by title."""
    name = "Young's modulus" if found.is_stiffness else found.quantity.capitalize()
    return {"The cell and its descriptors": DESCRIPTORS, f"{name} over the directions": DIRECTIONS}


def _draw(found: EffectiveData, described: Description | None, directory: Path) -> None:
    """Draw descriptors and directions; a picture of an earlier run is removed."""
    for name in (DESCRIPTORS, DIRECTIONS):
        with writing(directory / name):
            (directory / name).unlink(missing_ok=True)
    if described is not None:
        described.plot(directory / DESCRIPTORS)
    if can_be_drawn(found):  # otherwise the tables show it
        draw_properties(found, directory / DIRECTIONS)


def _phases(found: EffectiveData) -> list[tuple[str, str, str]]:
    """The law of each phase, if the cell is available: phases, fraction, law."""
    if found.solved is None:
        return []
    phases_of: dict[str, list[str]] = {}
    for name, law in found.solved.rve.law.items():
        phases_of.setdefault(law_in_words(law), []).append(name)
    rows = []
    for words, names in phases_of.items():
        rows.append((table.in_short(names), f"{sum(found.fractions[name] for name in names):.4g}", words))
    return rows


def _descriptor_grid(described: Description) -> table.Grid:
    """The table of the descriptors."""
    made = described.table()
    return [str(column.header) for column in made.columns], [
        list(map(str, row)) for row in zip(*(column.cells for column in made.columns), strict=True)
    ]
