"""Shape quality of the elements of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.cells.cell import Cell
from hmm.foundation.forms import owned_cells


@dataclass(frozen=True)
class Quality:
    """Shape of the elements of a mesh, 1 for a regular simplex or a cube and 0 for a flat one.

    Attributes
    ----------
    minimum, mean
        Of triangles and tetrahedra the radius ratio d * inradius / circumradius; of quadrilaterals and hexahedra the
        shortest over the longest edge.
    n_elements
        Number of elements of the mesh.
    worst_phase, worst_at
        Phase and centre, shape (d,), of the element with the minimum.
    """

    minimum: float
    mean: float
    n_elements: int
    worst_phase: str
    worst_at: tuple[float, ...]

    def __str__(self) -> str:
        """One line, as in ``print(hmm.cells.quality(cell))``."""
        place = ", ".join(f"{x:.3g}" for x in self.worst_at)
        return (
            f"{self.n_elements:,} elements, shape {self.mean:.2f} on average, "
            f"{self.minimum:.2g} at worst: in {self.worst_phase!r} at ({place})"
        )


def quality(cell: Cell) -> Quality:
    """The shapes of a cell's elements with straight edges; collective on the communicator of the cell."""
    d = cell.dim
    owned = owned_cells(cell.mesh)
    nodes = np.asarray(cell.mesh.geometry.dofmaps[0])[owned]
    simplex = cell.mesh.topology.cell_name() in ("triangle", "tetrahedron")
    corners = cell.mesh.geometry.x[nodes][:, : d + 1 if simplex else 2**d, :d]
    ratios = _radius_ratios(corners) if simplex else _edge_ratios(corners)
    count = cell.comm.allreduce(len(ratios))
    total = cell.comm.allreduce(float(ratios.sum()))
    names = {tag: name for name, tag in cell.phases.items()}
    mine = []
    if len(ratios):
        k = int(ratios.argmin())
        name = names[int(cell.phase_tags.values[owned[k]])]
        mine.append((float(ratios[k]), name, tuple(corners[k].mean(axis=0).tolist())))
    minimum, phase, place = min(found for part in cell.comm.allgather(mine) for found in part)
    return Quality(minimum, total / count, count, phase, place)


def _radius_ratios(corners: np.ndarray) -> np.ndarray:
    d = corners.shape[2]
    edges = corners[:, 1:] - corners[:, :1]
    # The circumcentre c, from the first vertex, solves 2 edge . c = |edge|^2 for the d edges at that vertex.
    centre = np.linalg.solve(2 * edges, (edges**2).sum(axis=2)[..., None])[..., 0]
    # The inradius is 1 / (sum of the gradients of the barycentric coordinates).
    gradients = np.linalg.inv(edges)
    norms = np.linalg.norm(gradients, axis=1).sum(axis=1) + np.linalg.norm(gradients.sum(axis=2), axis=1)
    return np.asarray(d / norms / np.linalg.norm(centre, axis=1))


def _edge_ratios(corners: np.ndarray) -> np.ndarray:
    """Corner k of a quadrilateral or hexahedron has the bits of k as coordinates."""
    d = corners.shape[2]
    pairs = [(k, k | 1 << axis) for axis in range(d) for k in range(2**d) if not k >> axis & 1]
    lengths = np.stack([np.linalg.norm(corners[:, a] - corners[:, b], axis=1) for a, b in pairs])
    return np.asarray(lengths.min(axis=0) / lengths.max(axis=0))
