"""The keys of a job file for ``hmm run``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hmm.foundation.errors import InputError
from hmm.jobs.fe2.expressions import Expression
from hmm.jobs.sections import JobSection, Number, Whole
from hmm.jobs.values import shown
from hmm.micro.constraints import CONSTRAINTS
from hmm.micro.solvers.described import SOLVERS
from hmm.runs.schedules import Table

FORMULATIONS = ("plane strain", "plane stress", "3D", "axisymmetric", "finite strain", "heat", "thermo-mechanics")

COMPONENTS = ("ux", "uy", "uz", "ur", "temperature")
"""Names of the components of macro fields in supports."""

IN_WORDS = "a number, an expression of t in quotes, or {times = [...], values = [...]}"

IN_LIST = f"a list, each entry {IN_WORDS}"

SCHEMA_OF_VALUE: dict[str, Any] = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "examples": ["-0.3 * t", "sin(2 * pi * t)"]},
        {
            "type": "object",
            "properties": {name: {"type": "array", "items": {"type": "number"}} for name in ("times", "values")},
            "required": ["times", "values"],
            "additionalProperties": False,
        },
    ]
}


def in_time(value: Any) -> float | Expression | Table:
    """A value of a job file as a function of time.

    Raises
    ------
    InputError
        If it is not a number, an expression or a table.
    """
    if isinstance(value, str):
        return Expression(value)
    if isinstance(value, dict):
        if set(value) != {"times", "values"}:
            raise InputError("it is not a table of times and values: give {times = [...], values = [...]}")
        return Table(value["times"], value["values"])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise InputError(f"it is not understood: give {IN_WORDS}")


def _is_vector(value: Any) -> list[float | Expression | Table]:
    if not isinstance(value, list):
        raise InputError(f"it is not understood: give {IN_LIST}")
    return [in_time(entry) for entry in value]


type InTime = Annotated[Any, BeforeValidator(in_time), WithJsonSchema(SCHEMA_OF_VALUE)]
"""A function of time."""

type VectorInTime = Annotated[
    Any, BeforeValidator(_is_vector), WithJsonSchema({"type": "array", "items": SCHEMA_OF_VALUE})
]
"""A vector that is a function of time."""


def _value(words: str) -> Any:
    return Field(default=None, description=words, json_schema_extra={"words": IN_WORDS})


class MeshSection(JobSection):
    """The macro mesh: a rectangle, a box or a file."""

    rectangle: list[Number] | None = Field(
        default=None, description="width and height of a rectangle, whose sides are named left, right, bottom and top"
    )
    box: list[Number] | None = Field(
        default=None,
        description="sizes of a box; its faces are left, right (x), front, back (y), bottom, top (z)",
    )
    file: str | None = Field(default=None, description="a Gmsh file (.msh), whose physical groups have names")
    origin: list[Number] | None = Field(
        default=None, description="the corner with the smallest coordinates; zero by default"
    )
    elements: list[Whole] | None = Field(
        default=None, description="number of elements of a rectangle or box in each direction"
    )
    element: Literal["triangle", "quadrilateral", "tetrahedron", "hexahedron"] | None = Field(
        default=None, description="the elements of a rectangle (triangle by default) or box (tetrahedron by default)"
    )
    degree: Annotated[Whole, Field(ge=1, le=4)] = Field(default=2, description="degree of the macro field")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("rectangle", "box", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(f"it has {' and '.join(given) or 'none of rectangle, box and file'}: give one of them")
        if self.file is not None:
            for name in ("origin", "elements", "element"):
                if getattr(self, name) is not None:
                    raise InputError(f"{name} is for a rectangle or a box, not for a file: remove it")
            return self
        self._check_shape(given[0], getattr(self, given[0]))
        return self

    def _check_shape(self, name: str, size: list[float]) -> None:
        dim, kinds = (2, ("triangle", "quadrilateral")) if name == "rectangle" else (3, ("tetrahedron", "hexahedron"))
        if len(size) != dim or min(size) <= 0:
            raise InputError(f"{name} = {shown(size)}: give {dim} positive sizes")
        if self.elements is None:
            raise InputError(f"it lacks 'elements': add elements = {[8, 4, 4][:dim]}, the number in each direction")
        if len(self.elements) != dim or min(self.elements) < 1:
            raise InputError(f"elements = {shown(self.elements)}: give {dim} positive numbers")
        if self.origin is not None and len(self.origin) != dim:
            raise InputError(f"origin = {shown(self.origin)}: give {dim} coordinates")
        if self.element is not None and self.element not in kinds:
            raise InputError(f"element = {self.element!r} does not fit a {name}: choose one of {', '.join(kinds)}")


class MaterialSection(JobSection):
    """The cell of each integration point, its laws, and how it is solved."""

    cell: Any = Field(description="the cell, as in a job of hmm homogenize", json_schema_extra={"words": "a table"})
    phases: Any = Field(
        description="the law of each phase, as in a job of hmm homogenize", json_schema_extra={"words": "a table"}
    )
    constraint: Literal[tuple(CONSTRAINTS)] = Field(default="periodic", description="boundary condition of the cell")  # type: ignore[valid-type]
    degree: Annotated[Whole, Field(ge=1, le=4)] = Field(default=1, description="degree of the fluctuation in the cell")
    solver: Literal[tuple(SOLVERS)] = Field(default="auto", description="linear solver of the cell")  # type: ignore[valid-type]


class SupportSection(JobSection):
    """Prescribed values on a group of the mesh."""

    group: str = Field(description='a named group of the mesh; "left & bottom" is what two groups have in common')
    ux: InTime = _value("displacement along x")
    uy: InTime = _value("displacement along y")
    uz: InTime = _value("displacement along z, also in an axisymmetric body")
    ur: InTime = _value("radial displacement of an axisymmetric body")
    temperature: InTime = _value("temperature")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.given:
            raise InputError(f"it prescribes nothing: add one of {', '.join(COMPONENTS)}")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The prescribed components by name."""
        return {name: value for name in COMPONENTS if (value := getattr(self, name)) is not None}


class LoadSection(JobSection):
    """A load on a group of the mesh."""

    group: str | None = Field(
        default=None, description="a named group of facets; for body_force and source of cells, all by default"
    )
    traction: VectorInTime = Field(
        default=None,
        description="force per area of the undeformed body",
        json_schema_extra={"words": IN_LIST},
    )
    pressure: InTime = _value("force per area of the undeformed body against its outer normal there")
    body_force: VectorInTime = Field(default=None, description="force per volume", json_schema_extra={"words": IN_LIST})
    flux: InTime = _value("heat supplied through the surface, per area and time")
    source: InTime = _value("heat supplied in the volume, per volume and time")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [name for name in LOADS if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError(f"it has {' and '.join(given) or 'no load'}: give one of {', '.join(LOADS)}")
        if self.group is None and given[0] in ON_FACETS:
            raise InputError(f"a {given[0]} acts on a boundary: add group = ..., a named group of facets")
        return self

    @property
    def kind(self) -> str:
        """The key of the load."""
        return next(name for name in LOADS if getattr(self, name) is not None)


LOADS = ("traction", "pressure", "body_force", "flux", "source")
ON_FACETS = ("traction", "pressure", "flux")


class TimeSection(JobSection):
    """The load steps."""

    end: Number = Field(default=1.0, description="time at the end")
    steps: Annotated[Whole, Field(ge=1)] = Field(default=10, description="number of equal steps")
    times: list[Number] | None = Field(
        default=None, description="start, and end of each step, instead of end and steps"
    )
    max_cutbacks: Annotated[Whole, Field(ge=0, le=50)] = Field(
        default=6, description="how often a step that does not converge is halved"
    )

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if self.times is not None and {"end", "steps"} & self.model_fields_set:
            raise InputError("it has times, and end or steps: give one of them")
        if self.end <= 0:
            raise InputError(f"end = {shown(self.end)}: give a positive number")
        return self


class AdaptiveSection(JobSection):
    """Points that are solved together, see docs/micro_models.md."""

    tolerance: Number = Field(description="largest estimated error of a point's response, in the unit of stress")


class ReducedSection(JobSection):
    """Training of the reduced model, see docs/reduced.md."""

    size: Number = Field(description="how far the training paths go from the undeformed state, such as a strain")
    paths: Annotated[Whole, Field(ge=1)] = Field(default=8, description="number of training paths (random walks)")
    steps: Annotated[Whole, Field(ge=1)] = Field(default=20, description="steps of each path")
    modes: Annotated[Whole, Field(ge=1)] = Field(default=40, description="most modes beside the elastic ones")
    points: Annotated[Whole, Field(ge=1)] = Field(
        default=200, description="most combinations of forces that cubature keeps"
    )


class RunOutput(JobSection):
    """The results."""

    directory: str | None = Field(
        default=None, description="relative to the job file; results/NAME in the current directory by default"
    )
    format: Literal["vtu", "bp", "none"] = Field(
        default="vtu",
        description="macro fields as VTK files with an index (macro.pvd), as ADIOS2 (macro.bp), or not at all",
    )
    every: Annotated[Whole, Field(ge=1)] = Field(default=1, description="steps between two outputs of the macro fields")
    checkpoint: Annotated[Whole, Field(ge=0)] = Field(
        default=1, description="steps between two checkpoints; 0 for none"
    )
    report: bool = Field(default=True, description="whether report.html is written; needs the extra plot")


class RunFile(JobSection):
    """A job for hmm run."""

    formulation: Literal[FORMULATIONS] = Field(description="the macro problem")  # type: ignore[valid-type]
    model: Literal["full", "reduced", "adaptive"] = Field(
        default="full",
        description="the RVE at each point, a reduced model trained first, or one solve for similar points",
    )
    mesh: MeshSection = Field(description="the macro mesh", json_schema_extra={"words": "a table"})
    material: MaterialSection | None = Field(
        default=None, description="the material of all points", json_schema_extra={"words": "a table"}
    )
    materials: dict[str, MaterialSection] | None = Field(
        default=None,
        description="a material for each group of cells",
        json_schema_extra={"words": "a table for each group"},
    )
    support: list[SupportSection] = Field(
        description="prescribed values", json_schema_extra={"words": "tables `[[support]]`"}
    )
    load: list[LoadSection] = Field(default=[], description="loads", json_schema_extra={"words": "tables `[[load]]`"})
    time: TimeSection = Field(
        default=TimeSection(), description="the load steps", json_schema_extra={"words": "a table"}
    )
    adaptive: AdaptiveSection | None = Field(
        default=None, description='for model = "adaptive"', json_schema_extra={"words": "a table"}
    )
    reduced: ReducedSection | None = Field(
        default=None, description='for model = "reduced"', json_schema_extra={"words": "a table"}
    )
    algorithm: Literal["monolithic", "nested"] = Field(default="monolithic", description="how far cells iterate")
    ensemble: Literal["auto", "owner", "balanced", "scattered"] = Field(
        default="auto", description="distribution of the points over the ranks, see docs/running.md"
    )
    output: RunOutput = Field(default=RunOutput(), description="the results", json_schema_extra={"words": "a table"})

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.material is None) == (self.materials is None):
            given = "both [material] and [materials.GROUP]" if self.material else "no material"
            raise InputError(f"it has {given}: give [material], or [materials.GROUP] for each group of cells")
        for name in ("adaptive", "reduced"):
            if (getattr(self, name) is None) != (self.model != name):
                has = "lacks" if self.model == name else "has"
                raise InputError(f'it {has} [{name}], and model = {self.model!r}: [{name}] goes with model = "{name}"')
        return self
