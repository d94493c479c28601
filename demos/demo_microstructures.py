"""A gallery of the unit cells of hmm: arrays, random packings, grains, cracks, lattices, surfaces, weaves.

Each generator is a plain function of `hmm.cells` with keyword arguments, so that a table of names and
arguments defines all microstructures of this demo. The printed table lists volume fractions and mesh quality.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order

PLANE: dict[str, dict[str, Any]] = {
    "fibre": {"volume_fraction": 0.5, "array": "hexagonal", "mesh_size": 0.06},
    "random_fibres": {"volume_fraction": 0.6, "number": 25, "seed": 3},
    "random_fibres, coated": {"volume_fraction": 0.4, "number": 15, "spread": 0.35, "interface": 0.012, "seed": 1},
    "short_fibres": {"volume_fraction": 0.3, "number": 20, "dim": 2, "aspect": 4.0, "mesh_size": 0.05, "seed": 2},
    "voronoi": {"grains": 25, "dim": 2, "mesh_size": 0.05},
    "cracks": {"density": 0.12, "number": 12, "mesh_size": 0.06},
    "honeycomb": {"volume_fraction": 0.25, "void": True, "mesh_size": 0.04},
    "checkerboard": {"blocks": 4, "mesh_size": 0.05},
}
SOLID: dict[str, dict[str, Any]] = {
    "sphere": {"volume_fraction": 0.5, "array": "fcc", "mesh_size": 0.1},
    "random_spheres": {"volume_fraction": 0.35, "number": 12, "spread": 0.25, "mesh_size": 0.1},
    "random_ellipsoids": {"volume_fraction": 0.15, "number": 6, "aspect": 0.4, "mesh_size": 0.12, "seed": 1},
    "short_fibres": {"volume_fraction": 0.1, "number": 12, "aspect": 4.0, "mesh_size": 0.12, "seed": 2},
    "laguerre": {"grains": 12, "spread": 0.4, "mesh_size": 0.1},
    "tpms": {"volume_fraction": 0.35, "surface": "gyroid", "mesh_size": 1 / 40},
    "lattice": {"volume_fraction": 0.2, "struts": "octet", "mesh_size": 1 / 40, "void": True},
    "plain_weave": {"volume_fraction": 0.5, "mesh_size": 1 / 48},
}
QUICK = ("fibre", "random_fibres", "voronoi", "cracks", "honeycomb", "checkerboard", "tpms", "lattice")
WANTED = {"fibre": "fibre", "random_fibres": "fibre", "random_spheres": "inclusion", "sphere": "inclusion"}


def make(name: str, arguments: dict[str, Any], coarse: float) -> hmm.Cell:
    """The cell of a generator; a remark may follow its name after a comma."""
    arguments = dict(arguments)
    if "mesh_size" in arguments:
        arguments["mesh_size"] *= coarse
    made = getattr(hmm.cells, name.split(",")[0])(**arguments)
    return getattr(made, "cell", made)


def check(name: str, cell: hmm.Cell, arguments: dict[str, Any]) -> None:
    """Check the volume fractions, the quality of the elements and the periodicity of the mesh."""
    if name in WANTED:
        assert abs(cell.volume_fractions[WANTED[name]] / arguments["volume_fraction"] - 1) < 0.1
    assert hmm.cells.quality(cell).minimum > 0.02
    hmm.micro.constraints.constrain("periodic", cell, hmm.fluctuation(cell).function_space)


def main(argv: list[str] | None = None) -> None:
    about, quick = "Generate one cell of each kind.", "only those that take a second, with coarse meshes"
    options, comm = hmm.console.demo_options(argv, about, "microstructures", quick), MPI.COMM_WORLD
    row = hmm.console.live_table(comm, [f"{'generator':>21}", "dim", "elements", "worst", "mean", "phases"])
    gallery = []
    for table in (PLANE, SOLID):
        for name, given in table.items():
            if options.quick and name not in QUICK:
                continue
            cell = make(name, given, 2.0 if options.quick else 1.0)
            check(name, cell, given)
            shape, fractions = hmm.cells.quality(cell), cell.volume_fractions
            phases = ", ".join(f"{p} {100 * f:.3g} %" for p, f in list(fractions.items())[:3])
            row(name, cell.dim, shape.n_elements, shape.minimum, shape.mean, phases)
            gallery.append((name, cell))
    if options.no_plots or comm.rank:
        return
    print("Written:", draw(options.output / "microstructures.png", gallery), sep="\n  ")


def draw(path: Path, gallery: list[tuple[str, hmm.Cell]], columns: int = 4) -> Path:
    """One picture of all cells."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    rows = -(-len(gallery) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, cell) in zip(figure.subplots(rows, columns, squeeze=False).flat, gallery, strict=False):
        title = f"{name.replace(', coated', ' with interface')}, {cell.dim}D"
        axes.imshow(imread(hmm.plotting.plot_cell(path.parent / f"{title.replace(' ', '_')}.png", cell)))
        axes.set_title(title, fontsize=10)
    for axes in figure.axes:
        axes.set_axis_off()
    figure.savefig(path, dpi=150)
    return path


if __name__ == "__main__":
    hmm.errors.run(main)
