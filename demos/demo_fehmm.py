"""The finite element heterogeneous multiscale method for diffusion, and where its error comes from.

Solve ``-div(a(x/eps) grad u) = f`` without resolving the oscillations of length eps: the macro mesh, of size H, takes
the homogenized conductivity from a small cell of size delta and mesh size h. With first-order elements the error has
three parts (E, Ming and Zhang, *J. Amer. Math. Soc.* 18 (2005) 121; Abdulle, *Multiscale Model. Simul.* 4 (2005) 447)

    |u - u_H|  <=  C ( H^2  +  (h/eps)^2  +  eps/delta ),        in the gradient  C ( H + (h/eps)^2 + eps/delta ),

of which the last, the resonance error, is zero if the cell is an integer number of periods with periodic boundary
conditions. The medium is ``1 / (2 + 1.5 sin(2 pi x1 / eps))``, whose homogenized tensor is known: the
harmonic mean 1/2 across and the arithmetic mean 1/sqrt(4 - 1.5^2) along the layers.

    python demos/demo_fehmm.py
"""

from __future__ import annotations

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import numpy as np
import ufl
from dolfinx import fem
from dolfinx.mesh import create_unit_square, exterior_facet_indices

AMPLITUDE = 1.5
EXACT = np.diag([0.5, (4 - AMPLITUDE**2) ** -0.5])


def make_rve(divisions: int, periods: float = 1.0, constraint: str = "periodic") -> hmm.RVE:
    """A cell of a number of periods of length 1, each meshed with `divisions` elements along its edge."""
    cell = hmm.cells.laminate({"medium": 1.0}, size=periods, mesh_size=1 / divisions)
    y = ufl.SpatialCoordinate(cell.mesh)
    a = 1 / (2 + AMPLITUDE * ufl.sin(2 * ufl.pi * y[0]))
    w, G = hmm.fluctuation(cell, shape=()), hmm.macro_gradient(cell)
    return hmm.RVE(cell, w, G, law={"medium": hmm.laws.Fourier(a)}, constraint=constraint, quadrature_degree=4)


def conductivity_error(rve: hmm.RVE) -> float:
    """Error of the homogenized conductivity, relative to the exact one, in the spectral norm."""
    return float(np.linalg.norm(rve.solve(np.zeros(2)).tangent - EXACT, 2) / np.linalg.norm(EXACT, 2))


def macro_errors(rve: hmm.RVE, n: int, comm: MPI.Comm) -> tuple[float, float]:
    """Relative L2 and H1 errors of the FE-HMM solution on an n x n mesh, for the exact ``u = sin(pi x) sin(pi y)``."""
    domain = create_unit_square(comm, n, n)
    V = fem.functionspace(domain, ("Lagrange", 1))
    u, v, x = fem.Function(V), ufl.TestFunction(V), ufl.SpatialCoordinate(domain)
    exact = ufl.sin(ufl.pi * x[0]) * ufl.sin(ufl.pi * x[1])
    f = ufl.pi**2 * np.trace(EXACT) * exact
    domain.topology.create_connectivity(1, 2)
    boundary = fem.locate_dofs_topological(V, 1, exterior_facet_indices(domain.topology))
    hom = hmm.Homogenizer(rve, ufl.grad(u), degree=1)
    F = ufl.inner(hom.stress, ufl.grad(v)) * hom.dx - f * v * ufl.dx
    hmm.MacroProblem(F, u, hom, bcs=[fem.dirichletbc(0.0, boundary, V)], petsc_options_prefix="fehmm_").solve()
    e, dx = u - exact, ufl.dx(metadata={"quadrature_degree": 6})

    def norm(square: ufl.core.expr.Expr) -> float:
        return float(np.sqrt(comm.allreduce(fem.assemble_scalar(fem.form(square * dx)))))

    return norm(e**2) / 0.5, norm(ufl.inner(ufl.grad(e), ufl.grad(e))) / (ufl.pi / 2**0.5)


def rate(sizes: list[float], errors: list[float]) -> float:
    """Fitted exponent p of ``error = C size^p``."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def slope(sizes: list[float], error: float, order: int) -> tuple[np.ndarray, np.ndarray]:
    """A line of this order beneath errors whose least is `error`."""
    x = np.geomspace(min(sizes), max(sizes), 20)
    return x, 0.4 * error * (x / x[0]) ** order


def main(argv: list[str] | None = None) -> None:
    about = "Error of FE-HMM: macro, micro and resonance."
    options, comm = hmm.console.demo_options(argv, about, "fehmm", "coarser meshes"), MPI.COMM_WORLD
    macro = [4, 8, 16] if options.quick else [4, 8, 16, 32]
    micro, periods = ([4, 8, 16, 32], [1, 2, 4]) if options.quick else ([4, 8, 16, 32, 64], [1, 2, 4, 8])
    cells = {m: make_rve(m) for m in micro}
    finest = micro[-1]

    in_h = [conductivity_error(cells[m]) for m in micro]
    hmm.console.print_table(
        comm, "Micro error", ["h/eps", "error of a"], [(1 / m, e) for m, e in zip(micro, in_h, strict=True)]
    )
    assert abs(rate([1 / m for m in micro[1:]], in_h[1:]) - 2) < 0.15

    resonance = {
        "δ = k eps, w = 0": [conductivity_error(make_rve(finest // 2, k, "dirichlet")) for k in periods],
        "δ = (k + 1/2) eps, periodic": [conductivity_error(make_rve(finest // 2, k + 0.5)) for k in periods],
    }
    lengths = dict(zip(resonance, ([1 / k for k in periods], [1 / (k + 0.5) for k in periods]), strict=True))
    rows = [(name, rate(lengths[name], errors)) for name, errors in resonance.items()]
    hmm.console.print_table(comm, "Resonance error", ["cell", "rate in eps/δ"], rows)
    assert all(0.8 < p < 1.2 for _, p in rows)

    in_H = {m: [macro_errors(cells[m], n, comm) for n in macro] for m in [*micro[:3], finest]}
    L2, H1 = (list(column) for column in zip(*in_H[finest], strict=True))
    rows = [(1 / n, *errors) for n, errors in zip(macro, in_H[finest], strict=True)]
    hmm.console.print_table(comm, "Macro error, fine cells", ["H", "L2", "H1"], rows)
    sizes = [1 / n for n in macro]
    assert abs(rate(sizes[1:], H1[1:]) - 1) < 0.1 and abs(rate(sizes[1:], L2[1:]) - 2) < 0.15
    if not options.no_plots:
        name, error = options.output, "Relative error"
        curves = {f"L², h/ε = 1/{m}": [e[0] for e in errors] for m, errors in in_H.items()} | {"H¹": H1}
        orders = {"order 2": slope(sizes, L2[-1], 2), "order 1": slope(sizes, H1[-1], 1)}
        hmm.plotting.plot_curve(name / "macro.png", comm, sizes, curves, "H", error, references=orders, log="xy")
        h = [1 / m for m in micro]
        orders = {"order 2": slope(h, in_h[-1], 2)}
        hmm.plotting.plot_curve(name / "micro.png", comm, h, in_h, "h/ε", error, references=orders, log="xy")
        (zero, x), (half, other) = lengths.items()
        known = {half: (other, resonance[half]), "order 1": slope(x, resonance[zero][-1], 1)}
        curve = {zero: resonance[zero]}
        hmm.plotting.plot_curve(name / "resonance.png", comm, x, curve, "ε/δ", error, references=known, log="xy")
        hmm.console.say(comm, f"Pictures are in {name}")


if __name__ == "__main__":
    hmm.errors.run(main)
