"""Random packings in a periodic box: bodies are moved apart until none overlap.

The bodies start at random places and keep their orientations. The sum of the squared overlaps of all pairs, a potential
of soft repelling bodies, is minimized over the translations with L-BFGS; a packing without overlap has zero energy
(O'Hern et al., Phys. Rev. E 68, 2003, 011306). Neighbours are found with a k-d tree.
"""

from __future__ import annotations

from itertools import product
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import ndtri

from hmm.cells._bodies import Array, Bodies
from hmm.foundation.errors import InputError

ATTEMPTS = 6
"""Number of random starts."""


def pack[B: Bodies](
    bodies: B,
    gap: float,
    rng: np.random.Generator,
    what: str,
    inside: bool = False,
    amount: tuple[str, float] | None = None,
) -> B:
    """Place bodies in the unit square or cube, periodic, without overlap.

    Parameters
    ----------
    bodies
        The bodies to place; their centres are ignored, their orientations do not change.
    gap
        Smallest distance between two bodies.
    rng
        Source of the starting points.
    what
        Plural name of the bodies, for the errors.
    inside
        Whether the bodies, with their gap, stay inside the box.
    amount
        Name and value of the requested quantity, for the errors; by default the volume fraction.

    Raises
    ------
    InputError
        If a body does not fit the box, or the bodies cannot be moved apart; the message gives the fraction reached.
    """
    n, dim = bodies.centres.shape
    name, value = amount or ("volume_fraction", float(bodies.volumes.sum()))
    largest = 2 * float(bodies.reach.max()) + gap
    if largest >= 1:
        raise InputError(
            f"the largest of the {what} is {largest:.3g} long with its gap, in a cell of size 1: take more and smaller "
            f"ones (a larger number) or a smaller {name}"
        )
    wanted = bodies.grown(gap / 2)
    tight = wanted.grown(1e-4 * float(bodies.reach.mean()))
    best = 0.0
    for _ in range(ATTEMPTS):
        centres = _relax(tight, rng.random((n, dim)), inside)
        if _largest_overlap(wanted.at(centres)) <= 0:
            return bodies.at(centres)
        best = max(best, free_scale(wanted.at(centres)))
    raise InputError(
        f"{name} = {value:.4g} is more than {n} {what} with gap = {gap:.3g} (of the cell) could be packed "
        f"to, {value * best**dim:.3g} was reached: take a smaller {name} or gap, or another number or seed"
    )


def placements(bodies: Bodies, count: int = 8, tries: int = 5) -> list[Array]:
    """Centres of periodic bodies, moved together so that no surface nearly touches a face or an edge of the unit cell.

    A face that almost touches a surface causes slivers. On each axis the candidates are the middles of the widest
    intervals without the end of a body; their combinations are sorted by the distance from the edges too, the best
    `count` are returned.
    """
    dim = bodies.centres.shape[1]
    options = [free_places(bodies.centres[:, k], bodies.extents[:, k], tries) for k in range(dim)]
    candidates = []
    for candidate in product(*options):
        centres = (bodies.centres - [value for value, _ in candidate]) % 1.0
        clearance = min(min(width for _, width in candidate), _edge_clearance(bodies.at(centres)))
        candidates.append((clearance, centres))
    return [centres for _, centres in sorted(candidates, key=lambda pair: -pair[0])[:count]]


def images[B: Bodies](bodies: B, lattice: Array | None = None) -> B:
    """The bodies of a cell and of its neighbours; the lattice has rows of vectors."""
    n, dim = bodies.centres.shape
    shifts = neighbours(dim) @ (np.eye(dim) if lattice is None else lattice)
    copies = bodies.select(np.repeat(np.arange(n), len(shifts)))
    return copies.at((bodies.centres[:, None] + shifts).reshape(-1, dim))


def neighbours(dim: int) -> Array:
    """Lattice coordinates of a cell and its neighbours, shape (3^d, d)."""
    return np.array(list(product((-1.0, 0.0, 1.0), repeat=dim)))


def _relax(bodies: Bodies, centres: Array, inside: bool) -> Array:
    """Centres near a minimum of the overlap energy."""
    scale = float(bodies.reach.mean())
    bounds = None
    if inside:
        free = bodies.extents.ravel()
        bounds = list(zip(np.minimum(free, 0.5), np.maximum(1 - free, 0.5), strict=True))
        centres = np.clip(centres.ravel(), *np.transpose(bounds)).reshape(centres.shape)

    def energy(x: Array) -> tuple[float, Array]:
        moved = bodies.at(x.reshape(centres.shape) % 1.0)
        i, j, overlap, slope = _contacts(moved)
        gradient = np.zeros(centres.shape)
        force = (overlap / scale**2)[:, None] * slope
        np.add.at(gradient, j, force)
        np.add.at(gradient, i, -force)
        return float(0.5 * (overlap**2).sum() / scale**2), gradient.ravel()

    options = {"maxiter": 3000, "maxfun": 4000, "ftol": 0.0, "gtol": 1e-14, "maxcor": 20}
    found = minimize(energy, centres.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x).reshape(centres.shape) % 1.0


def _pairs(bodies: Bodies) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Pairs (i, j, centre of j or its image minus centre of i) whose bounding spheres overlap, each pair once."""
    n = len(bodies.centres)
    reach = bodies.reach
    copies = images(bodies)
    near = np.all((copies.centres > -2 * reach.max()) & (copies.centres < 1 + 2 * reach.max()), axis=1)
    owner = np.repeat(np.arange(n), len(copies.centres) // n)[near]
    found = cKDTree(bodies.centres).sparse_distance_matrix(
        cKDTree(copies.centres[near]), 2 * float(reach.max()), output_type="ndarray"
    )
    i, k = found["i"], found["j"]
    once = (i < owner[k]) & (found["v"] < reach[i] + reach[owner[k]])
    i, k = i[once], k[once]
    return i, owner[k], copies.centres[near][k] - bodies.centres[i]


def _contacts(bodies: Bodies) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """Overlapping pairs, their overlaps and the gradients of these."""
    i, j, offset = _pairs(bodies)
    overlap, slope = bodies.overlaps(i, j, offset)
    hit = overlap > 0
    return i[hit], j[hit], overlap[hit], slope[hit]


def _largest_overlap(bodies: Bodies) -> float:
    return float(_contacts(bodies)[2].max(initial=0.0))


def free_scale(bodies: Bodies, high: float = 1.0) -> float:
    """Largest factor on the size of each body, up to `high`, at which nothing overlaps."""
    low = 0.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _largest_overlap(bodies.scaled(middle)) <= 0 else (low, middle)
    return low


def free_places(centres: Array, extents: Array, tries: int) -> list[tuple[float, float]]:
    """Middle and half width of the widest intervals of a periodic axis in which no body ends."""
    ends = np.sort(np.r_[centres - extents, centres + extents] % 1.0)
    widths = np.diff(np.r_[ends, ends[0] + 1])
    order = np.argsort(-widths, kind="stable")[:tries]
    return [(float((ends[k] + widths[k] / 2) % 1.0), float(widths[k] / 2)) for k in order]


def _edge_clearance(bodies: Bodies) -> float:
    """Least depth or distance of the cell's corners, and in 3D of its edges, from the surface of a body.

    An edge that crosses a surface does so well if it also gets well inside; its deepest point is what counts.
    """
    dim = bodies.centres.shape[1]
    if dim == 2:
        return float(np.abs(images(bodies).distances(np.zeros((1, 2)))).min())
    along = np.linspace(0, 1, 21)
    edges = [np.outer(along, unit) for unit in np.eye(3)]
    copies = images(bodies)
    near = copies.select(np.flatnonzero(np.all(np.abs(copies.centres - 0.5) < 0.5 + copies.reach[:, None], axis=1)))
    deepest = [np.abs(near.distances(edge).min(axis=0)).min() for edge in edges]
    return float(min(deepest))


def lognormal(number: int, spread: float) -> NDArray[np.float64]:
    """Radii with the mean 1 whose standard deviation is about `spread`: quantiles of a lognormal distribution."""
    sigma = sqrt(log(1 + spread**2))
    radii = np.exp(sigma * ndtri((np.arange(number) + 0.5) / number))
    return np.asarray(radii / radii.mean())
