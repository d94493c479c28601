"""Assembly of cell integrals by a compiled loop: less overhead than DOLFINx on the small meshes of unit cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cffi
import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from hmm.foundation.compiled import compiled_module

Floats = NDArray[np.float64]

DOMAIN = (
    "uintptr_t f, int64_t n, int nd, int nw, const uintptr_t *w_at, const double *c, int nx, const int32_t *nodes, "
    "const double *x"
)
DECLARATION = f"""
void add_vector({DOMAIN}, const int32_t *dofs, double *out);
void columns({DOMAIN}, const int32_t *target, int64_t size, int m, const double *a, double *K, double *L, double *M,
             double *D);
"""


MOST_NUMBERS = 5_000_000
"""Coefficients of all cells, in numbers, up to which a loop is used: 40 MB for their addresses.

On larger meshes the overhead of DOLFINx does not count.
"""


@dataclass(frozen=True, eq=False)
class Integral:
    """One cell integral of a form.

    Attributes
    ----------
    cells
        Shape (n,); its cells.
    dofs
        Shape (n, nd); local degrees of freedom of the first argument.
    kernel
        Address of its FFCx kernel.
    addresses
        Shape (n, nw); addresses of the numbers that are its coefficients in each cell.
    nodes
        Shape (n, nx); nodes of the geometry.
    is_constant
        Whether it contains neither coefficients nor constants.
    """

    cells: NDArray[np.int32]
    dofs: NDArray[np.int32]
    kernel: int
    addresses: NDArray[np.uintp]
    nodes: NDArray[np.int32]
    is_constant: bool


class CellLoop:
    """A compiled form of cell integrals, evaluated cell by cell with the present values of its coefficients.

    Parameters
    ----------
    form
        The form, for which `fits` holds.

    Attributes
    ----------
    integrals
        Its integrals.
    """

    def __init__(self, form: fem.Form) -> None:
        self._form, self._geometry = form, form.mesh.geometry
        self._coefficients = form._cpp_object.coefficients  # whose arrays the addresses point into
        self._has_constants = bool(form._cpp_object.constants)
        self._constants = np.array(fem.pack_constants(form))
        self._loops = _loops()
        self.integrals = tuple(self._integral(i) for i in range(form._cpp_object.num_integrals(_CELL, 0)))
        self._given = tuple(self._arguments(integral) for integral in self.integrals)

    @staticmethod
    def fits(form: fem.Form) -> bool:
        """Whether a form can be evaluated here: real cell integrals on one mesh with plain Lagrange-like dofs."""
        cpp = form._cpp_object
        if form.dtype != np.float64 or cpp.rank == 0 or not form.integral_types <= {_CELL} or not form.integral_types:
            return False
        mesh: Any = form.mesh
        spaces = [*cpp.function_spaces, *(c.function_space for c in cpp.coefficients)]
        numbers = sum(c.function_space.element.space_dimension for c in cpp.coefficients)
        few = numbers * mesh.topology.index_map(mesh.topology.dim).size_local <= MOST_NUMBERS
        return few and all(s.mesh is mesh and _is_plain(s) for s in spaces) and len(form.mesh.geometry.dofmaps) == 1

    def add_vector(self, out: Floats) -> None:
        """Add a linear form to the local vector `out`."""
        self._pack_constants()
        add, target = self._loops.lib.add_vector, self._loops.ffi.from_buffer("double[]", out, require_writable=True)
        for arguments, dofs in self._given:
            add(*arguments, dofs, target)

    def columns(
        self,
        targets: list[NDArray[np.int32]],
        fields: list[Floats],
        matrices: list[Floats],
        size: int,
        symmetric: bool,
        constant: bool,
    ) -> tuple[Floats, Floats, Floats]:
        """Element matrices K of a square bilinear form, and their products with fields a, of some integrals.

        Parameters
        ----------
        targets
            For each integral, shape (n, nd); row of each dof in the results, or -1.
        fields
            For each integral, shape (n, m, nd); values of m fields at the dofs of each cell.
        matrices
            For each integral, shape (n, nd, nd); set to the element matrices, unless others are asked for.
        size
            Number of rows.
        symmetric
            Whether K is symmetric, so that L is M.
        constant
            Whether to take the integrals that are constant, or the others.

        Returns
        -------
        L, M, D
            ``K a`` and ``K^T a``, shapes (size, m), and ``a^T K a``, shape (m, m).
        """
        m, ffi = fields[0].shape[1], self._loops.ffi
        M, D = np.zeros((m, size)), np.zeros((m, m))
        L = M if symmetric else np.zeros((m, size))
        self._pack_constants()
        for k in (k for k, integral in enumerate(self.integrals) if integral.is_constant == constant):
            a, K, left, right, moduli = (ffi.from_buffer("double[]", x) for x in (fields[k], matrices[k], L, M, D))
            target = ffi.from_buffer("int32_t[]", targets[k])
            left = ffi.NULL if symmetric else left
            self._loops.lib.columns(*self._given[k][0], target, size, m, a, K, left, right, moduli)
        return L.T, M.T, D

    def _pack_constants(self) -> None:
        if self._has_constants:
            self._constants[:] = fem.pack_constants(self._form)

    def _arguments(self, i: Integral) -> tuple[tuple[Any, ...], Any]:
        """The common arguments of the loops, and the dofs, as C takes them."""
        buffer = self._loops.ffi.from_buffer
        (n, nd), nw, nx = i.dofs.shape, i.addresses.shape[1], i.nodes.shape[1]
        constants, x = buffer("double[]", self._constants), buffer("double[]", self._geometry.x)
        addresses, nodes = buffer("uintptr_t[]", i.addresses), buffer("int32_t[]", i.nodes)
        return (i.kernel, n, nd, nw, addresses, constants, nx, nodes, x), buffer("int32_t[]", i.dofs)

    def _integral(self, number: int) -> Integral:
        cells = np.array(self._form._cpp_object.domains(_CELL, number), dtype=np.int32)
        ufcx = self._form.ufcx_form
        integral = ufcx.form_integrals[ufcx.form_integral_offsets[0] + number]
        used = any(integral.enabled_coefficients[k] for k in range(len(self._coefficients)))
        addresses = [c.x.array.ctypes.data + 8 * _dofs(c.function_space, cells) for c in self._coefficients]
        return Integral(
            cells,
            _dofs(self._form.function_spaces[0], cells).astype(np.int32),
            int(cffi.FFI().cast("uintptr_t", integral.tabulate_tensor_float64)),
            np.hstack([np.zeros((cells.size, 0)), *addresses]).astype(np.uintp),
            np.ascontiguousarray(self._geometry.dofmaps[0][cells]),
            not used and not self._has_constants,
        )


_CELL = fem.IntegralType.cell


@cache
def _loops() -> ModuleType:
    """The compiled loops."""
    source = Path(__file__).with_name("cell_loop.c").read_text(encoding="utf-8")
    return compiled_module("hmm_cells", source, DECLARATION, "the assembly of cells needs a C compiler, such as GCC")


def _dofs(space: Any, cells: NDArray[np.int32]) -> NDArray[np.int64]:
    """Local degrees of freedom of a space in some cells, shape (n, nd), components innermost."""
    dofmap = space.dofmap
    table = np.asarray(dofmap.list if hasattr(dofmap, "list") else dofmap.map())[cells].astype(np.int64)
    return (table[:, :, None] * dofmap.bs + np.arange(dofmap.bs)).reshape(len(cells), table.shape[1] * dofmap.bs)


def _is_plain(space: Any) -> bool:
    """Whether the dofs of a space are the numbers that FFCx' kernels take, without transformations."""
    element = space.element
    return not element.needs_dof_transformations and _dofs(space, np.zeros(1, np.int32)).size == element.space_dimension
