"""Small macro problems and cells that need no mesh generator, shared by the FE2 tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.mesh import CellType, Mesh

import hmm

TIGHT = hmm.NewtonOptions(rtol=1e-11)
"""Micro tolerance at which two algorithms have to agree to roundoff."""

ALGORITHMS = ("monolithic", "nested")

J2 = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=700.0)
STIFF = hmm.laws.Elastic(young=400e3, poisson=0.2)


def square_cell(n: int = 4) -> hmm.Cell:
    """A unit square of n x n split squares with a square inclusion of side 1/2 (n divisible by 4) at its centre."""
    return _box_cell(mesh.create_unit_square(MPI.COMM_SELF, n, n), inclusion=True)


def homogeneous_cell(dim: int = 2) -> hmm.Cell:
    """A unit square or cube of simplices of one phase, ``"matrix"``."""
    if dim == 2:
        return _box_cell(mesh.create_unit_square(MPI.COMM_SELF, 2, 2), inclusion=False)
    return _box_cell(mesh.create_unit_cube(MPI.COMM_SELF, 2, 2, 2), inclusion=False)


def cube_cell(n: int = 4) -> hmm.Cell:
    """A unit cube of n^3 hexahedra with a cubic inclusion of side 1/2 (n divisible by 4) at its centre."""
    return _box_cell(mesh.create_unit_cube(MPI.COMM_SELF, n, n, n, CellType.hexahedron), inclusion=True)


def rve_of(cell: hmm.Cell, law: Mapping[str, hmm.laws.Law], degree: int = 1, **options: object) -> hmm.RVE:
    """A small-strain RVE with tight micro tolerance."""
    w, E = hmm.fluctuation(cell, degree), hmm.macro_strain(cell)
    return hmm.RVE(cell, w, E, law=law, newton_options=TIGHT, **options)


def composite(law: hmm.laws.Law = J2) -> hmm.RVE:
    """The square inclusion, stiff and elastic, in a matrix of the given law."""
    return rve_of(square_cell(), {"matrix": law, "inclusion": STIFF})


def neo_hooke(F: ufl.core.expr.Expr, mu: float, lmbda: float) -> ufl.core.expr.Expr:
    """Plane-strain energy density ``mu/2 (F:F + 1 - 3 - 2 ln J) + lambda/2 (ln J)^2``, `F` of shape (2, 2)."""
    J = ufl.det(F)
    return mu / 2 * (ufl.inner(F, F) - 2 - 2 * ufl.ln(J)) + lmbda / 2 * ufl.ln(J) ** 2


def neo_hooke_rve(
    cell: hmm.Cell, moduli: Mapping[str, tuple[float, float]], degree: int = 1, quadrature_degree: int = 2
) -> hmm.RVE:
    """A finite-strain RVE: ``moduli`` holds (mu, lambda) of each phase."""
    w, F = hmm.fluctuation(cell, degree), hmm.macro_deformation_gradient(cell)
    dx = cell.measure(quadrature_degree=quadrature_degree)
    terms = [neo_hooke(F.local(w), *moduli[name]) * dx(tag) for name, tag in cell.phases.items()]
    return hmm.RVE(
        cell, w, F, energy=sum(terms[1:], terms[0]), quadrature_degree=quadrature_degree, newton_options=TIGHT
    )


@dataclass(frozen=True, eq=False)
class Beam:
    """A cantilever, clamped on the left, whose right edge is moved by ``load`` along y and is free along x."""

    u: fem.Function
    hom: hmm.Homogenizer
    problem: hmm.MacroProblem
    load: fem.Constant
    clamp: fem.DirichletBC
    drive: fem.DirichletBC

    def reactions(self, targets: list[float], n: int = 1, **options: object) -> np.ndarray:
        """Reactions of the driven edge along y at each of the `targets`, met one after another in `n` steps each.

        `options` go to `hmm.steps`.
        """
        rows = []
        for target in targets:
            for _ in hmm.steps(self.problem, self.load, target, n, **options):
                pass
            rows.append(self.problem.reaction(self.drive))
        return np.array(rows)


def beam_mesh(cells: tuple[int, int] = (4, 1), comm: MPI.Comm = MPI.COMM_WORLD) -> Mesh:
    """The rectangle (0, 4) x (0, 1) in triangles, over all ranks of the communicator."""
    return mesh.create_rectangle(comm, [[0.0, 0.0], [4.0, 1.0]], list(cells), CellType.triangle)


def halves(domain: Mesh, left: int = 1, right: int = 2) -> mesh.MeshTags:
    """Tags of the cells to the left and to the right of x = 2."""
    dim = domain.topology.dim
    index_map = domain.topology.index_map(dim)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    x = mesh.compute_midpoints(domain, dim, cells)[:, 0]
    return mesh.meshtags(domain, dim, cells, np.where(x < 2, left, right).astype(np.int32))


def cantilever(domain: Mesh) -> tuple[fem.FunctionSpace, fem.Constant, fem.DirichletBC, fem.DirichletBC]:
    """Quadratic space on a `beam_mesh`, the driven displacement, the clamp and the drive."""
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    Vy, _ = V.sub(1).collapse()
    left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0))
    right = fem.locate_dofs_geometrical((V.sub(1), Vy), lambda x: np.isclose(x[0], 4))[0]
    load = fem.Constant(domain, 0.0)
    return V, load, fem.dirichletbc(np.zeros(2), left, V), fem.dirichletbc(load, right, V.sub(1))


def beam(
    rve: hmm.RVE | hmm.variation.Variation,
    algorithm: str = "monolithic",
    rtol: float = 1e-12,
    cells: tuple[int, int] = (4, 1),
    ensemble: str = "auto",
    dumps: str | Path | None = None,
    domain: Mesh | None = None,
    orientation: object = None,
) -> Beam:
    """A cantilever of the RVE's material, at small or finite strain as the RVE's macro input says."""
    V, load, clamp, drive = cantilever(domain or beam_mesh(cells))
    u, v = fem.Function(V), ufl.TestFunction(V)
    first = next(iter(rve.models.values())) if isinstance(rve, hmm.variation.Variation) else rve
    if first.inputs[0].name == "strain":
        strain, along = ufl.sym(ufl.grad(u)), ufl.sym(ufl.grad(v))
    else:
        strain, along = ufl.Identity(2) + ufl.grad(u), ufl.grad(v)
    hom = hmm.Homogenizer(
        rve, strain, degree=2, algorithm=algorithm, ensemble=ensemble, dumps=dumps, orientation=orientation
    )
    F = ufl.inner(hom.stress, along) * hom.dx
    problem = hmm.MacroProblem(F, u, hom, bcs=[clamp, drive], petsc_options_prefix="beam_", rtol=rtol)
    return Beam(u, hom, problem, load, clamp, drive)


def held_square(
    rve: hmm.RVE, values: Callable[[np.ndarray], np.ndarray], algorithm: str, domain: Mesh | None = None
) -> tuple[hmm.MacroProblem, hmm.Homogenizer]:
    """A unit square whose whole boundary is held at given displacements; the problem and its Homogenizer."""
    domain = domain or mesh.create_unit_square(MPI.COMM_WORLD, 2, 2)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v, g = fem.Function(V), ufl.TestFunction(V), fem.Function(V)
    g.interpolate(values)
    edge = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0] * (1 - x[0]) * x[1] * (1 - x[1]), 0))
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=1, algorithm=algorithm)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    bcs = [fem.dirichletbc(g, edge)]
    return hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="held_", rtol=1e-12), hom


def norm(comm: MPI.Comm, x: fem.Function) -> float:
    """Euclidean norm of the owned dofs of a Function over all ranks."""
    n = x.function_space.dofmap.index_map.size_local * x.function_space.dofmap.index_map_bs
    return float(np.sqrt(comm.allreduce(x.x.array[:n] @ x.x.array[:n])))


def difference(a: fem.Function, b: fem.Function) -> float:
    """Relative Euclidean distance of two Functions with the same layout."""
    d = fem.Function(a.function_space)
    d.x.array[:] = a.x.array - b.x.array
    comm = a.function_space.mesh.comm
    return norm(comm, d) / norm(comm, b)


def value_at(u: fem.Function, point: tuple[float, float]) -> np.ndarray:
    """Value of a Lagrange Function at one of its nodes, on all ranks; NaN if there is no node."""
    space = u.function_space
    n = space.dofmap.index_map.size_local
    x = space.tabulate_dof_coordinates()[:n, :2]
    here = np.flatnonzero(np.linalg.norm(x - np.asarray(point), axis=1) < 1e-8)
    values = [u.x.array.reshape(-1, space.dofmap.index_map_bs)[i].copy() for i in here[:1]]
    found = [v for part in space.mesh.comm.allgather(values) for v in part]
    return found[0] if found else np.full(space.dofmap.index_map_bs, np.nan)


def quadrature_function(domain: Mesh, degree: int, shape: tuple[int, ...]) -> fem.Function:
    """A Function on the points of a quadrature rule."""
    element = basix.ufl.quadrature_element(domain.basix_cell(), value_shape=shape, degree=degree)
    return fem.Function(fem.functionspace(domain, element))


def _box_cell(box: Mesh, inclusion: bool) -> hmm.Cell:
    tdim = box.topology.dim
    cells = np.arange(box.topology.index_map(tdim).size_local, dtype=np.int32)
    middle = mesh.compute_midpoints(box, tdim, cells)[:, :tdim]
    inside = np.all(np.abs(middle - 0.5) < 0.25, axis=1) if inclusion else np.zeros(cells.size, dtype=bool)
    tags = mesh.meshtags(box, tdim, cells, np.where(inside, 2, 1).astype(np.int32))
    phases = {"matrix": 1, "inclusion": 2} if inclusion else {"matrix": 1}
    return hmm.Cell.box(box, tags, phases)
