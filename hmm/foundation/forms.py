"""Compilation of UFL: the only module that calls the form compiler."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from mpi4py import MPI

import basix
import basix.ufl
import ffcx.options
import numpy as np
import ufl
from dolfinx import fem, jit
from dolfinx.fem import petsc
from dolfinx.mesh import Mesh, MeshTags
from ffcx.compiler import compile_ufl_objects
from ffcx.naming import compute_signature
from numpy.typing import NDArray
from petsc4py import PETSc
from ufl.corealg.map_dag import map_expr_dag
from ufl.corealg.multifunction import MultiFunction

from hmm.foundation.cell_loop import CellLoop
from hmm.foundation.errors import EnvironmentMismatch
from hmm.foundation.turns import turn

_LOG = logging.getLogger("hmm")

PATIENCE = 60
"""Seconds after which a rank that waits for the compilation of another checks whether that one is still alive."""

ABANDONED_AFTER = 600
"""Age in seconds after which a source file is considered abandoned by a program that was killed while it compiled.

Where files can be locked, abandoned files of `hmm` itself are found immediately: see `hmm.foundation.turns`.
"""

_compiled: list[str] = []


def compilations() -> tuple[str, ...]:
    """Names of the forms and expressions that this process has compiled, without those from the cache."""
    return tuple(_compiled)


def compile_form(form: ufl.Form | ufl.ZeroBaseForm) -> fem.Form:
    """Compile a UFL form or load it from the cache; one of several ranks compiles a common form.

    Raises
    ------
    EnvironmentMismatch
        If another process has been compiling it for too long.
    """
    if isinstance(form, ufl.ZeroBaseForm):  # nothing to compile
        return fem.form(form)  # type: ignore[arg-type]  # DOLFINx takes a zero form too
    (domain,) = form.subdomain_data()
    compiled = _jit(domain.ufl_cargo().comm, form, lambda options: fem.form(form, jit_options=options))
    _note(compiled.code)
    return compiled


def compile_expression(expression: ufl.core.expr.Expr, points: NDArray[np.float64]) -> fem.Expression:
    """Compile a UFL expression for evaluation at reference `points`, shape (n, tdim); as `compile_form`."""
    expression = without_variables(expression)
    domain: Any = ufl.domain.extract_domains(expression)[0]
    compiled = _jit(
        domain.ufl_cargo().comm,
        (expression, points),
        lambda options: fem.Expression(expression, points, jit_options=options),
    )
    _note(compiled.code)
    return compiled


def c_function(expression: ufl.core.expr.Expr, points: NDArray[np.float64], name: str) -> str:
    """The C function that FFCx makes of an expression at reference `points`, static and with a name; not compiled."""
    given = (without_variables(expression), points)
    code, _ = compile_ufl_objects([given], ffcx.options.get_options({}), namespace=name)
    definition = re.compile(r"^void tabulate_tensor_\w+(\(.*?^})\s*static double points_", re.MULTILINE | re.DOTALL)
    function = definition.search("\n".join(code))
    assert function is not None
    return f"static void {name}{function[1]}\n"


class _Stripper(MultiFunction):  # type: ignore[misc]  # UFL has no types
    """Puts what it stands for in place of each Variable."""

    expr = MultiFunction.reuse_if_untouched

    def variable(self, o: ufl.core.expr.Expr, value: ufl.core.expr.Expr, label: object) -> ufl.core.expr.Expr:
        """What the Variable stands for."""
        return value


def without_variables(expression: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
    """An expression with its derivatives expanded and without Variables.

    UFL numbers them through, and the number is part of a signature: code with some would never be found again.
    """
    return map_expr_dag(_Stripper(), ufl.algorithms.expand_derivatives(expression))


def _note(code: Any) -> None:
    """Record a compilation: only then is there C code, and its declaration contains the name."""
    parts = code if isinstance(code, list) else [code]  # a list of them on meshes of several cell types
    for declaration, _ in parts:
        if declaration is not None:
            _compiled.extend(re.findall(r"extern ufcx_\w+ (\w+);", declaration))


def _jit[T](comm: MPI.Comm, what: Any, compile_with: Callable[[dict[str, Any]], T]) -> T:
    """Compile with FFCx, which waits for another process that compiles the same file, unless that is abandoned."""
    with _turn(comm, what) as abandoned:
        return _compiled_or_loaded(comm, compile_with, abandoned)


@contextmanager
def _turn(comm: MPI.Comm, what: Any) -> Iterator[bool]:
    """Let one process at a time compile a form or expression; yields whether the last one was killed meanwhile."""
    if comm.rank > 0:  # the first rank compiles, and the others wait for it
        yield False
        return
    with turn(Path(jit.get_options()["cache_dir"]), compute_signature([what], "turn")) as abandoned:
        yield abandoned


def _compiled_or_loaded[T](comm: MPI.Comm, compile_with: Callable[[dict[str, Any]], T], abandoned: bool) -> T:
    for attempt in range(2 * ABANDONED_AFTER // PATIENCE):
        try:
            return compile_with({"timeout": 1 if abandoned else PATIENCE})
        except (TimeoutError, RuntimeError) as error:  # on every rank of `comm`; only the first knows why
            why = comm.bcast(str(error))
            begun = re.search(r"remove (.*\.c)\)", why)
            if begun is None:
                raise
            source = Path(begun[1])
            if abandoned:
                os.replace(source, source.with_suffix(".c.failed"))
                abandoned = False
            elif comm.rank == 0 and not _clear_abandoned(source) and attempt == 0:
                _LOG.warning("another process seems to be compiling %s; if none is, remove this file", source)
    raise EnvironmentMismatch(
        f"waited {2 * ABANDONED_AFTER} s for another process to compile {source}: remove this file"
    )


def _clear_abandoned(source: Path) -> bool:
    """Move an abandoned source file out of the way; return whether this was done. One process at a time does it."""
    claim = source.with_suffix(".c.abandoned")
    try:
        claim.touch(exist_ok=False)
    except OSError:
        return False
    try:
        age = claim.stat().st_mtime - source.stat().st_mtime  # both by the clock of the file server
        is_abandoned = age > ABANDONED_AFTER and not source.with_suffix(".c.cached").exists()
        if is_abandoned:
            os.replace(source, source.with_suffix(".c.failed"))
        return is_abandoned
    except FileNotFoundError:
        return True
    finally:
        claim.unlink()


class PackedForm:
    """A form, compiled on first use, and assembled with the present values of its constants and coefficients.

    Give its `arguments` if it may be zero, since a zero form has none.
    """

    def __init__(self, form: ufl.Form, *arguments: ufl.Argument) -> None:
        self._ufl_form, self._arguments = form, arguments
        self._no_constants = not form.constants()

    @cached_property
    def form(self) -> fem.Form:
        """The compiled form."""
        if not self._ufl_form.empty():
            form = compile_form(self._ufl_form)
            if len(form.function_spaces) >= len(self._arguments):
                return form
        return compile_form(ufl.ZeroBaseForm(self._arguments))

    @cached_property
    def _nothing(self) -> object:
        """The packed constants of a form that has none."""
        return fem.pack_constants(self.form)

    def packed(self) -> tuple[fem.Form, object, object]:
        """The form with the present values of its constants and coefficients."""
        constants = self._nothing if self._no_constants else fem.pack_constants(self.form)
        return self.form, constants, fem.pack_coefficients(self.form)

    @cached_property
    def loop(self) -> CellLoop | None:
        """The compiled loop that evaluates the form, or None if only DOLFINx can."""
        return CellLoop(self.form) if CellLoop.fits(self.form) else None

    def assemble(self, vector: NDArray[np.float64]) -> None:
        """Add a linear form to a local `vector`."""
        if self.loop is not None:
            self.loop.add_vector(vector)
            return
        form, constants, coefficients = self.packed()
        fem.assemble_vector(vector, form, constants, coefficients)

    def dense(self) -> NDArray[np.float64]:
        """This rank's part of a bilinear form between two real spaces, shape (m_i, m_j)."""
        self._matrix.zeroEntries()
        form, constants, coefficients = self.packed()
        petsc.assemble_matrix(self._matrix, form, constants=constants, coeffs=coefficients)
        self._matrix.assemble()
        return self._matrix.getDenseArray().copy()

    def restricted(self, cells: Mapping[int, NDArray[np.int32]]) -> PackedForm:
        """The form over some of the `cells` of each tag only; its compiled code is the same."""
        data = list(cells.items())
        integrals = [integral.reconstruct(subdomain_data=data) for integral in self._ufl_form.integrals()]
        return PackedForm(ufl.Form(integrals), *self._arguments)

    @cached_property
    def _matrix(self) -> PETSc.Mat:
        """The matrix for `dense`; `la.MatrixCSR` supports square blocks only."""
        sizes = [V.dofmap.index_map_bs for V in self.form.function_spaces]
        matrix = PETSc.Mat().createDense(sizes, comm=PETSc.COMM_SELF)
        matrix.setBlockSizes(*sizes)
        matrix.setUp()
        zero = np.zeros(1, dtype=PETSc.IntType)
        matrix.setLGMap(*(PETSc.LGMap().create(zero, bsize=size, comm=PETSc.COMM_SELF) for size in sizes))
        return matrix


def quadrature_points(mesh: Mesh, degree: int) -> NDArray[np.float64]:
    """Reference quadrature points, shape (n, tdim), of the default rule of a polynomial `degree`."""
    return np.asarray(basix.make_quadrature(mesh.basix_cell(), degree)[0])


def quadrature_space(mesh: Mesh, degree: int, shape: tuple[int, ...] = ()) -> fem.FunctionSpace:
    """Space of values at the points of `quadrature_points`."""
    element = basix.ufl.quadrature_element(mesh.basix_cell(), value_shape=shape, degree=degree)
    return fem.functionspace(mesh, element)


def real_space(mesh: Mesh, size: int) -> fem.FunctionSpace:
    """Space of `size` real numbers, constant over the mesh."""
    return fem.functionspace(mesh, basix.ufl.real_element(mesh.basix_cell(), (size,)))


def default_quadrature_degree(space: fem.FunctionSpace) -> int:
    """Degree that integrates the linear stiffness of `space` on straight cells exactly.

    ``2 (k - 1)`` on simplices and ``2 k + 1`` (full Gauss) on quadrilaterals and hexahedra, and more on curved cells.
    """
    return stiffness_degree(space.mesh, highest_degree(space))


def stiffness_degree(mesh: Mesh, k: int) -> int:
    """Degree that integrates the linear stiffness of fields of degree `k`, as `default_quadrature_degree`."""
    curved = mesh.geometry.cmaps[0].degree - 1
    return max(2 * (k - 1), 1) + 2 * curved if is_simplex(mesh) else 2 * k + 1


def warn_of_few_points(mesh: Mesh, option: str, degree: int, enough: int) -> None:
    """Warn, once, if a quadrature rule has fewer points than the sufficient rule.

    Parameters
    ----------
    mesh
        The mesh.
    option
        Name of the option.
    degree, enough
        The given degree, and a sufficient one, see `stiffness_degree`.
    """
    n, needed = (len(quadrature_points(mesh, d)) for d in (degree, enough))
    if n < needed and mesh.comm.rank == 0 and MPI.COMM_WORLD.rank == 0:  # of cells each rank may have its own
        _LOG.warning(
            "%s = %d gives %d quadrature point%s a cell of the mesh, and its elements need %d: they may deform without "
            "resistance (hourglass modes) or be inaccurate; leave it out, or give %d",
            option,
            degree,
            n,
            "s" * (n > 1),
            needed,
            enough,
        )


def is_simplex(mesh: Mesh) -> bool:
    """Whether the cells of a mesh are intervals, triangles or tetrahedra."""
    return mesh.basix_cell() in (basix.CellType.interval, basix.CellType.triangle, basix.CellType.tetrahedron)


def highest_degree(space: fem.FunctionSpace) -> int:
    """The polynomial degree of a space, the highest of its fields if it has several."""
    return int(space.ufl_element().embedded_superdegree)


def owned_cells(mesh: Mesh) -> NDArray[np.int32]:
    """Indices of the cells that this rank owns."""
    return np.arange(mesh.topology.index_map(mesh.topology.dim).size_local, dtype=np.int32)


def tagged_cells(tags: MeshTags, tag: int) -> NDArray[np.int32]:
    """The cells with a tag that this rank owns, ascending."""
    mesh, found = tags.topology, tags.find(tag)
    return found[found < mesh.index_map(tags.dim).size_local].astype(np.int32)


def quadrature_weights(mesh: Mesh, degree: int, cells: NDArray[np.int32]) -> NDArray[np.float64]:
    """Quadrature weights times the Jacobian, shape (n_cells, n_points); they sum to the cells' volumes."""
    points, weights = basix.make_quadrature(mesh.basix_cell(), degree)
    jacobian = compile_expression(ufl.algebra.Abs(ufl.JacobianDeterminant(mesh)), np.asarray(points))
    return np.asarray(weights) * jacobian.eval(mesh, cells).reshape(cells.size, len(np.asarray(points)))


def depends_on(form: ufl.Form, functions: list[fem.Function]) -> bool:
    """Whether a form contains any of the `functions` after expansion of derivatives."""
    present = set(ufl.algorithms.expand_derivatives(form).coefficients())
    return any(f in present for f in functions)


def form_of(expressions: Sequence[ufl.core.expr.Expr]) -> ufl.Form:
    """A form that has the signature, the Constants and the coefficients of expressions; not to be compiled."""
    domains = [d for e in expressions for d in ufl.domain.extract_domains(e)]
    if not domains:
        return ufl.Form([])
    forms = [ufl.inner(e, e) * ufl.dx(number, domain=domains[0]) for number, e in enumerate(expressions)]
    return sum(forms[1:], forms[0])
