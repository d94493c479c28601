"""Representative size: random two-phase cells of increasing size, their scatter, and the required number of cells.

The cells are parts of an unbounded random two-phase medium. For each size, several cells are solved under three
boundary conditions. Dirichlet conditions overestimate the stiffness, minimal ones underestimate it, and the difference
decreases with the size. The scatter decreases with the volume. It determines the required size of one cell, or the
number of smaller cells. The onset of yielding depends on the few highest stresses, so that the boundary affects it more
than the stiffness.

    python demos/demo_rve_size.py
    mpirun -n 2 python demos/demo_rve_size.py    # continues an interrupted run
"""

from __future__ import annotations

from argparse import Namespace

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

LAWS = {
    "matrix": hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=200.0, hardening=1e3),  # MPa
    "grain": hmm.laws.Elastic(young=400e3, poisson=0.2),
}
WIDTH = 2.0  # of the blobs, in pixels
THRESHOLD = 0.385  # of the standard normal: grains take 35 % of the unbounded plane


def blobs(size: float, seed: int) -> NDArray[np.int64]:
    """Labels of a cell of size x size pixels, cut from a larger field so that its edges are like its inside."""
    n, margin = int(size), int(5 * WIDTH)
    noise = np.random.default_rng(seed).normal(size=(n + 2 * margin, n + 2 * margin))
    field = gaussian_filter(noise, WIDTH)[margin:-margin, margin:-margin]
    return (field * 2 * WIDTH * np.sqrt(np.pi) > THRESHOLD).astype(int)  # of variance 1


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser("Find out how large a random cell must be.", "rve_size", "few small cells")
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    sizes, realisations = ((12, 24), (12, 6)) if options.quick else ((12, 24, 48), (40, 20, 10))
    results = {}
    for name in ("stiffness", "yield_onset"):
        result = hmm.study.representative_size(
            blobs,
            LAWS,
            sizes=sizes,
            realisations=realisations,
            property=name,
            comm=comm,
            resume=options.output / f"{name}{'_quick' if options.quick else ''}.jsonl",
        )
        result.print()
        hmm.console.say(comm)
        result.to_json(options.output / f"{name}.json")
        if not options.no_plots:
            hmm.console.say(comm, f"Written: {result.plot(options.output / f'{name}.png')}")
        results[name] = result
    stiffness, onset = results["stiffness"], results["yield_onset"]
    means = [stiffness.sample(sizes[-1], c).mean for c in ("minimal", "periodic", "dirichlet")]
    assert means == sorted(means), "the boundary conditions must bound each other"
    assert stiffness.gap(sizes[-1])[0] < stiffness.gap(sizes[0])[0], "and their difference must decrease with the size"
    assert onset.gap(24)[0] > stiffness.gap(24)[0], "the boundary must affect a local property more"


if __name__ == "__main__":
    hmm.errors.run(main)
