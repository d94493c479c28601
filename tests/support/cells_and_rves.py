"""What several tests do with an RVE."""

from dataclasses import replace

import numpy as np
import ufl
from dolfinx import fem

import hmm

CONSTRAINTS = ("minimal", "periodic", "dirichlet")
TIGHT = hmm.NewtonOptions(rtol=1e-12)


def strain_rve(cell, law, constraint="periodic", degree=1, **options):
    """A small-strain RVE with tight micro tolerances; `options` go to `hmm.RVE`."""
    w, E = hmm.fluctuation(cell, degree=degree), hmm.macro_strain(cell)
    return hmm.RVE(cell, w, E, law=law, constraint=constraint, newton_options=TIGHT, **options)


def plastic_fibre_rve(mesh_size, degree=2, yield_stress=100.0, constraint="periodic"):
    """A fibre cell with an elastic fibre in a J2 matrix."""
    cell = hmm.cells.fibre(volume_fraction=0.3, mesh_size=mesh_size)
    law = {"matrix": hmm.laws.J2(70e3, 0.3, yield_stress, 1000.0), "fibre": hmm.laws.Elastic(400e3, 0.2)}
    return hmm.RVE(cell, hmm.fluctuation(cell, degree), hmm.macro_strain(cell), law=law, constraint=constraint)


def conduction_rve(cell, conductivity, degree=1, **options):
    """A heat conduction RVE, energy ``k/2 |grad T|^2``; `conductivity` by phase name, `options` go to `hmm.RVE`."""
    T, G = hmm.fluctuation(cell, degree=degree, shape=()), hmm.macro_gradient(cell)
    g, dx = G.local(T), cell.measure(quadrature_degree=2 * degree)
    k = {phase: fem.Constant(cell.mesh, float(conductivity[phase])) for phase in cell.phases}
    energy = sum(k[phase] / 2 * ufl.inner(g, g) * dx(tag) for phase, tag in cell.phases.items())
    return hmm.RVE(cell, T, G, energy=energy, newton_options=TIGHT, **options)


def neo_hookean(F, mu, lam):
    """Plane-strain energy density ``mu/2 (F:F - 2 - 2 ln J) + lam/2 (ln J)^2``."""
    log_J = ufl.ln(ufl.det(F))
    return mu / 2 * (ufl.inner(F, F) - 2 - 2 * log_J) + lam / 2 * log_J**2


def neo_hookean_rve(cell, parameters, constraint="periodic", degree=1, quadrature_degree=None):
    """A finite-strain RVE of neo-Hookean phases, and its energy density by phase.

    `parameters` holds (mu, lam) of each phase: numbers, or Constants that the test will change.
    """
    w, F = hmm.fluctuation(cell, degree=degree), hmm.macro_deformation_gradient(cell)
    dx = cell.measure(quadrature_degree=quadrature_degree or 2 * (degree - 1))
    constants = {
        phase: [v if isinstance(v, fem.Constant) else fem.Constant(cell.mesh, float(v)) for v in values]
        for phase, values in parameters.items()
    }
    density = {phase: neo_hookean(F.local(w), *constants[phase]) for phase in cell.phases}
    energy = sum(W * dx(cell.phases[phase]) for phase, W in density.items())
    return hmm.RVE(cell, w, F, energy=energy, constraint=constraint, newton_options=TIGHT), density


def follow(rve, path, state=None):
    """Responses along a path of macro inputs, each from the state of the one before."""
    responses = []
    for E in path:
        responses.append(rve.solve(E, state))
        state = responses[-1].state
    return responses


def central_differences(rve, E, state, h):
    """Tangent, shape (m, m), from central differences of the response of width `h`, all from the same old `state`.

    The old fluctuation is only a first guess, so the one of the solution is taken: fewer iterations.
    """
    E = rve.pack(E)
    start = replace(rve.solve(E, state).state, history=(state or rve.initial_state()).history)
    columns = []
    for k in range(E.size):
        dE = np.zeros(E.size)
        dE[k] = h
        columns.append((rve.solve(E + dE, start).vector - rve.solve(E - dE, start).vector) / (2 * h))
    return np.column_stack(columns)


def relative_error(value, reference):
    """Largest deviation from the reference, relative to its largest entry."""
    value, reference = np.asarray(value), np.asarray(reference)
    return np.abs(value - reference).max() / np.abs(reference).max()


def plane_strain_tensor(e11=0.0, e22=0.0, e12=0.0):
    """A symmetric (2, 2) strain."""
    return np.array([[e11, e12], [e12, e22]])
