"""Effective properties as tables, for a terminal, a notebook and a report."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from hmm.effective.data import EffectiveData
from hmm.effective.limits import Limits

Rows = list[tuple[str, str]]
Grid = tuple[list[str], list[list[str]]]

MANY = 8
"""Largest number of phases that are listed by name."""


def heading(found: EffectiveData) -> str:
    """The heading, in one line."""
    plane = {3: ", plane strain", 4: ", generalised plane strain"}.get(len(found.tensor), "")
    return f"Effective {found.quantity}, {found.dim}D{plane * found.is_stiffness}, {found.constraint}"


def tensor_grid(found: EffectiveData) -> Grid:
    """The tensor, in Voigt's notation if it is a stiffness: columns and rows."""
    C = found.voigt
    largest = float(np.abs(C).max())
    rows = [[label, *(number(v, largest) for v in row)] for label, row in zip(found.labels, C, strict=True)]
    return ["C" if found.is_stiffness else "k", *found.labels], rows


def constants_grid(found: EffectiveData) -> Grid:
    """The constants in the given axes and in those of the symmetry."""
    own, errors = found.principal_constants, found.constant_errors
    rows = []
    for name, value in found.constants.items():
        largest = 1.0 if name.startswith("nu") else max(map(abs, found.constants.values()))
        row = [name, number(value, largest), number(own[name], largest)]
        if errors is not None:
            row.insert(2, _signed(errors[name][0], found))
            row.append(_signed(errors[name][1], found))
        rows.append(row)
    return [
        "",
        "given axes",
        *["error"] * (errors is not None),
        "symmetry axes",
        *["error"] * (errors is not None),
    ], rows


def _signed(error: float, found: EffectiveData) -> str:
    """An error with its sign, if that is known."""
    known = found.mesh_error is None or found.mesh_error.signed
    return f"{error:+.2g}" if known else f"±{abs(error):.2g}"


def unit_words(found: EffectiveData) -> str:
    """The unit of the tensor in words, also if it is not known."""
    return found.unit or (
        "the unit of the mesh squared" if found.quantity == "permeability" else "the unit of the laws"
    )


def thermal_grid(found: EffectiveData) -> Grid | None:
    """Thermal expansion and stress by component; empty without them."""
    if found.thermal_stress is None or found.thermal_expansion is None:
        return None
    factors = [1.0 if label[0] == label[1] else 2**0.5 for label in found.labels]
    columns = []
    for tensor in (found.thermal_expansion / factors, found.thermal_stress / factors):
        columns.append([number(v, float(np.abs(tensor).max())) for v in tensor])
    rows = [[label, *row] for label, *row in zip(found.labels, *columns, strict=True)]
    return ["", "expansion", "thermal stress"], rows


def facts(found: EffectiveData) -> Rows:
    """Symmetry, extremes, anisotropy, bounds and volume fractions in words."""
    symmetry, extremes = found.symmetry, found.extremes
    name = {"stiffness": "Young's modulus"}.get(found.quantity, found.quantity)
    where = " in the plane" if len(found.tensor) == 4 else ""
    name += where
    rows = [
        (
            f"symmetry{where}",
            f"{symmetry.name}, distance {distance(symmetry.distance)} (tolerance {symmetry.tolerance:g})",
        )
    ]
    rows += [("other classes", _others(found))] if _others(found) else []
    if symmetry.name not in ("isotropic", "triclinic", "oblique"):
        rows.append(("symmetry axes", "; ".join(vector(axis) for axis in symmetry.axes)))
    if symmetry.name == "isotropic":
        rows.append((name, f"{number(extremes.lowest)} to {number(extremes.highest)}"))
    else:
        rows.append((f"smallest {name}", f"{number(extremes.lowest)} along {vector(extremes.lowest_along)}"))
        rows.append((f"largest {name}", f"{number(extremes.highest)} along {vector(extremes.highest_along)}"))
    if found.is_stiffness:
        rows.append(("universal anisotropy", number(found.anisotropy)))
    if found.is_stiffness and found.zener is not None:
        rows.append(("Zener ratio", number(found.zener)))
    if found.conductivity is not None:
        rows.append(
            ("conductivity", "; ".join(vector(row, np.abs(found.conductivity).max()) for row in found.conductivity))
        )
    if found.heat_capacity is not None:
        rows.append(("heat capacity", number(found.heat_capacity)))
    rows += bounds_rows(found)
    rows.append(("volume fractions", _fractions(found.fractions)))
    return rows


def bounds_rows(found: EffectiveData) -> Rows:
    """The check of the bounds, and the moduli of the isotropic part with the Hashin-Shtrikman intervals."""
    rows, known = [], {} if found.limits is None else found.limits.hashin_shtrikman
    for name, value in found.means.items():
        words = number(value)
        if name in known:
            words += f"; isotropic mixtures have {number(known[name].lower)} to {number(known[name].upper)}"
        rows.append((f"mean {name}", words))
    if found.limits is not None:
        rows.append(("bounds", _verdict(found.limits)))
    return rows


def _verdict(limits: Limits) -> str:
    """The bounds that are respected or violated, and the discretization error if it is needed."""
    report = limits.report
    within = "respected within the discretization error" if report.allowed else "respected"
    said = [*report.violations] or [f"{within}: {', '.join(report.applied)}", *report.allowed]
    return "; ".join([*said, *[limits.remark] * bool(limits.remark)])


def properties_table(found: EffectiveData) -> Group:
    """All tables, to print with rich."""
    parts: list[RenderableType] = [Text(heading(found), style="bold"), _grid(tensor_grid(found))]
    parts.append(_grid(constants_grid(found)))
    thermal = thermal_grid(found)
    if thermal is not None:
        parts.append(_grid(thermal))
    summary = Table(box=None, show_header=False, pad_edge=False)
    summary.add_column(style="dim", no_wrap=True)
    summary.add_column()
    for row in facts(found):
        summary.add_row(*map(Text, row))  # names are not markup
    if found.mesh_error is not None:
        summary.add_row("numerical error", found.mesh_error.words)
    if found.how.get("mesh quality"):
        summary.add_row("mesh quality", found.how["mesh quality"])
    return Group(*parts, summary)


def as_html(group: Group) -> str:
    """The terminal output as HTML for a notebook."""
    console = Console(width=110, record=True, file=io.StringIO(), force_jupyter=False)
    console.print(group)
    style = "line-height:normal;font-family:Menlo,'DejaVu Sans Mono',consolas,'Courier New',monospace"
    return console.export_html(inline_styles=True, code_format=f'<pre style="white-space:pre;{style}">{{code}}</pre>')


def independent(kind: str) -> Sequence[str]:
    """Names of constants that define a material of a symmetry class, axis 3 that of transverse isotropy."""
    few: Mapping[str, Sequence[str]] = {
        "isotropic": ("E1", "nu12", "G12"),
        "cubic": ("E1", "nu12", "G12"),
        "square": ("E1", "nu12", "G12"),
        "transversely isotropic": ("E1", "E3", "nu12", "nu31", "G12", "G13"),
    }
    return few.get(kind, ("E1", "E2", "E3", "G12", "G13", "G23", "nu12", "nu13", "nu23"))


def number(value: float, largest: float | None = None) -> str:
    """Five digits; rounding errors relative to the `largest` number become zero."""
    if largest and math.isfinite(value) and math.isfinite(largest):
        value = round(value, 5 - math.floor(math.log10(largest)))
    return f"{value + 0.0:.5g}"


def vector(values: Iterable[float], largest: float = 1.0) -> str:
    """A direction such as (0.7071, 0.7071, 0)."""
    return "(" + ", ".join(number(v, largest) for v in values) + ")"


def distance(value: float) -> str:
    """Two digits; a rounding error becomes zero."""
    return "0" if value < 1e-14 else f"{value:.2g}"


def in_short(names: Sequence[str]) -> str:
    """The names, or their number if there are many."""
    return ", ".join(names) if len(names) <= MANY else f"{len(names)} phases, {names[0]} to {names[-1]}"


def _fractions(fractions: Mapping[str, float]) -> str:
    if len(fractions) <= MANY:
        return ", ".join(f"{name} {f:.4g}" for name, f in fractions.items())
    return f"{len(fractions)} phases of {min(fractions.values()):.4g} to {max(fractions.values()):.4g} each"


def _others(found: EffectiveData) -> str:
    """Distances to the other classes, the nearest first."""
    others = {name: d for name, d in found.symmetry.distances.items() if d > found.symmetry.tolerance}
    return ", ".join(f"{name} {d:.2g}" for name, d in sorted(others.items(), key=lambda item: item[1]))


def _grid(grid: Grid) -> Table:
    titles, rows = grid
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, title in enumerate(titles):
        made.add_column(title, justify="left" if k == 0 else "right", style="bold" if k == 0 else None)
    for row in rows:
        made.add_row(*map(Text, row))
    return made
