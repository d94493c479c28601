"""Time and parameters: the same macro field is answered anew in every step."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import ufl
from dolfinx import fem
from support.macro_tools import ALGORITHMS, held_square, homogeneous_cell, rve_of

import hmm


@dataclass(frozen=True)
class Maxwell:
    """Deviatoric Maxwell element beside an elastic bulk, backward Euler: a user's own law."""

    bulk: float
    shear: float
    relaxation_time: float

    fields = ("strain",)

    def internal(self, dim: int) -> Mapping[str, hmm.tensors.Packing]:
        return {"viscous_strain": hmm.tensors.plane(dim)}

    def response(self, at):
        elastic = ufl.dev(at.strain - self.update(at)["viscous_strain"])
        return self.bulk * ufl.tr(at.strain) * ufl.Identity(3) + 2 * self.shear * elastic

    def update(self, at):
        a = at.dt / self.relaxation_time
        return {"viscous_strain": (at.old["viscous_strain"] + a * ufl.dev(at.strain)) / (1 + a)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_stress_relaxes_under_held_displacements(algorithm):
    """Shear e12 = e held on the whole boundary: sigma12 = 2 G e / (1 + a)^n after n backward Euler steps of size a."""
    G, a, e = 40.0, 0.25, 0.01
    rve = rve_of(homogeneous_cell(), {"matrix": Maxwell(bulk=100.0, shear=G, relaxation_time=8.0)})
    rve.time_step = a * 8.0
    problem, hom = held_square(rve, lambda x: np.stack([e * x[1], e * x[0]]), algorithm)
    for n in range(1, 5):
        problem.solve()
        sigma = hom.stress.x.array.reshape(-1, 2, 2)[: hom.n_points]
        assert np.allclose(sigma[:, 0, 1], 2 * G * e / (1 + a) ** n, rtol=1e-10, atol=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_changed_parameter_of_the_cell_is_seen(algorithm):
    """Sigma = k (E - theta I) with E = 0.01 I held: first theta, then k is changed between two macro solves."""
    cell = homogeneous_cell()
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell)
    k, theta = fem.Constant(cell.mesh, 3.0), fem.Constant(cell.mesh, 0.0)
    e = E.local(w) - theta * ufl.Identity(2)
    rve = hmm.RVE(cell, w, E, energy=k / 2 * ufl.inner(e, e) * cell.measure())
    problem, hom = held_square(rve, lambda x: 0.01 * x[:2], algorithm)
    for k.value, theta.value in ((3.0, 0.0), (3.0, 0.02), (5.0, 0.02)):
        problem.solve()
        sigma = hom.stress.x.array.reshape(-1, 2, 2)[: hom.n_points]
        assert np.allclose(sigma, k.value * (0.01 - theta.value) * np.eye(2), rtol=0, atol=1e-12)
