"""A written report of effective properties: Markdown, pictures and JSON in one directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

import ufl

from hmm.cells.cell import Cell
from hmm.descriptors import Description, describe
from hmm.effective import table
from hmm.effective.data import EffectiveData
from hmm.effective.picture import can_be_drawn, draw_properties
from hmm.effective.table import Grid
from hmm.foundation.errors import collectively, writing
from hmm.foundation.files import require_writable, write_whole
from hmm.foundation.version import VERSION
from hmm.pictures import plot_cell

REPORT, PROPERTIES = "report.md", "properties.json"


def write_report(
    found: EffectiveData,
    directory: Path,
    plots: bool,
    notes: Sequence[str] = (),
    further: Mapping[str, Path] | None = None,
) -> Path:
    """Write ``properties.json``, then pictures and ``report.md`` (collective on the cell's communicator).

    Parameters
    ----------
    found
        The properties.
    directory
        Created if it does not exist.
    plots
        Whether to draw pictures.
    notes
        Further lines under the heading, such as the source of the cell.
    further
        Further pictures in the directory, by title.
    """
    cell = None if found.solved is None else found.solved.rve.cell
    write_properties(found, directory)
    described = _described(cell)
    drawn = {}
    if plots and cell is not None and described is None:
        drawn["The cell"] = plot_cell(directory / "cell.png", cell)
    with collectively(found.comm):
        if found.comm.rank == 0:
            with writing(directory):
                pictures = drawn | (_pictures(found, described, directory) if plots else {}) | dict(further or {})
            write_whole(directory / REPORT, "\n".join(_lines(found, described, pictures, notes)) + "\n")
    return directory / REPORT


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


def _pictures(found: EffectiveData, described: Description | None, directory: Path) -> dict[str, Path]:
    """Draw descriptors and directions; file names by title."""
    drawn = {}
    if described is not None:
        drawn["The cell and its descriptors"] = described.plot(directory / "descriptors.png")
    name = "Young's modulus" if found.is_stiffness else found.quantity.capitalize()
    if can_be_drawn(found):  # otherwise the tables show it
        drawn[f"{name} over the directions"] = draw_properties(found, directory / "directions.png")
    return drawn


def _lines(
    found: EffectiveData, described: Description | None, pictures: dict[str, Path], notes: Sequence[str]
) -> list[str]:
    lines = [f"# {table.heading(found)}", "", *notes, *[""] * bool(notes)]
    lines += [*_facts(found), "", *_phases(found)]
    what = "Stiffness in Voigt's notation" if found.is_stiffness else found.quantity.capitalize()
    unit = ", in the unit of the laws" if found.quantity != "permeability" else ", in the unit of the mesh squared"
    lines += [f"## {what}{unit}", "", *_markdown(table.tensor_grid(found)), ""]
    lines += ["## Constants", "", *_markdown(table.constants_grid(found)), ""]
    if found.is_stiffness:
        lines += ["`nu12` is the contraction along 2 in tension along 1.", ""]
    thermal = table.thermal_grid(found)
    if thermal is not None:
        lines += ["## Thermal expansion and stress, per unit of temperature", "", *_markdown(thermal), ""]
    lines += ["## Distance to each symmetry class", "", *_markdown(_symmetry_grid(found)), ""]
    if described is not None:
        lines += ["## Microstructure", "", *_markdown(_descriptor_grid(described)), "", "Lengths are in voxels.", ""]
    for title, path in pictures.items():
        lines += [f"## {title}", "", f"![{title}]({path.name})", ""]
    lines += ["## How it was solved", "", *_markdown((["", ""], _how_rows(found))), ""]
    return [*lines, f"All numbers are in [{PROPERTIES}]({PROPERTIES}); `hmm.EffectiveProperties.from_json` reads it."]


def _facts(found: EffectiveData) -> list[str]:
    return _markdown((["", ""], [list(row) for row in table.facts(found)]))


def _symmetry_grid(found: EffectiveData) -> Grid:
    rows = [[name, table.distance(value)] for name, value in found.symmetry.distances.items()]
    return ["class", "|C - C class| / |C|".replace("|", "\\|")], rows


def _phases(found: EffectiveData) -> list[str]:
    """The law of each phase, if the cell is available."""
    if found.solved is None:
        return []
    phases_of: dict[str, list[str]] = {}
    for name, law in found.solved.rve.law.items():
        phases_of.setdefault(_in_words(law), []).append(name)
    rows = []
    for words, names in phases_of.items():
        fraction = sum(found.fractions[name] for name in names)
        rows.append([table.in_short(names), f"{fraction:.4g}", f"`{words}`"])
    return ["## Phases", "", *_markdown((["phase", "fraction", "law"], rows)), ""]


def _in_words(law: object) -> str:
    """A law as text: numbers with six digits, fields over the cell by their names."""
    if isinstance(law, ufl.core.expr.Expr):
        return getattr(law, "name", "UFL")
    if is_dataclass(law):
        given = [(f.name, getattr(law, f.name)) for f in fields(law)]
        return f"{type(law).__name__}({', '.join(f'{name}={_in_words(v)}' for name, v in given if v is not None)})"
    if isinstance(law, Sequence) and not isinstance(law, str):
        return f"({', '.join(map(_in_words, law))})"
    return f"{law:.6g}" if isinstance(law, float) else str(law)


def _how_rows(found: EffectiveData) -> list[list[str]]:
    """Details of the solution without times, so that two runs of one job write the same report."""
    rows = {"hmm": VERSION, "physics": found.physics, "constraint": found.constraint}
    rows |= {name: str(value) for name, value in found.how.items() if value not in ({}, None)}
    return [[name, value] for name, value in rows.items()]


def _descriptor_grid(described: Description) -> Grid:
    """The table of the descriptors."""
    made = described.table()
    return [str(column.header) for column in made.columns], [
        list(map(str, row)) for row in zip(*(column.cells for column in made.columns), strict=True)
    ]


def _markdown(grid: Grid) -> list[str]:
    titles, rows = grid
    rule = [":---", *["---:" if len(titles) > 2 else ":---"] * (len(titles) - 1)]
    rows = [[_one_cell(text) for text in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in (titles, rule, *rows)]


def _one_cell(text: str) -> str:
    """A text for a cell of a Markdown table: names may contain bars and line ends."""
    return " ".join(text.split()).replace("|", "\\|")
