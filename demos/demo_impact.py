"""Impact: a plate of fibre composite flies against a rigid wall, and waves run through it.

The plate is free to move along its flight only. At each Gauss point a unit cell with a plastic matrix gives the stress;
inertia is in the macro form, integrated by the generalized-alpha method. Two waves leave the wall: an elastic one with
the speed of sound, and behind it a slower plastic one. Both are compared with the theory of waves in one dimension, in
which the cell's own stress-strain curve s(e) gives the speed sqrt(s'(e) / rho) of each strain. In mm, MPa, s, t/mm^3.

    python demos/demo_impact.py
"""

from argparse import Namespace
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh

import hmm

LENGTH, SPEED = 10.0, 4e4
DENSITIES = {"matrix": 2.7e-9, "fibre": 4.0e-9}


SIZES = {"quick": (24, 0.35, 48), "full": (60, 0.2, 120)}
"""Elements along the plate, mesh size of the cell, and steps in 1.5 times the time of sound from end to end."""


def wave_theory(rve: hmm.RVE, density: float) -> tuple[float, float, float]:
    """Speed of sound, and speed and stress of the strain e whose ``integral of sqrt(s'(e) / rho) de`` is SPEED."""
    strain = np.linspace(0.0, 0.012, 49)
    answers = list(hmm.follow(rve, [{"11": -e} for e in strain]))
    stress, slope = (np.array([f(a) for a in answers]) for f in (lambda a: -a.stress[0, 0], lambda a: a.tangent[0, 0]))
    speed = np.sqrt(slope / density)
    stopped = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(strain))])
    return tuple(float(v) for v in (speed[0], *(np.interp(SPEED, stopped, y) for y in (speed, stress))))


class Plate:
    """A strip of the plate, its wall at x = 0."""

    def __init__(self, rve: hmm.RVE, density: float, n: int, comm: MPI.Comm) -> None:
        domain = mesh.create_rectangle(comm, [[0.0, 0.0], [LENGTH, LENGTH / n]], [n, 1], mesh.CellType.quadrilateral)
        V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
        self.u, v = fem.Function(V, name="displacement"), ufl.TestFunction(V)
        Vy, _ = V.sub(1).collapse()
        wall = fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0.0))
        across = fem.locate_dofs_geometrical((V.sub(1), Vy), lambda x: np.full(x.shape[1], True))
        self.wall = fem.dirichletbc(np.zeros(2), wall, V)
        self.motion = hmm.GeneralizedAlpha(self.u, rho_inf=0.5)
        self.motion.velocity.interpolate(lambda x: np.stack([-SPEED * (x[0] > 1e-9), 0 * x[0]]))
        self.hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(self.u)))
        F = density * ufl.inner(self.motion.a, v) * ufl.dx
        F += ufl.inner(self.motion.at_balance(self.hom.stress), ufl.sym(ufl.grad(v))) * self.hom.dx
        bcs = [self.wall, fem.dirichletbc(fem.Function(Vy), across, V.sub(1))]
        self.problem = hmm.MacroProblem(F, self.u, self.hom, bcs=bcs, petsc_options_prefix="plate_")
        self.problem.remember(self.motion)
        self.height, speed = LENGTH / n, self.motion.velocity
        at_end = ufl.conditional(ufl.gt(ufl.SpatialCoordinate(domain)[0], 0.999 * LENGTH), 1, 0)
        self._forms = [fem.form(f) for f in (-speed[0] * at_end * ufl.ds, density / 2 * ufl.dot(speed, speed) * ufl.dx)]

    def look(self) -> tuple[float, float, float]:
        """Pressure on the wall, speed of the free end towards it, kinetic energy over its area."""
        comm, push = self.hom.comm, self.problem.reaction(self.wall)[0]
        return tuple(
            float(v) / self.height for v in (push, *(comm.allreduce(fem.assemble_scalar(f)) for f in self._forms))
        )

    def profile(self) -> np.ndarray:
        """Place and pressure in each macro cell, sorted, shape (n, 2), on all ranks."""
        points = self.hom.stress.function_space.dofmap.list[self.hom.cells].ravel()
        stress = self.hom.stress.x.array.reshape(-1, 4)[points, :1]
        parts = self.hom.cell_average(np.column_stack([self.hom.coordinates()[:, :1], -stress]))
        every = np.concatenate(self.hom.comm.allgather(parts))
        return every[np.argsort(every[:, 0])]


def draw(path: Path, times: np.ndarray, x: np.ndarray, pressure: np.ndarray, speeds: tuple[float, float]) -> Path:
    """Pressure over place and time, with the two fronts of the theory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.pcolormesh(x, times * 1e6, pressure, cmap="inferno", shading="nearest")
    for speed, style, name in zip(speeds, ("--", ":"), ("sound", "plastic wave"), strict=True):
        axes.plot([0, LENGTH], [0, LENGTH / speed * 1e6], style, color="white", label=f"{name}, {speed / 1e6:.2f} km/s")
    axes.set(xlabel="Distance from the wall in mm (undeformed)", ylabel="Time in µs", ylim=(0, times[-1] * 1e6))
    axes.legend(loc="upper right", frameon=False, labelcolor="white")
    figure.colorbar(image, label="Pressure along the flight in MPa")
    figure.savefig(path, dpi=150)
    return path


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser("Impact of a composite plate on a wall.", "impact", "coarse, in seconds")
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    elements, mesh_size, n = SIZES["quick" if options.quick else "full"]
    cell = hmm.cells.fibre(0.3, mesh_size=mesh_size)
    matrix = hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=150.0, hardening=3000.0)
    law = {"matrix": matrix, "fibre": hmm.laws.Elastic(young=200e3, poisson=0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=law)
    density = sum(fraction * DENSITIES[name] for name, fraction in cell.volume_fractions.items())
    sound, slow, expected = wave_theory(rve, density)
    plate = Plate(rve, density, elements, comm)
    times, start = np.linspace(0.0, 1.5 * LENGTH / sound, n + 1), plate.look()[2]
    rows, profiles = [], []
    for step in hmm.steps(plate.problem, hmm.schedule(), times):
        rows.append((step.time, *plate.look()))
        profiles.append(plate.profile())
        assert step.stats.iterations <= 6, f"step {step.number} took {step.stats.iterations} Newton iterations"
    time, pressure, speed, kinetic = np.array(rows).T
    found = pressure[(time > 0.4 * LENGTH / sound) & (time < 1.2 * LENGTH / sound)].mean()
    arrival = np.interp(-0.8 * SPEED, -speed[: np.argmin(speed)], time[: np.argmin(speed)])
    table = [
        ("pressure on the wall in MPa", found, expected),
        ("arrival of sound in µs", arrival * 1e6, LENGTH / sound * 1e6),
    ]
    hmm.console.print_table(comm, "Impact at 40 m/s", ["", "found", "theory of waves"], table)
    assert abs(found / expected - 1) < 0.02, "the pressure on the wall should be that of a plastic wave"
    assert abs(arrival * sound / LENGTH - 1) < 0.06, "the free end should feel the impact when sound arrives"
    assert kinetic.min() < 0.02 * start, "the plate should come to rest before it is thrown back"
    columns = ["time in s", "pressure in MPa", "end speed in mm/s", "kinetic energy in N/mm"]
    written = [hmm.write_csv(options.output / "impact.csv", comm, columns, rows)]
    if not options.no_plots and comm.rank == 0:
        x, pressures = profiles[0][:, 0], np.array([p[:, 1] for p in profiles])
        written.append(draw(options.output / "impact.png", time, x, pressures, (sound, slow)))
    hmm.console.say(comm, "\nWritten\n  " + "\n  ".join(map(str, written)))


if __name__ == "__main__":
    hmm.errors.run(main)
