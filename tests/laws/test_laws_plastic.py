"""Plastic laws: hand calculations in shear, tangents by central differences, quadratic convergence.

In shear E12 = e the flow is radial, and backward Euler makes no error: ``q = sqrt(3) s12 = sqrt(3) 2 mu e - 3 mu p``.
"""

import numpy as np
import pytest
from dolfinx import fem
from support.cells_and_rves import relative_error, strain_rve
from support.material_point import assert_tangents, homogeneous_cell, point, shear, variable
from support.newton_norms import assert_quadratic, solve

import hmm
from hmm.laws import J2, ArmstrongFrederick, DruckerPrager, Elastic, Perzyna, PowerLaw, Voce

ELASTIC = Elastic(1000.0, 0.25)  # mu = 400, kappa = 2000/3
MU, ROOT3 = 400.0, 3**0.5
PATH = [np.array([[2e-3, 3e-3], [3e-3, -1e-3]]), np.array([[5e-3, 2e-3], [2e-3, -4e-3]]), shear(-4e-3)]


@pytest.fixture(scope="module")
def full():
    """J2 with all its parts, each of which can be switched off by its Constants; nothing is compiled again."""
    cell = homogeneous_cell()
    p = {name: fem.Constant(cell.mesh, 1.0) for name in ("Q", "b", "C", "gamma", "K", "n", "rate")}
    law = J2(
        *(1000.0, 0.25, 1.0, Voce(p["Q"], p["b"])),
        kinematic=ArmstrongFrederick(p["C"], p["gamma"]),
        rate=Perzyna(p["K"], p["n"], p["rate"]),
    )
    return point(law, cell=cell), p


def switch(parameters, **values):
    off = {"Q": 0.0, "b": 1.0, "C": 0.0, "gamma": 0.0, "K": 1e-12, "n": 1.0, "rate": 1.0}
    for name, value in (off | values).items():
        parameters[name].value = value


@pytest.mark.mpi
def test_voce(full):
    rve, parameters = full
    switch(parameters, Q=2.0, b=30.0)
    for e in (2e-3, 2e-2, 0.2):
        response = rve.solve(shear(e), dt=1.0)
        q, p = ROOT3 * response.stress[0, 1], variable(rve, response, "p")
        assert q == pytest.approx(1.0 + 2.0 * (1 - np.exp(-30.0 * p)), rel=1e-10)
        assert q == pytest.approx(ROOT3 * 2 * MU * e - 3 * MU * p, rel=1e-10)


@pytest.mark.parametrize(("exponent", "offset"), [(0.2, 0.0), (0.3, 0.01)], ids=["Ludwik", "Swift"])
def test_power_law(exponent, offset):
    rve = point(J2(1000.0, 0.25, 1.0, PowerLaw(5.0, exponent, offset)))
    for e in (1e-3, 2e-2, 0.5):
        response = rve.solve(shear(e))
        q, p = ROOT3 * response.stress[0, 1], variable(rve, response, "p")
        assert p > 0
        assert q == pytest.approx(1.0 + 5.0 * ((p + offset) ** exponent - offset**exponent), rel=1e-10)
        assert q == pytest.approx(ROOT3 * 2 * MU * e - 3 * MU * p, rel=1e-10)


def test_perfect_plasticity():
    """With slope 0 the stress in shear is sy / sqrt(3)."""
    response = point(J2(1000.0, 0.25, 1.0)).solve(shear(0.05))
    assert response.stress[0, 1] == pytest.approx(1 / ROOT3, rel=1e-12)


def test_armstrong_frederick_saturates(full):
    """C = 100, gamma = 50: the backstress ends at 2, the stress at sy + 2, and at -(sy + 2) after reversal."""
    rve, parameters = full
    switch(parameters, C=100.0, gamma=50.0)
    state = None
    for e in [*np.linspace(0.0, 0.5, 11)[1:], *np.linspace(0.5, -0.5, 21)[1:]]:
        response = rve.solve(shear(e), state, dt=1.0)
        state = response.state
        if e == 0.5:
            assert ROOT3 * response.stress[0, 1] == pytest.approx(3.0, rel=1e-5)
    assert ROOT3 * response.stress[0, 1] == pytest.approx(-3.0, rel=1e-5)
    assert 1.5**0.5 * np.linalg.norm(variable(rve, response, "backstress")) == pytest.approx(2.0, rel=1e-5)


def test_armstrong_frederick_is_first_order_in_time(full):
    """``a = C/gamma (1 - exp(-gamma p))``."""
    rve, parameters = full
    switch(parameters, C=100.0, gamma=50.0)
    errors = []
    for n in (20, 40):
        state = None
        for e in np.linspace(0.0, 0.02, n + 1)[1:]:
            response = rve.solve(shear(e), state, tangent=False, dt=1.0)
            state = response.state
        p, a = variable(rve, response, "p"), 1.5**0.5 * np.linalg.norm(variable(rve, response, "backstress"))
        errors.append(a - 2.0 * (1 - np.exp(-50.0 * p)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("n", [1.0, 5.0, 20.0])
def test_perzyna_steady_state(full, n):
    """Shear at de/dt = 0.3 ends in flow dp/dt = 2/sqrt(3) 0.3, at the overstress ``K (dp/dt / rate)^(1/n)``."""
    rve, parameters = full
    switch(parameters, K=3.0, n=n, rate=0.1)
    state = None
    for k in range(1, 9):
        response = rve.solve(shear(0.3 * k), state, tangent=False, dt=1.0)
        state = response.state
    assert ROOT3 * response.stress[0, 1] == pytest.approx(1 + 3.0 * (0.6 / ROOT3 / 0.1) ** (1 / n), rel=1e-9)


def test_perzyna_needs_time(full):
    rve, _ = full
    rve.time_step = 0.0
    with pytest.raises(hmm.InputError, match=r"depends on time.*give dt="):
        rve.solve(shear(0.01))


def test_tangents_of_j2(full):
    rve, parameters = full
    for values in ({"Q": 2.0, "b": 30.0}, {"C": 100.0, "gamma": 50.0}, {"K": 2.0, "n": 5.0, "rate": 0.1}):
        switch(parameters, **values)
        assert_tangents(rve, PATH, 1e-8, dt=1.0)
    assert not rve.system.is_symmetric  # recovery makes the flow non-associated


@pytest.fixture(scope="module")
def granular():
    return point(DruckerPrager(1000.0, 0.25, cohesion=1.0, friction_angle=30.0, dilatancy_angle=10.0))


def cone(degrees):
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return 6 * sine / (ROOT3 * (3 - sine)), 6 * cosine / (ROOT3 * (3 - sine))


@pytest.mark.mpi
def test_drucker_prager(granular):
    """In shear sqrt(J2) = 2 mu e and p = 0 before the return; far in tension it ends at the apex c / tan(phi)."""
    (eta, xi), (eta_psi, _) = cone(30.0), cone(10.0)
    e, kappa = 5e-3, 2000 / 3
    dgamma = (2 * MU * e - xi) / (MU + kappa * eta * eta_psi)
    stress = granular.solve(shear(e)).stress
    expected = shear(2 * MU * e - MU * dgamma) - kappa * eta_psi * dgamma * np.eye(2)
    assert relative_error(stress, expected) < 1e-12
    apex = granular.solve(0.02 * np.eye(2), tangent=False).stress
    assert relative_error(apex, np.eye(2) / np.tan(np.radians(30.0))) < 1e-12
    pressed, initial = granular.solve(shear(1e-3) - 0.02 * np.eye(2)), granular.solve(shear(0))
    assert relative_error(pressed.tangent, initial.tangent) < 1e-12  # elastic: pressure closes the cone


def test_tangents_of_drucker_prager(granular):
    """On the cone the tangent is not symmetric; at the apex there is no stiffness at all."""
    assert_tangents(granular, PATH, 1e-8)
    assert not granular.system.is_symmetric
    with pytest.raises(hmm.ConvergenceError, match=r"singular: a phase without stiffness"):
        granular.solve(0.02 * np.eye(2))


def test_newton_is_quadratic():
    """A laminate of two laws with different flow, so that the fluctuation does not vanish."""
    cell = hmm.cells.fibre(0.3, mesh_size=0.25)
    matrix = J2(1000.0, 0.25, 1.0, Voce(2.0, 30.0), ArmstrongFrederick(100.0, 50.0))
    rve = strain_rve(cell, {"matrix": matrix, "fibre": DruckerPrager(3000.0, 0.2, 2.0, 30.0, 10.0)})
    assert_quadratic(solve(rve, PATH[0]), 50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: J2(1.0, 0.3, 1.0, Voce(-1.0, 1.0)), r"Voce: saturation = -1.0 must be zero or more"),
        (lambda: J2(1.0, 0.3, 1.0, PowerLaw(1.0, 1.5)), r"PowerLaw: exponent = 1.5 must be in \[0, 1\]"),
        (lambda: J2(1.0, 0.3, 1.0, kinematic=3.0), r"J2: kinematic = 3.0 must be a hmm.laws.ArmstrongFrederick"),
        (lambda: J2(1.0, 0.3, 1.0, "soft"), r"hardening = 'soft' must be a number"),
        (lambda: Perzyna(1.0, 0.5), r"Perzyna: exponent = 0.5 must be in \[1, 1000\]"),
        (lambda: DruckerPrager(1.0, 0.3, 1.0, 95.0, 0.0), r"friction_angle = 95.0 must be in \(0, 90\) degrees"),
        (lambda: DruckerPrager(1.0, 0.3, 1.0, 30.0, 40.0), r"dilatancy_angle = 40.0 must be in \[0, friction_angle"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(hmm.InputError, match=message):
        make()
