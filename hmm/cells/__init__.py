"""Generators of periodic unit cells: conforming meshes with named phases, each returned as an `hmm.cell.Cell`."""

from hmm.cells._arrays import extrude
from hmm.cells._laminate import laminate
from hmm.cells._orientations import orientation_tensor
from hmm.cells._random import random_ellipsoids, random_fibres, random_spheres, short_fibres
from hmm.cells._round import fibre, sphere
from hmm.cells._voxels import voxels

__all__ = [
    "extrude",
    "fibre",
    "laminate",
    "orientation_tensor",
    "random_ellipsoids",
    "random_fibres",
    "random_spheres",
    "short_fibres",
    "sphere",
    "voxels",
]
