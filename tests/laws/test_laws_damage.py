"""Damage with softening: one point by hand, its tangent, and a composite that only a viscosity lets soften."""

import numpy as np
import pytest
from support.material_point import assert_tangents, homogeneous_cell, point, variable

import hmm
from hmm.laws import Damage, Elastic
from hmm.micro.recovery import StepStart, solve_step

CONCRETE = (30e3, 0.2, 3.0, 1e-3)  # MPa
KAPPA_0 = 1e-4
EPOXY = (3000.0, 0.35, 10.0, 0.01)  # MPa


def uniaxial(law, strains, dt=None):
    """Stress along 1 of a cell without lateral stress, and the last response."""
    E = hmm.macro_strain
    cell = homogeneous_cell()
    rve = hmm.RVE(cell, hmm.fluctuation(cell), E(cell, out_of_plane=True), law={"all": law})
    free = hmm.MixedControl(rve, {"22": 0.0, "33": 0.0, "12": 0.0})
    state, stresses = None, []
    for eps in strains:
        answer = free.solve({"11": eps}, state, dt=dt)
        state = answer.state
        stresses.append(float(answer.vector[0]))
    return np.array(stresses)


def test_uniaxial_stress():
    """``E eps`` up to the strength, then ``strength exp(-(eps - kappa_0) / softening)``; unloading to the origin."""
    strains = np.array([0.5e-4, 1e-4, 2e-4, 4e-4, 2e-4, 0.0, 4e-4, 1.1e-3])
    law = Damage(*CONCRETE, residual=0.0)
    peak = 3.0 * np.exp(-3e-4 / 1e-3)
    exact = [1.5, 3.0, 3.0 * np.exp(-0.1), peak, peak / 2, 0.0, peak, 3.0 * np.exp(-1.0)]
    assert uniaxial(law, strains) == pytest.approx(exact, rel=1e-6, abs=1e-8)


def test_tangent():
    """Central differences in loading, unloading and reloading, with and without viscosity."""
    path = [[0.5e-4, 0.1e-4, 0.2e-4], [3e-4, 1e-4, 1e-4], [2e-4, 0.5e-4, 1e-4], [5e-4, -2e-4, 3e-4]]
    for viscosity in (0.0, 0.5):
        rve = point(Damage(*CONCRETE, viscosity=viscosity))
        response = (
            assert_tangents(rve, path, 1e-7, h=1e-9, dt=0.1) if viscosity else assert_tangents(rve, path, 1e-7, 1e-9)
        )
        assert rve.system.is_symmetric
        assert variable(rve, response, "kappa") > KAPPA_0


def test_delay():
    """At constant strain the damage follows by backward Euler: ``d_n = d (1 - (eta / (eta + dt))^n)``."""
    target = 1 - KAPPA_0 / 4e-4 * np.exp(-0.3)
    found = uniaxial(Damage(*CONCRETE, viscosity=2.0, residual=0.0), [4e-4] * 5, dt=0.5)
    d = target * (1 - (2.0 / 2.5) ** np.arange(1, 6))
    assert found == pytest.approx((1 - d) * 30e3 * 4e-4, rel=1e-6)


def softening(viscosity, **newton):
    """Fibres in epoxy that softens."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.2)
    law = {"matrix": Damage(*EPOXY, viscosity=viscosity), "fibre": Elastic(70e3, 0.2)}
    options = hmm.NewtonOptions(**newton)
    return hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=law, newton_options=options)


def soften(viscosity, steps=20):
    """Stress along 1 of the composite along a path to E11 = 2 %."""
    rve, state, curve = softening(viscosity), None, []
    for n in range(1, steps + 1):
        answer = rve.solve({"11": 0.02 * n / steps}, state, dt=1 / steps)
        state = answer.state
        curve.append(float(answer.stress[0, 0]))
    return np.array(curve)


def test_a_composite_softens_with_a_viscosity():
    curve = soften(0.1)
    peak = int(np.argmax(curve))
    assert 0 < peak < len(curve) - 1
    assert np.all(np.diff(curve[peak:]) < 0) and curve[-1] < 0.1 * curve[peak]


def test_without_one_the_error_explains():
    with pytest.raises(
        hmm.ConvergenceError, match=r"stiffness of the cell .* negative eigenvalues?: a law softens .* viscosity"
    ):
        soften(0.0)


def test_mistakes():
    with pytest.raises(hmm.InputError, match=r"Damage: strength = -1.0 must be positive"):
        Damage(1.0, 0.3, -1.0, 1.0)
    with pytest.raises(hmm.InputError, match=r"Damage: viscosity = -1.0 must be zero or more"):
        Damage(1.0, 0.3, 1.0, 1.0, -1.0)
    with pytest.raises(hmm.InputError, match="a law depends on time"):
        point(Damage(*CONCRETE, viscosity=1.0)).solve([1e-4, 0, 0])


def test_a_point_of_a_macro_problem_explains_too():
    rve = softening(0.0, max_cuts=0)
    state = rve.solve({"11": 0.001}).state
    start = StepStart(
        state.z, rve.pack({"11": 0.001}), state.history, rve.system.force_scale(), np.zeros((3, rve.n_unknowns))
    )
    answer = solve_step(rve.system, start, rve.pack({"11": 0.0014}), state.z)
    assert answer.solved is None
    assert "a law softens or the cell buckles" in answer.failure.reason
