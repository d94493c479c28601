"""FE-HMM: macro, micro and resonance errors of the elliptic problem fall as their a-priori estimates say.

``|u - u_H| <= C (H^2 + (h/eps)^2 + eps/delta)``: E, Ming and Zhang, J. Amer. Math. Soc. 18 (2005) 121; Abdulle,
Multiscale Model. Simul. 4 (2005) 447. The set-up is that of demos/demo_fehmm.py.
"""

import sys
from pathlib import Path

from mpi4py import MPI

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "demos"))
from demo_fehmm import EXACT, conductivity_error, macro_errors, make_rve, rate

MICRO = (8, 16, 32)


@pytest.fixture(scope="module")
def cells():
    return {m: make_rve(m) for m in MICRO}


def test_the_homogenized_tensor_is_that_of_layers():
    """The means of ``2 + 1.5 sin`` and of ``1 / (2 + 1.5 sin)``, by the midpoint rule, exact for periodic functions."""
    resistance = 2 + 1.5 * np.sin(2 * np.pi * (np.arange(200) + 0.5) / 200)
    assert np.diag(EXACT) == pytest.approx([1 / resistance.mean(), (1 / resistance).mean()], rel=1e-12)


def test_micro_error_is_of_second_order(cells):
    errors = [conductivity_error(cells[m]) for m in MICRO]
    assert rate([1 / m for m in MICRO], errors) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(("constraint", "shift"), [("dirichlet", 0.0), ("periodic", 0.5)])
def test_resonance_error_is_of_first_order(constraint, shift):
    """Whole periods held at their boundary, and half a period too many."""
    lengths = [k + shift for k in (1, 2, 4)]
    errors = [conductivity_error(make_rve(16, length, constraint)) for length in lengths]
    assert rate([1 / length for length in lengths], errors) == pytest.approx(1.0, abs=0.15)


@pytest.mark.mpi
def test_macro_error_and_its_floor(cells):
    """First order in the gradient, second in the solution; a coarse cell leaves an error that H does not lower."""
    meshes = (4, 8, 16)
    L2, H1 = zip(*(macro_errors(cells[32], n, MPI.COMM_WORLD) for n in meshes), strict=True)
    sizes = [1 / n for n in meshes]
    assert rate(sizes, H1) == pytest.approx(1.0, abs=0.05)
    assert rate(sizes, L2) == pytest.approx(2.0, abs=0.1)
    floor, _ = macro_errors(cells[8], 32, MPI.COMM_WORLD)
    assert floor == pytest.approx(conductivity_error(cells[8]), rel=0.5)
