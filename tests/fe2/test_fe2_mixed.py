"""FE2 with a mixed macro field: displacement and temperature."""

from mpi4py import MPI

import basix.ufl
import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.heated import A, B, heated_rve

import hmm

COMM = MPI.COMM_WORLD


@pytest.fixture(scope="module")
def rve():
    return heated_rve(hmm.cells.laminate({"A": 0.6, "B": 0.4}, mesh_size=0.5), {"A": A, "B": B})


def heated_bar(rve, algorithm="monolithic", n=(4, 2), pull=0.0):
    """A bar of length 2 and height 1 on rollers, its ends at two temperatures; free to expand."""
    domain = mesh.create_rectangle(COMM, [[0, 0], [2, 1]], n)
    P = [basix.ufl.element("Lagrange", "triangle", 2, shape=(2,)), basix.ufl.element("Lagrange", "triangle", 1)]
    U = fem.Function(fem.functionspace(domain, basix.ufl.mixed_element(P)))
    u, T = ufl.split(U)
    v, q = ufl.TestFunctions(U.function_space)
    hom = hmm.Homogenizer(rve, [ufl.sym(ufl.grad(u)), T, ufl.grad(T)], degree=2, algorithm=algorithm)
    stress, _, flux = hom.responses
    F = (ufl.inner(stress, ufl.sym(ufl.grad(v))) + ufl.dot(flux, ufl.grad(q))) * hom.dx
    F -= fem.Constant(domain, pull) * v[0] * hom.dx
    hot = fem.Constant(domain, 10.0)
    bcs = [held(U, (0, 0), lambda x: np.isclose(x[0], 0)), held(U, (0, 1), lambda x: np.isclose(x[1], 0))]
    bcs += [held(U, (1,), lambda x: np.isclose(x[0], 0)), held(U, (1,), lambda x: np.isclose(x[0], 2), hot)]
    return U, hom, hmm.MacroProblem(F, U, hom, bcs=bcs), bcs


def held(U, component, where, value=None):
    space = U.function_space
    for number in component:
        space = space.sub(number)
    collapsed, _ = space.collapse()
    dofs = fem.locate_dofs_geometrical((space, collapsed), where)
    if value is None:
        return fem.dirichletbc(fem.Function(collapsed), dofs, space)
    boundary = fem.Function(collapsed)
    boundary.x.array[:] = value.value
    return fem.dirichletbc(boundary, dofs, space)


@pytest.mark.parametrize("algorithm", ["monolithic", "nested"])
def test_heated_bar(rve, algorithm):
    """The flux along the bar is ``k_n dT/L`` (T is linear), a linear problem is solved in one iteration, and the
    reactions of the rollers vanish in sum: nothing pulls at the bar."""
    U, hom, problem, (left, bottom, cold, hot) = heated_bar(rve, algorithm)
    stats = problem.solve()
    assert stats.iterations == 1
    k = hom.model.solve(np.zeros(6)).tangent[4, 4]
    assert problem.reaction(hot) == pytest.approx(k * 10.0 / 2, rel=1e-9)
    assert problem.reaction(cold) == pytest.approx(-k * 10.0 / 2, rel=1e-9)
    assert abs(problem.reaction(left)) < 1e-8 * k
    assert abs(problem.reaction(bottom)) < 1e-8 * k
    where = fem.form(ufl.split(U)[1] * hom.dx)
    assert COMM.allreduce(fem.assemble_scalar(where), MPI.SUM) == pytest.approx(10.0, rel=1e-10)


def test_a_field_without_load(rve):
    """No temperature anywhere: the mechanical problem alone is solved, and the thermal one is content with nothing."""
    _, _, problem, bcs = heated_bar(rve, pull=5.0)
    bcs[3].g.x.array[:] = 0.0
    problem.solve()
    assert problem.reaction(bcs[0]) == pytest.approx(-2 * 5.0, rel=1e-9)
    assert abs(problem.reaction(bcs[3])) < 1e-12
