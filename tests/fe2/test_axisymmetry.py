"""Axisymmetric bodies: the plane of a cell with a strain 33 is the meridian plane, and 33 is the hoop."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.macro_tools import J2, STIFF, TIGHT, difference, homogeneous_cell, square_cell

import hmm

COMM = MPI.COMM_WORLD
INNER, OUTER, PRESSURE = 1.0, 2.0, 30.0


def hoop_strain(u, x):
    """Strain of a displacement (u_r, u_z) over coordinates (r, z), shape (3, 3); 33 is the hoop."""
    G = ufl.grad(u)
    return ufl.sym(ufl.as_tensor([[G[0, 0], G[0, 1], 0], [G[1, 0], G[1, 1], 0], [0, 0, u[0] / x[0]]]))


def cylinder(cell, law, n=8):
    """A thick-walled cylinder of unit height between rigid smooth plates, under internal pressure."""
    domain = mesh.create_rectangle(COMM, [[INNER, 0.0], [OUTER, 1.0]], [n, 2])
    x = ufl.SpatialCoordinate(domain)
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    E = hmm.macro_strain(cell, out_of_plane=True)
    rve = hmm.RVE(cell, hmm.fluctuation(cell), E, law=law, newton_options=TIGHT)
    hom = hmm.Homogenizer(rve, hoop_strain(u, x), degree=4)
    inside = mesh.locate_entities_boundary(domain, 1, lambda x: np.isclose(x[0], INNER))
    ds = ufl.Measure("ds", domain, subdomain_data=mesh.meshtags(domain, 1, inside, np.ones(len(inside), np.int32)))
    p = fem.Constant(domain, 0.0)
    F = ufl.inner(hom.stress, hoop_strain(v, x)) * x[0] * hom.dx - p * v[0] * x[0] * ds(1)
    Y = V.sub(1).collapse()[0]
    ends = fem.locate_dofs_geometrical((V.sub(1), Y), lambda x: np.isclose(x[1], 0) | np.isclose(x[1], 1))
    return hmm.MacroProblem(F, u, hom, bcs=[fem.dirichletbc(fem.Function(Y), ends, V.sub(1))]), p


@pytest.mark.mpi
def test_a_cylinder_under_internal_pressure_is_that_of_lame():
    """Plane strain, Timoshenko and Goodier, *Theory of Elasticity* (1970), section 28."""
    E, nu = STIFF.young, STIFF.poisson
    problem, p = cylinder(homogeneous_cell(), {"matrix": STIFF})
    list(hmm.steps(problem, p, PRESSURE, 1))
    exact = fem.Function(problem.u.function_space)
    factor = (1 + nu) / E * PRESSURE * INNER**2 / (OUTER**2 - INNER**2)
    exact.interpolate(lambda x: np.stack([factor * ((1 - 2 * nu) * x[0] + OUTER**2 / x[0]), 0 * x[0]]))
    assert difference(problem.u, exact) < 1e-4


@pytest.mark.mpi
def test_a_plastic_cylinder_is_in_equilibrium():
    """A composite that yields: the hoop stress over the wall carries the pressure, as on half of the cylinder."""
    problem, p = cylinder(square_cell(), {"matrix": J2, "inclusion": STIFF}, n=4)
    list(hmm.steps(problem, p, 100.0, 4))
    carried = fem.assemble_scalar(fem.form(problem.hom.stress[2, 2] * problem.hom.dx))
    assert COMM.allreduce(carried) == pytest.approx(100.0 * INNER, rel=2e-3)
    assert COMM.allreduce(problem.hom.point_average("matrix", "p").max(initial=0), op=MPI.MAX) > 1e-4
