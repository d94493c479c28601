"""From an image to a cell: read, assign phases, clean, remove voids, mesh."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mpi4py import MPI

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmm.cells._checks import check_memory
from hmm.cells._voxels import porous_voxels, voxel_edges, voxels
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError, collectively
from hmm.foundation.naming import require_known
from hmm.images.contours import smooth_cell
from hmm.images.labels import Claim, Labels, check_smallest, crop, downsample, fill, mirror, segment
from hmm.images.percolation import PHYSICS, supported
from hmm.images.readers import Image, read_image

FEW = 10
"""Number of voxels below which a phase is hardly resolved."""

BYTES_PER_VOXEL = {2: 1_000.0, 3: 2_000.0}
"""Memory of a voxel cell with its elastic RVE, by dimension, measured with the solver ``"auto"`` and rounded up."""

BYTES_PER_VOID = {2: 300.0, 3: 400.0}
"""The same for a void voxel, for which the solver stores data too."""


def image_cell(
    image: ArrayLike | str | Path,
    phases: Mapping[str, Claim],
    *,
    dataset: str | None = None,
    spacing: float | Sequence[float] | None = None,
    crop: Sequence[tuple[int, int]] | None = None,
    downsample: int | Sequence[int] = 1,
    fill: int = 0,
    mirror: bool | Sequence[int] = False,
    void: str | Sequence[str] = (),
    remove_floating: bool = False,
    mesh: str = "voxels",
    mesh_size: float = 2.0,
    periodic: bool = True,
    physics: str = "elasticity",
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A cell from a segmented or grey image.

    Parameters
    ----------
    image
        Labels or grey values, shape (nx, ny) or (nx, ny, nz), axis i along coordinate i; or a file, read by
        `hmm.images.read_image`.
    phases
        For each phase name a label, a list of labels, or a tuple (low, high) of grey values low <= v < high.
    dataset
        Name of the array in a file that holds several.
    spacing
        Edge length of a voxel of the original image, one number or one per axis; by default the value in the file, else
        the longest edge of the cell is 1.
    crop
        (start, stop) of the selected voxels along each axis.
    downsample
        Voxels along each axis that become one, by majority.
    fill
        Pieces of fewer voxels than this, islands as well as holes, go to the phase around them.
    mirror
        Axes along which the mirror image is added, or True for all: the result is periodic.
    void
        Names of phases that are empty: they are not meshed, but |Y| includes them.
    remove_floating
        Also remove solid that is not connected to the largest piece; the logger ``hmm`` reports its amount.
    mesh
        ``"voxels"``: a quadrilateral or hexahedron for each voxel. ``"smooth"`` (2D): triangles along smoothed
        interfaces; the area of each piece of a phase is kept. They are made for fluctuations of degree 2, the default
        of `hmm.homogenize` for them.
    mesh_size
        Edge length of the smooth mesh at interfaces, in voxels; it grows away from them.
    periodic
        Whether the image is periodic: pieces are then connected across its faces, and opposite faces of a smooth mesh
        match. Where the image does not fit its periodic neighbour, there is an interface along the seam. With False
        there is no such interface, and the smooth mesh can only have the constraints ``"dirichlet"`` and ``"minimal"``.
    physics
        The physics, as in `hmm.homogenize`, which determines the required connectivity. A solid (``"elasticity"``,
        ``"thermoelasticity"``) must be one piece that cannot rotate; a conductor (``"conduction"``) must be one piece
        that percolates. For a fluid (``"flow"``; the solid is then `void`) each piece that percolates is kept; other
        fluid carries no flow and is removed, and the logger reports its amount.
    comm
        Communicator of the cell's mesh.

    Returns
    -------
    Cell
        With phases tagged 1, 2, ... A voxel cell has its lower corner at the origin and a `Cell.grid`; a smooth
        periodic one starts in the middle of the first pixel.

    Raises
    ------
    InputError
        If the image cannot be read, does not fit the phases, has floating solid or fluid that does not percolate, or is
        too large for the memory.

    Notes
    -----
    The steps follow the order of the parameters. The logger ``hmm`` warns of a phase of fewer than 10 voxels, and of a
    solid that does not percolate along each axis.
    """
    names = list(phases)
    empty = [void] if isinstance(void, str) else list(void)
    with collectively(comm):
        _check_choices(names, empty, mesh)
        require_known("physics", physics, PHYSICS)
        given = read_image(image, dataset) if isinstance(image, str | Path) else Image(np.asarray(image))
        labels, edges = _prepared(given, phases, spacing, crop, downsample, (fill, periodic), mirror)
        _warn_of_few(labels, names)
        solid = ~np.isin(labels, [names.index(name) for name in empty])
        if empty:
            solid, remarks = supported(solid, physics, remove_floating, periodic)
            for remark in remarks if comm.rank == 0 else []:
                logging.getLogger("hmm").warning("%s", remark)
        if mesh == "smooth":
            _check_smooth(labels, mesh_size)
        voids = BYTES_PER_VOID[labels.ndim] * (1 / solid.mean() - 1)
        check_memory(int(solid.sum()), BYTES_PER_VOXEL[labels.ndim] + voids, "take crop= or downsample=")
    kept = {name: k + 1 for k, name in enumerate(names) if (solid & (labels == k)).any()}
    if mesh == "smooth":
        return smooth_cell(np.where(solid, labels + 1, 0), kept, edges, mesh_size, periodic, comm)
    if solid.all():
        return voxels(labels + 1, kept, spacing=edges.tolist(), comm=comm)
    return porous_voxels(labels + 1, solid, kept, edges, comm)


def _prepared(
    image: Image,
    phases: Mapping[str, Claim],
    spacing: float | Sequence[float] | None,
    window: Sequence[tuple[int, int]] | None,
    factor: int | Sequence[int],
    smallest: tuple[int, bool],
    mirrored: bool | Sequence[int],
) -> tuple[Labels, NDArray[np.float64]]:
    """Phase numbers of the image as it will be meshed, and the edge lengths of its voxels."""
    labels = segment(image.values, phases)
    if window is not None:
        labels = crop(labels, window)
    labels = downsample(labels, factor)
    check_smallest(smallest[0])
    if smallest[0] > 1:
        labels = fill(labels, *smallest)
    if mirrored is not False:
        labels = mirror(labels, None if mirrored is True else mirrored)
    given = image.spacing if spacing is None else spacing
    if given is None:
        return labels, voxel_edges(None, labels.shape)
    return labels, voxel_edges(given, labels.shape) * np.broadcast_to(factor, labels.ndim)


def _check_choices(names: Sequence[str], void: Sequence[str], mesh: str) -> None:
    if mesh not in ("voxels", "smooth"):
        raise InputError(f"mesh = {mesh!r} is unknown: choose 'voxels' or 'smooth'")
    if unknown := [name for name in void if name not in names]:
        raise InputError(f"void = {unknown} names no phase of the image: the phases are {names}")
    if names and set(void) == set(names):
        raise InputError(f"void = {list(void)} leaves no solid: the phases are {names}")


def _check_smooth(labels: Labels, mesh_size: float) -> None:
    if labels.ndim != 2:
        raise InputError(f"mesh = 'smooth' is for plane images, and this one has shape {labels.shape}: take 'voxels'")
    if not 0.5 <= mesh_size <= min(labels.shape) / 4:
        raise InputError(
            f"mesh_size = {mesh_size} voxels is outside [0.5, {min(labels.shape) / 4:g}] for an image of shape "
            f"{labels.shape}: take about 1 to 4"
        )


def _warn_of_few(labels: Labels, names: Sequence[str]) -> None:
    for name, count in zip(names, np.bincount(labels.ravel(), minlength=len(names)).tolist(), strict=True):
        if count == 0:
            raise InputError(f"phase {name!r} has no voxels left after crop, downsample and fill: reduce these")
        if count < FEW:
            logging.getLogger("hmm").warning("phase %r has only %d of %d voxels", name, count, labels.size)
