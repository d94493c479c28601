"""A glass-fibre epoxy plate between a hot and a cold face: FE2 with displacement and temperature on both scales.

The cell of each integration point returns stress and heat flux, and has two fluctuation fields as well. The fibres
expand less than the matrix, so that there are stresses even in a plate without external forces. The conductivity of the
epoxy increases with temperature. The problem is therefore nonlinear, and so is the temperature profile.
Lengths in mm, stresses in MPa, temperatures in K, heat in N mm/s (mW); plane strain.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import basix
import basix.ufl
import numpy as np
import ufl
from dolfinx import fem, mesh
from numpy.typing import NDArray

LENGTH, HEIGHT = 24.0, 2.0
COLD, HOT = 293.15, 413.15

EPOXY = hmm.laws.ThermoElastic(
    young=3.2e3, poisson=0.35, expansion=60e-6, conductivity=lambda T: 0.2 * (1 + 0.006 * (T - COLD))
)
GLASS = hmm.laws.ThermoElastic(young=72e3, poisson=0.2, expansion=5e-6, conductivity=1.0)


def composite(mesh_size: float) -> hmm.RVE:
    """The unit cell: 40 % of fibres; displacement and temperature fluctuate."""
    cell = hmm.cells.fibre(0.4, mesh_size=mesh_size)
    w = hmm.fluctuation(cell, degree=(2, 2), shape=[(2,), ()])
    E = hmm.macro_strain(cell, component=0)
    T = hmm.macro_temperature(cell, reference=COLD)
    G = hmm.macro_gradient(cell, component=1)
    return hmm.RVE(cell, w, [E, T, G], law={"matrix": EPOXY, "fibre": GLASS})


class Plate:
    """Half of a plate, cut at its plane of symmetry, without forces and with prescribed temperatures of its faces."""

    def __init__(self, rve: hmm.RVE, n: int, comm: MPI.Comm) -> None:
        domain = mesh.create_rectangle(comm, [[0.0, 0.0], [LENGTH, HEIGHT]], [6 * n, n])
        fields = [basix.ufl.element("Lagrange", "triangle", 2, shape=shape) for shape in ((2,), ())]
        V = fem.functionspace(domain, basix.ufl.mixed_element(fields))
        self.U, (v, q) = fem.Function(V), ufl.TestFunctions(V)
        self.U.sub(1).interpolate(lambda x: np.full_like(x[0], COLD))
        u, T = ufl.split(self.U)
        self.hom = hmm.Homogenizer(rve, [ufl.sym(ufl.grad(u)), T, ufl.grad(T)], degree=2)
        stress, _, flux = self.hom.responses
        F = (ufl.inner(stress, ufl.sym(ufl.grad(v))) + ufl.dot(flux, ufl.grad(q))) * self.hom.dx
        self.top = prescribed(V, (1,), lambda x: np.isclose(x[1], HEIGHT), HOT)
        self.bottom = prescribed(V, (1,), lambda x: np.isclose(x[1], 0.0), COLD)
        self.left = prescribed(V, (0, 0), lambda x: np.isclose(x[0], 0.0))
        corner = prescribed(V, (0, 1), lambda x: np.isclose(x[0], 0.0) & np.isclose(x[1], 0.0))
        self.problem = hmm.MacroProblem(F, self.U, self.hom, bcs=[self.top, self.bottom, self.left, corner])

    def deflection(self) -> float:
        """Downward displacement of the lower corner of the free end."""
        u = self.U.sub(0).sub(1).collapse()
        x, n = u.function_space.tabulate_dof_coordinates(), u.function_space.dofmap.index_map.size_local
        at_end = np.isclose(x[:n, 0], LENGTH) & np.isclose(x[:n, 1], 0.0)
        return -float(self.hom.comm.allreduce(u.x.array[:n][at_end].sum()))


def prescribed(V: fem.FunctionSpace, component: tuple[int, ...], where, value: float = 0.0) -> fem.DirichletBC:
    """A condition on one component of a field of the mixed space."""
    space = V
    for number in component:
        space = space.sub(number)
    own, _ = space.collapse()
    boundary = fem.Function(own)
    boundary.x.array[:] = value
    return fem.dirichletbc(boundary, fem.locate_dofs_geometrical((space, own), where), space)


def expected(rve: hmm.RVE) -> tuple[float, float]:
    """Heat through the plate and deflection of its end, from cell problems alone.

    One-dimensional conduction: ``q h = int k(T) dT`` over the temperatures between the faces, and the position of each
    temperature is the part of that integral below it. Plate theory: a free plate has the curvature
    ``12/h^3 int a (T - T0) y dy`` with the free expansion ``a``, y from the middle; the deflection of the end is L^2/2
    times it.
    """
    T = np.linspace(COLD, HOT, 9)
    inputs = np.zeros((T.size, rve.n_inputs))
    inputs[:, 3] = T
    A = np.array([rve.solve(E).tangent for E in inputs])
    a = -np.linalg.solve(A[:, :3, :3], A[:, :3, 3:4])[:, 0, 0].mean()
    k, T = np.interp(fine := np.linspace(COLD, HOT, 401), T, A[:, 5, 5]), fine
    below = np.concatenate([[0.0], np.cumsum(0.5 * (k[1:] + k[:-1]) * np.diff(T))])
    y = HEIGHT * (below / below[-1] - 0.5)
    moment = np.trapezoid((T - COLD) * y, y)
    return below[-1] / HEIGHT * LENGTH, 12 / HEIGHT**3 * a * moment * LENGTH**2 / 2


def triangles_of(domain: mesh.Mesh, values: ufl.core.expr.Expr) -> NDArray[np.float64]:
    """Values of a UFL vector at the corners of four triangles per own cell, shape (n_triangles, 3, k)."""
    points = basix.create_lattice(basix.CellType.triangle, 2, basix.LatticeType.equispaced, True)
    split = [[0, 1, 3], [1, 4, 3], [1, 2, 4], [3, 4, 5]]
    cells = np.arange(domain.topology.index_map(2).size_local, dtype=np.int32)
    at_points = fem.Expression(values, points).eval(domain, cells)
    return at_points[:, split].reshape(-1, 3, at_points.shape[-1])


def inside(plate: Plate, where: hmm.WorstPoint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Triangles of the RVE at a point, shape (n, 3, 2), and the von Mises stress in each, on all ranks."""
    result = None
    if plate.hom.comm.rank == where.rank:
        fields = hmm.point_fields(plate.hom, where.point)
        x = triangles_of(fields.mesh, ufl.SpatialCoordinate(fields.mesh))
        result = x, np.repeat(fields.cellwise["von_mises"].x.array, 4)
    return plate.hom.comm.bcast(result, root=where.rank)


def draw(path: Path, plate: Plate, warp: float = 4.0) -> Path:
    """The bent plate, the RVEs at its hottest and coldest points, and the temperature profile (collective)."""
    u, T = ufl.split(plate.U)
    values = ufl.as_vector(
        [*(ufl.SpatialCoordinate(plate.hom.mesh) + warp * u), T, ufl.SpatialCoordinate(plate.hom.mesh)[1]]
    )
    parts = plate.hom.comm.gather(triangles_of(plate.hom.mesh, values))
    temperature = plate.hom.macro_inputs()[:, 3]
    cells = [inside(plate, hmm.worst_point(plate.hom, sign * temperature)) for sign in (1, -1)]
    if parts is None:
        return path
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(12, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    axes = above.add_subplot()
    body = np.concatenate(parts)
    numbers = np.arange(body.shape[0] * 3).reshape(-1, 3)
    x, y, T, height = body.reshape(-1, 4).T
    image = axes.tripcolor(x, y, numbers, T, cmap="inferno", shading="gouraud")
    axes.plot([0, LENGTH, LENGTH, 0, 0], [0, 0, HEIGHT, HEIGHT, 0], ":", color="#777777", linewidth=1.0)
    axes.set(aspect="equal", xlabel="x in mm")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks([])
    axes.set_title(
        f"Heated plate, displacements {warp:g}\N{MULTIPLICATION SIGN}, dotted: at {COLD - 273.15:g} °C", fontsize=12
    )
    above.colorbar(image, ax=axes, label="Temperature in K", shrink=0.9, pad=0.01)
    hot, cold, profile = below.subplots(1, 3, width_ratios=[1, 1, 0.9])
    most = max(values.max() for _, values in cells)
    for a, (triangles, values), title in zip((hot, cold), cells, ("hottest", "coldest"), strict=True):
        image = a.add_collection(
            PolyCollection(triangles, array=values, cmap="viridis", clim=(0, most), edgecolor="face", linewidth=0.2)
        )
        a.set(aspect="equal", xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
        a.set_title(f"RVE at the {title} point", fontsize=12)
    below.colorbar(image, ax=[hot, cold], label="Von Mises stress in MPa", pad=0.01)
    order = np.argsort(height)
    profile.plot(T[order], height[order], color="#b3261e", linewidth=2, label="FE²")
    profile.plot([COLD, HOT], [0, HEIGHT], "--", color="#777777", linewidth=1.2, label="same conductivity at all T")
    profile.set(xlabel="Temperature in K", ylabel="y in mm")
    profile.grid(alpha=0.3)
    profile.legend(frameon=False, fontsize=9)
    profile.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    return path


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "Thermo-mechanical FE2 of a plate that bends under heat.", "heated_plate", "coarse meshes"
    )
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    rve = composite(0.25 if options.quick else 0.08)
    plate = Plate(rve, 2 if options.quick else 4, comm)
    heat_1d, deflection_1d = expected(rve)
    stats = plate.problem.solve()
    heat, outflow = plate.problem.reaction(plate.top), -plate.problem.reaction(plate.bottom)
    deflection, pull = plate.deflection(), plate.problem.reaction(plate.left)
    rows = [
        ("heat in, mW/mm", heat, heat_1d),
        ("heat out", outflow, heat_1d),
        ("deflection, mm", deflection, deflection_1d),
    ]
    hmm.console.print_table(comm, "Heated plate", ["", "FE2", "from cells alone"], rows)
    residuals = ", ".join(f"{r:.1e}" for r in stats.residuals)
    hmm.console.say(comm, f"{stats.iterations} macro iterations, residuals {residuals}")
    assert abs(heat / outflow - 1) < 1e-6, "the heat flux in and out must agree"
    assert abs(heat / heat_1d - 1) < 5e-3, "one-dimensional conduction"
    assert abs(deflection / deflection_1d - 1) < 1e-2, "a free plate bends as plate theory says"
    assert abs(pull) < 1e-6, "the supports must not carry forces"
    if not options.no_plots:
        hmm.console.say(comm, f"Written:\n  {draw(options.output / 'heated_plate.png', plate)}")


if __name__ == "__main__":
    hmm.errors.run(main)
