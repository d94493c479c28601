"""J2 plasticity on one scale in plain DOLFINx, with a NumPy return mapping: what a homogeneous cell must give."""

from __future__ import annotations

from collections.abc import Sequence

import basix
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem import petsc
from petsc4py import PETSc

from support.macro_tools import quadrature_function

ONE = np.array([1.0, 1.0, 1.0, 0.0])
DEVIATOR = np.diag([1.0, 1.0, 1.0, 0.5]) - np.outer(ONE, ONE) / 3  # on (11, 22, 33, gamma12)


def return_mapping(strain: np.ndarray, plastic: np.ndarray, p: np.ndarray, law: object) -> tuple[np.ndarray, ...]:
    """Radial return (Simo and Hughes 1998, box 3.1) of rows (11, 22, 33, gamma12): stress, tangent, new variables."""
    mu = law.young / (2 * (1 + law.poisson))
    kappa = law.young / (3 * (1 - 2 * law.poisson))
    elastic = strain - plastic
    s = 2 * mu * elastic @ DEVIATOR
    length = np.sqrt(s[:, 0] ** 2 + s[:, 1] ** 2 + s[:, 2] ** 2 + 2 * s[:, 3] ** 2)
    n = s / np.maximum(length, 1e-300)[:, None]
    dp = np.maximum(np.sqrt(1.5) * length - law.yield_stress - law.hardening * p, 0) / (3 * mu + law.hardening)
    yields = dp > 0
    s_new = s - np.sqrt(6) * mu * dp[:, None] * n
    stress = s_new + kappa * (elastic @ ONE)[:, None] * ONE
    theta = np.where(yields, 1 - np.sqrt(6) * mu * dp / np.maximum(length, 1e-300), 1.0)
    theta_bar = np.where(yields, 3 * mu / (3 * mu + law.hardening) - (1 - theta), 0.0)
    tangent = kappa * np.outer(ONE, ONE) + 2 * mu * theta[:, None, None] * DEVIATOR
    tangent = tangent - 2 * mu * theta_bar[:, None, None] * n[:, :, None] * n[:, None, :]
    flow = np.sqrt(1.5) * dp[:, None] * n * np.array([1, 1, 1, 2])
    return stress, tangent, plastic + flow, p + dp


def voigt(u: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
    """Plane strain (11, 22, 33, gamma12) of a displacement."""
    return ufl.as_vector([u[0].dx(0), u[1].dx(1), 0 * u[0].dx(0), u[0].dx(1) + u[1].dx(0)])


class PlainJ2:
    """Newton's method for one J2 body; ``reaction(dofs)`` sums internal forces, ``stress`` holds (11, 22, 33, 12)."""

    def __init__(self, V: fem.FunctionSpace, bcs: Sequence[fem.DirichletBC], law: object, degree: int = 2) -> None:
        self.mesh, self.bcs, self.law = V.mesh, list(bcs), law
        self.u = fem.Function(V)
        du, v = ufl.TrialFunction(V), ufl.TestFunction(V)
        self.stress = quadrature_function(self.mesh, degree, (4,))
        self.tangent = quadrature_function(self.mesh, degree, (4, 4))
        dx = ufl.dx(metadata={"quadrature_degree": degree, "quadrature_scheme": "default"})
        self.F = fem.form(ufl.inner(self.stress, voigt(v)) * dx)
        self.J = fem.form(ufl.inner(ufl.dot(self.tangent, voigt(du)), voigt(v)) * dx)
        tdim = self.mesh.topology.dim
        self.cells = np.arange(self.mesh.topology.index_map(tdim).size_local, dtype=np.int32)
        points = basix.make_quadrature(self.mesh.basix_cell(), degree)[0]
        self.strain = fem.Expression(voigt(self.u), points)
        self.slots = self.stress.function_space.dofmap.list[self.cells].ravel()
        self.plastic, self.p = np.zeros((self.slots.size, 4)), np.zeros(self.slots.size)

    def solve(self, tolerance: float = 1e-12) -> None:
        """Solve for the present boundary values and accept the step."""
        scale = 0.0
        for self.iterations in range(30):
            plastic, p = self._evaluate()
            A = petsc.assemble_matrix(self.J, bcs=self.bcs)
            A.assemble()
            b = petsc.assemble_vector(self.F)
            b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
            scale = max(scale, b.norm())
            b = petsc.assemble_vector(self.F)
            petsc.apply_lifting(b, [self.J], bcs=[self.bcs], x0=[self.u.x.petsc_vec], alpha=-1.0)
            b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
            petsc.set_bc(b, self.bcs, x0=self.u.x.petsc_vec, alpha=-1.0)
            if b.norm() <= tolerance * scale:
                self.plastic, self.p = plastic, p
                return
            self._move(A, b)
        raise AssertionError("the single-scale solve did not converge")

    def reaction(self, bc: fem.DirichletBC) -> float:
        """Sum of the internal forces on the dofs of a condition on one component."""
        forces = petsc.assemble_vector(self.F)
        forces.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        dofs, n = bc.dof_indices()
        return self.mesh.comm.allreduce(float(forces.array_r[dofs[:n]].sum()))

    def _evaluate(self) -> tuple[np.ndarray, np.ndarray]:
        strain = self.strain.eval(self.mesh, self.cells).reshape(-1, 4)
        stress, tangent, plastic, p = return_mapping(strain, self.plastic, self.p, self.law)
        self.stress.x.array.reshape(-1, 4)[self.slots] = stress
        self.tangent.x.array.reshape(-1, 4, 4)[self.slots] = tangent
        return plastic, p

    def _move(self, A: PETSc.Mat, b: PETSc.Vec) -> None:
        ksp = PETSc.KSP().create(self.mesh.comm)
        ksp.setOperators(A)
        ksp.setType("preonly")
        ksp.getPC().setType("lu")
        ksp.getPC().setFactorSolverType("mumps")
        x = b.duplicate()
        ksp.solve(b, x)
        n = x.array_r.size
        self.u.x.array[:n] -= x.array_r
        self.u.x.scatter_forward()
