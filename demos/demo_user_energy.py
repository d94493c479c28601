"""An energy of your own: soft tissue that stiffens when its crimped fibres become straight.

Layers of tissue with collagen fibres lie between layers of matrix without fibres. The demo defines the energy in UFL: a
neo-Hookean matrix, and fibres that resist tension only, by Holzapfel, Gasser and Ogden, *J. Elasticity* 61 (2000) 1:

    W = mu/2 (F:F - 2 - 2 ln J) + lambda/2 (ln J)^2 + k1/(2 k2) (exp(k2 <a.C a - 1>^2) - 1)

with the unit vector a of the fibres, which varies in the cell, and <x> = max(x, 0). The local field is
``F.local(w) = F + grad w``. Stresses are in kPa; plane strain.

    python demos/demo_user_energy.py
"""

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
    """Energy density of fibres along the unit vector `a` of the reference cell; zero in compression."""
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
    local = F.local(w)  # as at.deformation_gradient of laws, but of the cell's dimension
    dx = cell.measure(quadrature_degree=4)
    energy = matrix_energy(local) * dx + fibre_energy(local, direction(cell, crimp)) * dx(cell.phases["tissue"])
    return hmm.RVE(cell, w, F, energy=energy, quadrature_degree=4)


def pull(rve: hmm.RVE, stretches: np.ndarray) -> list[hmm.Response]:
    """Stretch along axis 1 with the width fixed, step by step."""
    state, answers = None, []
    for stretch in stretches:
        answers.append(rve.solve(np.diag([stretch, 1.0]), state))
        state = answers[-1].state
    return answers


def straight(stretch: np.ndarray) -> np.ndarray:
    """Exact P11 for straight fibres, which contribute to P11 only, so that all layers have the same deformation."""
    matrix = MU * (stretch - 1 / stretch) + LAMBDA * np.log(stretch) / stretch
    x = np.maximum(stretch**2 - 1, 0)
    return matrix + TISSUE * 2 * stretch * K1 * x * np.exp(K2 * x**2)


def check_energy(rve: hmm.RVE, top: float, steps: int) -> None:
    """Check that the work of the mean stress (Simpson's rule) equals the mean stored energy."""
    stretches = np.linspace(1.0, top, 2 * steps + 1)
    P = np.array([answer.stress[0, 0] for answer in pull(rve, stretches)])
    h = stretches[1] - stretches[0]
    work = h / 3 * float(P[0] + 4 * P[1::2].sum() + 2 * P[2:-1:2].sum() + P[-1])
    local = rve.local()  # of the last point solved
    stored = rve.average(matrix_energy(local)) + rve.average(fibre_energy(local, direction(rve.cell, CRIMP)), "tissue")
    assert abs(work / stored - 1) < 1e-4, f"work {work:.6g}, stored {stored:.6g}"


def check_frame(rve: hmm.RVE) -> None:
    """Check that a rotation after the deformation only rotates the stress."""
    c, s = np.cos(0.4), np.sin(0.4)
    Q, F = np.array([[c, -s], [s, c]]), np.array([[1.15, 0.1], [0.0, 0.95]])
    rotated, P = rve.solve(Q @ F).stress, rve.solve(F).stress
    assert np.allclose(rotated, Q @ P, rtol=1e-6, atol=1e-6 * np.abs(P).max())


def main(argv: list[str] | None = None) -> None:
    about = "Homogenize an energy of your own."
    options = hmm.console.demo_options(argv, about, "user_energy", "a coarse mesh and few steps")
    comm = MPI.COMM_WORLD
    mesh_size, steps = (0.25, 6) if options.quick else (0.1, 12)
    stretches = np.linspace(0.85, 1.35, 2 * steps + 1)
    rve = make_rve(mesh_size, CRIMP)
    crimped = pull(rve, stretches)
    flat = pull(make_rve(mesh_size, 0.0), stretches)
    P, exact = np.array([a.stress[0, 0] for a in crimped]), straight(stretches)
    rows = [(float(stretches[k]), float(P[k]), float(exact[k])) for k in range(0, len(stretches), steps // 3)]
    hmm.console.print_table(comm, "P11 in kPa", ["stretch", "crimped", "straight"], rows)
    assert np.allclose([a.stress[0, 0] for a in flat], exact, rtol=1e-7, atol=1e-7 * MU), (
        "the exact solution for straight fibres"
    )
    stiffness = np.array([a.tangent[0, 0] for a in crimped])
    start = int(np.argmin(np.abs(stretches - 1)))
    assert stiffness[-1] > 2 * stiffness[start], "fibres that become straight must stiffen the tissue"
    assert np.all(P[stretches > 1.01] < exact[stretches > 1.01]), "crimped fibres must carry less than straight ones"
    check_energy(rve, 1.3, steps)
    check_frame(rve)
    if not options.no_plots:
        known = {"straight fibres, exact": (stretches, exact)}
        axes = stretches, {"crimped fibres": P}, "Stretch along the layers", "P11 in kPa"
        path = hmm.plotting.plot_curve(options.output / "tissue.png", comm, *axes, references=known)
        hmm.console.say(comm, f"Written:\n  {path}")


if __name__ == "__main__":
    hmm.errors.run(main)
