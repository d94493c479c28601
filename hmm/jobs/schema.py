"""The keys of a job file for ``hmm homogenize``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hmm.effective.physics import PHYSICS
from hmm.jobs.sections import JobSection, Number, Whole
from hmm.micro.constraints import CONSTRAINTS
from hmm.micro.local_fields import FORMATS
from hmm.micro.solvers.described import SOLVERS

TABLE: dict[str, Any] = {"words": "a table"}


class HomogenizeOutput(JobSection):
    """The results."""

    directory: str | None = Field(
        default=None, description="relative to the job file; `results/NAME` in the current directory by default"
    )
    report: bool = Field(
        default=True, description="whether `report.html` and `report.md` are written beside `properties.json`"
    )
    plot: bool = Field(default=True, description="whether pictures are drawn")
    fields: list[str] = Field(default=[], description='load cases whose local fields are written, such as `"11"`')
    format: Literal[tuple(FORMATS)] = Field(  # type: ignore[valid-type]
        default="bp", description="of the local fields: `bp` (ADIOS2) or `vtu` (VTK)"
    )


class HomogenizeFile(JobSection):
    """A job for hmm homogenize."""

    cell: Any = Field(
        default=None, description="the cell: an image, a mesh file or a generator", json_schema_extra=TABLE
    )
    phases: Any = Field(
        default=None,
        description='the law of each phase, `[phases.NAME]`; `"*"` stands for all other phases',
        json_schema_extra=TABLE,
    )
    physics: Literal[tuple(PHYSICS)] = Field(  # type: ignore[valid-type]
        default="elasticity", description="what is homogenized"
    )
    constraint: Literal[tuple(CONSTRAINTS)] = Field(  # type: ignore[valid-type]
        default="periodic", description="boundary condition of the cell"
    )
    degree: Annotated[Whole, Field(le=8)] | None = Field(
        default=None, description="degree of the fluctuation, 1 by default; for flow that of the velocity, 2 by default"
    )
    out_of_plane: bool | None = Field(
        default=None, description="the component 33 of the strain of a 2D cell as well, to find E3 and nu31"
    )
    dt: Number | None = Field(default=None, description="duration of the step, for laws with rates")
    solver: Literal[tuple(SOLVERS)] | None = Field(  # type: ignore[valid-type]
        default=None, description="linear solver of the cell"
    )
    quadrature_degree: Annotated[Whole, Field(ge=0, le=30)] | None = Field(
        default=None, description="degree of the quadrature rule in the cell"
    )
    mesh_error: bool = Field(default=True, description="whether the error of the constants from the mesh is estimated")
    units: dict[str, str] | None = Field(
        default=None,
        description='units of the numbers, such as `{stress = "GPa"}`, for the report; nothing is converted',
    )
    spread: bool = Field(
        default=False, description="whether the cell is spread over all ranks; otherwise rank 0 solves it alone"
    )
    output: HomogenizeOutput = Field(default=HomogenizeOutput(), description="the results", json_schema_extra=TABLE)


OPTIONS = ("degree", "out_of_plane", "dt", "solver", "quadrature_degree", "mesh_error", "units")
"""Keys that are options of `hmm.homogenize`."""
