"""A law compiled to one function of many material points: no cell, no finite elements, no Python loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mpi4py import MPI

import cffi
import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.cpp.fem import pack_constants
from numpy.typing import ArrayLike, NDArray
from ufl.algorithms import expand_derivatives, extract_coefficients
from ufl.algorithms.analysis import extract_constants, extract_type

from hmm.foundation import tensors
from hmm.foundation.compiled import compiled_module
from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_expression, form_of, real_space, without_variables
from hmm.foundation.hashing import short
from hmm.foundation.options import integer
from hmm.foundation.tensors import Packing
from hmm.laws.base import ImplicitLaw, Law, Local, responses
from hmm.laws.combined import Combined
from hmm.laws.renaming import Renamed

Expr = ufl.core.expr.Expr
Floats = NDArray[np.float64]

DECLARATION = """
void explicit_points(uintptr_t law, int64_t n, int inputs, int outputs, const double *w, const double *c, double *out);
void implicit_points(uintptr_t law, uintptr_t equations, uintptr_t guess, int64_t n, int inputs, int m, int outputs,
                     const double *w, const double *c, const double *ce, const double *cg, double *work, double *out);
"""

MOST_UNKNOWNS = 32
"""Local unknowns of a law, as in batch.c."""

POINT = np.array([[0.5]])
"""Where on an interval the expressions are evaluated; they are the same everywhere."""


def field_packings(dim: int) -> dict[str, Packing]:
    """How the local fields that laws ask for are packed in a dimension, by what laws call them."""
    return {
        "strain": tensors.symmetric(dim),
        "deformation_gradient": tensors.general(dim, dim),
        "strain_rate": tensors.symmetric(dim),
        "gradient": tensors.general(dim),
        "pressure_gradient": tensors.general(dim),
        "velocity": tensors.general(dim),
        "temperature": tensors.general(),
        "pressure": tensors.general(),
    }


def kind_of(law: Law, field: str) -> str:
    """What a law's own code calls one of its fields, which `hmm.laws.rename` may have given another name."""
    if isinstance(law, Renamed):
        return kind_of(law.law, {new: own for own, new in law.names}.get(field, field))
    if isinstance(law, Combined):
        return next(kind_of(part, field) for part in law.parts if field in part.fields)
    return field


def checked_law(law: object) -> Law:
    """A law that can answer alone; raises `InputError` if it is none."""
    if isinstance(law, Law):
        return law
    raise InputError(f"law = {law!r} has no response of its own: give one of hmm.laws, or your own hmm.laws.Law")


class CompiledLaw(NamedTuple):
    """What the loops of batch.c need of a law.

    Attributes
    ----------
    addresses, constants
        Of the law and, if it has local unknowns, of its equations and their first guess: the C function, and the
        packed constants, among which is the duration of the step.
    n_unknowns
        Number of local unknowns.
    """

    addresses: tuple[int, ...]
    constants: tuple[Floats, ...]
    n_unknowns: int


class LawKernel:
    """A law as a compiled function ``(fields, old variables, dt) -> (responses, tangent, new variables)``.

    The law's UFL is compiled by FFCx into one C function, which a compiled loop calls for all points. Local unknowns of
    implicit laws are solved for in C, with the same tolerances as in `hmm.RVE`. Each rank makes its own kernel, and
    ranks that want the same one share the compiled code.

    Parameters
    ----------
    law
        The law. Constants in it keep their role: their values at the time of a call count.
    dim
        Dimension of the fields: in 2D the strain has no out-of-plane components and the deformation gradient a unit one
        (plane strain).
    packings
        How fields are packed that are packed otherwise than in `field_packings`, by name.

    Attributes
    ----------
    packings
        How each field, and the response to it, is packed, by name.
    internal
        How each internal variable is packed, by name.
    fields
        Where each field lies in the packed vector of all.
    variables
        Where each internal variable lies in the packed vector of all.
    constants
        The Constants in the law.
    has_rates
        Whether its answers depend on the duration of the step.
    expressions
        What is compiled: the law and, for local unknowns, their equations and first guess.

    Raises
    ------
    InputError
        If `law` is no law, the packing of a field is not known, or the law contains a Function or the position.
    """

    def __init__(self, law: Law, dim: int = 3, packings: Mapping[str, Packing] | None = None) -> None:
        self.law, self.dim = checked_law(law), integer("dim", dim, 1, 3)
        self.packings = _packings(law, dim, packings or {})
        self.internal = dict(law.internal(dim))
        self.fields, self.variables = tensors.blocks(self.packings), tensors.blocks(self.internal)
        self._unknown_packings = dict(law.unknowns(dim)) if isinstance(law, ImplicitLaw) else {}
        self._unknowns = tensors.blocks(self._unknown_packings)
        if self._unknowns.size > MOST_UNKNOWNS:
            raise InputError(
                f"{type(law).__name__} has {self._unknowns.size} local unknowns: a kernel takes up to {MOST_UNKNOWNS}"
            )
        self._mesh = mesh.create_unit_interval(MPI.COMM_SELF, 1)
        self._dt = fem.Constant(self._mesh, 0.0)
        vectors = self._vectors()
        found = dict.fromkeys(c for vector in vectors for c in extract_constants(vector))
        self.has_rates = self._dt in found
        self.constants: Sequence[fem.Constant] = tuple(c for c in found if c.ufl_domain() != self._mesh.ufl_domain())
        self._copies = {c: fem.Constant(self._mesh, c.value) for c in self.constants}
        self.expressions = [ufl.replace(vector, self._copies) for vector in vectors]
        self.signature = short(form_of(self.expressions).signature())
        self._compiled = [compile_expression(vector, POINT) for vector in self.expressions]
        self._addresses = [_address(expression) for expression in self._compiled]
        self._loops = _loops()

    @property
    def n_fields(self) -> int:
        """Numbers in the packed fields, and in the packed responses."""
        return self.fields.size

    @property
    def n_variables(self) -> int:
        """Numbers in the packed internal variables."""
        return self.variables.size

    @cached_property
    def reference(self) -> Floats:
        """Packed fields of the undeformed state, shape (n_fields,): zero, and one on a gradient's diagonal."""
        zero = {name: np.zeros(p.shape) for name, p in self.packings.items()}
        for name in zero:
            if self._out_of_plane(name):
                np.fill_diagonal(zero[name], 1.0)
        return self.fields.join({name: self.packings[name].to_vector(value) for name, value in zero.items()})

    def __call__(
        self, fields: ArrayLike, old: ArrayLike | None = None, dt: float = 0.0
    ) -> tuple[Floats, Floats, Floats]:
        """Responses, their tangents and the new variables of many points.

        Parameters
        ----------
        fields
            Shape (n, n_fields); packed local fields at the end of the step.
        old
            Shape (n, n_variables); packed internal variables at its start, zero by default.
        dt
            Duration of the step, in the unit of time of the law's parameters.

        Returns
        -------
        responses, tangents, new
            Shapes (n, n_fields), (n, n_fields, n_fields) and (n, n_variables); NaN at points whose local equations were
            not solved. Views of one new array.

        Raises
        ------
        InputError
            If an array has another shape.
        """
        x = np.atleast_2d(np.asarray(fields, dtype=float))
        n, m, k = len(x), self.n_fields, self.n_variables
        before = np.zeros((n, k)) if old is None else np.atleast_2d(np.asarray(old, dtype=float))
        for what, array, size in (("fields", x, m), ("old variables", before, k)):
            if array.shape != (n, size):
                raise InputError(f"{what} of {type(self.law).__name__} have shape {array.shape}: give ({n}, {size})")
        out = np.empty((n, m + m * m + k))
        self._run(np.concatenate([x, before], axis=1), dt, out)
        return out[:, :m], out[:, m : m + m * m].reshape(n, m, m), out[:, m + m * m :]

    def initial(self, n: int) -> Floats:
        """Internal variables of `n` points before the first step, shape (n, n_variables)."""
        return np.zeros((n, self.n_variables))

    def at(self, dt: float) -> CompiledLaw:
        """The compiled functions for a duration of the step, to be called from other compiled loops."""
        self._dt.value = float(dt)  # type: ignore[assignment]  # DOLFINx takes what NumPy can assign
        for constant, copy in self._copies.items():
            copy.value = constant.value
        constants = tuple(pack_constants(expression._cpp_object) for expression in self._compiled)
        return CompiledLaw(tuple(self._addresses), constants, self._unknowns.size)

    def _run(self, rows: Floats, dt: float, out: Floats) -> None:
        """Call the compiled loop for rows of (fields, old variables)."""
        (n, inputs), outputs = rows.shape, out.shape[1]
        (law, *others), constants, size = self.at(dt)
        loops, buffer = self._loops.lib, self._loops.ffi.from_buffer

        def doubles(array: Floats) -> Any:
            return buffer("double[]", array)

        c = [doubles(values) for values in constants]
        if not others:
            loops.explicit_points(law, n, inputs, outputs, doubles(rows), c[0], doubles(out))
            return
        work = np.zeros(inputs + size + size * size)
        given = (law, *others, n, inputs, size, outputs, doubles(rows), *c, doubles(work))
        loops.implicit_points(*given, doubles(out))

    def _vectors(self) -> list[Expr]:
        """What to compile: the law, and for local unknowns their equations and first guess."""
        m, k, u = self.n_fields, self.n_variables, self._unknowns.size
        f = fem.Function(real_space(self._mesh, m + k + u + u * u), name="point")
        y = ufl.variable(ufl.as_vector([f[i] for i in range(m)]))
        given = tensors.unpack_all(self.internal, ufl.as_vector([f[m + i] for i in range(k)])) if k else {}
        at, further = Local(self._embedded(y), given, self._dt), list[list[Expr]]()
        if u:
            x, inverse = (ufl.as_vector([f[i] for i in range(start, start + n)]) for start, n in self._behind())
            further = self._equations(at, x)
            at = self._corrected(at, x, inverse)
        nothing = fem.Constant(self._mesh, 0.0)  # expressions of plain numbers know no mesh
        entries = [ufl.as_vector([entry + nothing for entry in of]) for of in (self._answer(at, y), *further)]
        vectors = [without_variables(vector) for vector in entries]
        _require_constants_only(self.law, vectors, f)
        return vectors

    def _behind(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where the unknowns and the inverse of their Jacobian lie in a row: start and length."""
        start, u = self.n_fields + self.n_variables, self._unknowns.size
        return (start, u), (start + u, u * u)

    def _answer(self, at: Local, y: Expr) -> list[Expr]:
        """Entries of the responses, their derivative by the fields `y`, and the new variables."""
        m, k = self.n_fields, self.n_variables
        response = tensors.pack_all(self.packings, responses(self.law, at))
        C = expand_derivatives(ufl.diff(response, y))
        new = tensors.pack_all(self.internal, self.law.update(at)) if k else ()
        return [
            *(response[i] for i in range(m)),
            *(C[i, j] for i in range(m) for j in range(m)),
            *(new[i] for i in range(k)),
        ]

    def _equations(self, at: Local, x: Expr) -> list[list[Expr]]:
        """Entries of the residual with its Jacobian, and of the first guess."""
        u, v = self._unknowns.size, ufl.variable(x)
        r = self._residual(at, v)
        J = expand_derivatives(ufl.diff(r, v))
        entries = [r[i] for i in range(u)] + [J[i, j] for i in range(u) for j in range(u)]
        assert isinstance(self.law, ImplicitLaw)
        guess = tensors.pack_all(self._unknown_packings, self.law.guess(at))
        return [entries, [guess[i] for i in range(u)]]

    def _corrected(self, at: Local, x: Expr, inverse: Expr) -> Local:
        """The point with ``x - J^-1 r``: x itself where it is solved, with the derivative of the implicit function."""
        u, r = self._unknowns.size, self._residual(at, x)
        corrected = [x[i] - sum(inverse[u * i + j] * r[j] for j in range(u)) for i in range(u)]
        return at.solving(tensors.unpack_all(self._unknown_packings, ufl.as_vector(corrected)))

    def _residual(self, at: Local, x: Expr) -> Expr:
        assert isinstance(self.law, ImplicitLaw)
        solving = at.solving(tensors.unpack_all(self._unknown_packings, x))
        return tensors.pack_all(self._unknown_packings, self.law.residual(solving))

    def _embedded(self, y: Expr) -> dict[str, Expr]:
        """The fields as the law gets them: tensors have the shape (3, 3) in 2D too."""
        fields = tensors.unpack_all(self.packings, y)
        return {name: tensors.embed(value, self._out_of_plane(name)) for name, value in fields.items()}

    def _out_of_plane(self, field: str) -> float:
        """The entry 33 of a field in plane strain."""
        return 1.0 if kind_of(self.law, field) == "deformation_gradient" else 0.0


def _packings(law: Law, dim: int, given: Mapping[str, Packing]) -> dict[str, Packing]:
    """The packing of each field of a law."""
    known = field_packings(dim)
    found = {name: given.get(name, known.get(kind_of(law, name))) for name in law.fields}
    if unknown := [name for name, packing in found.items() if packing is None]:
        raise InputError(
            f"{type(law).__name__} answers the field {unknown[0]!r}, whose packing is not known: give "
            f"packings={{{unknown[0]!r}: ...}}"
        )
    return {name: packing for name, packing in found.items() if packing is not None}


def _require_constants_only(law: Law, vectors: Sequence[Expr], f: fem.Function) -> None:
    """Raise `InputError` if a law contains something that only a mesh has."""
    for vector in vectors:
        others = [str(other) for other in extract_coefficients(vector) if other is not f]
        geometry = [type(g).__name__ for g in extract_type(vector, ufl.classes.GeometricQuantity)]
        if others or geometry:
            raise InputError(
                f"{type(law).__name__} contains {[*others, *geometry][0]}, and a material point has no mesh: "
                "give numbers or fem.Constants"
            )


def batch_source() -> str:
    """The loops over material points, batch.c, for other compiled loops to build on."""
    return Path(__file__).with_name("batch.c").read_text(encoding="utf-8")


@cache
def _loops() -> Any:
    """The compiled loops of batch.c."""
    return compiled_module(
        "hmm_points", batch_source(), DECLARATION, "loops over material points need a C compiler, such as GCC"
    )


def _address(expression: fem.Expression) -> int:
    """Address of the C function of a compiled expression."""
    function = expression.ufcx_expression.tabulate_tensor_float64
    return int(cffi.FFI().cast("uintptr_t", function))
