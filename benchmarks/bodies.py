"""Bodies of the FE2 jobs: clamped on one part of the surface, moved along an axis on another."""

from __future__ import annotations

from collections.abc import Callable

import hmm  # isort: skip  first: loads the FEniCSx stack in the right order

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh

Where = Callable[[np.ndarray], np.ndarray]
Made = tuple[hmm.MacroProblem, fem.Constant, fem.DirichletBC]


def at(axis: int, value: float, low: float = -np.inf, high: float = np.inf) -> Where:
    """Where x[axis] is `value`; in the plane only between two values of the other coordinate."""

    def where(x: np.ndarray) -> np.ndarray:
        here = np.isclose(x[axis], value)
        return here & (x[1 - axis] > low) & (x[1 - axis] < high) if axis < 2 else here

    return where


def body(
    model: hmm.models.MicroModel,
    domain: mesh.Mesh,
    held: Where,
    moved: Where,
    axis: int,
    order: int = 2,
    algorithm: str = "monolithic",
    **options: object,
) -> Made:
    """The problem of a body at small strain, the displacement that moves it, and the condition that holds this."""
    dim = domain.geometry.dim
    V = fem.functionspace(domain, ("Lagrange", order, (dim,)))
    u, v, g = fem.Function(V), ufl.TestFunction(V), fem.Constant(domain, 0.0)
    hom = hmm.Homogenizer(model, ufl.sym(ufl.grad(u)), degree=2, algorithm=algorithm)
    part = V.sub(axis)
    driven = fem.locate_dofs_geometrical((part, part.collapse()[0]), moved)[0]
    bcs = [
        fem.dirichletbc(np.zeros(dim), fem.locate_dofs_geometrical(V, held), V),
        fem.dirichletbc(g, driven, part),
    ]
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    return hmm.MacroProblem(F, u, hom, bcs=bcs, **{"rtol": 1e-6, **options}), g, bcs[1]


def cook_mesh(comm: MPI.Comm, n: int) -> mesh.Mesh:
    """Cook's membrane of n x n split squares."""
    domain = mesh.create_unit_square(comm, n, n)
    x, y = domain.geometry.x[:, 0].copy(), domain.geometry.x[:, 1].copy()
    domain.geometry.x[:, 0], domain.geometry.x[:, 1] = 48 * x, 44 * x + y * (44 - 28 * x)
    return domain
