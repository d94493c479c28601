"""The cells that all codes solve, with linear elements on the same mesh."""

from __future__ import annotations

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

import numpy as np

from .problem import Problem

GLASS, EPOXY = (80.0, 0.2), (3.35, 0.35)
SWAPPED = [0, 1, 3, 2, 4, 5, 7, 6]
"""From the vertices of a hexahedron in DOLFINx to those in VTK."""


def problem_of(cell: hmm.Cell, materials: dict[str, tuple[float, float]]) -> Problem:
    """A cell as arrays."""
    kind = cell.mesh.topology.cell_name()
    vertices = np.asarray(cell.mesh.geometry.dofmaps[0])
    moduli = [(cell.phases[phase], *values) for phase, values in materials.items()]
    tags = np.asarray(cell.phase_tags.values)
    return Problem(
        points=cell.mesh.geometry.x[:, : cell.dim].copy(),
        elements=vertices[:, SWAPPED] if kind == "hexahedron" else vertices,
        tags=tags,
        kind=kind,
        size=np.diag(cell.lattice).copy(),
        moduli=np.array(moduli),
        grid=np.zeros(0) if cell.grid is None else _labels(cell, tags),
    )


def _labels(cell: hmm.Cell, tags: np.ndarray) -> np.ndarray:
    """Tags of a grid of voxels by place."""
    middles = cell.mesh.geometry.x[np.asarray(cell.mesh.geometry.dofmaps[0])].mean(axis=1)[:, : cell.dim]
    place = np.floor(cell.fractional(middles) * cell.grid).astype(int)
    labels = np.zeros(cell.grid, dtype=int)
    labels[tuple(place.T)] = tags
    return labels


def fibres() -> Problem:
    """Glass fibres in epoxy, plane strain"""
    return problem_of(hmm.cells.fibre(0.4, mesh_size=0.02), {"matrix": EPOXY, "fibre": GLASS})


def spheres() -> Problem:
    """Glass spheres in epoxy"""
    return problem_of(hmm.cells.sphere(0.3, mesh_size=0.1), {"matrix": EPOXY, "inclusion": GLASS})


def short_fibres() -> Problem:
    """Short glass fibres in epoxy"""
    cell = hmm.cells.short_fibres(0.05, aspect=4.0, number=10, mesh_size=0.12, seed=2)
    return problem_of(cell, {"matrix": EPOXY, "fibre": GLASS})


def plain_weave() -> Problem:
    """Plain weave of isotropic yarns on voxels"""
    cell = hmm.cells.plain_weave(0.5, mesh_size=1 / 24)
    yarn = (30.0, 0.3)
    return problem_of(cell, {"matrix": EPOXY, "warp": yarn, "weft": yarn})


CELLS = {f.__name__.replace("_", "-"): f for f in (fibres, spheres, short_fibres, plain_weave)}
