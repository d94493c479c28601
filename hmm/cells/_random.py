"""Random microstructures of fibres, spheres, ellipsoids and short fibres."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from math import pi
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray

from hmm.cells import _generate, _gmsh
from hmm.cells._arrays import extrude
from hmm.cells._bodies import Bodies, Ellipsoids, Rods
from hmm.cells._checks import (
    check_choice,
    check_interface,
    check_number,
    check_order,
    check_range,
    check_real,
    check_seed,
    check_sizes,
    check_spread,
    real_array,
)
from hmm.cells._inclusions import Inclusions
from hmm.cells._orientations import ACROSS, frames, random_directions, wanted_tensor
from hmm.cells._packing import free_scale, lognormal, pack, placements
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError, collectively

MISSED = 5e-3
"""Relative error of the fraction of the inclusions in a mesh above which there is a warning."""

type FibreOrientation = str | Sequence[Sequence[float]] | NDArray[np.float64]


def random_fibres(
    volume_fraction: float | None = None,
    *,
    number: int = 20,
    radii: float | Sequence[float] | None = None,
    spread: float = 0.0,
    gap: float | None = None,
    thickness: float | None = None,
    mesh_size: float = 0.05,
    size: float = 1.0,
    seed: int = 0,
    phases: tuple[str, str] = ("matrix", "fibre"),
    void: bool = False,
    interface: float = 0.0,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A square cell with round fibres at random places, in the transverse plane or extruded along the fibres.

    Parameters
    ----------
    volume_fraction
        Fraction of the fibres (of the holes, if `void`). Above 0.8, discs of one size crystallize, and no random
        packing exists.
    number
        Number of fibres in the cell.
    radii
        Instead of `volume_fraction`: the radius of all fibres, or the radius of each, which then determines `number`,
        in the unit of `size`.
    spread
        Standard deviation of the radii over their mean. The radii are quantiles of a lognormal distribution.
    gap
        Smallest distance between fibres (between their interface layers), in the unit of `size`; by default 0.05 of the
        mean radius. A smaller gap gives a finer mesh there.
    thickness
        Height of the cell along the fibres, which makes it 3D, in the unit of `size`; by default the cell is plane.
    mesh_size
        Largest edge length, in the unit of `size`; edges on and between fibres are shorter where necessary.
    size
        Edge length of the cell; it sets the unit of length.
    seed
        Seed of the random numbers: the same seed gives the same cell.
    phases
        Names of the matrix and of the fibres.
    void
        Do not mesh the fibres; |Y| still includes them.
    interface
        Thickness of a layer around each, the phase ``"interface"``, in the unit of `size`; 0 for none.
    order
        Geometry degree of the triangles: 1 (straight) or 2 (curved); only 1 if extruded.
    match_fraction
        Enlarge the fibres slightly, so that the mesh, with straight edges instead of circles, has the requested
        fraction; else the nodes lie on the exact circles. If the gaps are too small for this, a warning gives the
        fraction reached.
    comm
        Communicator of the cell's mesh; rank 0 packs and meshes.

    Raises
    ------
    InputError
        If an argument is out of range, or the fibres cannot be packed that densely; the message gives the fraction
        reached.
    HMMError
        If Gmsh fails.
    """
    sizes = _sizes(2, volume_fraction, number, radii, spread, size, pi)
    options = _Options(gap, mesh_size, size, seed, phases, void, interface, order, match_fraction)
    if thickness is not None:
        check_range("thickness", thickness, 0.0, float("inf"), "give a positive height")
    if thickness is not None and order != 1:
        raise InputError(f"order = {order!r} cannot be extruded: use order=1 with thickness")
    with collectively(comm):
        across = comm if thickness is None else MPI.COMM_SELF
        plane = options.mesh(lambda _: Rods.balls(np.zeros((len(sizes), 2)), sizes), 2, "fibres", across)
        plane = replace(plane, fibres={phases[1]: ACROSS})
    return plane if thickness is None else extrude(plane, thickness, mesh_size=mesh_size, comm=comm)


def random_spheres(
    volume_fraction: float | None = None,
    *,
    number: int = 10,
    radii: float | Sequence[float] | None = None,
    spread: float = 0.0,
    gap: float | None = None,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    phases: tuple[str, str] = ("matrix", "inclusion"),
    void: bool = False,
    interface: float = 0.0,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """A cubic cell with spheres at random places.

    Random packings of spheres of one size reach about 0.6. The parameters and the errors are those of `random_fibres`.
    """
    sizes = _sizes(3, volume_fraction, number, radii, spread, size, 4 / 3 * pi)
    options = _Options(gap, mesh_size, size, seed, phases, void, interface, order, match_fraction)
    return options.mesh(lambda _: Rods.balls(np.zeros((len(sizes), 3)), sizes), 3, "spheres", comm)


def random_ellipsoids(
    volume_fraction: float | None = None,
    *,
    aspect: float | Sequence[float] = 2.0,
    orientation: FibreOrientation = "uniform",
    dim: int = 3,
    number: int = 10,
    radii: float | Sequence[float] | None = None,
    spread: float = 0.0,
    gap: float | None = None,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    phases: tuple[str, str] = ("matrix", "inclusion"),
    void: bool = False,
    interface: float = 0.0,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """Ellipsoids in a cube (ellipses in a square) at random places, with a given distribution of their first axes.

    Parameters
    ----------
    aspect
        Semi-axes relative to the others: a number for the first one (> 1 prolate, < 1 oblate, for instance 0.05 and
        `void` for open cracks), or one number for each axis.
    orientation
        Distribution of the first axes p: ``"uniform"``, ``"aligned"`` with x, ``"planar"`` (in the xy plane), or the
        orientation tensor, the mean of p (x) p, shape (dim, dim); the ellipsoids have exactly this tensor if there are
        at least `dim`.
    dim
        2 or 3.
    radii
        Instead of `volume_fraction`: the radius of the sphere (circle) of the same volume, or one for each.

    Notes
    -----
    The packing does not change orientations, which limits the fraction: about 0.4 for uniform orientations of aspect 3.
    `gap` and `interface` have the requested width at the ends of the semi-axes and are slightly thinner elsewhere. All
    other parameters and the errors are those of `random_fibres`.
    """
    check_choice("dim", dim, (2, 3))
    sizes = _sizes(dim, volume_fraction, number, radii, spread, size, pi if dim == 2 else 4 / 3 * pi)
    shape = _shape(aspect, dim)

    def make(rng: np.random.Generator) -> Ellipsoids:
        axes = random_directions(len(sizes), orientation, dim, rng)
        return Ellipsoids(np.zeros_like(axes), sizes[:, None] * shape, frames(axes, rng))

    cell = _Options(gap, mesh_size, size, seed, phases, void, interface, order, match_fraction).mesh(
        make, dim, "ellipsoids", comm
    )
    is_long = np.ndim(aspect) == 0 and shape[0] > shape[1]
    return replace(cell, fibres={phases[1]: _in_space(orientation, dim)}) if is_long else cell


def short_fibres(
    volume_fraction: float | None = None,
    *,
    aspect: float = 5.0,
    orientation: FibreOrientation = "uniform",
    dim: int = 3,
    number: int = 10,
    radii: float | Sequence[float] | None = None,
    spread: float = 0.0,
    gap: float | None = None,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    phases: tuple[str, str] = ("matrix", "fibre"),
    void: bool = False,
    interface: float = 0.0,
    order: int = 1,
    match_fraction: bool = True,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Cell:
    """Short fibres with round ends (sphero-cylinders) in a cube, or stadiums in a square.

    Parameters
    ----------
    aspect
        Length, ends included, over diameter; at least 1.
    orientation, dim
        As in `random_ellipsoids`.
    radii
        Instead of `volume_fraction`: the radius of the fibres, or one for each.

    Notes
    -----
    A fibre must be shorter than the cell: for few, long fibres use a larger `number`. Uniform orientations of aspect 5
    reach a fraction of about 0.2. All other parameters and the errors are those of `random_fibres`.
    """
    check_choice("dim", dim, (2, 3))
    check_range("aspect", aspect, 1.0, float("inf"), "give length / diameter, more than 1 (or use spheres)")
    unit = pi + 4 * (aspect - 1) if dim == 2 else 4 / 3 * pi + 2 * pi * (aspect - 1)
    sizes = _sizes(dim, volume_fraction, number, radii, spread, size, unit)

    def make(rng: np.random.Generator) -> Rods:
        axes = random_directions(len(sizes), orientation, dim, rng)
        return Rods(np.zeros_like(axes), sizes, (aspect - 1) * sizes, axes)

    cell = _Options(gap, mesh_size, size, seed, phases, void, interface, order, match_fraction).mesh(
        make, dim, "short fibres", comm
    )
    return replace(cell, fibres={phases[1]: _in_space(orientation, dim)})


def _in_space(orientation: FibreOrientation, dim: int) -> NDArray[np.float64]:
    """The orientation tensor in space, shape (3, 3), of directions in the plane or in space."""
    return np.pad(wanted_tensor(orientation, dim), (0, 3 - dim))


def _sizes(
    dim: int,
    volume_fraction: float | None,
    number: int,
    radii: float | Sequence[float] | None,
    spread: float,
    size: float,
    unit_volume: float,
) -> NDArray[np.float64]:
    """Radii per `size` of bodies with the volume `unit_volume` at radius 1, from checked arguments."""
    check_range("size", size, 0.0, float("inf"), "give a positive edge length")
    if (volume_fraction is None) == (radii is None):
        raise InputError(f"volume_fraction = {volume_fraction} and radii = {radii}: give exactly one")
    check_number("number", number)
    check_spread(spread)
    if radii is not None:
        given = real_array("radii", radii, "give one radius, or one of each").ravel()
        for radius in given:
            check_range("radii", float(radius), 0.0, size / 2, "give radii that fit the cell")
        return (np.full(number, given[0]) * lognormal(number, spread) if np.ndim(radii) == 0 else given) / size
    assert volume_fraction is not None
    check_range("volume_fraction", volume_fraction, 0.0, 1.0, "give the fraction of the inclusions")
    relative = lognormal(number, spread)
    factor = (volume_fraction / unit_volume / float((relative**dim).sum())) ** (1 / dim)
    return relative * factor


def _area(bodies: Bodies) -> float:
    """Lower bound of the surface area of bodies: that of balls of the same volume (in the plane, of circles)."""
    dim = bodies.centres.shape[1]
    unit = {2: pi, 3: 4 / 3 * pi}[dim]
    return float((dim * unit ** (1 / dim) * bodies.volumes ** (1 - 1 / dim)).sum())


def _shape(aspect: float | Sequence[float], dim: int) -> NDArray[np.float64]:
    """Semi-axes of an ellipsoid with the volume of the unit ball."""
    axes = real_array("aspect", aspect, f"give a positive number, or {dim} of them")
    axes = np.r_[axes, np.ones(dim - 1)] if axes.ndim == 0 else axes
    if axes.shape != (dim,) or not np.all((axes > 0) & np.isfinite(axes)):
        raise InputError(
            f"aspect = {aspect} is not the shape of an ellipsoid: give a positive number, or {dim} of them"
        )
    return np.asarray(axes / axes.prod() ** (1 / dim))


@dataclass(frozen=True)
class _Options:
    """Common parameters of all random cells; lengths in the unit of `size`. See `random_fibres`."""

    gap: float | None
    mesh_size: float
    size: float
    seed: int
    phases: tuple[str, str]
    void: bool
    interface: float
    order: int
    match_fraction: bool

    def __post_init__(self) -> None:
        check_sizes(self.mesh_size, self.size)
        check_seed(self.seed)
        check_order(self.order)
        for name, value in (("gap", 0.0 if self.gap is None else self.gap), ("interface", self.interface)):
            check_real(name, value, "give a length in the unit of size")
            if not 0 <= value < self.size:
                raise InputError(
                    f"{name} = {value:g} is outside [0, {self.size:g}): give a length smaller than the cell"
                )

    def mesh(self, make: Callable[[np.random.Generator], Bodies], dim: int, what: str, comm: MPI.Comm) -> Cell:
        """Pack the bodies that `make` returns on rank 0, and mesh their cell."""
        layer, longest = self.interface / self.size, self.mesh_size / self.size

        def draw(model: object) -> None:
            rng = np.random.default_rng(self.seed)
            bodies = make(rng)
            check_interface(self.interface, self.size, dim, _area(bodies))
            free = 0.05 * float(bodies.reach.mean()) if self.gap is None else self.gap / self.size
            packed = self._pack(bodies, free + 2 * layer, rng, what)
            fit: dict[str, Any] = self._fit(bodies, packed, free) if self.match_fraction else {}
            drawings = [
                Inclusions(np.eye(dim), packed.at(x), longest, self.phases, self.void, layer, self.order, **fit)
                for x in placements(packed.grown(layer))
            ]
            _generate.draw_best(model, [drawing.draw for drawing in drawings])
            if self.match_fraction:
                self._check_fraction(model, bodies)

        return _gmsh.build(draw, comm, np.eye(dim), self.size)

    def _pack(self, bodies: Bodies, gap: float, rng: np.random.Generator, what: str) -> Bodies:
        """The bodies, enlarged as the straight edges require, at random places; not enlarged if there is no room."""
        chords = self._chords(bodies)
        if chords > 1:
            with suppress(InputError):
                return pack(bodies.scaled(chords), gap, deepcopy(rng), what)
        return pack(bodies, gap, rng, what)

    def _chords(self, bodies: Bodies) -> float:
        """Largest factor on the radii by which the mesh, with its straight edges, has the volumes of the bodies.

        A chord of length h reduces the radius of a circle by h^2 / (12 r^2), the triangles of a sphere by h^2 / (8
        r^2).
        """
        if not self.match_fraction or self.order == 2:
            return 1.0
        radii = 2 * bodies.fineness
        edges = np.minimum(bodies.fineness, self.mesh_size / self.size)
        if self.interface:
            edges = np.minimum(edges, 4 * self.interface / self.size)
        return 1 + float(((edges / radii) ** 2).max()) / {2: 12, 3: 8}[bodies.centres.shape[1]]

    def _fit(self, bodies: Bodies, packed: Bodies, free: float) -> dict[str, Any]:
        """Required volume of the mesh, and the largest growth of the bodies: half of each gap must remain."""
        if self.order == 2 and bodies.centres.shape[1] == 3:
            return {}  # curved triangles miss nearly nothing
        reach = packed.grown(self.interface / self.size + free / 4)
        return {"wanted": float(bodies.volumes.sum()), "most": free_scale(reach, 1.2)}

    def _check_fraction(self, model: object, bodies: Bodies) -> None:
        """Warn if the mesh does not have the requested fraction of the inclusions."""
        meshed = _generate.phase_volumes(model, bodies.centres.shape[1])
        found = meshed.get(self.phases[1], 1 - sum(meshed.values()))
        wanted = float(bodies.volumes.sum())
        if abs(found / wanted - 1) > MISSED:
            warnings.warn(
                f"the mesh has the fraction {found:.4g} of the phase {self.phases[1]!r} instead of {wanted:.4g}, as "
                "the gaps leave no room for what chords cut off: take a smaller mesh_size or a larger gap"
                + (", or order=2" if self.order == 1 else ""),
                stacklevel=2,
            )
