"""FE2 with fewer macro components than the cell has: plane stress of 2D and 3D cells, by both algorithms."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support.macro_tools import (
    ALGORITHMS,
    J2,
    STIFF,
    TIGHT,
    beam,
    beam_mesh,
    cantilever,
    difference,
    homogeneous_cell,
    rve_of,
    square_cell,
)

import hmm


def generalised(cell, law):
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True)
    return hmm.RVE(cell, w, E, law=law, newton_options=TIGHT)


@pytest.fixture(scope="module")
def composite():
    return generalised(square_cell(), {"matrix": J2, "inclusion": STIFF})


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_homogeneous_beam_is_the_single_scale_one(dim):
    """An elastic plane-stress beam, its micro law known in closed form."""
    steel, cell = hmm.laws.Elastic(70e3, 0.3), homogeneous_cell(dim)
    rve = generalised(cell, {"matrix": steel}) if dim == 2 else rve_of(cell, {"matrix": steel})
    fe2 = beam(hmm.plane_stress(rve))
    reaction = fe2.reactions([0.1])[0]
    u = single_scale(steel.young, steel.poisson, 0.1)
    assert difference(fe2.u, u) < 1e-10
    assert reaction > 0


def single_scale(young, poisson, deflection):
    """The same beam with ``sigma = E / (1 - nu^2) ((1 - nu) eps + nu tr(eps) I)``."""
    from dolfinx.fem import petsc

    V, load, clamp, drive = cantilever(beam_mesh())
    load.value = deflection
    u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
    eps = ufl.sym(ufl.grad(u))
    sigma = young / (1 - poisson**2) * ((1 - poisson) * eps + poisson * ufl.tr(eps) * ufl.Identity(2))
    a = ufl.inner(sigma, ufl.sym(ufl.grad(v))) * ufl.dx
    rhs = ufl.inner(fem.Constant(V.mesh, (0.0, 0.0)), v) * ufl.dx
    options = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}
    return petsc.LinearProblem(
        a, rhs, bcs=[clamp, drive], petsc_options=options, petsc_options_prefix="single_"
    ).solve()


@pytest.mark.mpi
def test_the_algorithms_agree_and_are_quadratic(composite):
    """Plastic composite beam, loaded and let back: the same solution to 1e-10, and a macro residual that squares.

    The monolithic iteration does not survive the reversal in one step, with or without free components.
    """
    beams = [beam(hmm.plane_stress(composite), algorithm) for algorithm in ALGORITHMS]
    reactions = [b.reactions([0.05, 0.1, 0.05]) for b in beams]
    assert reactions[0] == pytest.approx(reactions[1], rel=1e-10)
    assert difference(beams[0].u, beams[1].u) < 1e-10
    for b in beams:
        assert not any(s.fallbacks for s in b.problem.stats[:2])
        for stats in b.problem.stats:
            norms = np.array(stats.residuals)
            assert len(norms) <= 8
            assert norms[-1] < 1e3 * norms[-2] ** 2 or norms[-1] < 1e-12


def test_mean_stresses_out_of_the_plane_vanish(composite):
    """Checked where it counts: in the cell of a point, by averaging its local stress."""
    b = beam(hmm.plane_stress(composite))
    b.reactions([0.1])
    hom, p = b.hom, 0
    if not hom.n_points:
        return
    state = hmm.PointState(hom.states.trial.variables["z"][p], hom.states.committed.variables["history"][p])
    hom.model.load(state, hom.states.trial.E[p])
    parts = [composite.average(composite.local_response(phase)[2, 2], phase) for phase in ("matrix", "inclusion")]
    assert abs(sum(parts)) < 1e-6 * np.abs(hom.states.trial.response[p]).max()
    fields = hmm.point_fields(hom, p)
    assert fields.displacement.x.array.any()


def test_a_bar_of_cells():
    """A 1D macro problem: only E11 is given, all other stresses vanish, so that Young's modulus answers."""
    from dolfinx import mesh

    steel = hmm.laws.Elastic(70e3, 0.3)
    bar = hmm.MixedControl(generalised(homogeneous_cell(), {"matrix": steel}), {"22": 0.0, "33": 0.0, "12": 0.0})
    domain = mesh.create_interval(MPI.COMM_WORLD, 4, [0.0, 2.0])
    V = fem.functionspace(domain, ("Lagrange", 1, (1,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(bar, ufl.grad(u), degree=1)
    ends = [fem.locate_dofs_geometrical(V, lambda x, at=at: np.isclose(x[0], at)) for at in (0.0, 2.0)]
    clamp, pull = (fem.dirichletbc(fem.Constant(domain, d), dofs, V) for d, dofs in zip((0.0, 2e-3), ends, strict=True))
    problem = hmm.MacroProblem(ufl.inner(hom.stress, ufl.grad(v)) * hom.dx, u, hom, bcs=[clamp, pull])
    problem.solve()
    assert problem.reaction(pull) == pytest.approx(70e3 * 1e-3, rel=1e-10)
