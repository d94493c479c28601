"""Periodic polycrystals: Voronoi and Laguerre tessellations with an orientation for each grain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import pi
from typing import Any

from mpi4py import MPI

import numpy as np
from dolfinx import fem
from numpy.typing import ArrayLike, NDArray

from hmm.cells import _generate, _gmsh
from hmm.cells._bodies import Array, Rods
from hmm.cells._checks import check_choice, check_number, check_seed, check_sizes, check_spread, real_array
from hmm.cells._orientations import random_rotations
from hmm.cells._packing import lognormal, neighbours, pack
from hmm.cells._tessellation import Tessellation, placed
from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError, collectively
from hmm.laws import Anisotropic, Combined, Law, ThermoElastic
from hmm.laws.rotating import rotated_law

PACKED = {2: 0.6, 3: 0.5}
"""Fraction of the discs or spheres whose centres and radii make a Laguerre tessellation."""

type Texture = ArrayLike | Callable[[int, np.random.Generator], ArrayLike] | None


@dataclass(frozen=True)
class Polycrystal:
    """A periodic cell of grains, with their seeds and crystal orientations.

    Attributes
    ----------
    cell
        The unit cell; grain k is the phase ``f"grain_{k}"``.
    orientations
        Shape (n, 3, 3); rotation matrix of each grain, which maps vectors from the crystal frame to the frame of the
        cell.
    seeds
        Shape (n, d), in the cell, in the unit of the mesh.
    weights
        Shape (n,), in that unit squared: x belongs to the grain k with the least ``|x - seed_k|^2 - weight_k``, images
        of seeds included. Zero for a Voronoi tessellation.
    """

    cell: Cell
    orientations: NDArray[np.float64]
    seeds: NDArray[np.float64]
    weights: NDArray[np.float64]

    def grain_of(self, points: ArrayLike) -> NDArray[np.intp]:
        """Grain of each point, shape (p, d), by the definition of the tessellation."""
        dim, n = self.seeds.shape[1], len(self.seeds)
        shifts = neighbours(dim) @ self.cell.lattice
        sites = (self.seeds[:, None] + shifts).reshape(-1, dim)
        x = np.asarray(points, dtype=float)[:, :dim]
        power = ((x[:, None] - sites) ** 2).sum(axis=2) - np.repeat(self.weights, len(shifts))
        return np.asarray(power.argmin(axis=1) // len(shifts)) % n

    @cached_property
    def rotation(self) -> fem.Function:
        """The `orientations` as a field on the cell, constant in each grain, of shape (3, 3)."""
        mesh, tags = self.cell.mesh, self.cell.phase_tags
        field = fem.Function(fem.functionspace(mesh, ("DG", 0, (3, 3))), name="rotation")
        values = field.x.array.reshape(-1, 9)
        for tag, R in zip(self.cell.phases.values(), self.orientations, strict=True):
            values[tags.find(tag)] = R.ravel()
        return field

    def laws(self, law: Anisotropic) -> dict[str, Law]:
        """A law for each grain: that of the crystal, in the axes of the grain.

        All grains share one law with the field `rotation`, so another polycrystal needs no new compilation.
        """
        if law.rotation is not None:
            raise InputError("the law of the crystal is already rotated: give it without a rotation")
        return dict.fromkeys(self.cell.phases, self.rotated(law))

    def rotated[L: Law](self, law: L) -> L:
        """A law in the axes of each grain, if it has axes and no rotation."""
        if isinstance(law, Combined):
            return replace(law, parts=tuple(map(self.rotated, law.parts)))
        own = law.elastic if isinstance(law, ThermoElastic) else law
        return law if getattr(own, "rotation", None) is not None else rotated_law(law, self.rotation)


def voronoi(
    grains: int = 10,
    *,
    dim: int = 3,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    texture: Texture = None,
    seeds: ArrayLike | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Polycrystal:
    """A polycrystal of Voronoi cells around random seeds (a Poisson-Voronoi tessellation).

    Parameters
    ----------
    grains
        Number of grains.
    dim
        2 (triangles) or 3 (tetrahedra).
    mesh_size
        Largest edge length, in the unit of `size`; it is shorter near short edges of grains.
    size
        Edge length of the cell; it sets the unit of length.
    seed
        Seed of the random numbers: the same seed gives the same grains and orientations.
    texture
        Rotation matrices, shape (grains, 3, 3), or a function ``texture(n, rng)`` that returns them; by default they
        are uniform on SO(3).
    seeds
        Instead of random ones, shape (grains, dim), in the unit of `size`.
    comm
        Communicator of the cell's mesh; rank 0 meshes.

    Raises
    ------
    InputError
        If an argument is out of range or the texture does not consist of rotations.
    HMMError
        If Gmsh fails.
    """
    _check(grains, dim, mesh_size, size, seed)
    rng = np.random.default_rng(seed)
    sites = rng.random((grains, dim))
    if seeds is not None:
        sites = real_array("seeds", seeds, f"give one row of {dim} numbers for each grain") / size % 1.0
        if sites.shape != (grains, dim):
            raise InputError(
                f"seeds have shape {sites.shape}: give one row of {dim} numbers for each of {grains} grains"
            )
        apart = np.abs((sites[:, None] - sites + 0.5) % 1.0 - 0.5).max(axis=2) + np.eye(grains)
        if apart.min() < 1e-6:
            raise InputError(
                f"seeds {np.argwhere(apart < 1e-6)[0].tolist()} are at the same place: give different seeds"
            )
    return _build(sites, np.zeros(grains), mesh_size, size, rng, texture, comm)


def laguerre(
    grains: int = 10,
    *,
    spread: float = 0.3,
    dim: int = 3,
    mesh_size: float = 0.1,
    size: float = 1.0,
    seed: int = 0,
    texture: Texture = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Polycrystal:
    """A polycrystal of Laguerre cells around the balls of a random packing, which determine the sizes of the grains.

    Each grain contains its ball, so none vanishes, and the distribution of sizes is that of the radii (Fan, Wu, Zhao
    and Lu, Comput. Mater. Sci. 29, 2004, 301). With `spread` = 0 the grains are more uniform than those of `voronoi`.

    Parameters
    ----------
    spread
        Standard deviation of the radii of the balls over their mean; lognormal.

    Notes
    -----
    All other parameters and the errors are those of `voronoi`.
    """
    _check(grains, dim, mesh_size, size, seed)
    check_spread(spread)
    rng = np.random.default_rng(seed)
    relative = lognormal(grains, spread)
    radii = relative * (PACKED[dim] / {2: pi, 3: 4 / 3 * pi}[dim] / (relative**dim).sum()) ** (1 / dim)
    sites = np.zeros((grains, dim))
    with collectively(comm):
        if comm.rank == 0 and grains > 1:
            fit = min(1.0, 0.49 / float(radii.max()))
            sites = pack(Rods.balls(sites, fit * radii), 0.0, rng, "balls").centres
    return _build(comm.bcast(sites), radii**2, mesh_size, size, np.random.default_rng([seed, 1]), texture, comm)


def _check(grains: int, dim: int, mesh_size: float, size: float, seed: int) -> None:
    check_number("grains", grains)
    check_choice("dim", dim, (2, 3))
    check_sizes(mesh_size, size)
    check_seed(seed)


def _build(
    sites: Array,
    weights: Array,
    mesh_size: float,
    size: float,
    rng: np.random.Generator,
    texture: Texture,
    comm: MPI.Comm,
) -> Polycrystal:
    """Orientations and the mesh of the tessellation, shifted so that its corners are not close to the cell's faces."""
    dim = sites.shape[1]
    orientations = _orientations(len(sites), texture, rng)
    moved, used = placed(sites, weights), list[int]()

    def draw_at(x: Array, model: Any) -> float:
        return Tessellation.of(x, weights).draw(model, mesh_size / size)

    def draw(model: Any) -> None:
        used.append(_generate.draw_best(model, [partial(draw_at, x) for x in moved]))

    cell = _gmsh.build(draw, comm, np.eye(dim), size)
    place = comm.bcast(used[0] if used else 0)
    return Polycrystal(cell, orientations, size * moved[place], size**2 * weights)


def _orientations(n: int, texture: Texture, rng: np.random.Generator) -> NDArray[np.float64]:
    if texture is None:
        return random_rotations(n, rng)
    remedy = "give one rotation matrix for each grain"
    R = real_array("texture", texture(n, rng) if callable(texture) else texture, remedy)
    if R.shape != (n, 3, 3):
        raise InputError(f"texture has shape {R.shape}, not {(n, 3, 3)}: {remedy}")
    defect = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2)) + np.abs(np.linalg.det(R) - 1)
    if defect.max() > 1e-6:
        raise InputError(
            f"texture of grain {int(defect.argmax())} is not a rotation (error {defect.max():.2g}): {remedy}"
        )
    return R
