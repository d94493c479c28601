"""Slow flow through the voids of a porous cell with slip along the walls."""

from __future__ import annotations

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import meshtags

from hmm.cells.cell import Cell
from hmm.foundation.errors import InputError
from hmm.micro.inputs import MacroInput

PENALTY = 10.0
"""Nitsche's parameter for degree 1; it grows with the square of the degree (Warburton and Hesthaven 2003)."""


def energy(
    cell: Cell,
    w: fem.Function,
    G: MacroInput,
    viscosity: float | fem.Constant,
    slip_length: float | fem.Constant,
    degree: int = 4,
) -> ufl.Form:
    """Potential of a Stokes flow that slips along the walls of a cell (Navier): ``u.n = 0``, ``u_t = -b t_t / mu``.

    ``t_t`` is the tangential traction in the fluid and ``b`` the slip length; walls are the facets of
    `Cell.wall_facets`. The condition ``u.n = 0`` is imposed weakly and consistently (Nitsche 1971; Freund and Stenberg
    1995), since the normals of curved walls do not allow to fix degrees of freedom. Without slip, use
    `hmm.laws.Stokes` and fix the velocity.

    Parameters
    ----------
    cell
        The unit cell; only the fluid is meshed.
    w
        Velocity and pressure, ``hmm.fluctuation(cell, degree=(2, 1))``.
    G
        The input, `hmm.macro_pressure_gradient`.
    viscosity
        Dynamic viscosity mu; positive.
    slip_length
        Slip length b, in the unit of the mesh; positive.
    degree
        Quadrature degree.

    Returns
    -------
    ufl.Form
        For ``hmm.RVE(cell, w, G, energy=...)``.

    Notes
    -----
    ``-Pi = int mu eps:eps + u.(G + grad p) + int_walls mu/(2b) |u_t|^2 - 2 mu (n.eps.n)(u.n) + gamma mu/(2h) (u.n)^2``.
    The second term, integrated by parts, contains the pressure on the walls. For curved walls use ``order=2`` meshes:
    on a polygon the slip vanishes (Babuska's paradox).
    """
    for name, value in {"viscosity": viscosity, "slip_length": slip_length}.items():
        number = float(value.value) if isinstance(value, fem.Constant) else float(value)
        if not 0 < number < np.inf:
            raise InputError(f"{name} = {number} must be positive and finite; for walls without slip use hmm.wall_dofs")
    u = G.micro["velocity"](w)
    eps, n = ufl.sym(ufl.grad(u)), ufl.FacetNormal(cell.mesh)
    facets = np.sort(cell.wall_facets())
    if not cell.comm.allreduce(facets.size, op=MPI.SUM):
        raise InputError("the cell has no walls: mesh the fluid only, for instance with void=True")
    tags = meshtags(cell.mesh, cell.mesh.topology.dim - 1, facets, np.ones(facets.size, dtype=np.int32))
    metadata = {"quadrature_degree": degree, "quadrature_scheme": "default"}
    ds = ufl.Measure("ds", cell.mesh, subdomain_data=tags, metadata=metadata)(1)
    dx = cell.measure(**metadata)
    gamma = PENALTY * w.function_space.sub(0).ufl_element().embedded_superdegree ** 2
    height = abs(ufl.JacobianDeterminant(cell.mesh) / ufl.classes.FacetJacobianDeterminant(cell.mesh))  # over a facet
    normal, tangential = ufl.dot(u, n), u - ufl.dot(u, n) * n
    bulk = viscosity * ufl.inner(eps, eps) + ufl.dot(u, G.local(w))
    friction = viscosity / (2 * slip_length) * ufl.inner(tangential, tangential)
    nitsche = -2 * viscosity * ufl.dot(n, eps * n) * normal + gamma * viscosity / (2 * height) * normal**2
    return -bulk * dx - (friction + nitsche) * ds
