"""From an image to a stiffness: describe a micrograph, mesh it in two ways, homogenize it.

Without an argument the image is made here: periodic blobs, a random field cut at a threshold. With one it is read from
a file of labels (.npy, .png, .tif, ...; see `hmm.images.read_image`), which need not be periodic. The descriptors say
what the phases look like; the stiffness comes from voxels, solved with the FFT preconditioner, and from triangles along
the smoothed interfaces, which need far fewer elements. It lies between its bounds, and a report is written, as
`hmm homogenize demos/jobs/composite.toml` writes one.

    python demos/demo_image.py
    python demos/demo_image.py micrograph.npy
"""

from __future__ import annotations

from argparse import Namespace
from itertools import pairwise
from pathlib import Path

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

YOUNG, POISSON, CONTRAST = 70.0, 0.3, 5.0  # GPa; each phase is CONTRAST times as stiff as the one before it
NAMES = ("matrix", "inclusion", "third phase", "fourth phase", "fifth phase", "sixth phase")


def blobs(n: int, fraction: float = 0.35) -> NDArray[np.uint8]:
    """A periodic image of n x n pixels: 1 in the given fraction of it, in blobs that are longer along x than y."""
    field = gaussian_filter(np.random.default_rng(2).normal(size=(n, n)), (6.0, 3.0), mode="wrap")
    return (field > np.quantile(field, 1 - fraction)).astype(np.uint8)


def laws(phases: list[str]) -> dict[str, hmm.laws.Elastic]:
    return {name: hmm.laws.Elastic(young=YOUNG * CONTRAST**k, poisson=POISSON) for k, name in enumerate(phases)}


def homogenize(cell: hmm.Cell, constraint: str = "periodic") -> hmm.EffectiveProperties:
    """Stiffness in GPa, plane strain."""
    return hmm.homogenize(cell, laws(list(cell.phases)), constraint)


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "Describe, mesh and homogenize a segmented image.", "image", "96 x 96 pixels (of a file: 64 x 64)"
    )
    parser.add_argument("image", nargs="?", type=Path, help="a plane image of labels; by default one is made")
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def labels_of(options: Namespace) -> tuple[NDArray[np.int32], dict[str, int]]:
    """The image as phase numbers, and the number of each phase."""
    values = hmm.images.read_image(options.image).values if options.image else blobs(96 if options.quick else 256)
    if options.image and values.ndim != 2:
        raise hmm.InputError(f"{options.image} has shape {values.shape}: this demo is about plane images")
    found = np.unique(values).tolist()
    if len(found) > len(NAMES):
        raise hmm.InputError(f"the image has {len(found)} values, and this demo takes up to {len(NAMES)} labels")
    claims = dict(zip(NAMES, found, strict=False))
    labels = hmm.images.segment(values, claims)
    if options.image and options.quick:
        labels = hmm.images.segment(labels[:64, :64], {name: k for k, name in enumerate(claims)})
    return labels, {name: k for k, name in enumerate(claims)}


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    labels, phases = labels_of(options)
    described = hmm.descriptors.describe(labels, phases, periodic=options.image is None)
    hmm.console.say(comm, f"{described}\n")

    voxel = hmm.images.image_cell(labels, phases)
    smooth = hmm.images.image_cell(labels, phases, mesh="smooth")
    periodic, triangles, stiffer = homogenize(voxel), homogenize(smooth), homogenize(voxel, "dirichlet")
    assert periodic.limits is not None
    found = {
        "Reuss bound": (0, periodic.limits.reuss),
        "triangles, periodic": (smooth.phase_tags.indices.size, triangles.tensor),
        "voxels, periodic": (labels.size, periodic.tensor),
        "voxels, dirichlet": (labels.size, stiffer.tensor),
        "Voigt bound": (0, periodic.limits.voigt),
    }
    rows = [(name, n or "", C[0, 0], C[1, 1], C[0, 1], C[2, 2] / 2) for name, (n, C) in found.items()]
    title = "Homogenized stiffness in GPa, plane strain"
    hmm.console.print_table(comm, title, ["", "elements", "C11", "C22", "C12", "G12"], rows)
    check(found, smooth, voxel)
    assert periodic.limits.report, periodic.limits.report.violations
    hmm.console.say(comm, f"\n{periodic}\n")
    if comm.rank:
        return
    written = [periodic.report(options.output, plots=not options.no_plots)]
    if not options.no_plots:
        written.append(hmm.plotting.plot_cell(options.output / "triangles.png", smooth))
    print("Written:", *written, sep="\n  ")


def check(found: dict[str, tuple[int, NDArray[np.float64]]], smooth: hmm.Cell, voxel: hmm.Cell) -> None:
    """Both meshes have the same fractions and nearly the same stiffness, and the bounds hold."""
    triangles, voxels = found["triangles, periodic"][1], found["voxels, periodic"][1]
    for name, fraction in voxel.volume_fractions.items():
        assert abs(smooth.volume_fractions[name] - fraction) < 1e-4, "smoothing keeps the area of each phase"
    assert np.abs(triangles - voxels).max() < 0.06 * voxels.max(), "two meshes of one microstructure"
    chain = [C for name, (_, C) in found.items() if "triangles" not in name]
    for softer, stiffer in pairwise(chain):
        assert np.linalg.eigvalsh(stiffer - softer)[0] > -1e-6 * stiffer.max(), "Reuss, periodic, dirichlet, Voigt"


if __name__ == "__main__":
    hmm.errors.run(main)
