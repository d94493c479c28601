"""From an image to a cell: read, name the phases, clean, drop the voids, mesh."""

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
"""Voxels below which a phase is hardly resolved."""

BYTES_PER_VOXEL = {2: 1_000.0, 3: 2_000.0}
"""Memory of a voxel cell with its elastic RVE, by dimension, measured with the solver ``"auto"`` and rounded up."""

BYTES_PER_VOID = {2: 300.0, 3: 400.0}
"""The same of a voxel that is left out: what the solver keeps of it."""


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
        What each phase name claims: a label, a list of labels, or a tuple (low, high) of grey values low <= v < high.
    dataset
        Name of the array in a file that holds several.
    spacing
        Edge length of a voxel of the image as it is read, one number or one per axis; by default what the file says,
        else the longest edge of the cell is 1.
    crop
        (start, stop) of the voxels taken along each axis.
    downsample
        Voxels along each axis that become one, by majority.
    fill
        Pieces of fewer voxels than this, islands as well as holes, go to the phase around them.
    mirror
        Axes along which the mirror image is added, or True for all: the result is periodic.
    void
        Names of phases that are empty: they are not meshed, and |Y| counts them.
    remove_floating
        Also leave out solid that is not connected to the largest piece; the logger ``hmm`` says how much that is.
    mesh
        ``"voxels"``: a quadrilateral or hexahedron for each voxel. ``"smooth"`` (2D): triangles along smoothed
        interfaces; the area of each piece of a phase is kept.
    mesh_size
        Edge length of the smooth mesh at interfaces, in voxels; it grows away from them.
    periodic
        Whether the image goes on periodically: pieces are then connected across its faces, and opposite faces of a
        smooth mesh match. Where the image does not fit its neighbour there is an interface along the seam; with False
        there is none, and the smooth mesh serves the constraints ``"dirichlet"`` and ``"minimal"`` only.
    physics
        What the cell is for, as in `hmm.homogenize`: what is not void must hang together as that needs. A solid
        (``"elasticity"``, ``"thermoelasticity"``) is one piece that cannot turn, what conducts (``"conduction"``) one
        that leads through the cell. Of a fluid (``"flow"``; the solid is then `void`) each piece that leads through
        the cell is kept; fluid that leads nowhere carries no flow and is left out, and the logger says how much.
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
        If the image cannot be read, does not fit the phases, has solid that floats or fluid that leads nowhere, or is
        too large for the memory.

    Notes
    -----
    Steps are done in the order of the parameters. A phase of fewer than 10 voxels, and a solid that does not reach
    through the cell along each axis, are warned of by the logger ``hmm``.
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
        raise InputError(f"mesh = {mesh!r} is no kind of mesh: choose 'voxels' or 'smooth'")
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
            raise InputError(f"phase {name!r} has no voxels left after crop, downsample and fill: take less of them")
        if count < FEW:
            logging.getLogger("hmm").warning("phase %r has only %d of %d voxels", name, count, labels.size)
