"""Compute one tiny cell and compare it with the closed form; tells whether an installation works, in seconds.

A laminate of two elastic layers, on one rank or on several. Needs no files and no packages of any extra but ``wheels``.
"""

from mpi4py import MPI

import numpy as np

import hmm

FRACTIONS = {"soft": 0.6, "stiff": 0.4}
YOUNG = {"soft": 1.0, "stiff": 10.0}


def main() -> None:
    """Print the axial stiffness across the layers, and fail if it is not the harmonic mean of the layers'."""
    cell = hmm.cells.laminate(FRACTIONS, mesh_size=0.5)
    laws = {name: hmm.laws.Elastic(young=young, poisson=0.0) for name, young in YOUNG.items()}
    stiffness = hmm.homogenize(cell, laws).tensor
    found = MPI.COMM_WORLD.allgather(float(stiffness[0, 0]))
    expected = 1.0 / sum(fraction / YOUNG[name] for name, fraction in FRACTIONS.items())
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    if MPI.COMM_WORLD.rank == 0:
        print(f"hmm {hmm.__version__} on {len(found)} rank(s): laminate {found[0]:.6f}, closed form {expected:.6f}")


if __name__ == "__main__":
    hmm.errors.run(main)
