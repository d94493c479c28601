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

from argparse import Namespace
from pathlib import Path

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


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser("Error of FE-HMM: macro, micro and resonance.", "fehmm", "coarser meshes")
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
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
    if not options.no_plots and comm.rank == 0:
        path = draw(options.output / "convergence.png", sizes, in_H, micro, in_h, lengths, resonance)
        print("Written:", path, sep="\n  ")


def draw(
    path: Path,
    sizes: list[float],
    in_H: dict[int, list[tuple[float, float]]],
    micro: list[int],
    in_h: list[float],
    lengths: dict[str, list[float]],
    resonance: dict[str, list[float]],
) -> Path:
    """Three panels: the macro error with the floors that coarse cells leave, the micro and the resonance error."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    finest = micro[-1]
    figure = Figure(figsize=(12.5, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    shades = ("#9ecae1", "#6baed6", "#3182bd", "#08306b")
    for (m, errors), colour in zip(in_H.items(), shades, strict=True):
        left.loglog(sizes, [e[0] for e in errors], "-o", color=colour, label=f"L², h/ε = 1/{m}")
    left.loglog(sizes, [e[1] for e in in_H[finest]], "-s", color="#d9762b", label=f"H¹, h/ε = 1/{finest}")
    middle.loglog([1 / m for m in micro], in_h, "-o", color="#08306b", label="one period, periodic")
    for (name, errors), colour, mark in zip(resonance.items(), ("#2b8a5b", "#8a2b6b"), "^v", strict=True):
        right.loglog(lengths[name], errors, f"-{mark}", color=colour, label=name.replace("eps", "ε"))
    _slope(left, sizes, in_H[finest][-1][0], 2, 0.35)
    _slope(left, sizes, in_H[finest][-1][1], 1, 0.5)
    _slope(middle, [1 / m for m in micro], in_h[-1], 2, 0.35)
    lowest = min(min(errors) for errors in resonance.values())
    _slope(right, next(iter(lengths.values())), lowest, 1, 0.6)
    panels = ((left, "macro mesh H", "error of the solution"), (middle, "h/ε", "error of the conductivity"))
    for axes, xlabel, ylabel in (*panels, (right, "ε/δ", "error of the conductivity")):
        axes.set_xlabel(xlabel, fontsize=12)
        axes.set_ylabel(ylabel, fontsize=12)
        axes.minorticks_off()
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.legend(frameon=False, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes, title in zip((left, middle, right), ("Macro", "Micro", "Resonance"), strict=True):
        axes.set_title(title, fontsize=13, loc="left")
    for axes, ticks in ((left, sizes), (middle, [1 / m for m in micro]), (right, next(iter(lengths.values())))):
        axes.set_xticks(ticks, [f"1/{1 / t:.0f}" if t < 1 else "1" for t in ticks])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def _slope(axes, sizes: list[float], error: float, order: int, shift: float) -> None:
    """A dashed line of the expected order, a little below the errors."""
    x = np.array([min(sizes), max(sizes)])
    y = shift * error * (x / x[0]) ** order
    axes.loglog(x, y, "--", color="0.5", linewidth=1)
    axes.annotate(
        f"{order}",
        (x.prod() ** 0.5, shift * error * (x[1] / x[0]) ** (order / 2)),
        (4, -12),
        textcoords="offset points",
        color="0.35",
    )


if __name__ == "__main__":
    hmm.errors.run(main)
