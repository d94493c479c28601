"""The keys of a job file for ``hmm laminate``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hmm.foundation.errors import InputError
from hmm.jobs.sections import JobSection, Number
from hmm.jobs.values import convert

CONSTANTS = ("E1", "E2", "nu12", "G12")
"""Keys of a ply that is given by engineering constants."""

DIRECTION = "an axis 1, 2 or 3, or a list of 3 numbers"

STACKING = 'a code such as "[0/±45/90]s", or a list of angles'


def _direction(value: Any) -> Any:
    return value if value in (1, 2, 3) and not isinstance(value, bool) else _in_words(value, list[float], DIRECTION, 3)


def _stacking(value: Any) -> Any:
    return value if isinstance(value, str) else _in_words(value, list[float], STACKING)


def _in_words(value: Any, hint: Any, words: str, n: int | None = None) -> Any:
    """A value of a type with n entries; otherwise an error in these words."""
    try:
        found = convert(value, hint, "it")
    except InputError as error:
        raise InputError(str(error) if "range" in str(error) else f"it is not understood: give {words}") from None
    if n is not None and len(found) != n:
        raise InputError(f"it is not understood: give {words}")
    return found


def _three(value: Any) -> Any:
    return _in_words(value, list[float], "a list of 3 numbers, for x, y and xy", 3)


NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}

type Direction = Annotated[Any, BeforeValidator(_direction), WithJsonSchema({"anyOf": [{"enum": [1, 2, 3]}, NUMBERS]})]
"""A direction in the axes of a cell."""

type Stacking = Annotated[Any, BeforeValidator(_stacking), WithJsonSchema({"anyOf": [{"type": "string"}, NUMBERS]})]
"""The angles of the plies."""

type Three = Annotated[Any, BeforeValidator(_three), WithJsonSchema(NUMBERS | {"minItems": 3, "maxItems": 3})]
"""Components x, y and xy."""


class StrengthSection(JobSection):
    """The strengths of a ply, all positive."""

    Xt: Number = Field(description="tension along the fibres")
    Xc: Number = Field(description="compression along the fibres")
    Yt: Number = Field(description="tension across the fibres")
    Yc: Number = Field(description="compression across the fibres")
    S12: Number = Field(description="shear in the plane")
    S23: Number | None = Field(default=None, description="shear across the fibres, for Hashin; by default Yc / 2")
    f12: Number = Field(default=-0.5, description="interaction of Tsai and Wu, between -1 and 1")


class PlySection(JobSection):
    """A material of plies: constants, or a file of properties, or a job whose cell is homogenized first."""

    E1: Number | None = Field(default=None, description="Young's modulus along the fibres")
    E2: Number | None = Field(default=None, description="Young's modulus across the fibres")
    nu12: Number | None = Field(default=None, description="contraction along 2 under stress along 1")
    G12: Number | None = Field(default=None, description="shear modulus")
    alpha1: Number = Field(default=0.0, description="thermal expansion along the fibres")
    alpha2: Number = Field(default=0.0, description="thermal expansion across the fibres")
    properties: str | None = Field(default=None, description="properties.json of hmm homogenize, instead of constants")
    job: str | None = Field(default=None, description="a job for hmm homogenize, instead of constants")
    fibres: Direction = Field(
        default=1,
        description="direction of the fibres in the cell; 3 for an extruded plane cell",
        json_schema_extra={"words": DIRECTION},
    )
    normal: Direction = Field(
        default=None,
        description="direction through the thickness; by default 3, or 2 if the fibres are along 3",
        json_schema_extra={"words": DIRECTION},
    )
    strength: StrengthSection | None = Field(
        default=None, description="the strengths, for failure criteria", json_schema_extra={"words": "a table"}
    )

    @model_validator(mode="after")
    def _agrees(self) -> PlySection:
        given = [name for name in CONSTANTS if getattr(self, name) is not None]
        found = [*given[:1], *(name for name in ("properties", "job") if getattr(self, name) is not None)]
        if len(found) > 1:
            raise InputError(f"it has {' and '.join(found)}: give only one of constants, properties and job")
        lacking = [name for name in CONSTANTS if name not in given]
        if lacking and not (self.properties or self.job):
            raise InputError(f"it lacks {lacking[0]!r}: give E1, E2, nu12 and G12, or properties = FILE, or job = FILE")
        return self


class LayerSection(JobSection):
    """One layer."""

    ply: str | None = Field(default=None, description="its ply; may be omitted if there is only one")
    angle: Number = Field(description="degrees from x to the fibres, positive towards y")
    thickness: Number = Field(description="its thickness")


class StackSection(JobSection):
    """The stack, from the bottom to the top."""

    stacking: Stacking = Field(
        default=None,
        description="angles in degrees: s mirrors the stack, _2 repeats a ply or a group, ±45 is 45 and then -45",
        json_schema_extra={"words": STACKING},
    )
    ply: str | None = Field(default=None, description="the ply of this stack; may be omitted if there is only one")
    thickness: Number | None = Field(default=None, description="thickness of one ply")
    layers: list[LayerSection] | None = Field(
        default=None,
        description="instead of these: layers of several materials, {ply = ..., angle = ..., thickness = ...}",
        json_schema_extra={"words": "a list of tables"},
    )

    @model_validator(mode="after")
    def _agrees(self) -> StackSection:
        if (self.stacking is None) == (self.layers is None):
            raise InputError("give either stacking = '[0/±45/90]s' with ply and thickness, or layers = [...]")
        if self.layers is None and self.thickness is None:
            raise InputError("it lacks 'thickness': add thickness = ... (of one ply)")
        if self.layers is not None and (self.ply is not None or self.thickness is not None):
            raise InputError("it has layers: give ply and thickness in each of them")
        return self


class PlateLoadSection(JobSection):
    """Loads per unit of width."""

    N: Three = Field(
        default=(0.0, 0.0, 0.0), description="forces (Nx, Ny, Nxy)", json_schema_extra={"words": "a list of 3 numbers"}
    )
    M: Three = Field(
        default=(0.0, 0.0, 0.0),
        description="moments (Mx, My, Mxy); a positive one stretches the top",
        json_schema_extra={"words": "a list of 3 numbers"},
    )
    temperature: Number = Field(default=0.0, description="difference from the temperature without stress")


class LaminateOutput(JobSection):
    """The results."""

    directory: str | None = Field(
        default=None, description="directory of the results; by default results/NAME in the current directory"
    )
    plot: bool = Field(default=True, description="whether the stresses are drawn")
    report: bool = Field(default=True, description="whether report.html is written")


class LaminateFile(JobSection):
    """The whole file."""

    plies: dict[str, PlySection] = Field(
        default={}, description="the materials by name", json_schema_extra={"words": "tables"}
    )
    laminate: StackSection = Field(description="the stack", json_schema_extra={"words": "a table"})
    load: PlateLoadSection = Field(
        default=PlateLoadSection(), description="the loads", json_schema_extra={"words": "a table"}
    )
    output: LaminateOutput = Field(
        default=LaminateOutput(), description="the results", json_schema_extra={"words": "a table"}
    )
