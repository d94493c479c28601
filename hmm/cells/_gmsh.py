"""Gmsh sessions that clean up after themselves, and periodic meshes on any lattice.

A generator writes one function that draws and meshes the cell with ``model.occ`` on rank 0, and hands it to `build`.
The other functions here are the steps such a drawing consists of. Draw at unit size: the tolerances of the geometry
kernel are absolute lengths (1e-7), and `build` scales the mesh.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import sqrt
from tempfile import NamedTemporaryFile
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from hmm.cells._checks import KERNEL, check_elements
from hmm.cells._slivers import Tetrahedra
from hmm.cells.cell import Cell
from hmm.cells.gmsh_session import distribute
from hmm.foundation.errors import HMMError, InputError

POOR = 0.05
"""Radius ratio (d * inradius / circumradius, 1 for a regular simplex) below which an element is worth a warning."""


WANTED = 0.2
"""Radius ratio below which tetrahedra are replaced by better ones where that can be."""


BLOCK = 12
"""Edge of the blocks of grid points whose edge lengths are asked for together: what is near is near to all of them."""


CURVED = 0.02
"""Scaled Jacobian of curved tetrahedra below which they are made straighter."""


def build(draw: Callable[[Any], object], comm: MPI.Comm, lattice: NDArray[np.float64], size: float = 1.0) -> Cell:
    """The cell that `draw` meshes on rank 0, distributed over `comm`; collective.

    Parameters
    ----------
    draw
        Called on rank 0 with ``gmsh.model``; leaves there a mesh whose phases are physical groups.
    comm
        Communicator of the cell's mesh.
    lattice
        Shape (d, d), rows the lattice vectors of the drawing, from the origin 0.
    size
        Factor by which mesh and lattice are scaled.

    Raises
    ------
    HMMError
        On every rank, if rank 0 could not draw or mesh the cell.
    """
    dim = len(lattice)
    data = distribute(draw, comm, dim)
    assert data.cell_tags is not None  # model_to_mesh has checked that every element is in a physical group
    data.mesh.geometry.x[:] *= size
    phases = {name: group.tag for name, group in data.physical_groups.items() if group.dim == dim}
    return Cell(data.mesh, data.cell_tags, phases, size * lattice, np.zeros(dim))


def add_parallelogram(model: Any, lattice: NDArray[np.float64]) -> int:
    """Tag of the surface spanned by two lattice vectors, or of the volume spanned by three, from the origin."""
    vectors = np.zeros((len(lattice), 3))
    vectors[:, : len(lattice)] = lattice
    corners = [np.zeros(3), vectors[0], vectors[0] + vectors[1], vectors[1]]
    points = [model.occ.addPoint(*corner) for corner in corners]
    lines = [model.occ.addLine(points[i], points[(i + 1) % 4]) for i in range(4)]
    base = model.occ.addPlaneSurface([model.occ.addCurveLoop(lines)])
    if len(lattice) == 2:
        return base
    return next(tag for dim, tag in model.occ.extrude([(2, base)], *vectors[2]) if dim == 3)


def wrap(model: Any, body: int, lattice: NDArray[np.float64], shifts: NDArray[np.float64]) -> list[int]:
    """Cut a body that reaches out of the cell along the faces, and move each piece back into the cell.

    Pieces from both sides of a face keep the same edges and vertices on it, translated: what a mesh generator needs
    to make opposite faces match.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel.
    body
        Tag; it is replaced by the pieces.
    lattice
        Shape (d, d), rows the lattice vectors; the cell starts at the origin.
    shifts
        Shape (n, d), the lattice coordinates of the cells the body may reach into.

    Returns
    -------
    list of int
        Tags of the pieces.
    """
    dim = len(lattice)
    if not np.any(shifts):
        return [body]
    boxes = []
    for shift in shifts @ lattice:
        boxes.append((dim, add_parallelogram(model, lattice)))
        model.occ.translate(boxes[-1:], *np.r_[shift, np.zeros(3 - dim)])
    _, origin = model.occ.fragment([(dim, body)], boxes)
    pieces = set(origin[0])
    moved = []
    for shift, parts in zip(shifts @ lattice, origin[1:], strict=True):
        inside = sorted(pieces & set(parts))
        if inside:
            copies = model.occ.copy(inside)
            model.occ.translate(copies, *np.r_[-shift, np.zeros(3 - dim)])
            moved += [tag for _, tag in copies]
    model.occ.remove(sorted(pieces.union(*origin[1:])), recursive=True)
    return moved


def split(model: Any, dim: int, cell: int, families: Sequence[Sequence[int]], void: bool = False) -> list[list[int]]:
    """Cut a cell along the boundaries of bodies, which may reach out of it, and drop what is outside.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel; it is synchronized here.
    dim
        Dimension of the cell and the bodies.
    cell, families
        Their tags, the bodies' by family; they are replaced by the pieces.
    void
        Drop the pieces inside the bodies of the last family too.

    Returns
    -------
    list of list of int
        Tags of the pieces of the cell in no body, and in each family; a piece belongs to the last family it is in.
        Without the last family if that is `void`.
    """
    bodies = [(dim, tag) for family in families for tag in family]
    _, origin = model.occ.fragment([(dim, cell)], bodies)
    pieces, covered = set(origin[0]), set().union(*origin[1:])
    groups, start = [pieces - covered], 1
    for family in families:
        group = pieces & set().union(*origin[start : start + len(family)])
        groups = [*(earlier - group for earlier in groups), group]
        start += len(family)
    dropped = sorted(groups.pop()) if void else []
    model.occ.remove(sorted(covered - pieces) + dropped, recursive=True)
    model.occ.synchronize()
    return [sorted(tag for _, tag in group) for group in groups]


def name_phases(model: Any, dim: int, phases: Mapping[str, Sequence[int]]) -> None:
    """Make a physical group of dimension `dim`, tagged 1, 2, ..., of the entities of each phase.

    Raises
    ------
    HMMError
        If a phase has no entities: its pieces are smaller than the tolerance of the geometry kernel.
    """
    if lost := [name for name, entities in phases.items() if len(entities) == 0]:
        raise HMMError(
            f"nothing is left of the phase {lost[0]!r}, which the geometry kernel cannot tell from a surface: make it "
            f"thicker or larger, above {KERNEL:g} of the cell"
        )
    for group, (name, entities) in enumerate(phases.items(), start=1):
        model.addPhysicalGroup(dim, list(entities), group, name)


def set_periodic(model: Any, lattice: NDArray[np.float64]) -> None:
    """Make the mesh on each face of a cell the translated copy of the mesh on the opposite face.

    An entity lies on a face if its centre of mass does, as nothing reaches out of the cell; its partner is the entity
    with as many vertices around the same middle after the translation: discs and the rings around them have different
    numbers. Centres of mass and sizes, which the kernel integrates only to a percent if there are splines, decide
    between those.

    Parameters
    ----------
    model
        The current Gmsh model, drawn with its OpenCASCADE kernel and synchronized.
    lattice
        Shape (d, d), rows the lattice vectors; the cell starts at the origin.

    Raises
    ------
    HMMError
        If an entity on a face has no partner: the geometry is not periodic.
    """
    dim = len(lattice)
    tags = [tag for _, tag in model.getEntities(dim - 1)]
    centres = np.array([model.occ.getCenterOfMass(dim - 1, tag) for tag in tags])
    fractional = np.linalg.solve(lattice.T, centres[:, :dim].T).T
    sizes = [[model.occ.getMass(dim - 1, tag)] for tag in tags]
    keys = np.c_[[_vertices(model, dim - 1, tag) for tag in tags], 1e-2 * centres, 1e-2 * np.array(sizes)]
    for axis, vector in enumerate(lattice):
        shift = np.zeros(3)
        shift[:dim] = vector
        low, high = (np.flatnonzero(np.abs(fractional[:, axis] - side) < 1e-6) for side in (0, 1))
        partners = _partners(keys[low] + np.r_[shift, 0.0, 1e-2 * shift, 0.0], keys[high], axis)
        affine = np.eye(4)
        affine[:3, 3] = shift
        for master, image in zip(low, high[partners], strict=True):
            model.mesh.setPeriodic(dim - 1, [tags[image]], [tags[master]], affine.ravel().tolist())


@dataclass(frozen=True)
class Sizes:
    """Wanted edge lengths on a grid, which Gmsh interpolates: calls into Python for each point cost minutes.

    Attributes
    ----------
    low, step
        Shape (d,); where the grid starts, and its spacing.
    values
        Shape (n_1, ..., n_d).
    """

    low: NDArray[np.float64]
    step: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def tabulate(
        cls,
        lattice: NDArray[np.float64],
        edge_lengths: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        shortest: float,
    ) -> Sizes:
        """The edge lengths in a cell.

        Parameters
        ----------
        lattice
            Shape (d, d), rows the lattice vectors; the cell starts at the origin.
        edge_lengths
            Wanted edge length at points of shape (p, d).
        shortest
            Edge length the grid should resolve.

        Raises
        ------
        InputError
            If the mesh would not fit into the memory that is free.
        """
        dim = len(lattice)
        corners = np.array(list(product((0, 1), repeat=dim))) @ lattice
        low, high = corners.min(axis=0), corners.max(axis=0)
        n = int(np.clip(np.ceil((high - low).max() / shortest), 24, {2: 400, 3: 72}[dim]))
        points = np.stack(np.meshgrid(*np.linspace(low, high, n + 1).T, indexing="ij"), axis=-1).reshape(-1, dim)
        block = np.ravel_multi_index(tuple(np.indices((n + 1,) * dim) // BLOCK), (n // BLOCK + 1,) * dim).ravel()
        order = np.argsort(block, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(block[order])) + 1)
        sizes = np.zeros(len(points))
        for part in parts:
            sizes[part] = edge_lengths(points[part])
        simplex = {2: sqrt(3) / 4, 3: 1 / (6 * sqrt(2))}[dim]
        check_elements(abs(float(np.linalg.det(lattice))) * float(np.mean(1 / (simplex * sizes**dim))), "mesh_size")
        return cls(low, (high - low) / n, sizes.astype(float).reshape((n + 1,) * dim))

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Edge lengths at points of shape (p, d), periodic, for a cell that is the unit square or cube."""
        index = ((points - self.low) % 1.0) / self.step
        return np.asarray(map_coordinates(self.values, index.T, order=1, mode="nearest"))

    @contextmanager
    def background(self, model: Any) -> Iterator[None]:
        """Let Gmsh take its edge lengths from here."""
        dim = self.values.ndim
        with NamedTemporaryFile(suffix=".bin") as file:
            file.write(np.r_[self.low, np.zeros(3 - dim)].tobytes() + np.r_[self.step, np.ones(3 - dim)].tobytes())
            file.write(np.array([*self.values.shape, *[1] * (3 - dim)], dtype=np.intc).tobytes())
            file.write(self.values.tobytes())
            file.flush()
            field = model.mesh.field.add("Structured")
            model.mesh.field.setString(field, "FileName", file.name)
            model.mesh.field.setAsBackgroundMesh(field)
            yield
            model.mesh.field.remove(field)


@contextmanager
def scratch(model: Any) -> Iterator[None]:
    """An empty current model for the body, removed after it."""
    name = model.getCurrent()
    model.add("hmm scratch")
    try:
        yield
    finally:
        model.remove()
        model.setCurrent(name)


def generate(model: Any, sizes: Sizes, order: int = 1) -> None:
    """Mesh the model with simplices of wanted edge lengths.

    Parameters
    ----------
    model
        The current Gmsh model, synchronized.
    sizes
        Edge lengths.
    order
        Geometry degree.
    """
    dim = sizes.values.ndim
    run(model, dim, sizes)
    if dim == 3:
        check_quality(model, dim)
        repair(model)
    model.mesh.setOrder(order)


def run(model: Any, dim: int, sizes: Sizes) -> None:
    """Call the mesh generator; an error it reports is raised when it has ended.

    Raised within, as the API does by default, it leaves Gmsh locked: all later meshes are empty.
    """
    import gmsh

    option = "General.AbortOnError"
    before = gmsh.option.getNumber(option)
    gmsh.option.setNumber(option, 0)
    gmsh.logger.start()
    try:
        with sizes.background(model):
            model.mesh.generate(dim)
        errors = [line.removeprefix("Error: ") for line in gmsh.logger.get() if line.startswith("Error")]
    finally:
        gmsh.logger.stop()
        gmsh.option.setNumber(option, before)
    if errors:
        raise HMMError(f"gmsh could not mesh the cell ({errors[0]}): change mesh_size, gap or seed")


def repair(model: Any) -> None:
    """Replace slivers of the tetrahedra in the model."""
    volumes = [tag for _, tag in model.getEntities(3)]
    tags, coordinates, _ = model.mesh.getNodes()
    place = np.zeros(int(tags.max()) + 1, dtype=np.intp)
    place[tags.astype(int)] = np.arange(len(tags))
    nodes = [place[model.mesh.getElementsByType(4, tag)[1].astype(int)].reshape(-1, 4) for tag in volumes]
    held = place[model.mesh.getElementsByType(2)[1].astype(int)].reshape(-1, 3)
    mesh = Tetrahedra(coordinates.reshape(-1, 3), np.vstack(nodes), np.repeat(volumes, [len(n) for n in nodes]), held)
    if mesh.quality().min() >= WANTED:
        return
    mesh.repair(WANTED)
    numbers = np.r_[tags, tags.max() + 1 + np.arange(len(mesh.x) - len(tags), dtype=tags.dtype)].astype(int)
    inside = {tag: model.mesh.getNodes(3, tag)[0] for tag in volumes}
    model.mesh.clear([(3, tag) for tag in volumes])
    for tag in volumes:
        tets = mesh.tets[mesh.region == tag]
        used = np.unique(tets)
        own = used[np.isin(numbers[used], inside[tag]) | (used >= len(tags))]
        model.mesh.addNodes(3, tag, numbers[own].tolist(), mesh.x[own].ravel().tolist())
        model.mesh.addElementsByType(tag, 4, [], numbers[tets].ravel().tolist())


def bend(
    model: Any,
    nodes: NDArray[np.intp],
    straight: NDArray[np.float64],
    curved: NDArray[np.float64],
    copies: NDArray[np.intp],
) -> None:
    """Move the middle nodes of edges of second-order tetrahedra where they belong, less far where elements invert.

    Parameters
    ----------
    model
        The current Gmsh model.
    nodes
        Tags, shape (n,).
    straight, curved
        Where they are and should be, shape (n, 3).
    copies
        Shape (n,); nodes that are images of each other have the same number, and move alike.
    """
    elements, corners = model.mesh.getElementsByType(11)
    factor, moved = np.ones(copies.max() + 1), np.ones(len(nodes), dtype=bool)
    for halving in range(6):
        place = straight + factor[copies, None] * (curved - straight)
        for node, x in zip(nodes[moved].tolist(), place[moved].tolist(), strict=True):
            model.mesh.setNode(node, x, [])
        flat = np.array(model.mesh.getElementQualities(elements, "minSJ")) < CURVED
        hit = np.isin(nodes, corners.reshape(-1, 10)[flat])
        factor[copies[hit]] *= 0.5 if halving < 4 else 0.0
        moved = np.isin(copies, copies[hit])
        if not moved.any():
            return


def volume(model: Any, dim: int, entities: Sequence[int]) -> float:
    """Volume (area if `dim` is 2) of the mesh on some entities, curved elements included."""
    total = 0.0
    for entity in entities:
        for kind in model.mesh.getElementTypes(dim, entity):
            points, weights = model.mesh.getIntegrationPoints(kind, "Gauss4")
            determinants = model.mesh.getJacobians(kind, points, entity)[1]
            total += float((determinants.reshape(-1, len(weights)) @ weights).sum())
    return total


def phase_volumes(model: Any, dim: int) -> dict[str, float]:
    """Volume of the mesh of each physical group."""
    groups = [tag for _, tag in model.getPhysicalGroups(dim)]
    entities = {model.getPhysicalName(dim, tag): model.getEntitiesForPhysicalGroup(dim, tag) for tag in groups}
    return {name: volume(model, dim, tags) for name, tags in entities.items()}


def check_quality(model: Any, dim: int) -> float:
    """The smallest radius ratio of the elements of the mesh; raise an `HMMError` if one is inverted."""
    kinds = model.mesh.getElements(dim)[1]
    if not kinds:
        raise HMMError("gmsh made no elements, as surface meshes intersect: change mesh_size, gap or seed")
    elements = np.concatenate(kinds)
    worst = float(np.min(model.mesh.getElementQualities(elements, "minSJ")))
    if worst <= 0:
        raise HMMError(f"the mesh has inverted elements (scaled Jacobian {worst:.3g}): take a smaller mesh_size")
    return float(np.min(model.mesh.getElementQualities(elements, "gamma")))


def draw_best(model: Any, draws: Sequence[Callable[[Any], float]]) -> int:
    """Leave the mesh of the first drawing whose worst radius ratio is good enough, or warn about the best one.

    Parameters
    ----------
    model
        The current Gmsh model, which is emptied between drawings.
    draws
        Each draws and meshes the same cell in another way, and returns the worst radius ratio.

    Returns
    -------
    int
        Which drawing it is.
    """
    best, ratio, failure = -1, -1.0, None
    for k, draw in enumerate(draws):
        if k:
            empty(model)
        try:
            found = draw(model)
        except InputError:  # too large for the memory, however it is drawn
            raise
        except Exception as error:  # Gmsh raises nothing more special
            failure = error
            continue
        if found >= POOR:
            return k
        best, ratio = (k, found) if found > ratio else (best, ratio)
    if failure is not None and best < 0:
        raise failure
    if len(draws) > 1:
        empty(model)
        draws[best](model)
    warnings.warn(
        f"the worst element of the mesh has the radius ratio {ratio:.3g} < {POOR:g}: take a smaller mesh_size, a "
        "larger gap or another seed, and see hmm.cells.quality",
        stacklevel=2,
    )
    return best


def empty(model: Any) -> None:
    name = model.getCurrent()
    model.remove()
    model.add(name)


def _vertices(model: Any, dim: int, tag: int) -> NDArray[np.float64]:
    """Mean of the vertices of a curve or surface, and their number; shape (4,)."""
    vertices = sorted({vertex for _, vertex in model.getBoundary([(dim, tag)], combined=False, recursive=True)})
    return np.r_[np.mean([model.getValue(0, vertex, []) for vertex in vertices], axis=0), len(vertices)]


def _partners(wanted: NDArray[np.float64], found: NDArray[np.float64], axis: int) -> NDArray[np.intp]:
    """Index of the row of `found` that equals each row of `wanted`, one to one."""
    if len(wanted) != len(found) or len(wanted) == 0:
        raise HMMError(
            f"the faces across lattice vector {axis + 1} have {len(wanted)} and {len(found)} entities: "
            "draw the same geometry on opposite faces"
        )
    distances = np.linalg.norm(wanted[:, None] - found[None], axis=2)
    partners = distances.argmin(axis=1)
    worst = distances.min(axis=1).max()
    if worst > 1e-3:
        raise HMMError(
            f"a face across lattice vector {axis + 1} differs from the opposite one by {worst:.3g}: "
            "draw the same geometry on opposite faces"
        )
    if alike := len(partners) - len(set(partners)):
        raise HMMError(
            f"{alike} of the {len(found)} entities of a face across lattice vector {axis + 1} are like others "
            "(vertices, centre of mass, size): draw the geometry without pieces that are all but equal"
        )
    return partners
