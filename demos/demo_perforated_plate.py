"""Plane stress: tension of a composite plate with a hole.

The macro problem is two-dimensional. The fibres of the unit cell run through the thickness, so that its fluctuation
lies in the plane, but the mean strain has the component E33. It follows, at each integration point and in each step,
from the condition that the mean stress Sigma33 vanishes (`hmm.plane_stress`). The elastic solution is compared with
plane stress for Young's modulus and Poisson's ratio of the cell, and with the known stress at the edge of a hole. Then
the matrix yields. A quarter of the plate is modelled; lengths in radii of the hole, stresses in MPa.
"""

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc

import hmm

WIDTH = 4.0  # half the width and half the height of the plate; the hole has the radius 1
MUMPS = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}
ELASTIC, PLASTIC = 5e-4, 6e-3  # displacements of the upper edge: all elastic, and with a plastic zone around the hole


def composite(mesh_size: float) -> hmm.RVE:
    """Fibres in a hexagonal array, isotropic in the plane; the macro strain has the component 33."""
    cell = hmm.cells.fibre(0.4, array="hexagonal", mesh_size=mesh_size)
    w, E = hmm.fluctuation(cell, degree=1), hmm.macro_strain(cell, out_of_plane=True)
    matrix = hmm.laws.J2(young=70e3, poisson=0.33, yield_stress=120.0, hardening=1500.0)
    return hmm.RVE(cell, w, E, law={"matrix": matrix, "fibre": hmm.laws.Elastic(young=400e3, poisson=0.2)})


def quarter_plate(outwards: int, around: int, comm: MPI.Comm) -> mesh.Mesh:
    """The quarter of a square plate with a round hole at the origin, with smaller quadrilaterals at the hole."""
    domain = mesh.create_unit_square(comm, outwards, around, mesh.CellType.quadrilateral)
    s, angle = domain.geometry.x[:, 0].copy(), domain.geometry.x[:, 1] * np.pi / 2
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    edge = ray * WIDTH / np.abs(ray).max(axis=1)[:, None]
    domain.geometry.x[:, :2] = ray + (s**1.8)[:, None] * (edge - ray)
    return domain


def prescribed(V: fem.FunctionSpace, axis: int, at: float, value: float | fem.Constant) -> fem.DirichletBC:
    """Component `axis` of the displacement where this coordinate has the value `at`."""
    dofs = fem.locate_dofs_geometrical((V.sub(axis), V.sub(axis).collapse()[0]), lambda x: np.isclose(x[axis], at))
    return fem.dirichletbc(fem.Constant(V.mesh, value) if isinstance(value, float) else value, dofs[0], V.sub(axis))


class Plate:
    """The quarter plate, pulled by its upper edge: a macro problem with an RVE at each integration point."""

    def __init__(self, micro: hmm.MixedControl, domain: mesh.Mesh) -> None:
        self.V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
        self.u, v = fem.Function(self.V, name="displacement"), ufl.TestFunction(self.V)
        self.hom = hmm.Homogenizer(micro, ufl.sym(ufl.grad(self.u)), ensemble="owner")  # points keep their order
        self.pull = fem.Constant(domain, 0.0)
        self.bcs = [prescribed(self.V, 0, 0.0, 0.0), prescribed(self.V, 1, 0.0, 0.0)]
        self.bcs.append(prescribed(self.V, 1, WIDTH, self.pull))
        F = ufl.inner(self.hom.stress, ufl.sym(ufl.grad(v))) * self.hom.dx
        self.problem = hmm.MacroProblem(F, self.u, self.hom, bcs=self.bcs, petsc_options_prefix="plate_")

    def nominal_stress(self) -> float:
        return self.problem.reaction(self.bcs[-1]) / WIDTH

    def off_single_scale(self, stiffness: np.ndarray) -> float:
        """Relative distance from the elastic solution for a Mandel stiffness, shape (3, 3), without any RVE."""
        u, v, packing = ufl.TrialFunction(self.V), ufl.TestFunction(self.V), self.hom.model.inputs[0].packing
        eps, along = (packing.pack(ufl.sym(ufl.grad(f))) for f in (u, v))
        a = ufl.dot(ufl.dot(ufl.as_matrix(stiffness.tolist()), eps), along) * self.hom.dx
        rhs = ufl.inner(fem.Constant(self.V.mesh, (0.0, 0.0)), v) * self.hom.dx
        solver = {"petsc_options": MUMPS, "petsc_options_prefix": "single_"}
        single = petsc.LinearProblem(a, rhs, bcs=self.bcs, **solver).solve()
        own = slice(2 * self.V.dofmap.index_map.size_local)
        parts = self.u.x.array[own] - single.x.array[own], single.x.array[own]
        return float(np.sqrt(np.divide(*self.hom.comm.allreduce(np.array([part @ part for part in parts])))))


def check_elastic(plate: Plate, rve: hmm.RVE) -> None:
    """Compare one elastic step with plane stress, and with the stress beside the hole by Kirsch and Heywood.

    That is ``sigma_22 / sigma = 1 + 1/(2 x^2) + 3/(2 x^4)``, times ``(2 + (1 - d/W)^3) / (1 - d/W) / 3``.
    """
    test = hmm.uniaxial(rve, "11", [1e-6])
    young, nu, across = float(test.moduli[0]), *(-float(test.responses[0].input[k, k]) / 1e-6 for k in (1, 2))
    plate.pull.value = ELASTIC
    plate.problem.solve()
    closed_form = young / (1 - nu**2) * np.array([[1, nu, 0], [nu, 1, 0], [0, 0, 1 - nu]])  # Mandel
    error, exact = (plate.off_single_scale(C) for C in (closed_form, plate.hom.model.solve({}).tangent))
    assert error < 1e-2, f"displacements differ from those of the plane-stress closed form by {error:.2g}"
    assert exact < 1e-9, f"displacements differ from those with the cell's own stiffness by {exact:.2g}"
    largest, gap = hmm.worst_point(plate.hom, plate.hom.states.trial.response[:, 1]), 1 - 1 / WIDTH
    found, x = largest.value / plate.nominal_stress(), largest.x[0]
    kirsch = (2 + gap**3) / gap / 3 * (1 + 0.5 / x**2 + 1.5 / x**4)
    assert abs(found / kirsch - 1) < 0.1, f"the stress at the hole is {found:.3g} of the nominal one, not {kirsch:.3g}"
    rows = [("Young's modulus of the cell in GPa", young / 1e3), ("Poisson's ratio in the plane", nu)]
    rows += [("Poisson's ratio for the thickness", across), ("stress beside the hole over the nominal one", found)]
    rows += [("the same by Kirsch (1898) and Heywood", kirsch), ("displacements off plane stress with E, nu", error)]
    hmm.console.print_table(plate.hom.comm, "Elastic", ["", "value"], rows)


def main(argv: list[str] | None = None) -> None:
    about = "A plate with a hole in plane stress, FE2 with a free thickness of the cell."
    options, comm = hmm.console.demo_options(argv, about, "perforated_plate", "coarse, two steps"), MPI.COMM_WORLD
    outwards, around, mesh_size, steps = (6, 8, 0.25, 2) if options.quick else (12, 24, 0.08, 6)
    plate = Plate(hmm.plane_stress(rve := composite(mesh_size)), quarter_plate(outwards, around, comm))
    check_elastic(plate, rve)
    hom, curve = plate.hom, [(0.0, 0.0), (ELASTIC, plate.nominal_stress())]
    row = hmm.console.live_table(comm, ["step", "displacement", "stress", "iterations", "largest p", "least E33"])
    for step in hmm.steps(plate.problem, plate.pull, PLASTIC, steps):
        curve.append((step.load, plate.nominal_stress()))
        worst = hmm.worst_point(hom, p := hom.point_average("matrix", "p"))
        thinnest = hmm.worst_point(hom, -hom.states.trial.variables["z"][:, -1:])  # E33 is the last unknown of a point
        row(step.number, *curve[-1], step.stats.iterations, worst.value, -thinnest.value)
    first, last = (curve[k][1] / curve[k][0] for k in (1, -1))
    assert 0.5 * first < last < 0.999 * first, "the plate should have yielded around the hole, and there only"
    labels = "Displacement of the edge in radii", "Nominal stress in MPa"
    hmm.write_csv(options.output / "curve.csv", comm, labels, curve)
    if not options.no_plots:
        titles = {"label": "Plastic strain p, matrix mean", "variable_label": "Plastic strain p in this RVE"}
        hmm.plotting.plot_fe2(options.output / "plate.png", hom, plate.u, p, worst, **titles)
        hmm.plotting.plot_curve(options.output / "curve.png", comm, *np.array(curve).T, *labels)
    hmm.console.say(comm, f"Results are in {options.output}")


if __name__ == "__main__":
    hmm.errors.run(main)
