"""Images as microstructures: readers of image files, and what is done to label arrays before they become cells."""

from hmm.cells.pieces import Piece, connected_pieces
from hmm.images.cells import image_cell
from hmm.images.labels import crop, downsample, fill, mirror, segment
from hmm.images.meshes import mesh_cell
from hmm.images.readers import Image, read_image

__all__ = [
    "Image",
    "Piece",
    "connected_pieces",
    "crop",
    "downsample",
    "fill",
    "image_cell",
    "mesh_cell",
    "mirror",
    "read_image",
    "segment",
]
