"""An energy of your own: soft tissue, whose crimped fibres stiffen it once they are pulled straight.

Layers of tissue with collagen fibres lie between layers of bare matrix. The energy is written here in UFL: a
neo-Hookean matrix and fibres that resist stretch only, by Holzapfel, Gasser and Ogden, *J. Elasticity* 61 (2000) 1:

    W = mu/2 (F:F - 2 - 2 ln J) + lambda/2 (ln J)^2 + k1/(2 k2) (exp(k2 <a.C a - 1>^2) - 1)

with the unit vector a of the fibres, which varies in the cell, and <x> = max(x, 0). The local field is
``F.local(w) = F + grad w``. Stresses are in kPa; plane strain.

    python demos/demo_user_energy.py
"""

from argparse import Namespace
from pathlib import Path

from mpi4py import MPI

import numpy as np
import ufl

import hmm

MU, LAMBDA = 10.0, 40.0  # the matrix
K1, K2 = 20.0, 2.0  # the fibres
TISSUE = 0.6  # fraction of the layers with fibres
CRIMP = np.radians(35)  # largest angle of the crimped fibres with axis 1


def matrix_energy(F: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
    """Energy density of the matrix at the local deformation gradient, shape (2, 2)."""
    log_J = ufl.ln(ufl.det(F))
    return MU / 2 * (ufl.inner(F, F) - 2 - 2 * log_J) + LAMBDA / 2 * log_J**2


def fibre_energy(F: ufl.core.expr.Expr, a: ufl.core.expr.Expr) -> ufl.core.expr.Expr:
    """Energy density of fibres along the unit vector `a` of the reference cell: none while they are shortened."""
    stretch = ufl.max_value(ufl.inner(F * a, F * a) - 1, 0.0)
    return K1 / (2 * K2) * (ufl.exp(K2 * stretch**2) - 1)


def direction(cell: hmm.Cell, crimp: float) -> ufl.core.expr.Expr:
    """Unit vectors of fibres that go up and down by the angle `crimp` along axis 1."""
    angle = crimp * ufl.sin(2 * ufl.pi * ufl.SpatialCoordinate(cell.mesh)[0])
    return ufl.as_vector([ufl.cos(angle), ufl.sin(angle)])


def make_rve(mesh_size: float, crimp: float) -> hmm.RVE:
    """The cell problem of an energy."""
    cell = hmm.cells.laminate({"tissue": TISSUE, "matrix": 1 - TISSUE}, normal=1, mesh_size=mesh_size)
    w = hmm.fluctuation(cell, degree=2)
    F = hmm.macro_deformation_gradient(cell)
    local = F.local(w)  # what laws are given as at.deformation_gradient, here of the cell's dimension
    dx = cell.measure(quadrature_degree=4)
    energy = matrix_energy(local) * dx + fibre_energy(local, direction(cell, crimp)) * dx(cell.phases["tissue"])
    return hmm.RVE(cell, w, F, energy=energy, quadrature_degree=4)


def pull(rve: hmm.RVE, stretches: np.ndarray) -> list[hmm.Response]:
    """Stretch along axis 1 with the width held, step by step."""
    state, answers = None, []
    for stretch in stretches:
        answers.append(rve.solve(np.diag([stretch, 1.0]), state))
        state = answers[-1].state
    return answers


def straight(stretch: np.ndarray) -> np.ndarray:
    """P11 by hand if the fibres are straight: all layers deform alike, for straight fibres add to P11 only."""
    matrix = MU * (stretch - 1 / stretch) + LAMBDA * np.log(stretch) / stretch
    x = np.maximum(stretch**2 - 1, 0)
    return matrix + TISSUE * 2 * stretch * K1 * x * np.exp(K2 * x**2)


def check_energy(rve: hmm.RVE, top: float, steps: int) -> None:
    """The work of the mean stress (Simpson) is the mean energy: what was put in is stored, whatever happens inside."""
    stretches = np.linspace(1.0, top, 2 * steps + 1)
    P = np.array([answer.stress[0, 0] for answer in pull(rve, stretches)])
    h = stretches[1] - stretches[0]
    work = h / 3 * float(P[0] + 4 * P[1::2].sum() + 2 * P[2:-1:2].sum() + P[-1])
    local = rve.local()  # of the last point solved
    stored = rve.average(matrix_energy(local)) + rve.average(fibre_energy(local, direction(rve.cell, CRIMP)), "tissue")
    assert abs(work / stored - 1) < 1e-4, f"work {work:.6g}, stored {stored:.6g}"


def check_frame(rve: hmm.RVE) -> None:
    """A rotation after the deformation rotates the stress and nothing else."""
    c, s = np.cos(0.4), np.sin(0.4)
    Q, F = np.array([[c, -s], [s, c]]), np.array([[1.15, 0.1], [0.0, 0.95]])
    rotated, P = rve.solve(Q @ F).stress, rve.solve(F).stress
    assert np.allclose(rotated, Q @ P, rtol=1e-6, atol=1e-6 * np.abs(P).max())


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser("Homogenize an energy of your own.", "user_energy", "a coarse mesh and few steps")
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
    mesh_size, steps = (0.25, 6) if options.quick else (0.1, 12)
    stretches = np.linspace(0.85, 1.35, 2 * steps + 1)
    rve = make_rve(mesh_size, CRIMP)
    crimped = pull(rve, stretches)
    flat = pull(make_rve(mesh_size, 0.0), stretches)
    P, exact = np.array([a.stress[0, 0] for a in crimped]), straight(stretches)
    rows = [(float(stretches[k]), float(P[k]), float(exact[k])) for k in range(0, len(stretches), steps // 3)]
    hmm.console.print_table(comm, "P11 in kPa", ["stretch", "crimped", "straight"], rows)
    assert np.allclose([a.stress[0, 0] for a in flat], exact, rtol=1e-7, atol=1e-7 * MU), "straight fibres, by hand"
    stiffness = np.array([a.tangent[0, 0] for a in crimped])
    start = int(np.argmin(np.abs(stretches - 1)))
    assert stiffness[-1] > 2 * stiffness[start], "fibres that are pulled straight stiffen the tissue"
    assert np.all(P[stretches > 1.01] < exact[stretches > 1.01]), "crimped fibres carry less than straight ones"
    check_energy(rve, 1.3, steps)
    check_frame(rve)
    if not options.no_plots and comm.rank == 0:
        print("Written:", draw(options.output / "tissue.png", stretches, P, exact), sep="\n  ")


def draw(path: Path, stretches: np.ndarray, crimped: np.ndarray, exact: np.ndarray) -> Path:
    """Stress over stretch, with crimped and with straight fibres."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(stretches, exact, "--", color="#3182bd", label="straight fibres")
    axes.plot(stretches, crimped, "o-", color="#d9762b", markersize=4, label="crimped fibres")
    axes.set_xlabel("stretch along the layers", fontsize=12)
    axes.set_ylabel("P11 in kPa", fontsize=12)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    hmm.errors.run(main)
