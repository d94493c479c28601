"""Nearly incompressible phases: displacements alone lock, a displacement and a pressure do not."""

from mpi4py import MPI

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support import references
from support.cells_and_rves import TIGHT, follow, neo_hookean, relative_error
from support.pressure import up_energy, up_rve

import hmm
from hmm.cells import _edge_lengths, _generate, _gmsh

STRETCH, POROSITY, BULK, DISC = 1.1, 0.2, 1e5, np.pi / 4


def hollow_cylinder(mesh_size, order):
    """A ring of outer radius 1/2 in a unit square; what is around it is no part of the problem."""

    def draw(model):
        ring = model.occ.cut([(2, disc(model, 0.5))], [(2, disc(model, 0.5 * POROSITY**0.5))])[0]
        model.occ.synchronize()
        _gmsh.name_phases(model, 2, {"matrix": [tag for _, tag in ring]})
        sizes = _edge_lengths.EdgeLengths.tabulate(np.eye(2), lambda x: np.full(len(x), mesh_size), mesh_size)
        _generate.generate(model, sizes, order)

    return _gmsh.build(draw, MPI.COMM_SELF, np.eye(2))


def disc(model, radius):
    return model.occ.addDisk(0.5, 0.5, 0, radius, radius)


def outer(space):
    """Dofs of a displacement, or of the displacement of a mixed space, on the outer circle."""

    def on_circle(x):
        return np.hypot(x[0] - 0.5, x[1] - 0.5) > 0.5 * (1 - 1e-3)

    if space.dofmap.bs == 2:
        blocks = fem.locate_dofs_geometrical(space, on_circle)
        return (2 * blocks[:, None] + np.arange(2)).ravel()
    own, dofs = space.sub(0).collapse()
    blocks = fem.locate_dofs_geometrical(own, on_circle)
    return np.ravel(dofs)[(2 * blocks[:, None] + np.arange(2)).ravel()]


def cylinder_rve(mesh_size, mixed):
    """The cylinder, its bulk modulus 1e5 times the shear modulus."""
    cell = hollow_cylinder(mesh_size, 2 if mixed else 1)
    w = hmm.fluctuation(cell, degree=(2, 1)) if mixed else hmm.fluctuation(cell)
    F = hmm.macro_deformation_gradient(cell, component=0 if mixed else None)
    mu, lam = (fem.Constant(cell.mesh, value) for value in (1.0, BULK))
    if mixed:
        energy = up_energy(cell, w, F, {"matrix": (mu, lam)})
    else:
        energy = neo_hookean(F.local(w), mu, lam) * cell.measure(quadrature_degree=1)
    fixed = outer(w.function_space)
    return hmm.RVE(cell, w, F, energy=energy, constraint="dirichlet", fixed_dofs=fixed, newton_options=TIGHT)


def test_hollow_cylinder():
    """P11 per area of the full disc: 5e-4 off at mesh size 0.1, 5e-5 at 0.06."""
    path = [stretch * np.eye(2) for stretch in np.linspace(1, STRETCH, 6)[1:]]
    P = follow(cylinder_rve(0.1, mixed=True), path)[-1].stress / DISC
    assert np.diag(P) == pytest.approx(references.POROUS_CYLINDER[STRETCH], rel=1e-3)


def test_locking():
    """At first the stiffness against stretches is ``dP11/dl = 2 mu (1/f - 1)``; alone, `u` locks."""
    mixed, plain = (stiffness(cylinder_rve(0.1, mixed)) for mixed in (True, False))
    exact = 2 * (1 / POROSITY - 1)
    assert mixed == pytest.approx(exact, rel=1e-3)
    assert plain > 100 * exact


def stiffness(rve):
    A = rve.solve(np.eye(2)).tangent / DISC
    return A[0, 0] + A[0, 3]


def test_incompressible_laminate():
    """Stretch along the layers and shear across them: ``P = dW/dF`` of the energy of incompressible layers.

    ``W = <mu>/2 (l^2 + l^-2 - 2) + g^2 / (2 <1/mu>)``, g the shear of the stretched layers; at ``F = [[1, g], [0, 1]]``
    and the layer normal along axis 2, ``P12 = g / <1/mu>``.
    """
    cell = hmm.cells.laminate({"A": 0.7, "B": 0.3}, normal=1, mesh_size=0.5)
    rve, _ = up_rve(cell, {"A": (1.0, 1e9), "B": (10.0, 1e9)}, (1, 0), ("Lagrange", "DG"))
    assert rve.solve([[1, 0.5], [0, 1]]).stress[0, 1] == pytest.approx(0.5 / (0.7 + 0.03), rel=1e-6)


def test_small_strain_law_with_a_pressure():
    """Mixed elasticity as a law, ``sigma = 2 mu dev(eps) - p I`` and ``tr(eps) + p/kappa = 0``, is `Elastic`."""
    cell = hmm.cells.laminate({"A": 0.7, "B": 0.3}, mesh_size=0.5)
    elastic = {"A": hmm.laws.Elastic(70.0, 0.499), "B": hmm.laws.Elastic(400.0, 0.2)}
    w = hmm.fluctuation(cell, degree=(1, 0), family=("Lagrange", "DG"))
    law = {phase: Mixed(e) for phase, e in elastic.items()}
    E, micro = hmm.macro_strain(cell, component=0), {"pressure": hmm.component(1)}
    rve = hmm.RVE(cell, w, E, law=law, micro=micro, newton_options=TIGHT)
    plain = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=elastic)
    response = rve.solve([1e-3, 2e-3, 0.0])
    assert rve.system.is_symmetric
    assert relative_error(response.tangent, plain.solve(np.zeros(3)).tangent) < 1e-9
    assert hmm.checks.hill_mandel_defect(rve, response) < 1e-9
    assert "pressure" in hmm.local_fields(rve, response.state, [1e-3, 2e-3, 0.0]).cellwise


class Mixed:
    fields = ("strain", "pressure")

    def __init__(self, elastic):
        self.elastic = elastic

    def internal(self, dim):
        return {}

    def response(self, at):
        eps, p = at.strain, at.pressure
        stress = 2 * self.elastic.shear_modulus * ufl.dev(eps) - p * ufl.Identity(3)
        return {"strain": stress, "pressure": -ufl.tr(eps) - p / self.elastic.bulk_modulus}

    def update(self, at):
        return {}
