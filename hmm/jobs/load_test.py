"""Job files for ``hmm test``: a cell, and the load that is applied to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hmm.foundation.errors import InputError
from hmm.jobs.reading import KEYS, Job, job_of
from hmm.jobs.sections import JobSection, Number, Whole, validated
from hmm.jobs.tables import parsed_job
from hmm.jobs.values import check_keys

MOST = 100_000
"""Largest number of steps."""

LOADS = {"uniaxial": ("11",), "shear": ("12",), "biaxial": ("11", "22")}
"""The components that each load drives, by default."""


STEPS_IN_WORDS = '"none", "last" or a list of step numbers'


def _steps(value: Any) -> list[int] | str:
    numbers = isinstance(value, list) and all(isinstance(k, int) and not isinstance(k, bool) for k in value)
    if not numbers and value not in ("none", "last"):
        raise InputError(f"it is not understood: give {STEPS_IN_WORDS}")
    return list(value) if numbers else str(value)


type Steps = Annotated[
    Any,
    BeforeValidator(_steps),
    WithJsonSchema({"anyOf": [{"enum": ["none", "last"]}, {"type": "array", "items": {"type": "integer"}}]}),
]
"""Which steps."""


class LoadTestSection(JobSection):
    """The load on the cell."""

    load: Literal["uniaxial", "shear", "biaxial"] = Field(
        default="uniaxial", description="the components that are driven: 11, 12, or 11 and 22"
    )
    components: list[str] | None = Field(
        default=None, description='other components to drive, such as ["22"], or two for a biaxial load'
    )
    ratio: Number = Field(default=1.0, description="the second component of a biaxial load over the first one")
    to: Number | None = Field(default=None, description="strain at the end, or amplitude of the cycles")
    through: list[Number] | None = Field(default=None, description="strains to pass one after another, instead of to")
    cycles: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(
        default=None,
        description="number of cycles: from 0 to the strain, to its negative, and back to it",
        json_schema_extra={"words": "an integer from 1 to 1000"},
    )
    steps: Annotated[Whole, Field(ge=1, le=MOST)] = Field(
        default=20, description="number of steps from one turning point to the next"
    )
    others: Literal["free", "fixed"] = Field(
        default="free", description="whether the other components have no stress, or no strain"
    )
    rate: Number | None = Field(default=None, description="strain per unit of time, for laws with rates")
    fields: Steps = Field(
        default="last",
        description="numbers of the steps whose local fields are written",
        json_schema_extra={"words": STEPS_IN_WORDS},
    )

    @model_validator(mode="after")
    def _agrees(self) -> LoadTestSection:
        if (self.to is None) == (self.through is None):
            raise InputError("it needs one of to and through: add to = 0.02 (strain at the end)")
        if self.through is not None and self.cycles is not None:
            raise InputError("it has through and cycles: give cycles with to, or all turning points in through")
        if self.to == 0 or self.through == []:
            raise InputError("it applies no strain: give to = 0.02, or through = [0.02, 0.0]")
        if self.rate is not None and self.rate <= 0:
            raise InputError(f"it has rate = {self.rate:g}: give a positive one")
        if self.components is not None and len(self.components) != len(LOADS[self.load]):
            n = len(LOADS[self.load])
            raise InputError(f"it has {len(self.components)} components: a {self.load} load drives {n}")
        if self.components is not None and len(set(self.components)) < len(self.components):
            raise InputError(f"it drives {self.components[0]} twice: give different components")
        if self.ratio != 1.0 and self.load != "biaxial":
            raise InputError(f"it has a ratio, but the load is {self.load}: write load = 'biaxial'")
        return self

    @property
    def directions(self) -> dict[str, float]:
        """The driven components, per unit of strain."""
        names = self.components or LOADS[self.load]
        return dict(zip(names, (1.0, self.ratio), strict=False))

    @property
    def levels(self) -> NDArray[np.float64]:
        """The strain at the end of each step, shape (n,)."""
        to = self.to or 0.0
        turns = self.through or ([to] if self.cycles is None else [to, *[-to, to] * self.cycles])
        starts = [0.0, *turns[:-1]]
        legs = [np.linspace(a, b, self.steps + 1)[1:] for a, b in zip(starts, turns, strict=True) if a != b]
        return np.concatenate(legs) if legs else np.zeros(0)


@dataclass(frozen=True, eq=False)
class LoadTest:
    """A job of a load test that was read and checked.

    Attributes
    ----------
    job
        The cell, its laws and the output.
    asked
        The section [test].
    """

    job: Job
    asked: LoadTestSection

    @property
    def fields(self) -> tuple[int, ...]:
        """Numbers of the steps whose fields are written, from 1."""
        chosen = self.asked.fields
        if isinstance(chosen, list):
            return tuple(chosen)
        return (len(self.asked.levels),) if chosen == "last" else ()


def read_load_test(
    path: str | Path,
    comm: MPI.Comm = MPI.COMM_SELF,
    *,
    trust_laws: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> LoadTest:
    """Read a job of a load test, and check everything that does not depend on its cell.

    Parameters
    ----------
    path
        The TOML file: one for `hmm.jobs.read_job` with the section ``[test]``.
    comm, trust_laws, changes
        As for `hmm.jobs.read_job`.

    Raises
    ------
    InputError
        If there is no such file, a key is unknown or missing, or a value is invalid.
    """
    path = Path(path)
    table, text = parsed_job(path, comm, "'hmm test --example' prints one", changes)
    check_keys(table, (*KEYS, "test"), str(path))
    if "test" not in table:
        raise InputError(f"{path}: [test] is missing: add it, with load = 'uniaxial' and to = 0.02")
    asked = validated(LoadTestSection, table["test"], f"{path}: [test]")
    n = len(asked.levels)
    if not 0 < n <= MOST:
        raise InputError(f"{path}: [test] has {n} steps: give 1 to {MOST}")
    if isinstance(asked.fields, list) and not all(1 <= k <= n for k in asked.fields):
        wrong = next(k for k in asked.fields if not 1 <= k <= n)
        raise InputError(f"{path}: [test]: fields has step {wrong}: the steps are 1 to {n}")
    rest = {key: value for key, value in table.items() if key != "test"}
    job = job_of(path, rest, text, comm, trust_laws)
    if job.physics != "elasticity":
        raise InputError(f"{path}: physics = {job.physics!r}: a load test is for 'elasticity', small or finite strain")
    return LoadTest(job, asked)
