"""The definition of a cell problem: the arguments of the user, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import ufl
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.cells.cell import Cell
from hmm.foundation import tensors
from hmm.foundation.blocks import Blocks
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.forms import default_quadrature_degree, warn_of_few_points
from hmm.foundation.options import choice, dictionary, instance
from hmm.foundation.options import quadrature_degree as check_degree
from hmm.laws.base import Law
from hmm.laws.rigid import Rigid, without_rigid
from hmm.micro.constraints import CONSTRAINTS
from hmm.micro.fluctuation import Operator, is_mixed
from hmm.micro.inputs import MacroInput
from hmm.models.points import input_blocks, reference_of

RESULTS = {"phase", "stress", "von_mises"}
"""Names of the results that are written in addition to the local fields (see `hmm.LocalFields`)."""


@dataclass(frozen=True, eq=False)
class CellProblem:
    """A cell with its fields, laws and constraint.

    Attributes
    ----------
    cell
        The unit cell.
    w
        The fluctuation field.
    inputs
        The macroscopic inputs, with unique names.
    law
        A law for each phase; empty if the problem is given by an energy.
    energy
        The energy ``Pi(w, E)``, or None.
    micro
        Local fields of the fluctuation only, for laws that ask for them: an operator on `w` for each name.
    constraint
        Name of the constraint on the boundary.
    fixed
        Local degrees of freedom of `w` that are zero, in addition to the constraint.
    quadrature_degree
        Degree of the quadrature rule.
    dt
        Duration of the step.
    """

    cell: Cell
    w: fem.Function
    inputs: tuple[MacroInput, ...]
    law: Mapping[str, Law]
    energy: ufl.Form | None
    micro: Mapping[str, Operator]
    constraint: str
    fixed: NDArray[np.int32]
    quadrature_degree: int
    dt: fem.Constant

    @cached_property
    def blocks(self) -> Blocks:
        """The ranges of the inputs in the packed vector."""
        return input_blocks(self.inputs)

    @property
    def n_inputs(self) -> int:
        """Total number m of macroscopic components."""
        return self.blocks.size

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """Packed macroscopic input of the undeformed state, shape (m,)."""
        return reference_of(self.inputs)

    @cached_property
    def is_mixed(self) -> bool:
        """Whether `w` has several fields."""
        return is_mixed(self.w.function_space)

    @cached_property
    def driven(self) -> set[int]:
        """Numbers of the fields that macroscopic inputs act on."""
        return {e.component or 0 for e in self.inputs if e.operator is not None}

    @cached_property
    def measure(self) -> ufl.Measure:
        """The volume measure with the quadrature rule."""
        return self.cell.measure(quadrature_degree=self.quadrature_degree, quadrature_scheme="default")

    def local_fields(self) -> dict[str, ufl.core.expr.Expr]:
        """All local fields by name, as laws receive them: those of the inputs, then those of the fluctuation."""
        fields: dict[str, ufl.core.expr.Expr] = {}
        for e in self.inputs:
            added = e.local_3d(self.w)
            fields[e.field] = fields[e.field] + added if e.field in fields else added
        return fields | {name: tensors.embed(operator(self.w)) for name, operator in self.micro.items()}

    def local(self) -> ufl.core.expr.Expr:
        """The local field of the first macroscopic input, as UFL; (2, 2) without an out-of-plane component."""
        return self._local(self.inputs[0].field)

    def further_fields(self) -> dict[str, ufl.core.expr.Expr]:
        """The other local fields by name, likewise."""
        names = dict.fromkeys(e.field for e in self.inputs if e.field != self.inputs[0].field)
        fields = {name: self._local(name) for name in names}
        return fields | {name: operator(self.w) for name, operator in self.micro.items()}

    def _local(self, name: str) -> ufl.core.expr.Expr:
        parts = [e.local(self.w) for e in self.inputs if e.field == name]
        if len({part.ufl_shape for part in parts}) > 1:
            return self.local_fields()[name]
        return sum(parts[1:], parts[0])


def define(
    cell: Cell,
    w: fem.Function,
    E: MacroInput | Sequence[MacroInput],
    law: Mapping[str, Law | Rigid] | None,
    energy: ufl.Form | None,
    constraint: str,
    micro: Mapping[str, Operator] | None,
    fixed: ArrayLike,
    quadrature_degree: int | None,
    dt: fem.Constant | None,
) -> CellProblem:
    """The cell problem defined by the arguments of `hmm.RVE`.

    Raises
    ------
    InputError
        For an argument of the wrong kind, a phase without law, a law of an unknown phase, or laws that do not fit the
        inputs.
    """
    instance("cell", cell, Cell, "make one with hmm.Cell or hmm.cells")
    inputs = tuple(E) if isinstance(E, Sequence) else (E,)
    dt = fem.Constant(cell.mesh, 0.0) if dt is None else dt
    _check_kinds(cell, w, inputs, energy, dt)
    choice("constraint", constraint, CONSTRAINTS)
    if (law is None) == (energy is None):
        raise InputError("RVE needs either law={phase name: law} or energy=UFL form, not both and not neither")
    given = dictionary("micro", micro, "operators by name")
    laws = without_rigid(dictionary("law", law, "laws by phase"))
    _check_names(inputs, given)
    fields = {name: op for e in inputs for name, op in e.micro.items()} | given
    _check_components(w, inputs)
    if law is not None:
        _check_phases(cell, laws)
        _check_fields(cell, w, inputs, laws, fields)
    degree = enough = default_quadrature_degree(w.function_space)
    if quadrature_degree is not None:
        degree = check_degree("quadrature_degree", quadrature_degree)
        warn_of_few_points(cell.mesh, "quadrature_degree", degree, enough)
    with collectively(cell.comm):
        dofs = _checked_dofs(fixed, w.function_space)
    return CellProblem(cell, w, inputs, laws, energy, fields, constraint, dofs, degree, dt)


def _check_kinds(cell: Cell, w: object, inputs: tuple[object, ...], energy: object, dt: object) -> None:
    """Raise `InputError` if an argument has the wrong type."""
    instance("w", w, fem.Function, "make it with hmm.fluctuation(cell)")
    for e in inputs:
        instance("E", e, MacroInput, "make it with hmm.macro_strain(cell) or another input of hmm")
    functions = [("w", w), *((f"the macro {e.name}", e.function) for e in inputs if isinstance(e, MacroInput))]
    for what, function in functions:
        assert isinstance(function, fem.Function)
        if function.function_space.mesh.ufl_domain() != cell.mesh.ufl_domain():
            raise InputError(f"{what} is on another mesh than the cell: create it with this cell")
    if energy is not None:
        instance("energy", energy, ufl.Form, "write it in UFL, integrated with cell.measure()")
    instance("dt", dt, fem.Constant, "give fem.Constant(cell.mesh, duration)")


def _check_names(inputs: tuple[MacroInput, ...], micro: Mapping[str, Operator]) -> None:
    """Raise `InputError` if inputs or local fields have the same name."""
    names = [name for e in inputs for name in (e.name, *e.micro)] + list(micro)
    names += sorted({e.field for e in inputs} - {e.name for e in inputs})
    if taken := sorted(RESULTS & set(names)):
        raise InputError(
            f"a macro input or micro field is called {taken[0]!r}, like a result of the cell: give another name"
        )
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{names.count(name)} macro inputs or micro fields are called {name!r}, but laws need unique names: "
                f"give one another name, such as name='{name}_2'"
            )


def _checked_dofs(fixed: ArrayLike, space: fem.FunctionSpace) -> NDArray[np.int32]:
    """The fixed degrees of freedom of this rank, checked."""
    index_map = space.dofmap.index_map
    dofs, n = np.asarray(fixed), (index_map.size_local + index_map.num_ghosts) * space.dofmap.index_map_bs
    if dofs.size and (dofs.dtype.kind not in "iu" or dofs.min() < 0 or dofs.max() >= n):
        raise InputError(
            f"fixed_dofs = {dofs.tolist()[:5]}... are not degrees of freedom of w, 0 to {n - 1}: use hmm.wall_dofs"
        )
    return dofs.astype(np.int32)


def _check_phases(cell: Cell, law: Mapping[str, Law]) -> None:
    for phase in law:
        if phase not in cell.phases:
            raise InputError(f"law names the phase {phase!r}, but the cell's phases are {list(cell.phases)}")
    for phase in cell.phases:
        if phase not in law:
            raise InputError(f"phase {phase!r} has no law: add it to law={{...}}, which has {list(law)}")
        if not isinstance(law[phase], Law):
            raise InputError(
                f"the law of phase {phase!r} is {law[phase]!r}: give one of hmm.laws, or your own hmm.laws.Law"
            )


def _check_components(w: fem.Function, inputs: tuple[MacroInput, ...]) -> None:
    """Raise `InputError` if a macro input acts on a field that `w` does not have."""
    n = w.function_space.num_sub_spaces if is_mixed(w.function_space) else 1
    for e in inputs:
        if n > 1 and e.operator is not None and e.component is None:
            raise InputError(
                f"w has {n} fields, and the macro {e.name} does not say on which it acts: give component=0, 1, ..."
            )
        if e.component is not None and (n == 1 or not 0 <= e.component < n):
            raise InputError(
                f"the macro {e.name} acts on component {e.component} of w, which has {n} field{'s' * (n > 1)}: "
                "make w with hmm.fluctuation(cell, degree=(...), shape=(...))"
            )


def _check_fields(
    cell: Cell,
    w: fem.Function,
    inputs: tuple[MacroInput, ...],
    law: Mapping[str, Law],
    micro: Mapping[str, Operator],
) -> None:
    """Raise `InputError` unless the laws have responses to the macro inputs, and `w` has a suitable shape."""
    names = list(dict.fromkeys(e.field for e in inputs))
    for phase, of_phase in law.items():
        if not set(names) <= set(of_phase.fields) <= {*names, *micro}:
            further = f" and the micro fields {', '.join(micro)}" if micro else ""
            raise InputError(
                f"the law of phase {phase!r}, {type(of_phase).__name__}, answers {', '.join(of_phase.fields)}, but the "
                f"macro inputs are {', '.join(names)}{further}: "
                f"{_way_out(of_phase, inputs)}use another law or other inputs, or write energy=..."
            )
    for macro in inputs:
        if macro.operator is None:
            continue
        needed = (cell.dim,) * (len(macro.added.ufl_shape) - 1)
        shape = macro.of(w).ufl_shape
        if shape != needed:
            kind = f"a field of shape {shape}" if shape else "a scalar"
            what = "w" if macro.component is None else f"component {macro.component} of w"
            raise InputError(
                f"a macro {macro.name} of shape {macro.packing.shape} needs a fluctuation of shape {needed}, "
                f"and {what} is {kind}: create it with hmm.fluctuation(cell)"
            )
    _check_shapes(w, inputs)


def _check_shapes(w: fem.Function, inputs: tuple[MacroInput, ...]) -> None:
    """Raise `InputError` if inputs add tensors of different shapes to one local field."""
    shapes: dict[str, tuple[int, ...]] = {}
    for e in inputs:
        shape = e.local_3d(w).ufl_shape
        if (wanted := shapes.setdefault(e.field, shape)) != shape:
            raise InputError(
                f"the macro {e.name} adds a tensor of shape {shape} to the local field {e.field!r}, which has the "
                f"shape {wanted}: change its contribution"
            )


def _way_out(law: Law, inputs: tuple[MacroInput, ...]) -> str:
    """How to rename a law so that its fields have the names of the inputs; empty if this does not help."""
    silent = {e.kind: e.field for e in inputs if e.kind in law.fields and e.field not in law.fields}
    found = ", ".join(f"{kind}={field!r}" for kind, field in silent.items() if kind not in {e.field for e in inputs})
    return f"hmm.laws.rename(law, {found}), or " if found else ""
