"""Microstructures that vary: a plate with fibres that run around a hole.

One unit cell, layers of stiff fibres in a soft matrix, is rotated at each integration point (`orientation=`). The
fibres of the first plate are along x, those of the second along the streamlines of an ideal flow past the hole.
Continuous fibres are denser where the streamlines are closer: their fraction is proportional to the speed of the flow.
In the third plate the fraction therefore varies too, with the same amount of fibres in total. There are cells of a few
fractions, and each point uses the mean of two of them (`hmm.variation.graded`). A quarter of the plate is loaded along
x in plane stress; lengths in radii of the hole, stresses in GPa.
"""

from dataclasses import dataclass

from mpi4py import MPI

import numpy as np
import ufl
from demo_perforated_plate import WIDTH, prescribed, quarter_plate  # the plate and its hole
from dolfinx import fem, mesh

import hmm

FRACTION, STRETCH = 0.3, 1e-3  # mean fraction of fibres; mean strain
LAWS = {"matrix": hmm.laws.Elastic(young=3.5, poisson=0.35), "fibre": hmm.laws.Elastic(young=70.0, poisson=0.2)}
FRACTIONS = np.linspace(0.01, 0.64, 8)  # of the cells


def layers(fraction: float) -> hmm.MixedControl:
    """Layers of fibres along x, the first axis of the cell, in plane stress."""
    cell = hmm.cells.laminate({"matrix": 1 - fraction, "fibre": fraction}, normal=1, mesh_size=1.0)
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True)
    return hmm.plane_stress(hmm.RVE(cell, w, E, law=LAWS))


def flow(x: np.ndarray) -> np.ndarray:
    """Velocity of an ideal flow past the hole, shape (2, n): ``1 - 1/z^2`` in complex numbers, z = x + i y."""
    velocity = np.conj(1 - 1 / (x[0] + 1j * x[1]) ** 2)
    return np.stack([velocity.real, velocity.imag])


def uncut(domain: mesh.Mesh) -> fem.Function:
    """The fraction of continuous fibres: proportional to the speed, with the mean `FRACTION`."""
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
    right = prescribed(V, 0, WIDTH, STRETCH * WIDTH)
    F = ufl.inner(hom.stress, ufl.sym(ufl.grad(v))) * hom.dx
    bcs = [prescribed(V, 0, 0.0, 0.0), prescribed(V, 1, 0.0, 0.0), right]
    problem = hmm.MacroProblem(F, u, hom, bcs=bcs, petsc_options_prefix="plate_")
    problem.solve()
    E = hom.model.inputs[0].packing.to_tensor(hom.macro_inputs())
    largest = hmm.worst_point(hom, np.linalg.eigvalsh(E)[:, -1]).value
    return Result(hom, u, problem.reaction(right) / WIDTH / STRETCH, largest / STRETCH)


def check(domain: mesh.Mesh, found: dict[str, Result]) -> None:
    """Cells rotated by a right angle must match layers normal to x; steered fibres must reduce the peak strain."""
    rotated = pulled(domain, layers(FRACTION), np.pi / 2)
    cell = hmm.cells.laminate({"matrix": 1 - FRACTION, "fibre": FRACTION}, normal=0, mesh_size=1.0)
    w, E = hmm.fluctuation(cell), hmm.macro_strain(cell, out_of_plane=True)
    across = pulled(domain, hmm.plane_stress(hmm.RVE(cell, w, E, law=LAWS)), None)
    assert abs(rotated.stiffness / across.stiffness - 1) < 1e-9, "a rotated cell must equal a cell in that orientation"
    straight, steered, graded = found.values()
    assert all(across.stiffness < r.stiffness < 1.05 * straight.stiffness for r in found.values())
    assert steered.concentration < 0.7 * straight.concentration, "fibres around the hole must reduce the strain"
    assert graded.concentration < steered.concentration, "and continuous fibres even more"


def main(argv: list[str] | None = None) -> None:
    about = "A plate with a hole, with fibres rotated and graded from point to point."
    options, comm = hmm.console.demo_options(argv, about, "steered_fibres", "a coarse mesh"), MPI.COMM_WORLD
    n = 6 if options.quick else 16
    domain = quarter_plate(n, 2 * n, comm)
    one, fraction = layers(FRACTION), uncut(domain)
    grades = hmm.variation.graded({float(f): layers(float(f)) for f in FRACTIONS}, fraction)
    found = {"straight": pulled(domain, one, None), "steered": pulled(domain, one, flow)}
    found["steered and graded"] = pulled(domain, grades, flow)
    rows = [(name, r.stiffness, r.concentration, comm.allreduce(r.hom.rows.kind.size)) for name, r in found.items()]
    title = f"A plate with a hole, {100 * FRACTION:g} % fibres"
    hmm.console.print_table(comm, title, ["fibres", "stiffness in GPa", "largest strain / mean", "RVEs"], rows)
    check(domain, found)
    with hmm.Output(options.output, found["steered and graded"].hom, found["steered and graded"].u) as output:
        output.write(1.0)
    written = [output.path]
    if not options.no_plots:
        along = fem.Function(fem.functionspace(domain, ("Lagrange", 2, (2,))))
        along.interpolate(flow)
        directions = {"steered": along / ufl.sqrt(ufl.inner(along, along)), "straight": ufl.as_vector((1.0, 0.0))}
        directions["steered and graded"] = fraction * directions["steered"]  # wider lines where there are more fibres
        strains = {name: ufl.grad(result.u)[0, 0] / STRETCH for name, result in found.items()}
        style = {"label": "Strain 11 over the mean", "xlabel": "x in radii of the hole"}
        path = options.output / "plates.png"
        written.append(hmm.plotting.plot_field(path, strains, streamlines=directions, **style))
    hmm.console.say(comm, "\nWritten\n  " + "\n  ".join(map(str, written)))


if __name__ == "__main__":
    hmm.errors.run(main)
