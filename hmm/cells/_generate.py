"""Meshes of drawings in Gmsh: generate, repair, bend, measure, and take the best of several drawings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.cells._edge_lengths import EdgeLengths
from hmm.cells._slivers import Tetrahedra
from hmm.foundation.errors import HMMError, InputError

POOR = 0.05
"""Radius ratio (d * inradius / circumradius, 1 for a regular simplex) below which an element is worth a warning."""

WANTED = 0.2
"""Radius ratio below which tetrahedra are replaced by better ones if possible."""

CURVED = 0.02
"""Scaled Jacobian of curved tetrahedra below which they are made straighter."""


@contextmanager
def scratch(model: Any) -> Iterator[None]:
    """An empty current model in the body, removed afterwards."""
    name = model.getCurrent()
    model.add("hmm scratch")
    try:
        yield
    finally:
        model.remove()
        model.setCurrent(name)


def generate(model: Any, sizes: EdgeLengths, order: int = 1) -> None:
    """Mesh the model with simplices of the given edge lengths.

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
    run_mesher(model, dim, sizes)
    if dim == 3:
        check_quality(model, dim)
        repair(model)
    model.mesh.setOrder(order)


def run_mesher(model: Any, dim: int, sizes: EdgeLengths) -> None:
    """Call the mesh generator; an error is raised after it has ended.

    If it were raised inside, as in the API by default, Gmsh would remain locked, and all later meshes would be empty.
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
    """Move the midside nodes of second-order tetrahedra to their positions, or less far if elements would invert.

    Parameters
    ----------
    model
        The current Gmsh model.
    nodes
        Tags, shape (n,).
    straight, curved
        Present and required positions, shape (n, 3).
    copies
        Shape (n,); nodes that are periodic images of each other have the same number and the same displacement.
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
        raise HMMError("gmsh created no elements, because surface meshes intersect: change mesh_size, gap or seed")
    elements = np.concatenate(kinds)
    worst = float(np.min(model.mesh.getElementQualities(elements, "minSJ")))
    if worst <= 0:
        raise HMMError(f"the mesh has inverted elements (scaled Jacobian {worst:.3g}): take a smaller mesh_size")
    return float(np.min(model.mesh.getElementQualities(elements, "gamma")))


def draw_best(model: Any, draws: Sequence[Callable[[Any], float]]) -> int:
    """Keep the mesh of the first drawing whose worst radius ratio is good enough, or the best one with a warning.

    Parameters
    ----------
    model
        The current Gmsh model, which is emptied between drawings.
    draws
        Each draws and meshes the same cell in a different way and returns the worst radius ratio.

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
