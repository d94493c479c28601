"""Voxel cells of woven fabrics, whose material axes follow the yarns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, pi

from mpi4py import MPI

import numpy as np
from dolfinx import fem
from dolfinx.mesh import compute_midpoints
from numpy.typing import NDArray

from hmm.cells._checks import check_choice, check_elements, check_range, check_sizes
from hmm.cells._level_sets import below_quantile
from hmm.cells._voxels import voxels
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError

type Floats = NDArray[np.float64]

PATTERNS: dict[str, tuple[int, Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]]] = {
    "plain": (2, lambda warp, weft: (warp + weft) % 2 == 0),
    "twill": (4, lambda warp, weft: (weft - warp) % 4 < 2),
    "satin": (5, lambda warp, weft: (weft - 2 * warp) % 5 > 0),
}
"""Yarns of the repeat in each direction, and where the warp is above the weft (2/2 twill, satin of 5 harnesses)."""


def weave(
    volume_fraction: float = 0.5,
    *,
    pattern: str = "plain",
    width: float = 0.8,
    height: float | None = None,
    mesh_size: float | None = None,
    size: float = 1.0,
    phases: tuple[str, str, str] = ("matrix", "warp", "weft"),
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """One ply of a woven fabric as a voxel cell: warp yarns along x, weft yarns along y.

    The axis of a yarn is straight above or below several yarns, and a cosine where it changes sides; sections are
    ellipses. Where two would overlap, a voxel belongs to the nearer one. The size of the ellipses follows from the
    volume fraction. The cell is periodic through the thickness too. Its `Cell.rotation` tilts the axes of laws with
    the yarns.

    Parameters
    ----------
    volume_fraction
        Fraction of all yarns together, accurate up to voxels of equal value.
    pattern
        ``"plain"`` (2 yarns in each direction), ``"twill"`` (2/2, 4 yarns) or ``"satin"`` (5 harnesses, 5 yarns).
    width
        Width of a yarn over the distance of yarns at the nominal section, which sets the shape of the ellipses.
    height
        Thickness of the cell over `size`; by default half the distance of yarns.
    mesh_size
        Largest edge length of a voxel along x and y, in the unit of `size`; voxels are about cubes. By default 1/24 of
        the distance of yarns.
    size
        Edge length of the cell along x and y.
    phases
        Names of the matrix, the warp and the weft.
    comm
        Communicator of the cell's mesh.

    Raises
    ------
    InputError
        If an argument is out of range.
    """
    if len(set(phases)) != 3 or isinstance(phases, str):
        raise InputError(f"phases = {phases!r} are not three different names: give (matrix, warp, weft)")
    check_choice("pattern", pattern, PATTERNS)
    check_range("width", width, 0.0, 1.0, "give the width of a yarn over the distance of yarns", closed=True)
    number, above = PATTERNS[pattern]
    height = 0.5 / number if height is None else height
    check_range("height", height, 0.0, 1.0, "give the thickness of the cell over size")
    mesh_size = size / (24 * number) if mesh_size is None else mesh_size
    check_sizes(mesh_size, size)
    across = ceil(size / mesh_size - 1e-9)
    n = max(2, round(height * across))
    check_elements(float(across) ** 2 * n, "mesh_size")
    levels = 0.25 * height * np.where(above(*np.indices((number, number))), 1.0, -1.0)
    yarns = _Yarns(levels, width), _Yarns(-levels.T, width)
    x, z = (np.arange(across) + 0.5) / across, ((np.arange(n) + 0.5) / n - 0.5) * height
    warp = yarns[0].distance(x[:, None, None], x[None, :, None], z, 0.25 * height)
    weft = yarns[1].distance(x[None, :, None], x[:, None, None], z, 0.25 * height)
    inside = below_quantile(np.minimum(warp, weft), volume_fraction)
    labels = np.where(inside, np.where(warp <= weft, 1, 2), 0)
    spacing = (size / across, size / across, size * height / n)
    cell = voxels(labels, dict(zip(phases, range(3), strict=True)), spacing=spacing, comm=comm)
    along = {phases[1]: (1.0, 0.0, 0.0), phases[2]: (0.0, 1.0, 0.0)}
    return replace(cell, fibres=along, rotation=_rotation(cell, phases, yarns, size))


def plain_weave(
    volume_fraction: float = 0.5,
    *,
    width: float = 0.8,
    height: float = 0.25,
    mesh_size: float = 1 / 48,
    size: float = 1.0,
    phases: tuple[str, str, str] = ("matrix", "warp", "weft"),
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A plain weave of two warp yarns along x and two weft yarns along y, as a voxel cell of one ply.

    Parameters
    ----------
    volume_fraction, width, height, mesh_size, size, phases, comm
        As in `weave`.

    Raises
    ------
    InputError
        If an argument is out of range.
    """
    return weave(volume_fraction, width=width, height=height, mesh_size=mesh_size, size=size, phases=phases, comm=comm)


class _Yarns:
    """The parallel yarns of one direction, in units of the edge length.

    Parameters
    ----------
    levels
        Shape (n, n); height of the axis of each yarn at each crossing.
    width
        Width of a yarn over the distance of yarns.
    """

    def __init__(self, levels: Floats, width: float) -> None:
        self.levels, self.number, self.width = levels, len(levels), width

    def axis(self, yarn: NDArray[np.int64], along: Floats) -> tuple[Floats, Floats]:
        """Height and slope of the axes of yarns at positions along them."""
        t = along * self.number - 0.5
        k = np.floor(t).astype(int)
        a, b = self.levels[yarn, k % self.number], self.levels[yarn, (k + 1) % self.number]
        slope = -0.5 * (a - b) * pi * self.number * np.sin(pi * (t - k))
        return 0.5 * (a + b) + 0.5 * (a - b) * np.cos(pi * (t - k)), slope

    def distance(self, along: Floats, across: Floats, z: Floats, semi_axis: float) -> Floats:
        """Distance from the nearest yarn, 1 on the nominal ellipse."""
        found = np.array(np.inf)
        for yarn in range(self.number):
            middle, _ = self.axis(np.array(yarn), along)
            aside = (across - (yarn + 0.5) / self.number + 0.5) % 1.0 - 0.5
            flat = aside / (0.5 * self.width / self.number)
            found = np.minimum(found, np.sqrt(flat**2 + ((z - middle) / semi_axis) ** 2))
        return found


def _rotation(cell: Cell, phases: tuple[str, str, str], yarns: tuple[_Yarns, _Yarns], size: float) -> fem.Function:
    """The rotation from the mean direction of the yarns to that in each voxel, about the axis across both."""
    field = fem.Function(fem.functionspace(cell.mesh, ("DG", 0, (3, 3))), name="rotation")
    values = field.x.array.reshape(-1, 3, 3)
    values[:] = np.eye(3)
    for phase, own, i in zip(phases[1:], yarns, (0, 1), strict=True):
        found = cell.phase_tags.find(cell.phases[phase])
        x = compute_midpoints(cell.mesh, 3, found) / size
        _, slope = own.axis(np.floor(x[:, 1 - i] * own.number).astype(int) % own.number, x[:, i])
        cosine = 1 / np.sqrt(1 + slope**2)
        values[found, i, i] = values[found, 2, 2] = cosine
        values[found, 2, i], values[found, i, 2] = slope * cosine, -slope * cosine
    return field
