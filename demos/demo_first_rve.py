"""One unit cell, three boundary conditions: the first thing to do with a microstructure.

A square array of stiff elastic fibres in a matrix that yields. First the effective elastic stiffness under the three
usual conditions on the cell's boundary, between the bounds of Reuss and Voigt; then shear far into plasticity, in steps
that remember their history. Stresses are in MPa; plane strain.

    python demos/demo_first_rve.py
"""

from argparse import Namespace
from itertools import pairwise

from mpi4py import MPI

import numpy as np

import hmm

CONSTRAINTS = ("minimal", "periodic", "dirichlet")


def phases() -> dict[str, hmm.laws.Law]:
    """The two materials."""
    return {
        "matrix": hmm.laws.J2(young=70e3, poisson=0.3, yield_stress=100.0, hardening=700.0),
        "fibre": hmm.laws.Elastic(young=400e3, poisson=0.2),
    }


def make_rve(cell: hmm.Cell, constraint: str) -> hmm.RVE:
    """The cell problem: unknown fluctuation, given macroscopic strain, laws and boundary condition."""
    w = hmm.fluctuation(cell, degree=2)
    E = hmm.macro_strain(cell)
    return hmm.RVE(cell, w, E, law=phases(), constraint=constraint)


def plane_strain_stiffness(elastic: hmm.laws.Elastic) -> np.ndarray:
    """Stiffness in Mandel packing (11, 22, sqrt2 12): ``lambda I (x) I + 2 mu`` in the plane."""
    mu = elastic.shear_modulus
    lam = elastic.bulk_modulus - 2 * mu / 3
    return lam * np.outer([1, 1, 0], [1, 1, 0]) + 2 * mu * np.eye(3)


def stiffnesses(cell: hmm.Cell) -> dict[str, np.ndarray]:
    """Effective elastic stiffness by each constraint, and the two elementary bounds."""
    law = phases()
    parts = {"matrix": plane_strain_stiffness(law["matrix"].elastic), "fibre": plane_strain_stiffness(law["fibre"])}
    f = cell.volume_fractions
    found = {"Reuss bound": np.linalg.inv(sum(f[name] * np.linalg.inv(C) for name, C in parts.items()))}
    for constraint in CONSTRAINTS:
        found[constraint] = make_rve(cell, constraint).solve(np.zeros((2, 2))).tangent
    found["Voigt bound"] = sum(f[name] * C for name, C in parts.items())
    return found


def check_order(found: dict[str, np.ndarray]) -> None:
    """Each stiffness must exceed the one before it for every strain: the difference has no negative eigenvalue."""
    for softer, stiffer in pairwise(found):
        smallest = np.linalg.eigvalsh(found[stiffer] - found[softer])[0]
        assert smallest > -1e-6 * found[stiffer].max(), f"{stiffer} is softer than {softer}"


def shear(rve: hmm.RVE, amount: float, steps: int) -> tuple[list[tuple[float, float]], hmm.Response]:
    """Shear the cell in steps, each from the state of the one before; the (strain, stress) pairs."""
    state, curve = None, [(0.0, 0.0)]
    for E12 in np.linspace(0.0, amount, steps + 1)[1:]:
        response = rve.solve(np.array([[0.0, E12], [E12, 0.0]]), state)
        state = response.state
        curve.append((float(E12), float(response.stress[0, 1])))
    return curve, response


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "Homogenize one unit cell under three boundary conditions.", "first_rve", "a coarse mesh"
    )
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    cell = hmm.cells.fibre(volume_fraction=0.3, mesh_size=0.12 if options.quick else 0.05)
    found = stiffnesses(cell)
    check_order(found)
    rows = [(name, *(C[[0, 0, 2], [0, 1, 2]] / [1e3, 1e3, 2e3]).tolist()) for name, C in found.items()]
    hmm.console.print_table(comm, "Effective elastic stiffness in GPa", ["", "C1111", "C1122", "C1212"], rows)

    rve = make_rve(cell, "periodic")
    curve, response = shear(rve, amount=0.01, steps=10)
    defect = hmm.checks.hill_mandel_defect(rve, response)
    assert defect < 1e-7, f"Hill-Mandel is violated by {defect:.2g}"
    hmm.console.print_table(comm, "Shear, periodic", ["E12", "Sigma12 in MPa"], curve)
    if options.no_plots or comm.rank:
        return
    fields = hmm.local_fields(rve, response.state, np.array([[0.0, 0.01], [0.01, 0.0]]))
    label = "accumulated plastic strain p"
    written = [
        hmm.plotting.plot_cell(options.output / "cell.png", cell),
        hmm.plotting.plot_rve(options.output / "sheared.png", cell, fields, "p", label=label),
    ]
    print("Written:", *written, sep="\n  ")


if __name__ == "__main__":
    hmm.errors.run(main)
