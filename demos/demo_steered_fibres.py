"""Microstructures that vary: a plate with a hole whose fibres flow around it.

One unit cell, layers of stiff fibres in a soft matrix, is rotated at each Gauss point (`orientation=`): first along x
everywhere, then along the streamlines of an ideal flow past the hole, as tapes are laid or as grain grows round a knot.
Fibres that are not cut are denser where streamlines are closer: their fraction goes with the speed of the flow. So in
the third plate the fraction varies too, with the same amount of fibres in all; there are cells of a few fractions, and
a point takes the mean of two of them (`hmm.variation.graded`). A quarter of the plate is pulled along x in plane
stress; lengths in radii of the hole, stresses in GPa.

    python demos/demo_steered_fibres.py
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh

import hmm

WIDTH = 4.0
"""Half the width and half the height of the plate; the hole has the radius 1."""
FRACTION = 0.3
"""Mean fraction of fibres."""
STRETCH = 1e-3
LAWS = {"matrix": hmm.laws.Elastic(young=3.5, poisson=0.35), "fibre": hmm.laws.Elastic(young=70.0, poisson=0.2)}
FRACTIONS = np.linspace(0.01, 0.64, 8)
"""Those that have a cell."""


def layers(fraction: float) -> hmm.MixedControl:
    """Layers of fibres along x, the first axis of the cell, in plane stress."""
    cell = hmm.cells.laminate({"matrix": 1 - fraction, "fibre": fraction}, normal=1, mesh_size=1.0)
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True)
    return hmm.plane_stress(hmm.RVE(cell, w, E, law=LAWS))


def flow(x: np.ndarray) -> np.ndarray:
    """Velocity of an ideal flow past the hole, shape (2, n): ``1 - 1/z^2`` in complex numbers, z = x + i y."""
    z = x[0] + 1j * x[1]
    velocity = np.conj(1 - 1 / z**2)
    return np.stack([velocity.real, velocity.imag])


def quarter_plate(n: int, comm: MPI.Comm) -> mesh.Mesh:
    """The quarter of a square plate with a round hole at the origin, in quadrilaterals that are smaller at the hole."""
    domain = mesh.create_unit_square(comm, n, 2 * n, mesh.CellType.quadrilateral)
    s, angle = domain.geometry.x[:, 0].copy(), domain.geometry.x[:, 1] * np.pi / 2
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    edge = ray * WIDTH / np.abs(ray).max(axis=1)[:, None]
    domain.geometry.x[:, :2] = ray + (s**1.8)[:, None] * (edge - ray)
    return domain


def uncut(domain: mesh.Mesh) -> fem.Function:
    """The fraction of fibres of which none ends in the plate: it goes with the speed, and its mean is `FRACTION`."""
    fraction = fem.Function(fem.functionspace(domain, ("Lagrange", 2)))
    fraction.interpolate(lambda x: np.linalg.norm(flow(x), axis=0))
    one = fem.Constant(domain, 1.0)
    total, area = (domain.comm.allreduce(fem.assemble_scalar(fem.form(f * ufl.dx))) for f in (fraction, one))
    fraction.x.array[:] = np.maximum(FRACTION * area / total * fraction.x.array, FRACTIONS[0])
    return fraction


@dataclass(frozen=True)
class Result:
    """The pulled plate: its stiffness in GPa and the largest principal strain over the mean one."""

    hom: hmm.Homogenizer
    u: fem.Function
    stiffness: float
    concentration: float


def pulled(domain: mesh.Mesh, micro: hmm.MixedControl | hmm.variation.Variation, orientation: object) -> Result:
    """Pull the plate along x."""
    V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
    u, v = fem.Function(V, name="displacement"), ufl.TestFunction(V)
    hom = hmm.Homogenizer(micro, ufl.sym(ufl.grad(u)), orientation=orientation)
    right = held(V, 0, WIDTH, STRETCH * WIDTH)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    bcs = [held(V, 0, 0.0, 0.0), held(V, 1, 0.0, 0.0), right]
    problem = hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="plate_")
    problem.solve()
    E = hom.model.inputs[0].packing.to_tensor(hom.macro_inputs())
    largest = hmm.worst_point(hom, np.linalg.eigvalsh(E)[:, -1]).value
    return Result(hom, u, problem.reaction(right) / WIDTH / STRETCH, largest / STRETCH)


def held(V: fem.FunctionSpace, axis: int, at: float, value: float) -> fem.DirichletBC:
    """Component `axis` of the displacement where this coordinate has the value `at`."""
    Vi, _ = V.sub(axis).collapse()
    dofs = fem.locate_dofs_geometrical((V.sub(axis), Vi), lambda x: np.isclose(x[axis], at))
    return fem.dirichletbc(fem.Constant(V.mesh, value), dofs[0], V.sub(axis))


def check(domain: mesh.Mesh, found: dict[str, Result]) -> None:
    """Turning all cells by a right angle is stacking the layers the other way; steered fibres spread the strain."""
    rotated = pulled(domain, layers(FRACTION), np.pi / 2)
    cell = hmm.cells.laminate({"matrix": 1 - FRACTION, "fibre": FRACTION}, normal=0, mesh_size=1.0)
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True)
    across = pulled(domain, hmm.plane_stress(hmm.RVE(cell, w, E, law=LAWS)), None)
    assert abs(rotated.stiffness / across.stiffness - 1) < 1e-9, "a rotated cell is a cell made that way"
    straight, steered, graded = found.values()
    assert all(across.stiffness < r.stiffness < 1.05 * straight.stiffness for r in found.values())
    assert steered.concentration < 0.7 * straight.concentration, "fibres that flow round the hole are hardly stretched"
    assert graded.concentration < steered.concentration, "and less where none is cut"


def draw(path: Path, domain: mesh.Mesh, found: dict[str, Result]) -> Path:
    """The first strain component over the mean strain in each plate, and where the fibres run (on rank 0)."""
    hmm.runs.output.require_writable(path.parent)
    comm = domain.comm
    panels = []
    for result in found.values():
        hom = result.hom
        E11 = hom.cell_average(hom.macro_inputs()[:, 0]).ravel() / STRETCH
        nodes = domain.geometry.x[domain.geometry.dofmaps[0][hom.cells]][:, [0, 1, 3, 2], :2]
        fraction = hom.cell_average(hom.rows.shares(len(hom.models)) @ fractions_of(hom))
        panels.append(comm.gather((nodes, E11, fraction.ravel())))
    if comm.rank == 0:
        paint(path, dict(zip(found, panels, strict=True)))
    return path


def fractions_of(hom: hmm.Homogenizer) -> np.ndarray:
    """The fraction of fibres of each kind of RVE."""
    return np.array([rve.cell.volume_fractions["fibre"] for rve in hom.models.values()])


def paint(path: Path, panels: dict[str, list[tuple[np.ndarray, ...]]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    largest = max(E.max() for parts in panels.values() for _, E, _ in parts)
    for axes, (title, parts) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        cells, E, fraction = (np.concatenate(a) for a in zip(*parts, strict=True))
        colours = PolyCollection(cells, array=E, cmap="viridis", clim=(0, largest), antialiased=False)
        axes.add_collection(colours)
        lines, widths = fibres(title.startswith("straight"), cells.mean(axis=1), fraction)
        axes.add_collection(LineCollection(lines, color="white", linewidths=widths, capstyle="round"))
        axes.set(xlim=(0, WIDTH), ylim=(0, WIDTH), aspect="equal", title=title, xlabel="x in radii of the hole")
        axes.set(xticks=range(5), yticks=range(5))
    figure.axes[0].set_ylabel("y")
    figure.colorbar(colours, ax=figure.axes, label="strain 11 of each element over the mean", shrink=0.9)
    figure.savefig(path, dpi=130)


def fibres(straight: bool, x: np.ndarray, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Short pieces of fibres on a grid of places in the plate, and line widths that show the fraction."""
    places = np.stack(np.meshgrid(*[np.arange(0.15, WIDTH, 0.3)] * 2), axis=-1).reshape(-1, 2)
    places = places[np.linalg.norm(places, axis=1) > 1.08]
    along = np.tile([[1.0], [0.0]], len(places)) if straight else flow(places.T)
    half = 0.1 * (along / np.linalg.norm(along, axis=0)).T
    nearest = np.argmin(np.linalg.norm(places[:, None] - x, axis=2), axis=1)
    return np.stack([places - half, places + half], axis=1), 4.0 * fraction[nearest]


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "A plate with a hole whose fibres are rotated and graded.",
        "steered_fibres",
        "a coarse mesh",
    )
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    if not options.no_plots:
        hmm.plotting.check_available()
    domain = quarter_plate(6 if options.quick else 16, comm)
    one = layers(FRACTION)
    kinds = {float(f): layers(float(f)) for f in FRACTIONS}
    grades = hmm.variation.graded(kinds, uncut(domain))
    found = {
        "straight": pulled(domain, one, None),
        "steered": pulled(domain, one, flow),
        "steered and graded": pulled(domain, grades, flow),
    }
    rows = [(name, r.stiffness, r.concentration, comm.allreduce(r.hom.rows.kind.size)) for name, r in found.items()]
    title = f"A plate with a hole, {100 * FRACTION:g} % fibres"
    hmm.console.print_table(comm, title, ["fibres", "stiffness in GPa", "largest strain / mean", "RVEs"], rows)
    check(domain, found)
    with hmm.Output(options.output, found["steered and graded"].hom, found["steered and graded"].u) as output:
        output.write(1.0)
    written = [output.path]
    if not options.no_plots:
        written.append(draw(options.output / "plates.png", domain, found))
    hmm.console.say(comm, "\nWritten\n  " + "\n  ".join(map(str, written)))


if __name__ == "__main__":
    hmm.errors.run(main)
