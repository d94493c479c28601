"""Forces at supports that meet in a corner."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem, mesh
from support.macro_tools import homogeneous_cell, rve_of

import hmm

COMM = MPI.COMM_WORLD
LAME, MU = 0.3 * 1000.0 / (1.3 * 0.4), 1000.0 / 2.6
STEEL = hmm.laws.Elastic(1000.0, 0.3)


def sides(domain):
    """Facets of the rectangle (0, 2) x (0, 1) by tag: left 1, right 2, bottom 3, top 4."""
    places = [lambda x: x[0], lambda x: x[0] - 2, lambda x: x[1], lambda x: x[1] - 1]
    found = [mesh.locate_entities_boundary(domain, 1, lambda x, f=f: np.isclose(f(x), 0.0)) for f in places]
    facets, tags = np.concatenate(found), np.repeat(np.arange(1, 5, dtype=np.int32), [f.size for f in found])
    order = np.argsort(facets)
    return mesh.meshtags(domain, 1, facets[order], tags[order])


def held_everywhere(kind, degree, displacement):
    """A rectangle with a displacement given on each side by a condition of its own."""
    domain = mesh.create_rectangle(COMM, [[0.0, 0.0], [2.0, 1.0]], [4, 2], kind)
    V = fem.functionspace(domain, ("Lagrange", degree, (2,)))
    u, v, given, tags = fem.Function(V), ufl.TestFunction(V), fem.Function(V), sides(domain)
    given.interpolate(displacement)
    bcs = [fem.dirichletbc(given, fem.locate_dofs_topological(V, 1, tags.find(tag))) for tag in range(1, 5)]
    hom = hmm.Homogenizer(rve_of(homogeneous_cell(), {"matrix": STEEL}), ufl.sym(ufl.grad(u)))
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    problem = hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="sides_")
    problem.solve()
    return problem, bcs, tags


@pytest.mark.mpi
@pytest.mark.parametrize("kind", [mesh.CellType.triangle, mesh.CellType.quadrilateral], ids=lambda kind: kind.name)
def test_bending_between_four_supports(kind):
    """``sigma_11 = k E y / (1 - nu^2)`` and no other stress in the plane, of degree 1 as that of the elements."""
    k, nu = 1e-3, 0.3

    def displacement(x):
        return np.stack([k * x[0] * x[1], -k * x[0] ** 2 / 2 - nu / (1 - nu) * k * x[1] ** 2 / 2])

    problem, bcs, tags = held_everywhere(kind, 2, displacement)
    force = k * STEEL.young / (1 - nu**2) / 2
    exact = {1: [-force, 0.0], 2: [force, 0.0], 3: [0.0, 0.0], 4: [0.0, 0.0]}
    for tag, expected in exact.items():
        assert np.allclose(problem.reaction_over(tags, tag), expected, atol=1e-9 * force)
    assert abs(problem.reaction(bcs[3])[0]) < 1e-9 * force  # left and right corner cancel
    shear = held_everywhere(kind, 2, lambda x: np.stack([k * x[1], 0 * x[1]]))
    right = shear[0].reaction_over(shear[2], 2)
    assert np.allclose(right, [0.0, MU * k], atol=1e-9)
    both = shear[0].reaction(shear[1][1])  # with the corners, in full
    assert abs(both[0]) < 1e-9 and both[1] == pytest.approx(MU * k)


@pytest.mark.mpi
def test_two_supports_that_meet():
    """Uniform stress, the left and lower side held and the others pulled: the corner's force belongs to both sides."""
    domain = mesh.create_rectangle(COMM, [[0.0, 0.0], [2.0, 1.0]], [4, 2])
    V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
    u, v, given, tags = fem.Function(V), ufl.TestFunction(V), fem.Function(V), sides(domain)
    given.interpolate(lambda x: 1e-3 * np.stack([x[0] + 0.5 * x[1], -0.2 * x[0] + 2 * x[1]]))
    stress = 1e-3 * (LAME * 3.0 * np.eye(2) + 2 * MU * np.array([[1.0, 0.15], [0.15, 2.0]]))
    bcs = [fem.dirichletbc(given, fem.locate_dofs_topological(V, 1, tags.find(tag))) for tag in (1, 3)]
    hom = hmm.Homogenizer(rve_of(homogeneous_cell(), {"matrix": STEEL}), ufl.sym(ufl.grad(u)))
    n, ds = ufl.FacetNormal(domain), ufl.Measure("ds", domain, subdomain_data=tags)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    F -= ufl.inner(ufl.dot(ufl.as_matrix(stress.tolist()), n), v) * ds((2, 4))
    problem = hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="corner_", rtol=1e-12)
    problem.solve()
    left, lower = -stress[:, 0], -2 * stress[:, 1]
    assert np.allclose(problem.reaction_over(tags, 1), left, rtol=1e-9)
    assert np.allclose(problem.reaction_over(tags, 3), lower, rtol=1e-9)
    corner = problem.reaction(bcs[0]) - left  # half of the lower side's first element, 0.5 long
    assert np.allclose(corner, lower / 2 * 0.25, rtol=1e-9)
    assert np.allclose(problem.reaction_over(tags, 2), 0.0, atol=1e-9)


def test_facets_of_no_tag():
    problem, _, tags = held_everywhere(mesh.CellType.triangle, 1, lambda x: 0 * x[:2])
    with pytest.raises(hmm.InputError, match="no facet has the tag 7: the tags are 1, 2, 3, 4"):
        problem.reaction_over(tags, 7)
    with pytest.raises(hmm.InputError, match="tags = 3 is not a MeshTags"):
        problem.reaction_over(3, 1)
