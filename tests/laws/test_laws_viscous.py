"""Viscoelasticity against its Prony series, and the law of docs/laws.md: creep with a local unknown."""

import re
from pathlib import Path

import numpy as np
import pytest
from support.material_point import assert_tangents, point, shear

import hmm
from hmm.laws import Elastic, GeneralizedMaxwell

ROOT3 = 3**0.5
BRANCHES = ((300.0, 1.0), (200.0, 10.0))
G_INF = 400.0  # of E = 1000, nu = 0.25


def relaxation(t):
    return G_INF + sum(G * np.exp(-t / tau) for G, tau in BRANCHES)


@pytest.fixture(scope="module")
def maxwell():
    return point(GeneralizedMaxwell(1000.0, 0.25, BRANCHES))


@pytest.mark.mpi
def test_relaxation_is_the_prony_series(maxwell):
    """A strain put on in 1e-9 and held: each later step is exact, however long."""
    response, t = maxwell.solve(shear(0.01), dt=1e-9), 0.0
    for dt in (0.1, 0.5, 3.0, 20.0):
        response, t = maxwell.solve(shear(0.01), response.state, dt=dt), t + dt
        assert response.stress[0, 1] == pytest.approx(0.02 * relaxation(t), rel=1e-8)


def test_a_ramp_is_exact_in_any_number_of_steps(maxwell):
    """Strain rate r for a time t: ``s12 = 2 r (G_inf t + sum G tau (1 - exp(-t/tau)))``."""
    state = None
    for k in range(1, 4):
        response = maxwell.solve(shear(0.01 * k), state, dt=2.0)
        state = response.state
    exact = 2 * 0.005 * (G_INF * 6 + sum(G * tau * (1 - np.exp(-6 / tau)) for G, tau in BRANCHES))
    assert response.stress[0, 1] == pytest.approx(exact, rel=1e-12)
    assert response.stress[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert maxwell.system.is_symmetric


def test_tangent(maxwell):
    assert_tangents(maxwell, [shear(0.01), np.array([[0.01, 0.0], [0.0, 0.02]])], 1e-8, dt=0.7)


def test_mistakes():
    with pytest.raises(hmm.InputError, match=r"branches\[1\]: relaxation_time = 0.0 must be positive"):
        GeneralizedMaxwell(1.0, 0.3, ((1.0, 1.0), (1.0, 0.0)))
    with pytest.raises(hmm.InputError, match=r"branches\[0\] = 3.0 must be a pair"):
        GeneralizedMaxwell(1.0, 0.3, (3.0,))


def norton():
    """The law of the documentation, run as it is printed there."""
    text = (Path(__file__).parents[2] / "docs/laws.md").read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "class Norton" in c)
    names = {"__name__": "example"}
    exec(code, names)
    return names["Norton"]


@pytest.mark.mpi
def test_creep_law_of_the_documentation():
    """Shear at de/dt = 0.01 ends in creep dp/dt = 2/sqrt(3) 0.01 = A q^n, with A = 1e-3 and n = 4."""
    rve = point(norton()(Elastic(1000.0, 0.25), A=1e-3, n=4.0))
    assert_tangents(rve, [np.array([[0.01, 0.02], [0.02, 0.0]]), shear(0.01)], 1e-8, dt=0.5)
    state = None
    for k in range(1, 41):
        response = rve.solve(shear(0.01 * k), state, tangent=False, dt=1.0)
        state = response.state
    assert ROOT3 * response.stress[0, 1] == pytest.approx((0.02 / ROOT3 / 1e-3) ** 0.25, rel=1e-9)


@pytest.mark.mpi
def test_local_equations_without_a_solution():
    """With A < 0 there is no q beyond some strain; the step fails and nothing is answered."""
    rve = point(norton()(Elastic(1000.0, 0.25), A=-1e-3, n=4.0))
    assert rve.solve(shear(1e-4), dt=1.0).stress[0, 1] > 0
    with pytest.raises(hmm.ConvergenceError, match=r"local equations of a law were not solved at points: \d+ of phase"):
        rve.solve(shear(0.02), dt=1.0)
