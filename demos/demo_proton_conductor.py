"""A layered proton conductor: conducting grains with resistive boundary layers, from 400 K to 1000 K.

In a ceramic electrolyte such as doped barium zirconate the proton conductivity follows an Arrhenius law,
``sigma = B/T exp(-Ea/kT)``. Thin layers between the grains have a higher barrier. Across the layers they are a series
resistance that dominates at low temperature; along them they have little effect. The macroscopic inputs are the
gradient of the potential and the temperature, so that one RVE is used for all temperatures, also for an electrolyte
that is hot on one side (FE2). Current and conductivity are compared with the closed forms for layers. Units: S/m, V,
mm, K; the parameters are representative, not a fit.

    python demos/demo_proton_conductor.py
"""

from __future__ import annotations

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import create_rectangle, locate_entities_boundary

BOLTZMANN = 8.617333e-5  # eV/K
PHASES = {"grain": (6e4, 0.43), "boundary": (4e4, 0.68)}  # B in S K/m, Ea in eV
FRACTIONS = {"grain": 0.98, "boundary": 0.02}
HOT, COLD, LENGTH, VOLTAGE = 1000.0, 600.0, 0.5, 1.0


def sigma(phase: str, T, exp=np.exp):
    """Proton conductivity of a phase in S/m; `exp` of NumPy or of UFL."""
    B, barrier = PHASES[phase]
    return B / T * exp(-barrier / BOLTZMANN / T)


def across_and_along(T):
    """Conductivity across and along the layers: resistances in series, conductances in parallel."""
    across = 1 / sum(f / sigma(phase, T) for phase, f in FRACTIONS.items())
    return across, sum(f * sigma(phase, T) for phase, f in FRACTIONS.items())


def make_rve() -> hmm.RVE:
    """One grain and its boundary layer, layers normal to the axis 1."""
    cell = hmm.cells.laminate(FRACTIONS, normal=0, mesh_size=0.5)
    law = {p: hmm.laws.Fourier(lambda T, p=p: sigma(p, T, ufl.exp)) for p in PHASES}
    inputs = [hmm.macro_temperature(cell, reference=COLD), hmm.macro_gradient(cell)]
    return hmm.RVE(cell, hmm.fluctuation(cell, shape=()), inputs, law=law)


def conductivities(rve: hmm.RVE, temperatures: np.ndarray) -> np.ndarray:
    """Across and along, shape (n, 2), each checked against the closed form."""
    found = np.array([np.diag(rve.solve([T, 0.0, 0.0]).tangent)[1:] for T in temperatures])
    assert np.allclose(found, np.column_stack(across_and_along(temperatures)), rtol=1e-9)
    return found


def current_through_a_plate(rve: hmm.RVE, n: int, comm: MPI.Comm) -> tuple[float, float]:
    """Mean current density in A/mm^2 through a plate that is hot at x = 0 and cold at x = LENGTH, and the exact one."""
    domain = create_rectangle(comm, [[0, 0], [LENGTH, LENGTH / 2]], [n, 2])
    V = fem.functionspace(domain, ("Lagrange", 2))
    phi, v = fem.Function(V), ufl.TestFunction(V)
    T = HOT + (COLD - HOT) * ufl.SpatialCoordinate(domain)[0] / LENGTH
    ends = [(0.0, VOLTAGE), (LENGTH, 0.0)]
    facets = [locate_entities_boundary(domain, 1, lambda x, end=end: np.isclose(x[0], end)) for end, _ in ends]
    bcs = [
        fem.dirichletbc(value, fem.locate_dofs_topological(V, 1, at), V)
        for (_, value), at in zip(ends, facets, strict=True)
    ]
    hom = hmm.Homogenizer(rve, [T + 0 * phi, ufl.grad(phi)], degree=4)
    F = ufl.inner(hom.responses[1], ufl.grad(v)) * hom.dx
    hmm.MacroProblem(F, phi, hom, bcs=bcs, petsc_options_prefix="plate_").solve()
    area = LENGTH**2 / 2
    total = comm.allreduce(fem.assemble_scalar(fem.form(-hom.responses[1][0] * hom.dx)))
    points, weights = np.polynomial.legendre.leggauss(200)
    across, _ = across_and_along(HOT + (COLD - HOT) * (points + 1) / 2)
    return 1e-3 * total / area, 1e-3 * VOLTAGE / (LENGTH * float(weights @ (1 / across)) / 2)


def main(argv: list[str] | None = None) -> None:
    about = "Conductivity of a layered proton conductor."
    options = hmm.console.demo_options(argv, about, "proton_conductor", "fewer temperatures and a coarser plate")
    comm = MPI.COMM_WORLD
    rve = make_rve()
    temperatures = np.linspace(400.0, 1000.0, 7 if options.quick else 25)
    found = conductivities(rve, temperatures)
    rows = [(float(T), *values.tolist()) for T, values in zip(temperatures, found, strict=True)]
    hmm.console.print_table(comm, "Conductivity in S/m", ["T in K", "across", "along"], rows[:: len(rows) // 6])
    barriers = -BOLTZMANN * np.diff(np.log(found * temperatures[:, None]), axis=0) / np.diff(1 / temperatures)[:, None]
    rows = [(name, *barriers[[0, -1], k].tolist()) for k, name in enumerate(("across", "along"))]
    hmm.console.print_table(comm, "Apparent barrier in eV", ["", "cold", "hot"], rows)
    assert np.all(np.diff(barriers[:, 0]) < 0), "across the layers, their effect must grow at low temperature"
    assert np.allclose(barriers[:, 1], PHASES["grain"][1], atol=0.01), "along the layers, they must have no effect"
    current, exact = current_through_a_plate(rve, 8 if options.quick else 24, comm)
    hmm.console.say(comm, f"Current through the plate: {current:.6g} A/mm^2, exact {exact:.6g}")
    assert abs(current / exact - 1) < 1e-3
    if not options.no_plots:  # an Arrhenius plot
        T = np.linspace(temperatures[0], temperatures[-1], 200)
        known = {f"{phase} alone": (1000 / T, sigma(phase, T) * T) for phase in PHASES}
        curves = {name: values * temperatures for name, values in zip(("across", "along"), found.T, strict=True)}
        axes = 1000 / temperatures, curves, "1000 K / T", "σ T in S K/m"
        path = hmm.plotting.plot_curve(options.output / "arrhenius.png", comm, *axes, references=known, log="y")
        hmm.console.say(comm, f"Written:\n  {path}")


if __name__ == "__main__":
    hmm.errors.run(main)
