"""A glass-fibre epoxy plate between a hot and a cold face: FE2 with displacement and temperature on both scales.

The cell of each integration point returns stress and heat flux, and has two fluctuation fields as well. The fibres
expand less than the matrix, so that there are stresses even in a plate without external forces. The conductivity of the
epoxy increases with temperature. The problem is therefore nonlinear, and so is the temperature profile.
Lengths in mm, stresses in MPa, temperatures in K, heat in N mm/s (mW); plane strain.
"""

from __future__ import annotations

from functools import reduce

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import basix.ufl
import numpy as np
import ufl
from dolfinx import fem, mesh

LENGTH, HEIGHT, COLD, HOT = 24.0, 2.0, 293.15, 413.15
EPOXY = hmm.laws.ThermoElastic(3.2e3, 0.35, expansion=60e-6, conductivity=lambda T: 0.2 * (1 + 0.006 * (T - COLD)))
GLASS = hmm.laws.ThermoElastic(young=72e3, poisson=0.2, expansion=5e-6, conductivity=1.0)


def composite(mesh_size: float) -> hmm.RVE:
    """The unit cell: 40 % of fibres; displacement and temperature fluctuate."""
    cell = hmm.cells.fibre(0.4, mesh_size=mesh_size)
    w = hmm.fluctuation(cell, degree=(2, 2), shape=[(2,), ()])
    E, G = hmm.macro_strain(cell, component=0), hmm.macro_gradient(cell, component=1)
    T = hmm.macro_temperature(cell, reference=COLD)
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
        end = fem.locate_dofs_geometrical(u.function_space, lambda x: np.isclose(x[0], LENGTH) & np.isclose(x[1], 0))
        own = end[end < u.function_space.dofmap.index_map.size_local]
        return -float(self.hom.comm.allreduce(u.x.array[own].sum()))


def prescribed(V: fem.FunctionSpace, component: tuple[int, ...], where, value: float = 0.0) -> fem.DirichletBC:
    """A condition on one component of a field of the mixed space."""
    space = reduce(lambda space, number: space.sub(number), component, V)
    boundary = fem.Function(space.collapse()[0])
    boundary.x.array[:] = value
    return fem.dirichletbc(boundary, fem.locate_dofs_geometrical((space, boundary.function_space), where), space)


def expected(rve: hmm.RVE) -> tuple[float, float]:
    """Heat through the plate and deflection of its end, from cell problems alone.

    Conduction: ``q h = int k(T) dT`` between the faces; the part of it below a temperature is its position. Plate
    theory: curvature ``12/h^3 int a (T - T0) y dy`` with the free expansion ``a``, deflection L^2/2 times it.
    """
    T = np.linspace(COLD, HOT, 9)
    A = np.array([rve.solve([0.0, 0.0, 0.0, value, 0.0, 0.0]).tangent for value in T])
    a = -np.linalg.solve(A[:, :3, :3], A[:, :3, 3:4])[:, 0, 0].mean()
    k, T = np.interp(fine := np.linspace(COLD, HOT, 401), T, A[:, 5, 5]), fine
    below = np.concatenate([[0.0], np.cumsum(0.5 * (k[1:] + k[:-1]) * np.diff(T))])
    y = HEIGHT * (below / below[-1] - 0.5)
    curvature = 12 / HEIGHT**3 * a * np.trapezoid((T - COLD) * y, y)
    return below[-1] / HEIGHT * LENGTH, curvature * LENGTH**2 / 2


def draw(folder, plate: Plate) -> None:
    """The bent plate, the RVEs at its hottest and coldest points, and the temperature over the height (collective)."""
    hom, (u, T) = plate.hom, ufl.split(plate.U)
    style = {"displacement": u, "warp": 4.0, "colours": "inferno", "xlabel": "x in mm", "ylabel": "y in mm"}
    hmm.plotting.plot_field(folder / "plate.png", T, label="Temperature in K; displacements x 4", **style)
    for name, sign in (("hottest", 1), ("coldest", -1)):
        where = hmm.worst_point(hom, sign * hom.macro_inputs()[:, 3])
        if hom.comm.rank == where.rank:
            fields, label = hmm.point_fields(hom, where.point), f"Von Mises stress in MPa, {name} point"
            hmm.plotting.plot_rve(folder / f"{name}.png", hom.model.cell, fields, "von_mises", label=label)
    x, T = hom.coordinates()[:, 1], hom.macro_inputs()[:, 3]
    height, T = np.unique(np.concatenate(hom.comm.allgather(np.stack([x, T], 1).round(6))), axis=0).T
    known = {"same conductivity at all T": (np.linspace(COLD, HOT, 20), np.linspace(0, HEIGHT, 20))}
    axes = T, {"FE²": height}, "Temperature in K", "y in mm"
    hmm.plotting.plot_curve(folder / "profile.png", hom.comm, *axes, references=known)


def main(argv: list[str] | None = None) -> None:
    about = "Thermo-mechanical FE2 of a plate that bends under heat."
    options, comm = hmm.console.demo_options(argv, about, "heated_plate", "coarse meshes"), MPI.COMM_WORLD
    plate = Plate(rve := composite(0.25 if options.quick else 0.08), 2 if options.quick else 4, comm)
    (heat_1d, deflection_1d), stats = expected(rve), plate.problem.solve()
    heat, outflow = plate.problem.reaction(plate.top), -plate.problem.reaction(plate.bottom)
    deflection, pull = plate.deflection(), plate.problem.reaction(plate.left)
    rows = [("heat in", heat, heat_1d), ("heat out", outflow, heat_1d), ("deflection", deflection, deflection_1d)]
    hmm.console.print_table(comm, "Heat in mW/mm, deflection in mm", ["", "FE2", "from cells alone"], rows)
    hmm.console.say(comm, f"residuals of the macro iterations: {', '.join(f'{r:.1e}' for r in stats.residuals)}")
    assert abs(heat / outflow - 1) < 1e-6 and abs(heat / heat_1d - 1) < 5e-3, "one-dimensional conduction"
    assert abs(deflection / deflection_1d - 1) < 1e-2, "a free plate bends as plate theory says"
    assert abs(pull) < 1e-6, "the supports must not carry forces"
    if not options.no_plots:
        draw(options.output, plate)
        hmm.console.say(comm, f"Pictures are in {options.output}")


if __name__ == "__main__":
    hmm.errors.run(main)
