"""Cells from images and mesh files.

Readers of image and mesh files, and the processing of label arrays. May import cells and below. Begin with `cells` for
images and `meshes` for files; `contours` makes smooth interfaces.
"""

from hmm.cells.pieces import Piece, pieces_of_mask
from hmm.images.cells import image_cell
from hmm.images.labels import crop, downsample, fill, mirror, segment
from hmm.images.meshes import mesh_cell, msh_cell
from hmm.images.readers import Image, read_image

__all__ = [
    "Image",
    "Piece",
    "crop",
    "downsample",
    "fill",
    "image_cell",
    "mesh_cell",
    "mirror",
    "msh_cell",
    "pieces_of_mask",
    "read_image",
    "segment",
]
