"""Unit cells: meshes with named phases.

`cell.Cell` is a mesh with named phases and a periodic lattice; the other modules generate cells, each returned as a
`Cell`. May import laws and the foundation. Begin with `cell`, then `_laminate`, the shortest generator; those with Gmsh
draw with `_gmsh`, mesh with `_generate` and take edge lengths from `_edge_lengths`.
"""

from hmm.cells._arrays import extrude
from hmm.cells._cracks import cracks
from hmm.cells._honeycomb import honeycomb
from hmm.cells._laminate import laminate
from hmm.cells._level_sets import checkerboard, lattice, tpms
from hmm.cells._orientations import orientation_tensor
from hmm.cells._polycrystal import Polycrystal, laguerre, voronoi
from hmm.cells._quality import Quality, quality
from hmm.cells._random import random_ellipsoids, random_fibres, random_spheres, short_fibres
from hmm.cells._round import fibre, sphere
from hmm.cells._voxels import voxels
from hmm.cells._weaves import plain_weave, weave

__all__ = [
    "Polycrystal",
    "Quality",
    "checkerboard",
    "cracks",
    "extrude",
    "fibre",
    "honeycomb",
    "laguerre",
    "laminate",
    "lattice",
    "orientation_tensor",
    "plain_weave",
    "quality",
    "random_ellipsoids",
    "random_fibres",
    "random_spheres",
    "short_fibres",
    "sphere",
    "tpms",
    "voronoi",
    "voxels",
    "weave",
]
