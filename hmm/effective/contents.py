"""The content of a report of effective properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmm.checks.bounds import Interval
from hmm.effective import table
from hmm.effective.data import EffectiveData
from hmm.effective.origin import Origin
from hmm.foundation.version import VERSION
from hmm.pages import Block, Code, Document, Facts, Picture, Scene, Section, Tabular, View, Words, sections_of


@dataclass(frozen=True, eq=False)
class Shown:
    """What is shown of the cell, beside the numbers.

    Attributes
    ----------
    pictures
        Files by title, except that of the cell.
    cell
        The picture of the cell; None if it was not drawn.
    scene
        The cell as a body to turn; None for a plane cell.
    descriptors
        Titles and rows of the table of the descriptors; None without them.
    """

    pictures: Mapping[str, Path]
    cell: Path | None = None
    scene: Scene | None = None
    descriptors: table.Grid | None = None


def document_of(found: EffectiveData, origin: Origin, shown: Shown) -> Document:
    """The report of the properties."""
    sections = [
        *sections_of("", [_plane_strain(found), *_doubts(found), Facts(table.facts(found))]),
        *sections_of("Phases", [_phases(origin)]),
        *sections_of(_tensor_title(found), [_grid(table.tensor_grid(found))]),
        *sections_of("Constants", [_constants(found)]),
        *sections_of("Thermal expansion and stress, per unit of temperature", [_grid(table.thermal_grid(found))]),
        *sections_of("Bounds", [_bounds(found)]),
        *sections_of("Distance to each symmetry class", [_symmetry(found)]),
        *sections_of("Microstructure", [_cell(shown), _descriptors(shown)]),
        *(Section(title, [Picture(title, path, _width(path))]) for title, path in shown.pictures.items()),
        *sections_of("How it was solved", [Facts(_how_rows(found))]),
        *sections_of("The job", [Code(origin.job) if origin.job else None, _defaults(origin)]),
        *sections_of("How to repeat", _repeat(origin), varies=True),
        *sections_of(
            "", [Words("All numbers are in `properties.json`; `hmm.EffectiveProperties.from_json` reads it.")]
        ),
    ]
    return Document(table.heading(found), origin.notes, sections, summary(found))


def summary(found: EffectiveData) -> list[tuple[str, str]]:
    """The main results: constants in the axes of the symmetry, its class, the error and the verdict on the bounds."""
    own = found.principal_constants
    unit = " ".join(["", found.unit]) if found.unit else ""
    chosen = [name for name in table.independent(found.symmetry.name) if name in own] or list(own)
    chosen = chosen if found.is_stiffness else [name for name in own if name[1] == name[2]]
    rows = [(n, table.number(own[n]) + (unit if not n.startswith("nu") else "")) for n in chosen[:6]]
    rows.append(("symmetry", found.symmetry.name))
    if found.mesh_error is not None:
        sign = "≤" if found.mesh_error.signed else "≈"
        rows.append(("numerical error", f"{sign} {100 * found.mesh_error.size:.2g} %"))
    if found.limits is not None:
        rows.append(("bounds", "respected" if found.limits.report else "violated"))
    return rows


def _plane_strain(found: EffectiveData) -> Block | None:
    """What E1 of a plane cell is, which readers take for that of a test."""
    if not found.is_stiffness or len(found.tensor) != 3:
        return None
    return Words(
        "This is a plane cell in plane strain: E1 is the modulus 1 / S11 of a body that cannot strain along axis 3, "
        "for an isotropic material E / (1 - nu²), not the Young's modulus of a tensile test. With out_of_plane = true "
        "the constants are those of the body in space.",
        warning=True,
    )


def _doubts(found: EffectiveData) -> list[Block]:
    said = []
    if found.limits is not None and not found.limits.report:
        said.append(f"Bounds are violated: {'; '.join(found.limits.report.violations)}.")
    if found.mesh_error is not None and found.mesh_error.size > 0.02:
        said.append(f"The numerical error is {found.mesh_error.words}: take a finer mesh or a higher degree.")
    elif found.mesh_error is None:
        said.append(f"The numerical error is not stated. {found.how.get('mesh error') or 'Ask for mesh_error.'}")
    return [Words(words, warning=True) for words in said]


def _grid(grid: table.Grid | None, note: str = "") -> Tabular | None:
    return None if grid is None else Tabular(*grid, note)


def _tensor_title(found: EffectiveData) -> str:
    what = "Stiffness in Voigt's notation" if found.is_stiffness else found.quantity.capitalize()
    return f"{what}, in {table.unit_words(found)}"


def _constants(found: EffectiveData) -> Tabular:
    notes = ["`nu12` is the contraction along 2 in tension along 1."] if found.is_stiffness else []
    notes += [f"Moduli are in {table.unit_words(found)}."] if found.is_stiffness else []
    if found.mesh_error is not None:
        signed = "The exact constant lies between the one found and the one found minus the error."
        stairs = "The error is the change on voxels of twice the size; its sign is not known."
        notes.append(signed if found.mesh_error.signed else stairs)
    return Tabular(*table.constants_grid(found), " ".join(notes))


def _phases(origin: Origin) -> Tabular | None:
    if not origin.phases:
        return None
    return Tabular(("phase", "fraction", "law"), [(n, f, f"`{law}`") for n, f, law in origin.phases], plain=True)


def _bounds(found: EffectiveData) -> Tabular | None:
    """Means with their error beside the bounds of Hashin and Shtrikman."""
    if found.limits is None or not found.limits.hashin_shtrikman:
        return None
    better = {} if found.mesh_error is None else found.without_mesh_error.means
    rows = []
    for name, interval in found.limits.hashin_shtrikman.items():
        value = found.means[name]
        error = f"{abs(value - better[name]):.2g}" if better else "not known"
        verdict = _verdict(value, interval, value - better.get(name, value))
        rows.append(
            (name, table.number(interval.lower), table.number(value), error, table.number(interval.upper), verdict)
        )
    note = "Hashin-Shtrikman bounds hold for isotropic materials, those of the bulk modulus also for cubic ones."
    return Tabular(("", "lower bound", "found", "numerical error", "upper bound", ""), rows, note)


def _verdict(value: float, interval: Interval, error: float) -> str:
    if interval.contains(value, 1e-6):
        return "inside"
    return "inside within the error" if interval.contains(value, 1e-6, abs(error)) else "outside"


def _symmetry(found: EffectiveData) -> Tabular:
    rows = [(name, table.distance(value)) for name, value in found.symmetry.distances.items()]
    return Tabular(("class", "|C - C class| / |C|"), rows, plain=True)


def _cell(shown: Shown) -> Block | None:
    if shown.scene is not None:
        return View("The cell", shown.scene, shown.cell)
    return None if shown.cell is None else Picture("The cell", shown.cell, "half")


def _width(path: Path) -> str:
    return "full" if path.stem == "descriptors" else "half"


def _descriptors(shown: Shown) -> Tabular | None:
    return _grid(shown.descriptors, "Lengths are in voxels.")


def _how_rows(found: EffectiveData) -> list[tuple[str, str]]:
    """Details of the solution without times, so that two runs of one job write the same Markdown."""
    rows = {"hmm": VERSION, "physics": found.physics, "constraint": found.constraint}
    rows |= {name: str(value) for name, value in found.how.items() if value not in ({}, None)}
    return list(rows.items())


def _defaults(origin: Origin) -> Block | None:
    if not origin.defaults:
        return None
    return Tabular(("left at its default", "value"), origin.defaults, plain=True)


def _repeat(origin: Origin) -> Sequence[Block]:
    blocks: list[Block] = [Code(origin.repeat)] if origin.repeat else []
    return [*blocks, Facts(list(origin.made.items()))] if origin.made else blocks
