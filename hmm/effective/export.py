"""Effective properties as input of other codes: Abaqus and CalculiX, Ansys, CSV and JSON with units."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmm.effective.data import EffectiveData
from hmm.foundation.errors import InputError
from hmm.foundation.files import write_atomically

Floats = NDArray[np.float64]

SPACE = ("11", "22", "33", "12", "13", "23")
"""Order of Abaqus's and CalculiX's constants."""
ANSYS = ("11", "22", "33", "12", "23", "13")
"""Ansys's order X, Y, Z, XY, YZ, XZ."""
NEGLECTED = 1e-3
"""Entries of expansion and conductivity off the diagonal, relative to the largest one on it, that a card leaves out."""


def export(
    found: EffectiveData,
    path: str | Path,
    *,
    format: str = "abaqus",
    name: str = "EFFECTIVE",
    number: int = 1,
    units: Mapping[str, str] | None = None,
) -> Path:
    """Write effective properties as input of another code; not collective.

    Parameters
    ----------
    found
        The properties, in 3D for `"abaqus"` and `"ansys"`.
    path
        The file.
    format
        ``"abaqus"``, for Abaqus and CalculiX: ``*MATERIAL`` with ``*ELASTIC, TYPE=ANISO``, and ``*EXPANSION`` and
        ``*CONDUCTIVITY`` with ``TYPE=ORTHO``. ``"ansys"``: ``TB,ANEL`` with the stiffness, ``MP`` for expansion and
        conductivity. Both need expansion and conductivity in their principal axes. ``"csv"``: one row for each number.
        ``"json"``: the same numbers as matrices.
    name, number
        Name (Abaqus) and number (Ansys) of the material.
    units
        Unit of each quantity, such as ``{"stiffness": "MPa"}``: text for comments, `csv` and `json`. Nothing is
        converted; without it the unit is ``"as in the laws"``.

    Raises
    ------
    InputError
        If the format is unknown, or has no place for these properties.
    """
    if format not in FORMATS:
        raise InputError(f"export: format = {format!r} must be one of {', '.join(FORMATS)}")
    known = _quantities(found)
    unknown = set(units or {}) - set(known)
    if unknown:
        raise InputError(f"export: units of {sorted(unknown)[0]!r}: these properties are {', '.join(known)}")
    given = {q: (units or {}).get(q, "as in the laws") for q in known}
    write_atomically(path, FORMATS[format](known, given, name, number))
    return Path(path)


def _quantities(found: EffectiveData) -> dict[str, tuple[tuple[str, ...], Floats]]:
    """Labels and values of each quantity, in Voigt's notation with engineering shear strains."""
    known = {found.quantity: (found.labels, found.voigt)}
    if found.thermal_expansion is not None:
        engineering = [1.0 if label[0] == label[1] else np.sqrt(2.0) for label in found.labels]
        known["expansion"] = (found.labels, found.thermal_expansion * np.array(engineering))
    if found.conductivity is not None and found.quantity != "conductivity":
        known["conductivity"] = (tuple(str(i + 1) for i in range(found.dim)), found.conductivity)
    return known


Known = Mapping[str, tuple[tuple[str, ...], Floats]]


def _abaqus(known: Known, units: Mapping[str, str], name: str, number: int) -> str:
    lines = [*(f"** {q} in units: {unit}" for q, unit in units.items()), f"*MATERIAL, NAME={name}"]
    for quantity, (labels, values) in known.items():
        ordered = _in_space(quantity, labels, values, SPACE, "abaqus")
        if quantity == "stiffness":  # upper triangle by columns: D1111, D1122, D2222, ...
            numbers = [ordered[i, j] for j in range(6) for i in range(j + 1)]
            lines += ["*ELASTIC, TYPE=ANISO", *_rows(numbers)]
        else:
            card = {"expansion": "*EXPANSION", "conductivity": "*CONDUCTIVITY"}[quantity]
            lines += [f"{card}, TYPE=ORTHO", *_rows(_principal(quantity, ordered))]
    return "\n".join(lines) + "\n"


def _ansys(known: Known, units: Mapping[str, str], name: str, number: int) -> str:
    lines = [f"! {name}", *(f"! {q} in units: {unit}" for q, unit in units.items())]
    for quantity, (labels, values) in known.items():
        ordered = _in_space(quantity, labels, values, ANSYS, "ansys")
        if quantity == "stiffness":
            numbers = [ordered[i, j] for i in range(6) for j in range(i, 6)]
            lines.append(f"TB,ANEL,{number},1,21,0")
            lines += [f"TBDATA,{k + 1},{','.join(map(_text, numbers[k : k + 6]))}" for k in range(0, 21, 6)]
        else:
            diagonal = _principal(quantity, ordered)
            word = {"expansion": "ALP", "conductivity": "K"}[quantity]
            axes = ("X", "Y", "Z") if word == "ALP" else ("XX", "YY", "ZZ")
            lines += [f"MP,{word}{a},{number},{_text(v)}" for a, v in zip(axes, diagonal, strict=True)]
    return "\n".join(lines) + "\n"


def _csv(known: Known, units: Mapping[str, str], name: str, number: int) -> str:
    lines = ["quantity,row,column,value,unit"]
    for quantity, (labels, values) in known.items():
        for index, value in np.ndenumerate(values):
            places = [labels[i] for i in index] + [""] * (2 - len(index))
            unit = '"' + units[quantity].replace('"', '""') + '"'
            lines.append(f"{quantity},{','.join(places)},{_text(value)},{unit}")
    return "\n".join(lines) + "\n"


def _json(known: Known, units: Mapping[str, str], name: str, number: int) -> str:
    found = {q: {"unit": units[q], "labels": list(n), "values": v.tolist()} for q, (n, v) in known.items()}
    notation = "Voigt, engineering shear strains"
    return json.dumps({"material": name, "notation": notation, "quantities": found}, indent=2) + "\n"


FORMATS: dict[str, Callable[[Known, Mapping[str, str], str, int], str]] = {
    "abaqus": _abaqus,
    "ansys": _ansys,
    "csv": _csv,
    "json": _json,
}
"""Writers, by format."""


def _in_space(quantity: str, labels: tuple[str, ...], values: Floats, order: tuple[str, ...], code: str) -> Floats:
    """Values in the order of a code; raises `InputError` where it has no place for them."""
    if quantity == "permeability" or len(labels) not in (3, 6) or (quantity != "conductivity" and len(labels) == 3):
        what = quantity if quantity == "permeability" else f"{quantity} of a 2D cell"
        raise InputError(f"export: {code} has no card for the {what}: extrude the cell, or use format='csv' or 'json'")
    if len(labels) == 3:
        if values.shape != (3, 3):
            raise InputError(f"export: the {quantity} has the shape {values.shape}: give one in 3D")
        return values
    places = [labels.index(label) for label in order]
    return values[np.ix_(places, places)] if values.ndim == 2 else values[places]


def _principal(quantity: str, values: Floats) -> Floats:
    """The three principal values; codes differ in the order and the factors of the others."""
    diagonal, rest = (values[:3], values[3:]) if values.ndim == 1 else (np.diag(values), values[~np.eye(3, dtype=bool)])
    if np.abs(rest).max() > NEGLECTED * np.abs(diagonal).max():
        raise InputError(
            f"export: the card takes the {quantity} in its principal axes only, and one entry off the diagonal is "
            f"{rest[np.abs(rest).argmax()]:.3g}: export found.in_axes(found.symmetry.axes), or format='csv' or 'json'"
        )
    return diagonal


def _rows(numbers: Floats | list[float]) -> list[str]:
    """Eight numbers in each line, as the cards require."""
    texts = [_text(v) for v in numbers]
    return [", ".join(texts[k : k + 8]) for k in range(0, len(texts), 8)]


def _text(value: float) -> str:
    return f"{value:.12e}"
