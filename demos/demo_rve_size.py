"""How large is representative: random two-phase cells of growing size, their scatter, and how many of them are needed.

The cells are random blobs cut out of an endless plane. For each size some are drawn and solved under three boundary
conditions: Dirichlet conditions overestimate, minimal ones underestimate, and all come together as cells grow. The
scatter falls with the volume, which says how large one cell must be, or how many smaller ones do as well. The onset of
yielding hangs on the few highest stresses: at the same size the boundary falsifies it more than the stiffness.

    python demos/demo_rve_size.py
    mpirun -n 2 python demos/demo_rve_size.py    # a run that was stopped goes on where it was
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
THRESHOLD = 0.385  # of the standard normal: grains take 35 % of the endless plane


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
    assert means == sorted(means), "the boundary conditions bound each other"
    assert stiffness.gap(sizes[-1])[0] < stiffness.gap(sizes[0])[0], "and come together as cells grow"
    assert onset.gap(24)[0] > stiffness.gap(24)[0], "a local property feels the boundary more: it needs larger cells"


if __name__ == "__main__":
    hmm.errors.run(main)
