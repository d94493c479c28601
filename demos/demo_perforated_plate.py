"""Plane stress: tension of a composite plate with a hole.

The macro problem is two-dimensional. The fibres of the unit cell run through the thickness, so that its fluctuation
lies in the plane, but the mean strain has the component E33. It follows, at each integration point and in each step,
from the condition that the mean stress Sigma33 vanishes (`hmm.plane_stress`). The elastic solution is compared with
plane stress for Young's modulus and Poisson's ratio of the cell, and with the known stress at the edge of a hole. Then
the matrix yields. A quarter of the plate is modelled; lengths in radii of the hole, stresses in MPa.

    python demos/demo_perforated_plate.py
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem import petsc

import hmm

WIDTH = 4.0
"""Half the width and half the height of the plate; the hole has the radius 1."""
ELASTIC, PLASTIC = 5e-4, 6e-3
"""Displacements of the upper edge: all elastic, and with a plastic zone around the hole."""


@dataclass(frozen=True)
class Size:
    """Resolution: elements along the hole (even) and away from it, mesh size of the cell, plastic load steps."""

    around: int
    outwards: int
    mesh_size: float
    steps: int


SIZES = {"quick": Size(8, 6, 0.25, 2), "full": Size(24, 12, 0.08, 6)}


def composite(mesh_size: float) -> hmm.RVE:
    """Fibres in a hexagonal array, isotropic in the plane; the macro strain has the component 33."""
    cell = hmm.cells.fibre(0.4, array="hexagonal", mesh_size=mesh_size)
    w, E = hmm.fluctuation(cell, degree=1), hmm.macro_strain(cell, out_of_plane=True)
    law = {
        "matrix": hmm.laws.J2(young=70e3, poisson=0.33, yield_stress=120.0, hardening=1500.0),
        "fibre": hmm.laws.Elastic(young=400e3, poisson=0.2),
    }
    return hmm.RVE(cell, w, E, law=law)


def quarter_plate(size: Size, comm: MPI.Comm) -> mesh.Mesh:
    """The quarter of a square plate with a round hole at the origin, with smaller quadrilaterals at the hole."""
    domain = mesh.create_unit_square(comm, size.outwards, size.around, mesh.CellType.quadrilateral)
    s, angle = domain.geometry.x[:, 0].copy(), domain.geometry.x[:, 1] * np.pi / 2
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    edge = ray * WIDTH / np.abs(ray).max(axis=1)[:, None]
    domain.geometry.x[:, :2] = ray + (s**1.8)[:, None] * (edge - ray)
    return domain


class Plate:
    """The quarter plate, pulled by its upper edge: a macro problem with an RVE at each integration point."""

    def __init__(self, micro: hmm.MixedControl, size: Size, comm: MPI.Comm) -> None:
        domain = quarter_plate(size, comm)
        V = fem.functionspace(domain, ("Lagrange", 2, (2,)))
        self.u, v = fem.Function(V, name="displacement"), ufl.TestFunction(V)
        self.hom = hmm.Homogenizer(micro, ufl.sym(ufl.grad(self.u)))
        self.pull = fem.Constant(domain, 0.0)
        self.top = self._prescribed(V, 1, WIDTH, self.pull)
        self.bcs = [self._prescribed(V, 0, 0.0, 0.0), self._prescribed(V, 1, 0.0, 0.0), self.top]
        F = ufl.inner(self.hom.stress, ufl.sym(ufl.grad(v))) * self.hom.dx
        self.problem = hmm.MacroProblem(F, self.u, self.hom, bcs=self.bcs, petsc_options_prefix="plate_")

    @staticmethod
    def _prescribed(V: fem.FunctionSpace, axis: int, at: float, value: float | fem.Constant) -> fem.DirichletBC:
        """Component `axis` of the displacement where this coordinate has the value `at`."""
        Vi, _ = V.sub(axis).collapse()
        dofs = fem.locate_dofs_geometrical((V.sub(axis), Vi), lambda x: np.isclose(x[axis], at))
        return fem.dirichletbc(
            value if isinstance(value, fem.Constant) else fem.Constant(V.mesh, value), dofs[0], V.sub(axis)
        )

    def nominal_stress(self) -> float:
        """Mean stress of the upper edge, in MPa."""
        return self.problem.reaction(self.top) / WIDTH

    def single_scale(self, stiffness: np.ndarray) -> fem.Function:
        """The elastic solution on the same mesh for a Mandel stiffness, shape (3, 3), without any RVE."""
        V = self.u.function_space
        u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
        packing = self.hom.model.inputs[0].packing
        eps, along = (packing.pack(ufl.sym(ufl.grad(f))) for f in (u, v))
        a = ufl.dot(ufl.dot(ufl.as_matrix(stiffness.tolist()), eps), along) * self.hom.dx
        rhs = ufl.inner(fem.Constant(V.mesh, (0.0, 0.0)), v) * self.hom.dx
        options = {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"}
        problem = petsc.LinearProblem(a, rhs, bcs=self.bcs, petsc_options=options, petsc_options_prefix="single_")
        return problem.solve()


def plane_stress_stiffness(young: float, poisson: float) -> np.ndarray:
    """``E / (1 - nu^2)`` times (1, nu; nu, 1) and ``1 - nu``, Mandel."""
    return young / (1 - poisson**2) * np.array([[1, poisson, 0], [poisson, 1, 0], [0, 0, 1 - poisson]])


def elastic_constants(rve: hmm.RVE) -> tuple[float, float, float]:
    """Young's modulus and Poisson's ratio in the plane, and the one for the thickness, from a uniaxial test."""
    test = hmm.uniaxial(rve, "11", [1e-6])
    strain = test.responses[0].input / 1e-6
    return float(test.moduli[0]), float(-strain[1, 1]), float(-strain[2, 2])


def stress_at_the_hole(plate: Plate) -> tuple[float, float]:
    """The largest stress 22 of all points over the nominal one, and Kirsch's there, corrected for the finite width.

    In an infinite plate ``sigma_22 / sigma = 1 + 1/(2 x^2) + 3/(2 x^4)`` beside the hole, which is 3 at its edge; a
    plate of finite width has ``(2 + (1 - d/W)^3) / (1 - d/W)`` there (Heywood).
    """
    found = hmm.worst_point(plate.hom, plate.hom.states.trial.response[:, 1])
    x, _ = found.x
    ratio = 1 / WIDTH
    correction = (2 + (1 - ratio) ** 3) / (1 - ratio) / 3
    return found.value / plate.nominal_stress(), correction * (1 + 0.5 / x**2 + 1.5 / x**4)


def distance(a: fem.Function, b: fem.Function, comm: MPI.Comm) -> float:
    """Relative Euclidean distance of the nodal values."""
    n = a.function_space.dofmap.index_map.size_local * a.function_space.dofmap.index_map_bs
    d, b2 = a.x.array[:n] - b.x.array[:n], b.x.array[:n] @ b.x.array[:n]
    return float(np.sqrt(comm.allreduce(d @ d) / comm.allreduce(b2)))


def check_elastic(plate: Plate, rve: hmm.RVE, comm: MPI.Comm) -> None:
    """Compare one elastic step with reference solutions."""
    young, poisson, across = elastic_constants(rve)
    plate.pull.value = ELASTIC
    plate.problem.solve()
    error = distance(plate.u, plate.single_scale(plane_stress_stiffness(young, poisson)), comm)
    assert error < 1e-2, f"displacements differ from those of the plane-stress closed form by {error:.2g}"
    exact = distance(plate.u, plate.single_scale(plate.hom.model.solve({}).tangent), comm)
    assert exact < 1e-9, f"displacements differ from those with the cell's own stiffness by {exact:.2g}"
    found, kirsch = stress_at_the_hole(plate)
    assert abs(found / kirsch - 1) < 0.1, (
        f"the stress at the hole is {found:.3g} times the nominal one, not {kirsch:.3g}"
    )
    rows = [
        ("Young's modulus of the cell in GPa", young / 1e3),
        ("Poisson's ratio in the plane", poisson),
        ("Poisson's ratio for the thickness", across),
        ("stress beside the hole over the nominal one", found),
        ("the same by Kirsch (1898) and Heywood", kirsch),
        ("displacements off plane stress with E and nu", error),
        ("displacements off plane stress with the tangent", exact),
    ]
    hmm.console.print_table(comm, "Elastic", ["", "value"], rows)


def thickness_strain(plate: Plate) -> np.ndarray:
    """E33 at each point, shape (n_points, 1): the free component is the last unknown of a point."""
    return plate.hom.states.trial.variables["z"][:, -1:]


def pull(plate: Plate, steps: int) -> list[tuple[float, float]]:
    """Pull until the matrix yields around the hole; (displacement, nominal stress) pairs."""
    curve = [(0.0, 0.0), (ELASTIC, plate.nominal_stress())]
    row = hmm.console.live_table(
        plate.hom.comm, ["step", "displacement", "stress", "iterations", "largest p", "least E33"]
    )
    for step in hmm.steps(plate.problem, plate.pull, PLASTIC, steps):
        curve.append((step.load, plate.nominal_stress()))
        p = hmm.worst_point(plate.hom, plate.hom.point_average("matrix", "p")).value
        thinnest = -hmm.worst_point(plate.hom, -thickness_strain(plate)).value
        row(step.number, *curve[-1], step.stats.iterations, p, thinnest)
    return curve


def draw(plate: Plate, where: hmm.WorstPoint, curve: list[tuple[float, float]], output: Path) -> list[Path]:
    """The pictures."""
    hom = plate.hom
    picture = hmm.plotting.plot_fe2(
        output / "plate.png",
        hom,
        plate.u,
        hom.point_average("matrix", "p"),
        where,
        label="Plastic strain p, matrix mean at each point",
        variable_label="Plastic strain p inside this RVE",
    )
    labels = "Displacement of the edge in radii of the hole", "Nominal stress in MPa"
    return [picture, hmm.plotting.plot_curve(output / "curve.png", hom.comm, *np.array(curve).T, *labels)]


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "A plate with a hole in plane stress, FE2 with a free thickness of the cell.",
        "perforated_plate",
        "coarse meshes and two steps, in seconds",
    )
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    size = SIZES["quick" if options.quick else "full"]
    if not options.no_plots:
        hmm.plotting.check_available()
    rve = composite(size.mesh_size)
    plate = Plate(hmm.plane_stress(rve), size, comm)
    n_points = comm.allreduce(plate.hom.n_points)
    hmm.console.say(
        comm, f"A quarter plate: {n_points} integration points, {rve.n_unknowns} unknowns and E33 at each\n"
    )
    check_elastic(plate, rve, comm)
    curve = pull(plate, size.steps)

    where = hmm.worst_point(plate.hom, plate.hom.point_average("matrix", "p"))
    first, last = (curve[k][1] / curve[k][0] for k in (1, -1))
    assert 0.5 * first < last < 0.999 * first, "the plate should have yielded around the hole, and there only"
    columns = ["displacement", "nominal stress in MPa"]
    written = [hmm.write_csv(options.output / "curve.csv", comm, columns, curve)]
    if not options.no_plots:
        written += draw(plate, where, curve, options.output)
    hmm.console.say(comm, "\nWritten\n  " + "\n  ".join(map(str, written)))


if __name__ == "__main__":
    hmm.errors.run(main)
