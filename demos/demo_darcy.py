"""Flow through a filter with a dense core: Darcy's law with the permeability of Stokes cells.

The filter is a regular array of thin rods, packed more densely towards its middle. A cell with one rod, in which the
Stokes equations are solved (Taylor-Hood), gives the permeability at some solid fractions. `hmm.tabulate` chooses
them and interpolates between them. The cells are linear, so that one solution per solid fraction is sufficient.
Lengths of the cell are in rod distances, those of the filter in cm. The pressure drop and the viscosity are one.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import basix
import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem.petsc import LinearProblem
from numpy.typing import NDArray

LENGTH, HEIGHT = 2.0, 1.0
SANGANI_ACRIVOS = {0.1: 0.0402711, 0.4: 0.00458938}  # permeability of square arrays by solid fraction
FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""First nodes of the table; it is refined between them."""
TOLERANCE = 1e-2


def flow_cell(fraction: float, mesh_size: float) -> hmm.RVE:
    """The fluid around one rod, at rest on its surface."""
    cell = hmm.cells.fibre(fraction, mesh_size=mesh_size, void=True, order=2, match_fraction=False)
    w = hmm.fluctuation(cell, degree=(2, 1))  # velocity and pressure
    G = hmm.macro_pressure_gradient(cell)
    law = {"matrix": hmm.laws.Stokes(viscosity=1.0)}
    return hmm.RVE(cell, w, G, law=law, fixed_dofs=hmm.wall_dofs(cell, w, 0))


def permeability(fraction: float, mesh_size: float) -> float:
    """Permeability over squared rod distance; the array is isotropic across the rods."""
    K = flow_cell(fraction, mesh_size).solve([0.0, 0.0]).tangent
    assert np.allclose(K, K[0, 0] * np.eye(2), atol=2e-3 * K[0, 0]), "a square array has no direction of its own"
    return float(K[0, 0])


def tabulated(mesh_size: float, comm: MPI.Comm) -> hmm.TableModel:
    """Permeability over the solid fraction, from cells distributed over the ranks."""
    return hmm.tabulate(
        lambda fraction: flow_cell(fraction, mesh_size), {"fraction": FRACTIONS}, tolerance=TOLERANCE, comm=comm
    )


def permeability_in(table: hmm.TableModel, fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolated permeability along x at solid fractions of any shape."""
    return table.at(fraction=fraction)[1][..., 0, 0]


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
        problem = LinearProblem(a, L, bcs=bcs, petsc_options_prefix="darcy_", petsc_options=options)
        self.P = problem.solve()
        self.table, self.domain, self.flux = table, domain, -self.K * ufl.grad(self.P)

    def integral(self, form: ufl.Form) -> float:
        return float(self.domain.comm.allreduce(fem.assemble_scalar(fem.form(form))))

    def discharge(self) -> float:
        """Discharge from the work of the pressure: ``Q = int K |grad P|^2`` for a pressure drop of 1."""
        return self.integral(ufl.dot(-self.flux, ufl.grad(self.P)) * ufl.dx)

    def through(self, x: float) -> float:
        """Discharge through the left or right end, from the normal flux there."""
        where = mesh.locate_entities_boundary(self.domain, 1, lambda y: np.isclose(y[0], x))
        ds = ufl.ds(subdomain_data=mesh.meshtags(self.domain, 1, np.sort(where), np.ones(where.size, np.int32)))
        return self.integral(ufl.dot(self.flux, ufl.as_vector([1.0, 0.0])) * ds(1))

    def bounds(self) -> tuple[float, float]:
        """Bounds on the discharge: flow along straight tubes only, and constant pressure over each cross-section.

        The first excludes flow across the tubes (Reuss in each), the second adds perfect conductors across (Voigt).
        """
        s = (np.arange(400) + 0.5) / 400
        K = permeability_in(self.table, solid_fraction(np.array(np.meshgrid(LENGTH * s, HEIGHT * s, indexing="ij"))))
        straight, level = (1 / (1 / K).mean(axis=0)).mean(), 1 / (1 / K.mean(axis=1)).mean()
        return float(straight * HEIGHT / LENGTH), float(level * HEIGHT / LENGTH)


def nodal(filter: Filter) -> list[NDArray[np.float64]]:
    """Coordinates, permeability, pressure and flux at the corners of all cells, on rank 0."""
    domain, corners = filter.domain, basix.geometry(basix.CellType.triangle)
    cells = np.arange(domain.topology.index_map(2).size_local, dtype=np.int32)
    values = ufl.as_vector([*ufl.SpatialCoordinate(domain), filter.K, filter.P, *filter.flux])
    at_corners = fem.Expression(values, corners).eval(domain, cells).reshape(-1, 6)
    return domain.comm.gather(at_corners) or []


def draw(path: Path, filter: Filter, mesh_size: float) -> list[Path]:
    """The filter with its streamlines, the cell's flow at two solid fractions and the permeability between them."""
    parts = nodal(filter)
    if filter.domain.comm.rank:
        return []
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from scipy.interpolate import griddata

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(12, 9.4), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=[1.45, 1])
    axes = {"filter": above.add_subplot()}
    axes |= dict(zip(("open", "dense", "curve"), below.subplots(1, 3), strict=True))
    x, y, k, p, qx, qy = np.unique(np.concatenate(parts).round(9), axis=0).T
    grid = np.meshgrid(np.linspace(0, LENGTH, 161), np.linspace(0, HEIGHT, 81))
    qx, qy, k, p = (griddata((x, y), value, tuple(grid), method="linear") for value in (qx, qy, k, p))
    a = axes["filter"]
    image = a.pcolormesh(*grid, k, cmap="YlGnBu_r", norm="log", shading="gouraud")
    speed = np.hypot(qx, qy)
    starts = np.column_stack([np.full(22, 0.01), np.linspace(0.02, HEIGHT - 0.02, 22)])
    width = 2.4 * np.sqrt(speed / speed.max())
    style = {"density": 10, "arrowsize": 0.9, "broken_streamlines": False}
    stream = a.streamplot(*grid, qx, qy, color="#b3261e", linewidth=width, start_points=starts, **style)
    stream.lines.set_capstyle("round")
    lines = a.contour(*grid, p, levels=np.linspace(0.1, 0.9, 9), colors="#222222", linewidths=0.7, linestyles="dashed")
    a.clabel(lines, fmt="%.1f", fontsize=8)
    a.set(aspect="equal", xlim=(0, LENGTH), ylim=(0, HEIGHT), xlabel="x in cm", ylabel="y in cm")
    a.set_title("Filter: permeability, streamlines and lines of equal pressure", fontsize=12)
    above.colorbar(image, ax=a, label="Permeability / (rod distance)²", pad=0.01)
    for name, fraction in (("open", 0.1), ("dense", 0.4)):
        image = draw_cell(axes[name], flow_cell(fraction, mesh_size), f"Cell, {100 * fraction:.0f} % rods")
        below.colorbar(image, ax=axes[name], label="Speed for a unit pressure gradient", shrink=0.85)
    a, f = axes["curve"], np.linspace(FRACTIONS[0], FRACTIONS[-1], 200)
    a.semilogy(f, permeability_in(filter.table, f), color="#1f4e79", linewidth=1.8, label="interpolated")
    nodes = filter.table.grid.axes["fraction"]
    a.semilogy(nodes, permeability_in(filter.table, nodes), "o", color="#1f4e79", label="Stokes cells")
    known = list(SANGANI_ACRIVOS)
    style = {"markersize": 11, "markerfacecolor": "none", "color": "#e07b39", "label": "Sangani and Acrivos"}
    a.semilogy(known, [SANGANI_ACRIVOS[f] for f in known], "s", **style)
    a.set(xlabel="Solid fraction", ylabel="Permeability / (rod distance)²")
    a.grid(alpha=0.3)
    a.spines[["top", "right"]].set_visible(False)
    a.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    return [path]


def draw_cell(axes, rve: hmm.RVE, title: str):
    """The speed in a cell under a pressure gradient along x."""
    from matplotlib.patches import Circle
    from matplotlib.tri import Triangulation

    rve.solve([-1.0, 0.0])
    domain, corners = (
        rve.cell.mesh,
        basix.create_lattice(basix.CellType.triangle, 4, basix.LatticeType.equispaced, True),
    )
    cells = np.arange(domain.topology.index_map(2).size_local, dtype=np.int32)
    u = ufl.split(rve.w)[0]
    values = ufl.as_vector([*ufl.SpatialCoordinate(domain), ufl.sqrt(ufl.dot(u, u)), *u])
    x, y, speed, _, _ = fem.Expression(values, corners).eval(domain, cells).reshape(-1, 5).T
    local = Triangulation(*corners.T).triangles
    triangles = (len(corners) * cells[:, None, None] + local).reshape(-1, 3)
    image = axes.tripcolor(x, y, triangles, speed, cmap="viridis", shading="gouraud")
    radius = np.sqrt((1 - sum(rve.cell.volume_fractions.values())) / np.pi)
    axes.add_patch(Circle((0.5, 0.5), radius, color="#8c8c8c"))
    axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    axes.set_title(title, fontsize=12)
    return image


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "Permeability of Stokes cells and Darcy flow through a filter with a dense core.", "darcy", "coarse meshes"
    )
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    mesh_size = 0.1 if options.quick else 0.05
    table = tabulated(mesh_size, comm)
    nodes = table.grid.axes["fraction"]
    rows = list(zip(nodes.tolist(), permeability_in(table, nodes).tolist(), strict=True))
    hmm.console.print_table(comm, "Cells", ["solid fraction", "permeability"], rows)
    hmm.console.say(comm, f"Estimated relative error of the table {table.error:.2g}")
    for fraction, known in SANGANI_ACRIVOS.items():
        error = abs(float(permeability_in(table, np.array(fraction))) / known - 1)
        assert error < (5e-3 if options.quick else 1e-3), f"{error:.2g} off Sangani and Acrivos at {fraction}"
    between = permeability(0.37, mesh_size)
    off = abs(float(permeability_in(table, np.array(0.37))) / between - 1)
    assert off < 1e-2, "the table is too coarse to interpolate in"

    filter = Filter(table, 16 if options.quick else 48, comm)
    discharge, ends = filter.discharge(), [filter.through(0.0), filter.through(LENGTH)]
    low, high = filter.bounds()
    assert np.allclose(ends, discharge, rtol=1e-3), "the discharges at both ends must agree"
    assert low < discharge < high, "the discharge must lie between its bounds"
    hmm.console.say(comm, f"Discharge {discharge:.5g}, at the ends {ends[0]:.5g} and {ends[1]:.5g} (rod distance)²")
    hmm.console.say(comm, f"Straight tubes would carry {low:.5g}, level pressures {high:.5g}")
    if not options.no_plots:
        written = draw(options.output / "darcy.png", filter, mesh_size)
        hmm.console.say(comm, "\n  ".join(["Written:", *map(str, written)]))


if __name__ == "__main__":
    hmm.errors.run(main)
