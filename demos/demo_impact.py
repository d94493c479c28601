"""Impact of a fibre composite plate on a rigid wall, with elastic and plastic waves.

Each integration point has a unit cell with a plastic matrix; the macro form contains the inertia. An elastic wave
leaves the wall with the speed of sound, followed by a slower plastic wave. They are compared with the theory of waves
in 1D: the curve s(e) of the cell gives the speed sqrt(s'(e) / rho) of each strain. In mm, MPa, s, t/mm^3.

    python demos/demo_impact.py
"""

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
    curve = [(-a.stress[0, 0], a.tangent[0, 0]) for a in hmm.follow(rve, [{"11": -e} for e in strain])]
    stress, speed = np.array(curve).T[0], np.sqrt(np.array(curve).T[1] / density)
    stopped = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(strain))])
    return tuple(float(v) for v in (speed[0], *(np.interp(SPEED, stopped, y) for y in (speed, stress))))


class Plate:
    """A strip of the plate, its wall at x = 0."""

    def __init__(self, rve: hmm.RVE, density: float, n: int, comm: MPI.Comm) -> None:
        domain = mesh.create_rectangle(comm, [[0.0, 0.0], [LENGTH, LENGTH / n]], [n, 1], mesh.CellType.quadrilateral)
        V = fem.functionspace(domain, ("Lagrange", 1, (2,)))
        self.u, v = fem.Function(V, name="displacement"), ufl.TestFunction(V)
        Vy, _ = V.sub(1).collapse()
        across = fem.locate_dofs_geometrical((V.sub(1), Vy), lambda x: np.full(x.shape[1], True))
        self.wall = fem.dirichletbc(np.zeros(2), fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], 0.0)), V)
        self.motion = hmm.GeneralizedAlpha(self.u, rho_inf=0.5)
        self.motion.velocity.interpolate(lambda x: np.stack([-SPEED * (x[0] > 1e-9), 0 * x[0]]))
        self.hom = hmm.Homogenizer(rve, ufl.sym(ufl.grad(self.u)))
        F = density * ufl.inner(self.motion.a, v) * ufl.dx
        F += ufl.inner(self.motion.at_balance(self.hom.stress), ufl.sym(ufl.grad(v))) * self.hom.dx
        bcs = [self.wall, fem.dirichletbc(fem.Function(Vy), across, V.sub(1))]
        self.problem = hmm.MacroProblem(F, self.u, self.hom, bcs=bcs, petsc_options_prefix="plate_")
        self.problem.remember(self.motion)
        self.height, self._tip = LENGTH / n, 2 * fem.locate_dofs_geometrical(V, lambda x: np.isclose(x[0], LENGTH))
        self._kinetic = fem.form(density / 2 * ufl.inner(self.motion.velocity, self.motion.velocity) * ufl.dx)

    def look(self) -> tuple[float, float, float]:
        """Pressure on the wall, speed of the free end towards it, kinetic energy over its area."""
        comm, push = self.hom.comm, self.problem.reaction(self.wall)[0]
        speed = comm.allreduce(np.max(-self.motion.velocity.x.array[self._tip], initial=-np.inf), op=MPI.MAX)
        return push / self.height, speed, comm.allreduce(fem.assemble_scalar(self._kinetic)) / self.height

    def profile(self) -> np.ndarray:
        """Place and pressure in each macro cell, sorted, shape (n, 2), on all ranks."""
        points = self.hom.stress.function_space.dofmap.list[self.hom.cells].ravel()
        stress = self.hom.stress.x.array.reshape(-1, 4)[points, :1]
        parts = self.hom.cell_average(np.column_stack([self.hom.coordinates()[:, :1], -stress]))
        every = np.concatenate(self.hom.comm.allgather(parts))
        return every[np.argsort(every[:, 0])]


def draw(path: Path, times: np.ndarray, x: np.ndarray, pressure: np.ndarray, speeds: tuple[float, float]) -> None:
    """Pressure over place and time, shape (steps, elements), with the two fronts of the theory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    image = axes.pcolormesh(x[0], times * 1e6, pressure, cmap="inferno", shading="nearest")
    for speed, style, name in zip(speeds, ("--", ":"), ("sound", "plastic wave"), strict=True):
        axes.plot([0, LENGTH], [0, LENGTH / speed * 1e6], style, color="white", label=f"{name}, {speed / 1e6:.2f} km/s")
    axes.set(xlabel="Distance from the wall in mm (undeformed)", ylabel="Time in µs", ylim=(0, times[-1] * 1e6))
    axes.legend(loc="lower right", frameon=False, labelcolor="white")
    figure.colorbar(image, label="Pressure along the flight in MPa")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"Written {path}")


def main(argv: list[str] | None = None) -> None:
    comm = MPI.COMM_WORLD
    parser = hmm.console.demo_parser("A composite plate hits a wall.", "impact", "coarse, in seconds")
    options = hmm.console.parse_arguments(parser, argv, comm)
    elements, mesh_size, n = SIZES["quick" if options.quick else "full"]
    cell = hmm.cells.fibre(0.3, mesh_size=mesh_size)
    law = {"matrix": hmm.laws.J2(70e3, 0.3, 150.0, 3000.0), "fibre": hmm.laws.Elastic(200e3, 0.2)}
    rve = hmm.RVE(cell, hmm.fluctuation(cell), hmm.macro_strain(cell), law=law)
    density = sum(fraction * DENSITIES[name] for name, fraction in cell.volume_fractions.items())
    (sound, slow, expected), plate = wave_theory(rve, density), Plate(rve, density, elements, comm)
    times, start = np.linspace(0.0, 1.5 * LENGTH / sound, n + 1), plate.look()[2]
    rows, profiles = [], []
    for step in hmm.steps(plate.problem, hmm.schedule(), times):
        rows.append((step.time, *plate.look()))
        profiles.append(plate.profile())
        assert step.stats.iterations <= 8, f"step {step.number} took {step.stats.iterations} Newton iterations"
    time, pressure, speed, kinetic = np.array(rows).T
    found = pressure[(time > 0.4 * LENGTH / sound) & (time < 1.2 * LENGTH / sound)].mean()
    arrival = np.interp(-0.8 * SPEED, -speed[: np.argmin(speed)], time[: np.argmin(speed)])
    hmm.console.say(comm, f"Pressure on the wall in MPa: {found:.1f}, in the wave theory {expected:.1f}")
    hmm.console.say(comm, f"Sound at the free end after {arrival * 1e6:.2f} µs, in theory {LENGTH / sound * 1e6:.2f}")
    assert abs(found / expected - 1) < 0.02, "the pressure on the wall should be that of a plastic wave"
    assert abs(arrival * sound / LENGTH - 1) < 0.06, "the free end should feel the impact when sound arrives"
    assert kinetic.min() < 0.02 * start, "the plate should come to rest before it is thrown back"
    if not options.no_plots:
        with hmm.errors.collectively(comm):
            if comm.rank == 0:
                draw(options.output / "impact.png", time, *np.array(profiles).transpose(2, 0, 1), (sound, slow))


if __name__ == "__main__":
    hmm.errors.run(main)
