"""The macro problems of job files: fields, kinematics and virtual work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import Mesh

Expr = ufl.core.expr.Expr


def small_strain(u: Expr) -> list[Expr]:
    """The strain."""
    return [ufl.sym(ufl.grad(u))]


def small_strain_work(responses: Sequence[Any], v: Expr) -> Expr:
    """Work of the stress on a virtual displacement."""
    return ufl.inner(responses[0], ufl.sym(ufl.grad(v)))


def finite_strain(u: Expr) -> list[Expr]:
    """The deformation gradient."""
    return [ufl.Identity(len(u)) + ufl.grad(u)]


def finite_strain_work(responses: Sequence[Any], v: Expr) -> Expr:
    """Work of the first Piola-Kirchhoff stress on a virtual displacement."""
    return ufl.inner(responses[0], ufl.grad(v))


def axisymmetric_strain(u: Expr) -> list[Expr]:
    """The strain in the axes r, z and the circumference, of the displacement (ur, uz) over (r, z)."""
    r, g = ufl.SpatialCoordinate(ufl.domain.extract_unique_domain(u))[0], ufl.sym(ufl.grad(u))
    return [ufl.as_matrix([[g[0, 0], g[0, 1], 0], [g[1, 0], g[1, 1], 0], [0, 0, u[0] / r]])]


def axisymmetric_work(responses: Sequence[Any], v: Expr) -> Expr:
    """Work of the stress on a virtual displacement."""
    return ufl.inner(responses[0], axisymmetric_strain(v)[0])


def temperature_gradient(T: Expr) -> list[Expr]:
    """The gradient of the temperature."""
    return [ufl.grad(T)]


def heat_work(responses: Sequence[Any], q: Expr) -> Expr:
    """Work of the flux, which is against the gradient, on a virtual temperature."""
    return ufl.inner(responses[0], ufl.grad(q))


def thermal_strain(u: Expr, T: Expr) -> list[Expr]:
    """The strain, the temperature and its gradient."""
    return [ufl.sym(ufl.grad(u)), T, ufl.grad(T)]


def thermomechanical_work(responses: Sequence[Any], v: Expr, q: Expr) -> Expr:
    """Work of the stress and of the flux on a virtual displacement and temperature."""
    return ufl.inner(responses[0], ufl.sym(ufl.grad(v))) + ufl.inner(responses[2], ufl.grad(q))


@dataclass(frozen=True, eq=False)
class Formulation:
    """A macro problem.

    Attributes
    ----------
    physics
        The physics of the cell, as in `hmm.homogenize`.
    answered
        The macroscopic input that the laws must answer.
    inputs, work
        Macroscopic inputs of the fields, and virtual work of the responses.
    fields
        Names of the fields, ``"displacement"`` and ``"temperature"``.
    out_of_plane
        Whether the mean strain of a 2D cell has the component 33.
    plane_stress
        Whether the mean stress out of the plane is zero.
    dims
        Dimensions of the macro mesh.
    around
        Whether the mesh is a half section of a body of revolution.
    """

    physics: str
    answered: str
    inputs: Callable[..., list[Expr]]
    work: Callable[..., Expr]
    fields: tuple[str, ...] = ("displacement",)
    out_of_plane: bool = False
    plane_stress: bool = False
    dims: tuple[int, ...] = (2,)
    around: bool = False

    def components(self, dim: int) -> dict[str, tuple[int, ...]]:
        """For each prescribed component its place in the function space."""
        names = ("ur", "uz") if self.around else ("ux", "uy", "uz")[:dim]
        mixed = len(self.fields) > 1
        found: dict[str, tuple[int, ...]] = {}
        if "displacement" in self.fields:
            found |= {name: (0, k) if mixed else (k,) for k, name in enumerate(names)}
        if "temperature" in self.fields:
            found["temperature"] = (1,) if mixed else ()
        return found

    def space(self, domain: Mesh, degree: int) -> fem.FunctionSpace:
        """The space of the macro fields."""
        shapes = {"displacement": (domain.geometry.dim,), "temperature": ()}
        cell = domain.basix_cell()
        parts = [basix.ufl.element("Lagrange", cell, degree, shape=shapes[name]) for name in self.fields]
        return fem.functionspace(domain, parts[0] if len(parts) == 1 else basix.ufl.mixed_element(parts))

    def weight(self, domain: Mesh) -> Any:
        """The factor of all integrals: the circumference in an axisymmetric body."""
        return 2 * np.pi * ufl.SpatialCoordinate(domain)[0] if self.around else 1.0


SMALL: dict[str, Any] = {
    "physics": "elasticity",
    "answered": "strain",
    "inputs": small_strain,
    "work": small_strain_work,
}

FORMULATED = {
    "plane strain": Formulation(**SMALL),
    "plane stress": Formulation(**SMALL, out_of_plane=True, plane_stress=True),
    "3D": Formulation(**SMALL, dims=(3,)),
    "axisymmetric": Formulation(
        "elasticity", "strain", axisymmetric_strain, axisymmetric_work, out_of_plane=True, around=True
    ),
    "finite strain": Formulation("elasticity", "deformation_gradient", finite_strain, finite_strain_work, dims=(2, 3)),
    "heat": Formulation(
        "conduction", "gradient", temperature_gradient, heat_work, fields=("temperature",), dims=(2, 3)
    ),
    "thermo-mechanics": Formulation(
        *("thermoelasticity", "strain", thermal_strain, thermomechanical_work),
        fields=("displacement", "temperature"),
        dims=(2, 3),
    ),
}
"""The formulations by their names in job files."""
