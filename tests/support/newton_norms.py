"""How Newton's method converges on a cell."""

from itertools import pairwise

import numpy as np

from hmm.micro.newton import newton
from hmm.micro.protocols import NewtonOptions

OPTIONS = NewtonOptions(rtol=1e-11)


def solve(rve, E):
    """Residual norms of a solve from the undeformed state, relative to the nodal forces at its end."""
    start = rve.initial_state()
    rve.system.load_history(start.history)
    result = newton(rve.system, start.z, rve.pack(E), OPTIONS)
    assert result.converged
    assert len(result.norms) == result.iterations + 1
    return np.array(result.norms) / rve.system.force_scale()


def assert_quadratic(norms, constant):
    """r_{k+1} <= constant * r_k^2 once r_k is below 1e-3, down to round-off; and there are such steps."""
    steps = [(old, new) for old, new in pairwise(norms) if old < 1e-3]
    assert steps
    for old, new in steps:
        assert new <= constant * old**2 + 1e-13
    assert norms[-1] < 1e-11
