"""Cells with a displacement and a pressure."""

import ufl
from dolfinx import fem

import hmm
from support.cells_and_rves import TIGHT


def up_energy(cell, w, F, moduli, linear=False):
    """Neo-Hooke with a pressure: ``mu/2 (F:F - 2 - 2 ln J) + p ln J - p^2 / (2 lam)``; p eliminated, the energy of
    `support.neo_hookean`. If `linear`, with ``p (J - 1)``."""
    dx, p = cell.measure(quadrature_degree=4), ufl.split(w)[1]
    C = F.local(w)
    J = ufl.det(C)
    log_J = ufl.ln(J)
    return sum(
        (mu / 2 * (ufl.inner(C, C) - 2 - 2 * log_J) + p * (J - 1 if linear else log_J) - p**2 / (2 * lam))
        * dx(cell.phases[phase])
        for phase, (mu, lam) in moduli.items()
    )


def up_rve(cell, moduli, degree, family, constraint="periodic"):
    w = hmm.fluctuation(cell, degree=degree, family=family)
    F = hmm.macro_deformation_gradient(cell, component=0)
    constants = {p: [fem.Constant(cell.mesh, float(v)) for v in values] for p, values in moduli.items()}
    energy = up_energy(cell, w, F, constants)
    return hmm.RVE(cell, w, F, energy=energy, constraint=constraint, newton_options=TIGHT), constants
