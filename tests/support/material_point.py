"""One law at one homogeneous state of strain, by way of a small cell."""

import numpy as np

import hmm
from support.cells_and_rves import TIGHT, central_differences, relative_error


def homogeneous_cell():
    return hmm.cells.laminate({"all": 1.0}, mesh_size=0.5)


def point(law, macro=hmm.macro_strain, cell=None):
    """A homogeneous cell of one law."""
    cell = cell or homogeneous_cell()
    return hmm.RVE(cell, hmm.fluctuation(cell), macro(cell), law={"all": law}, newton_options=TIGHT)


def shear(e):
    """The strain ``e (e1 (x) e2 + e2 (x) e1)``."""
    return np.array([[0.0, e], [e, 0.0]])


def variable(rve, response, name):
    """An internal variable, the same at all points, packed; a float if it is a scalar."""
    values = rve.histories["all"].view(response.state.history, name)
    assert np.allclose(values, values[0], rtol=1e-9, atol=1e-14)
    return values[0] if values.shape[1] > 1 else float(values[0, 0])


def assert_tangents(rve, path, tolerance, h=1e-7, **options):
    """Central differences along a path; returns the last response."""
    state = None
    for E in path:
        response = rve.solve(E, state, **options)
        assert relative_error(response.tangent, central_differences(rve, E, state, h)) < tolerance
        state = response.state
    return response
