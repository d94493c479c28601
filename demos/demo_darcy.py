"""Flow through a filter with a dense core: Darcy's law with the permeability of Stokes cells.

The filter is a regular array of thin rods, packed more densely towards its middle. A cell with one rod, in which the
Stokes equations are solved (Taylor-Hood), gives the permeability at some solid fractions. `hmm.tabulate` chooses
them and interpolates between them. The cells are linear, so that one solution per solid fraction is sufficient.
Lengths of the cell are in rod distances, those of the filter in cm. The pressure drop and the viscosity are one.
"""

from __future__ import annotations

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem.petsc import LinearProblem
from numpy.typing import NDArray

LENGTH, HEIGHT = 2.0, 1.0
SANGANI_ACRIVOS = {0.1: 0.0402711, 0.4: 0.00458938}  # permeability of square arrays by solid fraction
FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # first nodes of the table; it is refined between them


def flow_cell(fraction: float, mesh_size: float) -> hmm.RVE:
    """The fluid around one rod, at rest on its surface."""
    cell = hmm.cells.fibre(fraction, mesh_size=mesh_size, void=True, order=2, match_fraction=False)
    w = hmm.fluctuation(cell, degree=(2, 1))  # velocity and pressure
    G = hmm.macro_pressure_gradient(cell)
    law = {"matrix": hmm.laws.Stokes(viscosity=1.0)}
    return hmm.RVE(cell, w, G, law=law, fixed_dofs=hmm.wall_dofs(cell, w, 0))


def permeability_in(table: hmm.TableModel, fraction: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Interpolated permeability along x at solid fractions of any shape."""
    return table.at(fraction=np.asarray(fraction))[1][..., 0, 0]


def solid_fraction(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solid fraction of the filter: a dense core in an open medium."""
    distance = ((x[0] - 0.5 * LENGTH) / 0.35) ** 2 + ((x[1] - 0.45 * HEIGHT) / 0.25) ** 2
    return 0.06 + 0.42 * np.exp(-(distance**2))


class Filter:
    """Darcy's law ``q = -K(x) grad P``: pressure 1 on the left, 0 on the right, impermeable walls above and below."""

    def __init__(self, table: hmm.TableModel, n: int, comm: MPI.Comm) -> None:
        domain = mesh.create_rectangle(comm, [[0, 0], [LENGTH, HEIGHT]], [2 * n, n])
        V = fem.functionspace(domain, ("Lagrange", 2))
        self.K = fem.Function(fem.functionspace(domain, ("Lagrange", 1)), name="permeability")
        self.K.interpolate(lambda x: permeability_in(table, solid_fraction(x)))
        P, q = ufl.TrialFunction(V), ufl.TestFunction(V)
        left, right = (fem.locate_dofs_geometrical(V, lambda x, at=at: np.isclose(x[0], at)) for at in (0, LENGTH))
        bcs = [fem.dirichletbc(1.0, left, V), fem.dirichletbc(0.0, right, V)]
        options = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}
        a, L = self.K * ufl.dot(ufl.grad(P), ufl.grad(q)) * ufl.dx, fem.Constant(domain, 0.0) * q * ufl.dx
        self.P = LinearProblem(a, L, bcs=bcs, petsc_options_prefix="darcy_", petsc_options=options).solve()
        self.table, self.domain, self.flux = table, domain, -self.K * ufl.grad(self.P)

    def discharges(self) -> list[float]:
        """The work of the pressure, ``int K |grad P|^2`` for a drop of 1, and the flux through the ends: all equal."""
        x = ufl.SpatialCoordinate(self.domain)[0]
        ends = [ufl.conditional(abs(x - end) < 1e-6, 1.0, 0.0) * self.flux[0] * ufl.ds for end in (0.0, LENGTH)]
        forms = [ufl.dot(-self.flux, ufl.grad(self.P)) * ufl.dx, *ends]
        return [float(self.domain.comm.allreduce(fem.assemble_scalar(fem.form(form)))) for form in forms]

    def bounds(self) -> tuple[float, float]:
        """Bounds on the discharge: straight tubes only (Reuss in each), and level pressure in each section (Voigt)."""
        s = (np.arange(400) + 0.5) / 400
        K = permeability_in(self.table, solid_fraction(np.array(np.meshgrid(LENGTH * s, HEIGHT * s, indexing="ij"))))
        straight, level = (1 / (1 / K).mean(axis=0)).mean(), 1 / (1 / K.mean(axis=1)).mean()
        return float(straight * HEIGHT / LENGTH), float(level * HEIGHT / LENGTH)


def draw(folder, filter: Filter, mesh_size: float) -> None:
    """The filter with its streamlines, the permeability of the cells, and the flow in two of them (collective)."""
    comm, K, nodes = filter.domain.comm, "Permeability / (rod distance)²", filter.table.grid.axes["fraction"]
    lines = {"streamlines": filter.flux, "contours": filter.P, "xlabel": "x in cm", "ylabel": "y in cm"}
    hmm.plotting.plot_field(folder / "filter.png", filter.K, label=K, log=True, **lines)
    known = {"Sangani and Acrivos": tuple(np.array([*SANGANI_ACRIVOS.items()]).T)}
    curve = {"Stokes cells, interpolated": permeability_in(filter.table, nodes)}
    axes = nodes, curve, "Solid fraction", K
    hmm.plotting.plot_curve(folder / "permeability.png", comm, *axes, references=known, log="y")
    if comm.rank == 0:  # each rank has its own cells
        cells = {f"{100 * fraction:.0f} % rods": flow_cell(fraction, mesh_size) for fraction in SANGANI_ACRIVOS}
        flows = {name: ufl.split(cell.w)[0] for name, cell in cells.items() if cell.solve([-1.0, 0.0])}
        speeds = {name: ufl.sqrt(ufl.dot(u, u)) for name, u in flows.items()}
        hmm.plotting.plot_field(folder / "cells.png", speeds, label="Speed for a unit gradient", streamlines=flows)


def main(argv: list[str] | None = None) -> None:
    about = "Permeability of Stokes cells and Darcy flow through a filter with a dense core."
    options, comm = hmm.console.demo_options(argv, about, "darcy", "coarse meshes"), MPI.COMM_WORLD
    mesh_size = 0.1 if options.quick else 0.05
    axes = {"fraction": FRACTIONS}
    table = hmm.tabulate(lambda fraction: flow_cell(fraction, mesh_size), axes, tolerance=1e-2, comm=comm)
    rows = [(f, float(permeability_in(table, f))) for f in table.grid.axes["fraction"].tolist()]
    hmm.console.print_table(comm, "Cells", ["solid fraction", "permeability"], rows)
    hmm.console.say(comm, f"Estimated relative error of the table {table.error:.2g}")
    for fraction, known in SANGANI_ACRIVOS.items():
        error = abs(float(permeability_in(table, fraction)) / known - 1)
        assert error < (5e-3 if options.quick else 1e-3), f"{error:.2g} off Sangani and Acrivos at {fraction}"
    K = flow_cell(0.37, mesh_size).solve([0.0, 0.0]).tangent
    assert np.allclose(K, K[0, 0] * np.eye(2), atol=2e-3 * K[0, 0]), "a square array has no direction of its own"
    assert abs(float(permeability_in(table, 0.37)) / K[0, 0] - 1) < 1e-2, "the table is too coarse to interpolate in"

    filter = Filter(table, 16 if options.quick else 48, comm)
    (discharge, *ends), (low, high) = filter.discharges(), filter.bounds()
    assert np.allclose(ends, discharge, rtol=1e-3), "the discharges at both ends must agree"
    assert low < discharge < high, "the discharge must lie between its bounds"
    hmm.console.say(comm, f"Discharge {discharge:.5g}, at the ends {ends[0]:.5g} and {ends[1]:.5g} (rod distance)²")
    hmm.console.say(comm, f"Straight tubes would carry {low:.5g}, level pressures {high:.5g}")
    if not options.no_plots:
        draw(options.output, filter, mesh_size)
        hmm.console.say(comm, f"Pictures are in {options.output}")


if __name__ == "__main__":
    hmm.errors.run(main)
