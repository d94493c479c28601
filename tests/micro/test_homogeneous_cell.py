"""A cell of one material answers with that material's law: the fluctuation stays zero.

The law is written once more here, in NumPy (`closed_forms.j2_return`), and followed along the same path.
"""

import numpy as np
import pytest
from support import closed_forms
from support.cells_and_rves import CONSTRAINTS, relative_error, strain_rve

import hmm

ELASTIC = {"young": 70e3, "poisson": 0.3}
PLASTIC = ELASTIC | {"yield_stress": 100.0, "hardening": 1000.0}
CELLS = {
    2: (lambda: hmm.cells.fibre(0.3, mesh_size=0.25), "fibre"),
    3: (lambda: hmm.cells.laminate({"matrix": 0.6, "layer": 0.4}, dim=3, mesh_size=0.5), "layer"),
}
DIRECTION = np.array([[1.0, 0.5, 0.2], [0.5, -0.3, -0.4], [0.2, -0.4, -0.6]])
LEVELS = (1e-3, 2e-3, 4e-3, 3e-3, 1e-3, -2e-3, -4e-3, 0.0, 5e-3)
"""Elastic, loading, unloading, yielding in reverse, reloading."""


@pytest.fixture(scope="module", params=[2, 3])
def cell_and_name(request):
    make, name = CELLS[request.param]
    return make(), name


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_elastic(cell_and_name, constraint):
    cell, name = cell_and_name
    law, d = hmm.laws.Elastic(**ELASTIC), cell.dim
    rve = strain_rve(cell, {"matrix": law, name: law}, constraint)
    C = closed_forms.isotropic(**ELASTIC)[:d, :d, :d, :d]
    response = rve.solve(1e-3 * DIRECTION[:d, :d])
    assert relative_error(response.stress, np.einsum("ijkl,kl->ij", C, 1e-3 * DIRECTION[:d, :d])) < 1e-9
    assert relative_error(response.tangent, closed_forms.mandel(C)) < 1e-9
    assert np.abs(rve.w.x.array).max() < 1e-15


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_j2_path(cell_and_name, constraint):
    cell, name = cell_and_name
    law, d = hmm.laws.J2(**PLASTIC), cell.dim
    rve = strain_rve(cell, {"matrix": law, name: law}, constraint)
    state, plastic, p = None, np.zeros((3, 3)), 0.0
    yielded = []
    for level in LEVELS:
        strain = np.zeros((3, 3))
        strain[:d, :d] = level * DIRECTION[:d, :d]
        response = rve.solve(strain[:d, :d], state)
        state, p_old = response.state, p
        stress, plastic, p = closed_forms.j2_return(strain, plastic, p, **PLASTIC)
        yielded.append(p > p_old)
        assert relative_error(response.stress, stress[:d, :d]) < 1e-9
        for phase in rve.law:
            accumulated = rve.histories[phase].view(history_of(rve, phase, state), "p")
            assert accumulated == pytest.approx(np.full_like(accumulated, p), rel=1e-9)
    assert set(yielded) == {True, False}


def history_of(rve, phase, state):
    """The part of a state row that belongs to a phase."""
    start = 0
    for name, history in rve.histories.items():
        if name == phase:
            return state.history[start : start + history.size]
        start += history.size
    raise KeyError(phase)
