"""A homogeneous cell changes nothing: FE2 gives exactly the single-scale solution."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, la
from dolfinx.fem import petsc
from support.macro_tools import (
    ALGORITHMS,
    J2,
    STIFF,
    beam,
    cantilever,
    difference,
    homogeneous_cell,
    neo_hooke,
    neo_hooke_rve,
    rve_of,
)
from support.single_scale import PlainJ2

MUMPS = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_elastic_cell_is_a_linear_problem(algorithm):
    fe2 = beam(rve_of(homogeneous_cell(), {"matrix": STIFF}), algorithm)
    fe2.reactions([-0.01])

    V, load, clamp, drive = cantilever(fe2.hom.mesh)
    load.value = -0.01
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    mu = STIFF.young / (2 * (1 + STIFF.poisson))
    lmbda = STIFF.young * STIFF.poisson / ((1 + STIFF.poisson) * (1 - 2 * STIFF.poisson))
    eps = lambda w: ufl.sym(ufl.grad(w))  # noqa: E731
    a = (lmbda * ufl.tr(eps(u)) * ufl.tr(eps(v)) + 2 * mu * ufl.inner(eps(u), eps(v))) * ufl.dx
    zero = ufl.inner(fem.Constant(V.mesh, np.zeros(2)), v) * ufl.dx
    one_scale = petsc.LinearProblem(
        a, zero, bcs=[clamp, drive], petsc_options_prefix="plain_", petsc_options=MUMPS
    ).solve()
    assert difference(fe2.u, one_scale) < 1e-11


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_j2_cell_is_a_single_scale_j2_solve(algorithm):
    path = [-0.02, -0.03, -0.04, -0.05, -0.035, -0.02, -0.005, 0.01, 0.02, 0.03]  # yields, unloads, yields in reverse
    fe2 = beam(rve_of(homogeneous_cell(), {"matrix": J2}), algorithm)
    V, load, clamp, drive = cantilever(fe2.hom.mesh)
    plain = PlainJ2(V, [clamp, drive], J2)
    for value in path:
        reaction = fe2.reactions([value])[0]
        load.value = value
        plain.solve()
        assert reaction == pytest.approx(plain.reaction(drive), rel=1e-10)
        assert difference(fe2.u, plain.u) < 1e-10
    stress = plain.stress.x.array.reshape(-1, 4)[plain.slots][:, [0, 3, 3, 1]]
    assert np.allclose(fe2.hom.stress.x.array.reshape(-1, 4)[plain.slots], stress, rtol=0, atol=1e-8)
    p = fe2.hom.point_average("matrix", "p").ravel()
    assert np.allclose(p, plain.p, rtol=0, atol=1e-12)
    assert V.mesh.comm.allreduce(plain.p.max(initial=0.0), op=MPI.MAX) > 5e-3, "not plastic: this would prove nothing"
    assert fe2.problem.stats[-1].iterations <= plain.iterations + 1, "the tangent is not the consistent one"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_neo_hookean_cell_is_a_single_scale_solve(algorithm):
    mu, lmbda = 80.194, 120.29
    fe2 = beam(neo_hooke_rve(homogeneous_cell(), {"matrix": (mu, lmbda)}), algorithm)
    reaction = fe2.reactions([0.5, 1.0])[-1]

    V, load, clamp, drive = cantilever(fe2.hom.mesh)
    u, v = fem.Function(V), ufl.TestFunction(V)
    energy = neo_hooke(ufl.Identity(2) + ufl.grad(u), mu, lmbda) * ufl.dx(metadata={"quadrature_degree": 2})
    options = {**MUMPS, "snes_rtol": 1e-13, "snes_atol": 1e-12, "snes_linesearch_type": "none"}
    problem = petsc.NonlinearProblem(
        ufl.derivative(energy, u, v), u, bcs=[clamp, drive], petsc_options_prefix="plain_nh_", petsc_options=options
    )
    for value in (0.5, 1.0):
        load.value = value
        problem.solve()
    forces = fem.assemble_vector(fem.form(ufl.derivative(energy, u, v)))
    forces.scatter_reverse(la.InsertMode.add)
    dofs, n = drive.dof_indices()
    assert difference(fe2.u, u) < 1e-10
    assert reaction == pytest.approx(V.mesh.comm.allreduce(forces.array[dofs[:n]].sum()), rel=1e-10)
