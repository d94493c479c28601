"""FE2 in three dimensions."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc
from support.macro_tools import ALGORITHMS, cube_cell, difference, rve_of

import hmm

MATRIX, INCLUSION = hmm.laws.Elastic(1.0, 0.3), hmm.laws.Elastic(10.0, 0.2)
COMM = MPI.COMM_WORLD
CELLS = {
    "cube": lambda: (cube_cell(), {"matrix": MATRIX, "inclusion": INCLUSION}),
    "laminate": lambda: (
        hmm.cells.laminate({"A": 0.6, "B": 0.4}, normal=1, dim=3, mesh_size=0.5),
        {"A": MATRIX, "B": INCLUSION},
    ),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", list(CELLS))
def test_elastic_cell_is_its_homogenized_stiffness(kind, algorithm):
    """Two trilinear hexahedra, twisted and pulled: the same as a linear problem with the cell's stiffness."""
    cell, law = CELLS[kind]()
    rve = rve_of(cell, law)
    domain = mesh.create_box(COMM, [np.zeros(3), np.array([2.0, 1.0, 1.0])], [2, 1, 1], mesh.CellType.hexahedron)
    V = fem.functionspace(domain, ("Lagrange", 1, (3,)))
    end = fem.Function(V)
    end.interpolate(lambda x: np.stack([0.02 + 0 * x[0], -0.03 * (x[2] - 0.5), 0.03 * (x[1] - 0.5)]))
    bcs = [
        fem.dirichletbc(np.zeros(3), fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0)), V),
        fem.dirichletbc(end, fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 2))),
    ]
    u, v = fem.Function(V), ufl.TestFunction(V)
    eps = lambda w: ufl.sym(ufl.grad(w))  # noqa: E731
    hom = hmm.Homogenizer(rve, eps(u), degree=3, algorithm=algorithm)
    F = ufl.inner(hom.stress, eps(v)) * hom.dx
    problem = hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="hexes_", rtol=1e-11)
    assert problem.solve().iterations == 1

    C = ufl.as_tensor(rve.inputs[0].packing.to_fourth_order(rve.solve(np.zeros(6)).tangent))
    i, j, k, m = ufl.indices(4)
    w = ufl.TrialFunction(V)
    dx = ufl.dx(metadata={"quadrature_degree": 3})
    a = C[i, j, k, m] * eps(w)[k, m] * eps(v)[i, j] * dx
    options = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}
    zero = ufl.inner(fem.Constant(domain, np.zeros(3)), v) * dx
    plain = petsc.LinearProblem(a, zero, bcs=bcs, petsc_options_prefix="plain3_", petsc_options=options).solve()
    assert difference(u, plain) < 1e-11
    wall, pulled = problem.reaction(bcs[0]), problem.reaction(bcs[1])
    assert np.allclose(wall + pulled, 0, rtol=0, atol=1e-11)
    assert pulled[0] > 0.01
