"""Further data of a macro problem that persist between steps, such as velocities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from dolfinx import fem
from dolfinx.mesh import Mesh

from hmm.foundation.errors import InputError
from hmm.foundation.options import instance

RESERVED = ("u", "forces")
"""Names of the fields that every problem has."""


@runtime_checkable
class StepMemory(Protocol):
    """An object that is updated in each step, such as a time integrator."""

    @property
    def functions(self) -> Mapping[str, fem.Function]:
        """Its Functions, by name."""
        ...

    def begin(self, dt: float) -> None:
        """Prepare a solve with a given duration; it may be repeated with another one."""
        ...

    def accept(self) -> None:
        """Make the end of the accepted step the start of the next one."""
        ...


class Memory:
    """Functions of a problem that persist between steps, and the objects that update them.

    Parameters
    ----------
    mesh
        The macro mesh.

    Attributes
    ----------
    functions
        The Functions by unique names, in the order in which they were added.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.functions: dict[str, fem.Function] = {}
        self._mesh = mesh
        self._parts: list[StepMemory] = []

    def add(self, thing: fem.Function | StepMemory) -> None:
        """Add a Function, or the Functions of an object that is updated in each step."""
        instance("what to remember", thing, (fem.Function, StepMemory), "give a Function or a time integrator")
        if isinstance(thing, StepMemory):
            self._parts.append(thing)
            for name, function in thing.functions.items():
                self._add(name, function)
        else:
            self._add(thing.name, thing)

    def begin(self, dt: float) -> None:
        """Prepare a solve."""
        for part in self._parts:
            part.begin(dt)

    def accept(self) -> None:
        """Make the accepted values the start of the next step."""
        for part in self._parts:
            part.accept()

    def __str__(self) -> str:
        return ", ".join(f"{name} of {_size(f)} values a cell" for name, f in self.functions.items()) or "none"

    def _add(self, name: str, function: fem.Function) -> None:
        space = function.function_space
        if space.mesh is not self._mesh:
            raise InputError(f"the Function {name!r} to remember is on another mesh than the macro unknown")
        if space.element.needs_dof_transformations:
            raise InputError(f"the Function {name!r} to remember is of {space.ufl_element()}: use a Lagrange space")
        plain = re.sub(r"\W", "_", name)
        taken, number = {*RESERVED, *self.functions}, 1
        unique = plain
        while unique in taken:
            number += 1
            unique = f"{plain}_{number}"
        self.functions[unique] = function


def _size(function: fem.Function) -> int:
    dofmap = function.function_space.dofmap
    return int(dofmap.list.shape[1] * dofmap.bs)
