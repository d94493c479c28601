"""Both algorithms give one answer, with the quadratic rate, on any number of ranks, in balance."""

import gc
import weakref
from itertools import pairwise

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.macro_tools import (
    ALGORITHMS,
    J2,
    STIFF,
    beam,
    beam_mesh,
    cantilever,
    composite,
    difference,
    neo_hooke,
    neo_hooke_rve,
    rve_of,
    square_cell,
)

import hmm

NEO_HOOKE = {"matrix": (50.0, 75.0), "inclusion": (500.0, 750.0)}
CYCLE = [-0.01, -0.02, -0.03, -0.04, -0.025, -0.01, 0.0, 0.01, 0.02]
HARD = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=10e3)

# Reactions (N/mm) of `composite(HARD)` in a beam of 4 x 1 x 2 triangles along CYCLE, and of the neo-Hookean cell at tip
# displacements 0.5 and 1.0: from a serial run of this package with micro and macro tolerances 1e-11 and 1e-12.
SERIAL = {
    "j2": [
        -4.483025754471255,
        -8.904065818708702,
        -12.188958139287303,
        -14.794410263113525,
        -8.069871631405045,
        -1.3453329996986283,
        3.137692754774543,
        7.38948417680029,
        10.748075968708305,
    ],
    "neo_hooke": [0.5080532678741662, 1.2836422102121197],
}


def run(kind: str, algorithm: str):
    """Beam and its reactions along the path of `kind`."""
    if kind == "elastic":
        body = beam(rve_of(square_cell(), {"matrix": J2.elastic, "inclusion": STIFF}), algorithm)
        return body, body.reactions([-0.01, 0.02])
    if kind == "j2":
        body = beam(composite(HARD), algorithm)
        return body, body.reactions(CYCLE)
    body = beam(neo_hooke_rve(square_cell(), NEO_HOOKE), algorithm)
    return body, body.reactions([0.5, 1.0])


@pytest.mark.parametrize("kind", ["elastic", "j2", "neo_hooke"])
def test_monolithic_and_nested_agree(kind):
    bodies, reactions = zip(*(run(kind, algorithm) for algorithm in ALGORITHMS), strict=True)
    assert np.allclose(*reactions, rtol=1e-9, atol=0)
    assert difference(bodies[0].u, bodies[1].u) < 1e-9
    stress = [b.hom.stress.x.array for b in bodies]
    assert np.allclose(*stress, rtol=0, atol=1e-9 * np.abs(stress[1]).max(initial=1.0))
    history = [b.hom.states.committed.variables["history"] for b in bodies]
    assert np.allclose(*history, rtol=0, atol=1e-10)
    assert all(s.fallbacks == 0 for b in bodies for s in b.problem.stats), "a fallback would compare nested with itself"


def test_cycle_is_plastic_in_both_directions():
    _, reactions = run("j2", "monolithic")
    slopes = np.diff([0.0, *reactions]) / np.diff([0.0, *CYCLE])
    assert slopes[3] < 0.7 * slopes[0], "loading must yield"
    assert slopes[4] == pytest.approx(slopes[0], rel=0.05), "unloading must be elastic"
    assert slopes[-1] < 0.9 * slopes[0], "reversal must yield"


@pytest.mark.parametrize("kind", ["j2", "neo_hooke"])
def test_reactions_do_not_depend_on_the_number_of_ranks(kind):
    _, reactions = run(kind, "monolithic")
    assert np.allclose(reactions, SERIAL[kind], rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", ["elastic", "j2", "neo_hooke"])
def test_nested_newton_is_quadratic(kind):
    """With the consistent tangent each residual is below C times the square of the one before, until roundoff."""
    body, _ = run(kind, "nested")
    for stats in body.problem.stats:
        r = np.array(stats.residuals[1:])  # the first one holds the prescribed displacement, not a force
        if kind == "elastic":
            assert len(r) == 1 and r[0] < 1e-12
            continue
        small = r[np.r_[True, r[:-1] > 1e-13]]
        tail = small[small < 0.05]
        for before, after in pairwise(tail):
            assert after <= max(30 * before**2, 1e-11), stats.residuals


def test_a_wrong_tangent_would_be_seen(monkeypatch):
    """The same test must fail for a tangent that is 2 % off."""
    rve = composite(HARD)
    true = rve.system.condense

    def spoiled(residual=None):
        condensed = true(residual)
        object.__setattr__(condensed, "tangent", 1.02 * condensed.tangent)
        return condensed

    monkeypatch.setattr(rve.system, "condense", spoiled)
    body = beam(rve, "nested")
    body.reactions(CYCLE[:3])
    r = [x for x in body.problem.stats[-1].residuals[1:] if x < 0.05]
    ratios = [b / a**2 for a, b in pairwise(r) if b > 1e-11]
    assert max(ratios) > 30


@pytest.mark.parametrize("kind", ["elastic", "j2", "neo_hooke"])
def test_reactions_balance(kind):
    """No load but the supports': their forces sum to zero."""
    body, reactions = run(kind, "monolithic")
    wall = body.problem.reaction(body.clamp)
    assert wall.shape == (2,)
    assert wall[1] == pytest.approx(-reactions[-1], rel=1e-9)
    assert wall[0] == pytest.approx(0.0, abs=1e-9 * abs(reactions[-1]))


def dead_load(rve: hmm.RVE, finite: bool):
    """A clamped beam under a dead traction on its right edge and a body force; load factor, forms, problem."""
    V, _, clamp, _ = cantilever(beam_mesh())
    u, v = fem.Function(V), ufl.TestFunction(V)
    factor = fem.Constant(V.mesh, 0.0)
    traction, weight = ufl.as_vector([0.3, -1.0]), ufl.as_vector([0.0, -0.2])
    edge = ufl.conditional(ufl.gt(ufl.SpatialCoordinate(V.mesh)[0], 4 - 1e-6), 1.0, 0.0)
    strain = ufl.Identity(2) + ufl.grad(u) if finite else ufl.sym(ufl.grad(u))
    along = ufl.grad(v) if finite else ufl.sym(ufl.grad(v))
    hom = hmm.Homogenizer(rve, strain, degree=2)
    work = lambda w: edge * ufl.inner(traction, w) * ufl.ds + ufl.inner(weight, w) * ufl.dx(V.mesh)  # noqa: E731
    F = ufl.inner(hom.stress, along) * hom.dx - factor * work(v)
    problem = hmm.MacroProblem(F, u, hom, bcs=[clamp], petsc_options_prefix="dead_", rtol=1e-12)
    return u, hom, factor, work, problem, clamp


@pytest.mark.parametrize("kind", ["elastic", "j2", "neo_hooke"])
def test_reactions_balance_applied_loads(kind):
    """Wall reaction = -(traction * edge + weight * area): edge length 1, area 4."""
    factor = {"elastic": 1.0, "j2": 4.0, "neo_hooke": 0.02}[kind]
    rve = {
        "elastic": lambda: rve_of(square_cell(), {"matrix": J2.elastic, "inclusion": STIFF}),
        "j2": lambda: composite(HARD),
        "neo_hooke": lambda: neo_hooke_rve(square_cell(), NEO_HOOKE),
    }[kind]()
    _, _, load, _, problem, clamp = dead_load(rve, kind == "neo_hooke")
    for _ in hmm.steps(problem, load, factor, 2):
        pass
    expected = -factor * np.array([0.3 * 1, -1.0 * 1 - 0.2 * 4])
    assert np.allclose(problem.reaction(clamp), expected, rtol=1e-9, atol=0)


def test_elastic_energy_balance():
    """Work of the loads, f u / 2, is the integral of Sigma : E / 2, and the reaction works as the stress does."""
    rve = rve_of(square_cell(), {"matrix": J2.elastic, "inclusion": STIFF})
    u, hom, load, work, problem, _ = dead_load(rve, finite=False)
    load.value = 2.0
    problem.solve()
    total = lambda form: u.function_space.mesh.comm.allreduce(fem.assemble_scalar(fem.form(form)))  # noqa: E731
    internal = total(ufl.inner(hom.stress, ufl.sym(ufl.grad(u))) * hom.dx)
    assert internal == pytest.approx(2.0 * total(work(u)), rel=1e-11)

    body = beam(rve)
    reaction = body.reactions([-0.01])[0]
    internal = total(ufl.inner(body.hom.stress, ufl.sym(ufl.grad(body.u))) * body.hom.dx)
    assert internal == pytest.approx(-0.01 * reaction, rel=1e-11)


def test_micro_work_is_macro_work():
    """Hill-Mandel along a plastic path: the volume average of sigma : eps is Sigma : E at every macro point."""
    body, _ = run("j2", "monolithic")
    rve, states = body.hom.model, body.hom.states
    for p in range(0, body.hom.n_points, 7):
        state = hmm.PointState(states.trial.variables["z"][p], states.committed.variables["history"][p])
        rve.load(state, states.trial.E[p])
        rve.system.residual()  # evaluates the loaded point
        power = sum(
            rve.average(ufl.inner(rve.local_response(name), hmm.tensors.embed(rve.local())), name) for name in rve.law
        )
        assert power == pytest.approx(rve.system.response() @ states.trial.E[p], rel=1e-9)


def test_macro_strain_may_be_given_as_the_gradient():
    """A small-strain RVE takes the symmetric part of what it is given, never half of a shear."""
    rve = rve_of(square_cell(), {"matrix": J2.elastic, "inclusion": STIFF})
    V, load, clamp, drive = cantilever(beam_mesh())
    load.value = -0.01
    fields = []
    for strain in (ufl.grad, lambda w: ufl.sym(ufl.grad(w))):
        u, v = fem.Function(V), ufl.TestFunction(V)
        hom = hmm.Homogenizer(rve, strain(u), degree=2)
        F = ufl.inner(hom.stress, ufl.grad(v)) * hom.dx
        hmm.MacroProblem(F, u, hom, bcs=[clamp, drive], petsc_options_prefix="grad_", rtol=1e-12).solve()
        fields.append(u)
    assert difference(*fields) < 1e-12


def test_ranks_without_macro_cells_take_part():
    """One quadrilateral on any number of ranks: E11 = 0.001 held, so u_x = 0.001 x exactly."""
    domain = mesh.create_unit_square(MPI.COMM_WORLD, 1, 1, mesh.CellType.quadrilateral)
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v = fem.Function(V), ufl.TestFunction(V)
    hom = hmm.Homogenizer(composite(), ufl.sym(ufl.grad(u)), degree=2)
    g = fem.Function(V)
    g.interpolate(lambda x: np.stack([0.001 * x[0], 0 * x[0]]))
    bc = fem.dirichletbc(g, fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0] * (1 - x[0]), 0)))
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    problem = hmm.MacroProblem(F, u, hom, bcs=[bc], petsc_options_prefix="one_", rtol=1e-12)
    stats = problem.solve()
    expected = composite().solve([[0.001, 0], [0, 0]]).stress
    stress = hom.stress.x.array.reshape(-1, 2, 2)
    assert np.allclose(stress[: hom.n_points], expected, rtol=1e-9, atol=1e-9)
    assert stats.micro.solves == (stats.iterations + 1) * domain.comm.allreduce(hom.n_points)


def test_a_problem_that_is_gone_frees_its_memory():
    """PETSc must not keep the problem, all states of its points and its communicators (2,048 a process) alive."""
    body = beam(composite(HARD))
    body.reactions([-0.01])
    watched = [weakref.ref(thing) for thing in (body.problem, body.hom, body.hom.states, body.hom.model)]
    del body
    gc.collect()
    assert [thing() for thing in watched] == [None] * 4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hardly_strained_cells_at_finite_strain(algorithm):
    """Default tolerances: strains of 1e-5 and less answer linearly, though rounding is visible beside such forces."""
    cell = square_cell()
    w, F = hmm.fluctuation(cell), hmm.macro_deformation_gradient(cell)
    dx = cell.measure(quadrature_degree=2)
    energy = sum(neo_hooke(F.local(w), *NEO_HOOKE[name]) * dx(tag) for name, tag in cell.phases.items())
    rve = hmm.RVE(cell, w, F, energy=energy)
    slopes = [beam(rve, algorithm, rtol=1e-7).reactions([tip])[0] / tip for tip in (1e-3, 1e-5)]
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-3)
