"""Generators of periodic unit cells: conforming meshes with named phases, each returned as an `hmm.cell.Cell`."""

from hmm.cells._laminate import laminate
from hmm.cells._round import fibre, sphere
from hmm.cells._voxels import voxels

__all__ = ["fibre", "laminate", "sphere", "voxels"]
