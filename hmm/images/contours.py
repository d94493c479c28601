"""Smoothed interfaces of plane images, and triangles that conform to them.

Pixel centres are the nodes of a dual grid; where the labels of two neighbours differ, an interface passes between them.
Marching squares joins these crossings to a network, with a node where three or more phases meet (the multi-material
case of Lorensen and Cline 1987). The network is smoothed without shrinking (Taubin 1995) and coarsened, and then moved
by the smallest displacement that gives each piece of each phase the area of its pixels. The cell is cut along lines of
pixel centres, which interfaces cross; crossings slide along these lines, in step on opposite faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from mpi4py import MPI

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsqr
from scipy.spatial import cKDTree

from hmm.cells._arrays import mesh_from_arrays
from hmm.cells.cell import Cell
from hmm.cells.gmsh_session import gmsh_errors, session
from hmm.cells.pieces import label_pieces
from hmm.foundation.errors import HMMError, collectively
from hmm.images.labels import Labels

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTHED, CORRECTED = 0.2, 0.3
"""How far, in pixels, a node may go by smoothing and by correcting areas: crossings on a line are 1 apart."""

MARGIN = 0.1
"""Distance, in pixels, that interfaces keep from the boundary of the cell and its corners."""

SHORT = 16
"""Crossings of an interface that is too short to be smoothed."""

GROWTH, COARSEST = 0.3, 4.0
"""Growth of the edge length with the distance from an interface, and its largest value per that at interfaces."""


def smooth_cell(
    tags: Labels, phases: Mapping[str, int], edges: Floats, mesh_size: float, periodic: bool, comm: MPI.Comm
) -> Cell:
    """A cell of triangles along the smoothed interfaces of a plane image (collective).

    Parameters
    ----------
    tags
        Shape (nx, ny); the tag of each pixel's phase, 0 for voids.
    phases
        Tag of each phase name.
    edges
        Edge lengths of a pixel.
    mesh_size
        Edge length at interfaces, in pixels.
    periodic
        Whether the image goes on periodically.
    comm
        Communicator of the mesh; rank 0 draws.

    Raises
    ------
    HMMError
        If the interfaces could not be meshed.
    """
    points, triangles, of_triangle = np.zeros((0, 2)), np.zeros((0, 3), dtype=np.int64), np.zeros(0, dtype=np.int32)
    with collectively(comm), gmsh_errors():
        if comm.rank == 0:
            network = network_of(tags, mesh_size, periodic)
            points, triangles, piece = _triangulate(network, mesh_size)
            of_triangle = network.tags[piece]
            used, solid = np.unique(triangles[of_triangle > 0], return_inverse=True)
            points, triangles, of_triangle = points[used], solid.reshape(-1, 3), of_triangle[of_triangle > 0]
    origin = 0.5 * edges if periodic else np.zeros(2)
    mesh, cell_tags = mesh_from_arrays(origin + points * edges, triangles, of_triangle, "triangle", comm)
    has_voids = not np.isin(tags, list(phases.values())).all()
    return Cell(mesh, cell_tags, dict(phases), np.diag(edges * tags.shape), origin, open_faces=has_voids and periodic)


@dataclass(frozen=True, eq=False)
class Network:
    """Straight segments between nodes; those of the cell's boundary are among them.

    Attributes
    ----------
    points
        Shape (n, 2), in pixels.
    torus
        Shape (n,); nodes that are images of each other have the same number.
    free
        Shape (n, 2); in which directions a node may move.
    segments
        Shape (m, 2), nodes.
    sides
        Shape (m, 2); the piece left and right of each segment, -1 outside the cell.
    areas
        Shape (n_pieces,); what each piece covers in the image, in pixels.
    tags
        Shape (n_pieces,); the tag of each piece's phase.
    """

    points: Floats
    torus: Ints
    free: NDArray[np.bool_]
    segments: Ints
    sides: Ints
    areas: Floats
    tags: NDArray[np.int32]

    def measured(self) -> Floats:
        """Area of each piece, by Green's theorem."""
        p, q = self.points[self.segments[:, 0]], self.points[self.segments[:, 1]]
        swept = 0.5 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
        result = np.zeros(len(self.areas) + 1)  # the last one is the outside
        np.add.at(result, self.sides[:, 0], swept)
        np.add.at(result, self.sides[:, 1], -swept)
        return result[:-1]

    def moved(self, displacement: Floats) -> Network:
        """The network with each torus node displaced, shape (n_torus, 2), where it is free."""
        low, high = np.min(self.points, axis=0), np.max(self.points, axis=0)
        inside = np.clip(self.points + displacement[self.torus], low + MARGIN, high - MARGIN)
        return replace(self, points=np.where(self.free, inside, self.points))


def network_of(tags: Labels, mesh_size: float, periodic: bool) -> Network:
    """The interfaces of an image, smoothed, coarsened to `mesh_size` pixels, and of the right areas."""
    fine = _smoothed(_marched(tags, periodic))
    counts = {}
    chains = _chains(fine)
    for k, chain in enumerate(chains):
        length = np.linalg.norm(np.diff(fine.points[chain], axis=0), axis=1).sum()
        chord = np.linalg.norm(fine.points[chain[-1]] - fine.points[chain[0]])
        least = 6 if chain[0] == chain[-1] else 1 if chord > 0.8 * length else 3
        counts[k] = min(max(int(np.ceil(length / mesh_size)), least), len(chain) - 1)
    while True:
        coarse, chain_of = _coarsened(fine, chains, counts)
        coarse = _with_areas(coarse)
        crossing = set(chain_of[_crossing(coarse)].tolist()) - {-1}
        crossed = {k for k in crossing if counts[k] < len(chains[k]) - 1}
        if not crossed:
            return coarse
        for k in crossed:
            counts[k] = min(2 * counts[k], len(chains[k]) - 1)


# -- from pixels to a network ----------------------------------------------------------------------------------------


def _marched(tags: Labels, periodic: bool) -> Network:
    """The network of marching squares on the dual grid."""
    mode: Any = "wrap" if periodic else "edge"
    pad = (0, 1) if periodic else (1, 1)
    dual = np.pad(tags, [pad, pad], mode=mode)
    lines = [np.arange(n + 1.0) if periodic else np.r_[0.0, np.arange(n) + 0.5, n] for n in tags.shape]
    piece = np.pad(_all_pieces(tags, periodic), [pad, pad], mode=mode)
    starts, ends, sides, joined, centres = _squares(dual, piece)
    n_pieces = int(piece.max()) + 1
    n_merged, merged = connected_components(coo_array((np.ones(len(joined)), joined.T), shape=(n_pieces,) * 2), False)
    border, border_sides = _border(dual, piece)
    segments = np.concatenate([np.stack([starts, ends], axis=1), border])
    all_sides = merged[np.concatenate([sides, np.stack([border_sides, border_sides], axis=1)])]
    all_sides[len(sides) :, 1] = -1
    used, numbered = np.unique(segments, return_inverse=True)
    points = _positions(used, dual.shape, lines, centres)
    areas = np.bincount(merged[piece[pad[0] :, pad[0] :][: tags.shape[0], : tags.shape[1]]].ravel()).astype(float)
    tag_of = np.zeros(n_merged, dtype=np.int32)
    tag_of[merged[piece]] = dual
    on_line = [np.isin(points[:, axis], [lines[axis][0], lines[axis][-1]]) for axis in (0, 1)]
    free = ~np.stack(on_line, axis=1)
    wrapped = np.mod(points, tags.shape) if periodic else points
    _, torus = np.unique(np.round(wrapped * 4).astype(int), axis=0, return_inverse=True)
    return Network(points, torus.ravel(), free, numbered.reshape(-1, 2), all_sides, areas, tag_of)


def _all_pieces(tags: Labels, periodic: bool) -> Ints:
    """A number, from 0, for each connected piece of each phase."""
    numbers, start = np.zeros(tags.shape, dtype=np.int64), 0
    for tag in np.unique(tags):
        own, n = label_pieces(tags == tag, periodic)
        numbers[own > 0] = own[own > 0] - 1 + start
        start += n
    return numbers


def _squares(dual: Labels, piece: Ints) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Segments of all dual squares: start, end, pieces (left, right); pairs of pieces joined; squares with a junction.

    A node is numbered 4 s + k, with s the dual node at the lower left: k = 0 on the edge to its right, 1 on the edge
    above it, 2 in the middle of the square, 3 at the dual node.
    """
    nx, ny = dual.shape
    s = np.arange(nx * ny).reshape(nx, ny)[:-1, :-1].ravel()
    corner = np.stack([s, s + ny, s + ny + 1, s + 1], axis=1)
    crossing = np.stack([4 * s, 4 * (s + ny) + 1, 4 * (s + 1), 4 * s + 1], axis=1)
    label, of = dual.ravel()[corner], piece.ravel()[corner]
    differs = label != np.roll(label, -1, axis=1)
    n = differs.sum(axis=1)
    out: list[tuple[Ints, Ints, Ints, Ints]] = []

    def cut(rows: Ints, a: Any, b: Any) -> None:
        out.append((crossing[rows, a], crossing[rows, b], of[rows, a], of[rows, (a + 1) % 4]))

    two = np.flatnonzero(n == 2)
    first = np.argmax(differs[two], axis=1)
    cut(two, first, 3 - np.argmax(differs[two, ::-1], axis=1))
    even, odd = label[:, 0] == label[:, 2], label[:, 1] == label[:, 3]
    four = n == 4
    join_even = np.flatnonzero(four & even & (~odd | (label[:, 0] < label[:, 1])))
    join_odd = np.flatnonzero(four & odd & (~even | (label[:, 1] < label[:, 0])))
    for rows, k in ((join_even, 0), (join_odd, 1)):
        for a in (k, k + 2):
            cut(rows, a, (a + 1) % 4)
    joined = np.concatenate([of[join_even][:, [0, 2]], of[join_odd][:, [1, 3]]])
    star = (n == 3) | (four & ~even & ~odd)
    for a in range(4):
        rows = np.flatnonzero(star & differs[:, a])
        out.append((4 * s[rows] + 2, crossing[rows, a], of[rows, (a + 1) % 4], of[rows, a]))
    starts, ends, left, right = (np.concatenate(parts) for parts in zip(*out, strict=True))
    return starts, ends, np.stack([left, right], axis=1), joined, s[star]


def _border(dual: Labels, piece: Ints) -> tuple[Ints, Ints]:
    """Segments of the cell's boundary, counterclockwise, and the piece inside each."""
    nx, ny = dual.shape
    number = np.arange(nx * ny).reshape(nx, ny)
    loop = [number[:-1, 0], number[-1, :-1], number[:0:-1, -1], number[0, :0:-1]]
    nodes = np.concatenate(loop)
    following = np.roll(nodes, -1)
    low = np.minimum(nodes, following)
    crossing = 4 * low + (np.abs(nodes - following) == 1)
    differ = dual.ravel()[nodes] != dual.ravel()[following]
    is_corner = np.zeros(len(nodes), dtype=bool)
    is_corner[np.cumsum([0, *(len(part) for part in loop[:-1])])] = True
    stops = np.sort(np.concatenate([np.flatnonzero(is_corner) * 2, np.flatnonzero(differ) * 2 + 1]))
    names = np.where(stops % 2 == 0, 4 * nodes[stops // 2] + 3, crossing[stops // 2])
    after = nodes[((stops + 1) // 2) % len(nodes)]  # the dual node at or after the stop is inside the segment
    return np.stack([names, np.roll(names, -1)], axis=1), piece.ravel()[after]


def _positions(names: Ints, shape: tuple[int, ...], lines: list[Floats], centres: Ints) -> Floats:
    """Coordinates of nodes numbered as in `_squares`."""
    i, j = np.divmod(names // 4, shape[1])
    kind = names % 4
    middle = [0.5 * (line + np.r_[line[1:], line[-1]]) for line in lines]
    x = np.where((kind == 0) | (kind == 2), middle[0][i], lines[0][i])
    y = np.where((kind == 1) | (kind == 2), middle[1][j], lines[1][j])
    return np.stack([x, y], axis=1)


# -- what is done to a network ---------------------------------------------------------------------------------------


def _smoothed(network: Network, steps: int = 20) -> Network:
    """Taubin smoothing: steps of a Laplacian inwards and a little more outwards, which keep long waves.

    Interfaces of a few pixels have no long waves and would shrink to nothing: they stay as they are.
    """
    small = [chain for chain in _chains(network) if len(chain) <= SHORT]
    smooth = np.ones((len(network.points), 1), dtype=bool)
    if small:
        smooth[np.concatenate(small)] = False
    inner = network.segments[network.sides[:, 1] >= 0]
    ends = network.torus[inner]
    n = int(network.torus.max()) + 1
    degree = np.maximum(np.bincount(ends.ravel(), minlength=n), 1)[:, None]
    may_move = np.ones((n, 1), dtype=bool)
    np.logical_and.at(may_move, network.torus, smooth)
    total = np.zeros((n, 2))
    for step in range(2 * steps):
        d = network.points[inner[:, 1]] - network.points[inner[:, 0]]
        pull = np.zeros((n, 2))
        np.add.at(pull, ends[:, 0], d)
        np.add.at(pull, ends[:, 1], -d)
        wanted = total + (0.5, -0.53)[step % 2] * pull / degree
        change = (_limited(wanted, SMOOTHED) - total) * may_move
        total += change
        network = network.moved(change)
    return network


def _limited(displacement: Floats, farthest: float) -> Floats:
    """Displacements cut off at a length."""
    length = np.linalg.norm(displacement, axis=1)
    return displacement * (farthest / np.maximum(length, farthest))[:, None]


def _chains(network: Network) -> list[Ints]:
    """The interfaces as rows of nodes between junctions and boundary points, and closed ones."""
    inner = network.segments[network.sides[:, 1] >= 0]
    neighbours: list[list[int]] = [[] for _ in range(len(network.points))]
    for a, b in inner.tolist():
        neighbours[a].append(b)
        neighbours[b].append(a)
    seen: set[tuple[int, int]] = set()
    ends = [k for k, near in enumerate(neighbours) if near and len(near) != 2]
    rest = [k for k, near in enumerate(neighbours) if len(near) == 2]
    chains = []
    for start in ends + rest:
        for step in neighbours[start] if len(neighbours[start]) != 2 else neighbours[start][:1]:
            if (start, step) in seen or (len(neighbours[start]) == 2 and (step, start) in seen):
                continue
            chain = [start, step]
            while len(neighbours[chain[-1]]) == 2 and chain[-1] != start:
                a, b = neighbours[chain[-1]]
                chain.append(b if a == chain[-2] else a)
            seen.update(pairwise(chain))
            seen.update(pairwise(chain[::-1]))
            chains.append(np.array(chain))
    return chains


def _coarsened(network: Network, chains: list[Ints], counts: dict[int, int]) -> tuple[Network, Ints]:
    """Each chain as `counts` segments of equal length; and the chain of each segment, -1 on the boundary."""
    inner = network.sides[:, 1] >= 0
    side_of = {(a, b): (l, r) for (a, b), (l, r) in zip(network.segments.tolist(), network.sides.tolist(), strict=True)}
    side_of |= {(b, a): (r, l) for (a, b), (l, r) in side_of.items()}
    kept = np.unique(np.concatenate([network.segments[~inner].ravel(), *(chain[[0, -1]] for chain in chains)]))
    new = np.full(len(network.points), -1)
    new[kept] = np.arange(len(kept))
    points, segments, sides, of = [network.points[kept]], [new[network.segments[~inner]]], [network.sides[~inner]], []
    n = len(kept)
    for k, chain in enumerate(chains):
        x, count = network.points[chain], counts[k]
        s = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(x, axis=0), axis=1))]
        at = np.linspace(0, s[-1], count + 1)[1:-1]
        points.append(np.stack([np.interp(at, s, x[:, 0]), np.interp(at, s, x[:, 1])], axis=1))
        row = np.r_[new[chain[0]], n + np.arange(count - 1), new[chain[-1]]]
        segments.append(np.stack([row[:-1], row[1:]], axis=1))
        sides.append(np.tile(side_of[int(chain[0]), int(chain[1])], (count, 1)))
        of.append(np.full(count, k))
        n += count - 1
    torus = np.r_[network.torus[kept], network.torus.max() + 1 + np.arange(n - len(kept))]
    free = np.concatenate([network.free[kept], np.ones((n - len(kept), 2), dtype=bool)])
    chain_of = np.concatenate([np.full(int((~inner).sum()), -1), *of])
    coarse = replace(
        network,
        points=np.concatenate(points),
        torus=torus,
        free=free,
        segments=np.concatenate(segments),
        sides=np.concatenate(sides),
    )
    return coarse, chain_of


def _with_areas(network: Network) -> Network:
    """The network moved as little as possible so that pieces have their areas.

    Where pieces are so small that nodes may not go far enough, the phase as a whole still gets its area.
    """
    n = int(network.torus.max()) + 1
    total = np.zeros((n, 2))
    by_phase = np.unique(network.tags, return_inverse=True)[1].ravel()
    for groups, steps in ((np.arange(len(network.areas)), 5), (by_phase, 20)):
        for _ in range(steps):
            missing = np.bincount(groups, network.areas - network.measured())
            if np.abs(missing).max() < 1e-9 * network.areas.sum():
                break
            step = lsqr(_area_gradient(network, groups, n), missing, atol=1e-12, btol=1e-12, iter_lim=500)[0]
            change = _limited(total + step.reshape(n, 2), CORRECTED) - total
            total += change
            network = network.moved(change)
    return network


def _area_gradient(network: Network, groups: Ints, n: int) -> csr_array:
    """Derivative of the areas of groups of pieces with respect to the n torus nodes, shape (n_groups, 2 n)."""
    a, b = network.segments.T
    d = network.points[b] - network.points[a]
    outward = 0.5 * np.stack([d[:, 1], -d[:, 0]], axis=1)  # to the right: what the piece on the left gains
    rows, columns, values = [], [], []
    for sign, side in ((1.0, 0), (-1.0, 1)):
        inside = network.sides[:, side] >= 0
        for node in (a, b):
            for axis in (0, 1):
                rows.append(groups[network.sides[inside, side]])
                columns.append(2 * network.torus[node[inside]] + axis)
                values.append(sign * (outward[:, axis] * network.free[node, axis])[inside])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return coo_array(entries, shape=(int(groups.max()) + 1, 2 * n)).tocsr()


def _crossing(network: Network) -> Ints:
    """Segments that cross another one without being its neighbours, or are there twice."""
    p, q = network.points[network.segments[:, 0]], network.points[network.segments[:, 1]]
    reach = float(np.linalg.norm((q - p)[network.sides[:, 1] >= 0], axis=1).max(initial=0.0))
    inner = np.flatnonzero(network.sides[:, 1] >= 0)
    pairs = inner[cKDTree(0.5 * (p + q)[inner]).query_pairs(reach, output_type="ndarray")] if len(inner) else []
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    ends = network.segments[pairs].reshape(-1, 4)
    apart = (ends[:, :2, None] != ends[:, None, 2:]).all(axis=(1, 2))
    i, j = pairs[apart].T

    def turn(a: Floats, b: Floats, c: Floats) -> Floats:
        return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])

    cross = (turn(p[i], q[i], p[j]) * turn(p[i], q[i], q[j]) <= 0) & (
        turn(p[j], q[j], p[i]) * turn(p[j], q[j], q[i]) <= 0
    )
    ordered = np.sort(network.segments, axis=1)
    _, same, count = np.unique(ordered, axis=0, return_inverse=True, return_counts=True)
    return np.unique(np.r_[i[cross], j[cross], np.flatnonzero(count[same.ravel()] > 1)])


# -- from a network to triangles -------------------------------------------------------------------------------------


def _triangulate(network: Network, mesh_size: float) -> tuple[Floats, Ints, Ints]:
    """Points, triangles and the piece each triangle is in."""
    network = _fine_border(network, mesh_size)
    inner = network.sides[:, 1] >= 0
    with session("hmm smoothed image") as model:
        geo = model.geo
        nodes = [geo.addPoint(x, y, 0.0) for x, y in network.points.tolist()]
        lines = [geo.addLine(nodes[a], nodes[b]) for a, b in network.segments.tolist()]
        for line in lines:
            geo.mesh.setTransfiniteCurve(line, 2)
        surface = geo.addPlaneSurface([geo.addCurveLoop([lines[k] for k in np.flatnonzero(~inner)])])
        geo.synchronize()
        embedded = [lines[k] for k in np.flatnonzero(inner)]
        if embedded:
            model.mesh.embed(1, embedded, 2, surface)
        _set_size(model, lines, mesh_size)
        model.mesh.generate(2)
        tags, x, _ = model.mesh.getNodes()
        corners = model.mesh.getElementsByType(2)[1].reshape(-1, 3)
    row = np.zeros(int(tags.max()) + 1, dtype=np.int64)
    row[tags] = np.arange(len(tags))
    points, triangles = x.reshape(-1, 3)[:, :2], row[corners]
    return points, triangles, _pieces_of_triangles(network, points, triangles)


def _fine_border(network: Network, mesh_size: float) -> Network:
    """The network with its boundary segments in counterclockwise order and cut to the mesh size."""
    border = network.sides[:, 1] < 0
    counts = np.ones(len(border), dtype=int)
    length = np.linalg.norm(np.diff(network.points[network.segments], axis=1)[:, 0], axis=1)
    counts[border] = np.maximum(1, np.ceil(length[border] / mesh_size - 1e-9)).astype(int)
    n, points = len(network.points), [network.points]
    segments: list[tuple[int, int]] = []
    sides: list[Ints] = []
    for (a, b), side, count in zip(network.segments.tolist(), network.sides, counts.tolist(), strict=True):
        weights = np.arange(1, count)[:, None] / count
        points.append(network.points[a] * (1 - weights) + network.points[b] * weights)
        row = [a, *range(n, n + count - 1), b]
        segments.extend(pairwise(row))
        sides.extend([side] * count)
        n += count - 1
    return replace(
        network, points=np.concatenate(points), segments=np.array(segments), sides=np.array(sides)
    )  # only its points, segments and sides are used from here on


def _set_size(model: Any, lines: list[int], mesh_size: float) -> None:
    """Edges of the mesh size along the lines, growing away from them."""
    import gmsh

    gmsh.option.setNumber("Mesh.Algorithm", 5)  # Delaunay, which does not mind thousands of embedded lines
    field = model.mesh.field
    distance, size = field.add("Distance"), field.add("Threshold")
    field.setNumbers(distance, "CurvesList", lines)
    field.setNumber(distance, "Sampling", 2)
    field.setNumber(size, "InField", distance)
    field.setNumber(size, "SizeMin", mesh_size)
    field.setNumber(size, "SizeMax", COARSEST * mesh_size)
    field.setNumber(size, "DistMin", 0.0)
    field.setNumber(size, "DistMax", (COARSEST - 1) * mesh_size / GROWTH)
    field.setAsBackgroundMesh(size)


def _pieces_of_triangles(network: Network, points: Floats, triangles: Ints) -> Ints:
    """The piece of each triangle: that of the side of a segment which is reached without crossing another segment."""
    distance, node = cKDTree(points).query(network.points)
    n = len(points)
    walls = np.sort(node[network.segments], axis=1)
    wall_keys = walls[:, 0] * n + walls[:, 1]
    edges = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    ordered = np.sort(edges, axis=1)
    keys, owner = ordered[:, 0] * n + ordered[:, 1], np.repeat(np.arange(len(triangles)), 3)
    by_key = np.argsort(keys, kind="stable")
    twins = by_key[np.flatnonzero(np.diff(keys[by_key]) == 0)[:, None] + [0, 1]]
    if distance.max() > 1e-6 or not np.isin(wall_keys, keys).all():
        raise HMMError("gmsh did not keep the interfaces of the image: take another mesh_size")
    open_twins = owner[twins[~np.isin(keys[twins[:, 0]], wall_keys)]]
    graph = coo_array((np.ones(len(open_twins)), open_twins.T), shape=(len(triangles),) * 2)
    n_parts, part = connected_components(graph, directed=False)
    direction = {(a, b): s for (a, b), s in zip(node[network.segments].tolist(), network.sides.tolist(), strict=True)}
    piece_of = np.full(n_parts, -1)
    for k in np.flatnonzero(np.isin(keys, wall_keys)):
        a, b = edges[k].tolist()
        left = direction[a, b][0] if (a, b) in direction else direction[b, a][1]
        piece_of[part[owner[k]]] = left
    if (piece_of < 0).any():
        raise HMMError("the interfaces of the image do not close: take another mesh_size")
    return piece_of[part]
