"""Public FE2 problems, which tests and the verification table solve."""

from __future__ import annotations

from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh

import hmm
from support.macro_tools import homogeneous_cell, rve_of

COMM = MPI.COMM_WORLD


def oofem_beam(algorithm: str = "monolithic") -> tuple[fem.Function, hmm.MacroProblem, fem.DirichletBC]:
    """Five bilinear quadrilaterals in a row, plane strain, cell homogeneous: u, the problem and the clamp."""
    rve = rve_of(homogeneous_cell(), {"matrix": hmm.laws.Elastic(210e9, 0.3)})
    domain = mesh.create_rectangle(COMM, [[0.0, 0.0], [1.0, 0.2]], [5, 1], mesh.CellType.quadrilateral)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=2, algorithm=algorithm)
    # (0, -0.5e6) at each of the two right nodes: a uniform traction of -1e6 / 0.2, its shape functions linear
    edge = ufl.conditional(ufl.gt(ufl.SpatialCoordinate(domain)[0], 1 - 1e-6), 1.0, 0.0)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx + 1e6 / 0.2 * edge * v[1] * ufl.ds
    left = fem.dirichletbc(np.zeros(2), fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0)), V)
    return u, hmm.MacroProblem(F, u, hom, bcs=[left], petsc_options_prefix="oofem_"), left


def benchmark_cell() -> hmm.Cell:
    """The cell of benchmark B2-fit: 490 triangles, the nodes of the interface on the circle of radius 0.3."""
    return hmm.images.msh_cell(Path(__file__).parents[1] / "data" / "fibre_benchmark.msh")


def benchmark_beam() -> tuple[hmm.MacroProblem, fem.Constant, fem.DirichletBC]:
    """The FE2 cantilever of the hand-written baseline: the problem, its driven displacement and the drive."""
    cell = benchmark_cell()
    w, E = hmm.fluctuation(cell, 2), hmm.macro_strain(cell)
    law = {"matrix": hmm.laws.J2(70e3, 0.3, 100.0, 700.0), "fibre": hmm.laws.Elastic(400e3, 0.2)}
    rve = hmm.RVE(cell, w, E, law=law, constraint="periodic", quadrature_degree=2)
    domain = mesh.create_rectangle(
        COMM, [[0.0, 0.0], [10.0, 2.0]], [8, 4], mesh.CellType.triangle, diagonal=mesh.DiagonalType.right
    )
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree=2)
    left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0))
    right = fem.locate_dofs_geometrical((V.sub(1), V.sub(1).collapse()[0]), lambda x: np.isclose(x[0], 10))[0]
    g = fem.Constant(domain, 0.0)
    bcs = [fem.dirichletbc(np.zeros(2), left, V), fem.dirichletbc(g, right, V.sub(1))]
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="macro_", rtol=1e-6), g, bcs[1]


def pressurised_tube(n, law, degree=None):
    """A sector of 2 degrees of a tube, n biquadratic quadrilaterals along the radius: u, its problem and the pressure.

    It is supported on its sides by a penalty: no Dirichlet condition, so residuals are compared with the load alone.
    """
    rve = rve_of(homogeneous_cell(), {"matrix": law})
    angle = np.deg2rad(2.0)
    domain = mesh.create_rectangle(COMM, [[1.0, -0.5], [2.0, 0.5]], [n, 1], mesh.CellType.quadrilateral)
    r, t = domain.geometry.x[:, 0].copy(), domain.geometry.x[:, 1] * angle
    domain.geometry.x[:, 0], domain.geometry.x[:, 1] = r, r * np.tan(t)
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(u)), degree)
    x, normal = ufl.SpatialCoordinate(domain), ufl.FacetNormal(domain)
    inner, outer = ufl.lt(x[0], 1 + 1e-6), ufl.gt(x[0], 2 - 1e-6)
    side = ufl.conditional(ufl.Or(inner, outer), 0.0, 1.0)
    pressure = fem.Constant(domain, 0.0)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    F += pressure * ufl.conditional(inner, 1.0, 0.0) * ufl.inner(normal, v) * ufl.ds
    F += 1e6 * law.young * side * ufl.inner(u, normal) * ufl.inner(v, normal) * ufl.ds
    return u, hmm.MacroProblem(F, u, hom, petsc_options_prefix="tube_", rtol=1e-8), pressure


def membrane(n: int) -> mesh.Mesh:
    """Cook's membrane in n x n quadrilaterals, graded towards the clamped edge and its singular corners."""
    domain = mesh.create_unit_square(MPI.COMM_WORLD, n, n, mesh.CellType.quadrilateral)
    s, t = domain.geometry.x[:, 0].copy(), domain.geometry.x[:, 1].copy()
    s = s**1.5
    t = 0.5 + 0.5 * np.sign(2 * t - 1) * (1 - (1 - np.abs(2 * t - 1)) ** 1.5)
    domain.geometry.x[:, 0] = 48 * s
    domain.geometry.x[:, 1] = 44 * s + t * (44 + (16 - 44) * s)
    return domain


class Cook:
    """Biquadratic FE2 problem of the membrane under the dead traction F / 16 on its right edge."""

    def __init__(self, rve: hmm.RVE, n: int) -> None:
        domain = membrane(n)
        V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
        self.u, v = fem.Function(V), ufl.TestFunction(V)
        finite = rve.inputs[0].name != "strain"
        strain = ufl.Identity(2) + ufl.grad(self.u) if finite else ufl.sym(ufl.grad(self.u))
        self.hom = hmm.Homogenizer(rve, strain, degree=5)
        self.load = fem.Constant(domain, 0.0)
        right = ufl.conditional(ufl.gt(ufl.SpatialCoordinate(domain)[0], 48 - 1e-6), 1.0, 0.0)
        F = ufl.inner(self.hom.stress, ufl.grad(v)) * self.hom.dx - self.load / 16 * right * v[1] * ufl.ds
        left = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0))
        self.clamp = fem.dirichletbc(np.zeros(2), left, V)
        self.problem = hmm.MacroProblem(F, self.u, self.hom, bcs=[self.clamp], petsc_options_prefix="cook_", rtol=1e-10)
        self._work = fem.form(self.load / 16 * right * self.u[1] * ufl.ds)

    @property
    def work(self) -> float:
        """Load times displacement of the right edge."""
        return self.u.function_space.mesh.comm.allreduce(fem.assemble_scalar(self._work))


def disc_rve() -> hmm.RVE:
    """The disc cell on curved quadratic triangles; its stiffness is within 4e-5 of the exact one."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.05, order=2)
    law = {"matrix": hmm.laws.Elastic(1.0, 0.3), "fibre": hmm.laws.Elastic(10.0, 0.2)}
    return hmm.RVE(cell, hmm.fluctuation(cell, 2), hmm.macro_strain(cell), law=law)
