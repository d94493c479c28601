"""Smoothed interfaces of plane images, and triangles that conform to them.

Pixel centres are the nodes of a dual grid; where the labels of two neighbours differ, an interface passes between them.
Marching squares joins these crossings to a network, with a node where three or more phases meet (the multi-material
case of Lorensen and Cline 1987). The network is smoothed without shrinking (Taubin 1995) and coarsened, and then moved
by the smallest displacement that gives each piece of each phase the area of its pixels. The cell is cut along lines of
pixel centres, which interfaces cross; crossings slide along these lines, in step on opposite faces.
"""

from __future__ import annotations

from collections.abc import Mapping

from mpi4py import MPI

import numpy as np

from hmm.cells._arrays import mesh_from_arrays
from hmm.cells.cell import Cell
from hmm.cells.gmsh_session import gmsh_errors
from hmm.foundation.errors import collectively
from hmm.images.labels import Labels
from hmm.images.marching import marched
from hmm.images.network import Floats, Network
from hmm.images.smoothing import chains, coarsened, crossing, smoothed, with_areas
from hmm.images.triangles import mesh_network

DEGREE = 2
"""Degree of the fluctuation that the triangles are made for: with degree 1 they would be several percent too stiff."""


def smooth_cell(
    tags: Labels, phases: Mapping[str, int], edges: Floats, mesh_size: float, periodic: bool, comm: MPI.Comm
) -> Cell:
    """A cell of triangles along the smoothed interfaces of a plane image (collective).

    Parameters
    ----------
    tags
        Shape (nx, ny); the tag of each pixel's phase, 0 for voids.
    phases
        Tag of each phase name.
    edges
        Edge lengths of a pixel.
    mesh_size
        Edge length at interfaces, in pixels.
    periodic
        Whether the image is periodic.
    comm
        Communicator of the mesh; rank 0 draws.

    Raises
    ------
    HMMError
        If the interfaces could not be meshed.
    """
    points, triangles, of_triangle = np.zeros((0, 2)), np.zeros((0, 3), dtype=np.int64), np.zeros(0, dtype=np.int32)
    with collectively(comm), gmsh_errors():
        if comm.rank == 0:
            network = network_of(tags, mesh_size, periodic)
            points, triangles, piece = mesh_network(network, mesh_size)
            of_triangle = network.tags[piece]
            used, solid = np.unique(triangles[of_triangle > 0], return_inverse=True)
            points, triangles, of_triangle = points[used], solid.reshape(-1, 3), of_triangle[of_triangle > 0]
    origin = 0.5 * edges if periodic else np.zeros(2)
    mesh, cell_tags = mesh_from_arrays(origin + points * edges, triangles, of_triangle, "triangle", comm)
    has_voids = not np.isin(tags, list(phases.values())).all()
    lattice, open_faces = np.diag(edges * tags.shape), has_voids and periodic
    return Cell(mesh, cell_tags, dict(phases), lattice, origin, open_faces=open_faces, degree=DEGREE)


def network_of(tags: Labels, mesh_size: float, periodic: bool) -> Network:
    """The interfaces of an image, smoothed, coarsened to `mesh_size` pixels, with corrected areas."""
    fine = smoothed(marched(tags, periodic))
    counts = {}
    lines = chains(fine)
    for k, chain in enumerate(lines):
        length = np.linalg.norm(np.diff(fine.points[chain], axis=0), axis=1).sum()
        chord = np.linalg.norm(fine.points[chain[-1]] - fine.points[chain[0]])
        least = 6 if chain[0] == chain[-1] else 1 if chord > 0.8 * length else 3
        counts[k] = min(max(int(np.ceil(length / mesh_size)), least), len(chain) - 1)
    while True:
        coarse, chain_of = coarsened(fine, lines, counts)
        coarse = with_areas(coarse)
        bad = set(chain_of[crossing(coarse)].tolist()) - {-1}
        crossed = {k for k in bad if counts[k] < len(lines[k]) - 1}
        if not crossed:
            return coarse
        for k in crossed:
            counts[k] = min(2 * counts[k], len(lines[k]) - 1)
