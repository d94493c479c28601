"""A law compiled to one function of many material points: no cell, no finite elements, no Python loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cffi
from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.cpp.fem import pack_constants
from numpy.typing import ArrayLike, NDArray
from ufl.algorithms import expand_derivatives, extract_coefficients
from ufl.algorithms.analysis import extract_constants

from hmm.foundation import tensors
from hmm.foundation.blocks import Blocks
from hmm.foundation.compiled import load
from hmm.foundation.errors import InputError
from hmm.foundation.forms import compile_expression, real_space
from hmm.foundation.tensors import Packing
from hmm.laws.base import ImplicitLaw, Law, Local, responses

Floats = NDArray[np.float64]

FIELDS: Mapping[str, Packing] = {
    "strain": tensors.symmetric(3),
    "deformation_gradient": tensors.general(3, 3),
    "strain_rate": tensors.symmetric(3),
    "gradient": tensors.general(3),
    "pressure_gradient": tensors.general(3),
    "velocity": tensors.general(3),
    "temperature": tensors.general(),
    "pressure": tensors.general(),
}
"""How the local fields that laws ask for are packed, in 3D."""

DECLARATION = """
void explicit_points(uintptr_t law, int64_t n, int inputs, int outputs, const double *w, const double *c, double *out);
void implicit_points(uintptr_t law, uintptr_t equations, uintptr_t guess, int64_t n, int inputs, int m, int outputs,
                     const double *w, const double *c, const double *ce, const double *cg, double *work, double *out);
"""

MOST_UNKNOWNS = 32


class LawKernel:
    """A law as a compiled function ``(fields, old variables, dt) -> (responses, tangent, new variables)``.

    The law's UFL is compiled by FFCx into one C function, which a compiled loop calls for all points. Local unknowns of
    implicit laws are solved for in C, with the same algorithm as in `hmm.RVE`.

    Parameters
    ----------
    law
        The law. Constants in it keep their role: their values at the time of a call count.
    packings
        How its fields are packed; by default as 3D tensors (see `FIELDS`), symmetric ones after Mandel.

    Attributes
    ----------
    fields
        Where each field lies in the packed vector of all.
    variables
        Where each internal variable lies in the packed vector of all.

    Raises
    ------
    InputError
        If the packing of a field is not known.
    """

    def __init__(self, law: Law, packings: Mapping[str, Packing] | None = None) -> None:
        self.law, known = law, {**FIELDS, **(packings or {})}
        if unknown := [name for name in law.fields if name not in known]:
            raise InputError(
                f"{type(law).__name__} answers the field {unknown[0]!r}, whose packing is not known: give "
                f"packings={{{unknown[0]!r}: ...}}"
            )
        self.packings = {name: known[name] for name in law.fields}
        self.internal = dict(law.internal(3))
        self.fields = Blocks({name: p.size for name, p in self.packings.items()})
        self.variables = Blocks({name: p.size for name, p in self.internal.items()})
        unknowns = law.unknowns(3) if isinstance(law, ImplicitLaw) else {}
        self._unknowns = Blocks({name: p.size for name, p in unknowns.items()})
        if self._unknowns.size > MOST_UNKNOWNS:
            raise InputError(
                f"{type(law).__name__} has {self._unknowns.size} local unknowns, and kernels take {MOST_UNKNOWNS}"
            )
        self._compile(unknowns)

    @property
    def n_fields(self) -> int:
        """Numbers in the packed fields, and in the packed responses."""
        return self.fields.size

    @property
    def n_variables(self) -> int:
        """Numbers in the packed internal variables."""
        return self.variables.size

    def __call__(self, fields: ArrayLike, old: ArrayLike | None = None, dt: float = 0.0) -> tuple[Floats, Floats, Floats]:
        """Responses, their tangents and the new variables of many points.

        Parameters
        ----------
        fields
            Shape (n, n_fields); packed local fields at the end of the step.
        old
            Shape (n, n_variables); packed internal variables at its start, zero by default.
        dt
            Duration of the step.

        Returns
        -------
        responses, tangents, new
            Shapes (n, n_fields), (n, n_fields, n_fields) and (n, n_variables); NaN at points whose local equations were
            not solved. Views of one new array.
        """
        x = np.atleast_2d(np.asarray(fields, dtype=float))
        n, m, k = len(x), self.n_fields, self.n_variables
        before = np.zeros((n, k)) if old is None else np.asarray(old, dtype=float).reshape(n, k)
        if x.shape[1] != m:
            raise InputError(f"fields of {type(self.law).__name__} have shape {x.shape}: give (n, {m})")
        rows = np.concatenate([x, before, np.full((n, 1), float(dt))], axis=1)
        out = np.empty((n, m + m * m + k))
        self._run(rows, out)
        return out[:, :m], out[:, m : m + m * m].reshape(n, m, m), out[:, m + m * m :]

    def initial(self, n: int) -> Floats:
        """Internal variables of `n` points before the first step, shape (n, n_variables)."""
        return np.zeros((n, self.n_variables))

    def _run(self, rows: Floats, out: Floats) -> None:
        loops, (n, inputs), outputs = _loops(), rows.shape, out.shape[1]
        constants = [pack_constants(kernel._cpp_object) for kernel in self._kernels]

        def pointer(array: Floats) -> Any:
            return loops.ffi.cast("double*", array.ctypes.data)

        law, *others = (_address(kernel) for kernel in self._kernels)
        c = [pointer(values) for values in constants]
        if not others:
            loops.lib.explicit_points(law, n, inputs, outputs, pointer(rows), c[0], pointer(out))
            return
        size = self._unknowns.size
        work = np.zeros(inputs + size + size * size)
        given = (law, *others, n, inputs, size, outputs)
        loops.lib.implicit_points(*given, pointer(rows), *c, pointer(work), pointer(out))

    def _compile(self, unknowns: Mapping[str, Packing]) -> None:
        """Compile the law, and for local unknowns their equations and first guess."""
        domain = self._domain(unknowns)
        m, k, u = self.n_fields, self.n_variables, self._unknowns.size
        f = fem.Function(real_space(domain, m + k + 1 + u + u * u), name="point")
        at, y = self._local(f)
        point = np.full((1, domain.topology.dim), 1 / (domain.topology.dim + 1))
        further: list[ufl.core.expr.Expr] = []
        if u:
            start = m + k + 1
            x = ufl.variable(ufl.as_vector([f[start + i] for i in range(u)]))
            r = tensors.pack_all(unknowns, self._law_of(at, x, unknowns, "residual"))
            J = expand_derivatives(ufl.diff(r, x))
            entries = [r[i] for i in range(u)] + [J[i, j] for i in range(u) for j in range(u)]
            further = [ufl.as_vector(entries), tensors.pack_all(unknowns, self.law.guess(at))]  # type: ignore[attr-defined]
            plain = ufl.as_vector([f[start + i] for i in range(u)])
            r = tensors.pack_all(unknowns, self._law_of(at, plain, unknowns, "residual"))
            step = [sum(f[start + u + u * i + j] * r[j] for j in range(u)) for i in range(u)]
            at = at.solving(tensors.unpack_all(unknowns, ufl.as_vector([plain[i] - step[i] for i in range(u)])))
        response = tensors.pack_all(self.packings, responses(self.law, at))
        C = expand_derivatives(ufl.diff(response, y))
        parts = [response[i] for i in range(m)] + [C[i, j] for i in range(m) for j in range(m)]
        if k:
            new = tensors.pack_all(self.internal, self.law.update(at))
            parts += [new[i] for i in range(k)]
        _require_constants_only(self.law, parts, f)
        nothing = fem.Constant(domain, 0.0)  # lets laws of plain numbers know a mesh
        vectors = [ufl.as_vector([part + nothing for part in parts]), *further]
        self._kernels = [compile_expression(vector, point) for vector in vectors]

    def _local(self, f: fem.Function) -> tuple[Local, ufl.core.expr.Expr]:
        """What the law is given at a point, and the variable to differentiate by."""
        m, k = self.n_fields, self.n_variables
        y = ufl.variable(ufl.as_vector([f[i] for i in range(m)]))
        old = ufl.as_vector([f[m + i] for i in range(k)]) if k else None
        given = tensors.unpack_all(self.internal, old) if k else {}
        return Local(tensors.unpack_all(self.packings, y), given, f[m + k]), y

    def _law_of(self, at: Local, x: ufl.core.expr.Expr, unknowns: Mapping[str, Packing], what: str) -> Any:
        return getattr(self.law, what)(at.solving(tensors.unpack_all(unknowns, x)))

    def _domain(self, unknowns: Mapping[str, Packing]) -> mesh.Mesh:
        """The mesh on which the law's Constants are defined, or a mesh of one element."""
        small = mesh.create_unit_interval(MPI.COMM_SELF, 1)
        f = fem.Function(real_space(small, self.n_fields + self.n_variables + 1 + self._unknowns.size))
        at, _ = self._local(f)
        if self._unknowns.size:
            start = self.n_fields + self.n_variables + 1
            x = ufl.as_vector([f[start + i] for i in range(self._unknowns.size)])
            at = at.solving(tensors.unpack_all(unknowns, x))
        expressions = [*responses(self.law, at).values(), *(self.law.update(at).values() if self.internal else ())]
        for constant in (c for e in expressions for c in extract_constants(ufl.as_ufl(e))):
            return constant.ufl_domain().ufl_cargo()
        return small


def _require_constants_only(law: Law, parts: list[ufl.core.expr.Expr], f: fem.Function) -> None:
    for part in parts:
        for other in extract_coefficients(part):
            if other is not f:
                raise InputError(
                    f"{type(law).__name__} contains the Function {other.name!r}: a kernel of material points has no mesh; "
                    "give numbers or fem.Constants"
                )


def _loops() -> Any:
    source = Path(__file__).with_name("batch.c").read_text()
    return load("hmm_points", source, DECLARATION, "loops over material points need a C compiler, such as GCC")


def _address(kernel: fem.Expression) -> int:
    """Address of the C function of a compiled expression."""
    function = kernel.ufcx_expression.tabulate_tensor_float64
    return int(cffi.FFI().cast("uintptr_t", function))
