"""A gallery of the unit cells of hmm: arrays, random packings, grains, cracks, lattices, surfaces, weaves.

Each generator is a plain function of `hmm.cells` with keyword arguments, so that a table of names and
arguments defines all microstructures of this demo. The printed table lists volume fractions and mesh quality.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mpi4py import MPI

import hmm  # isort: skip  loads the FEniCSx stack in the right order
import numpy as np
from dolfinx.plot import vtk_mesh

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
COLOURS = ("#dfe7ee", "#e07b39", "#5b7c99", "#d9b44a")
GRAINS = "Spectral"


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


def arguments(argv: list[str] | None) -> Namespace:
    parser = hmm.console.demo_parser(
        "Generate one cell of each kind.", "microstructures", "only those that take a second, with coarse meshes"
    )
    return hmm.console.parse_arguments(parser, argv, MPI.COMM_WORLD)


def main(argv: list[str] | None = None) -> None:
    options, comm = arguments(argv), MPI.COMM_WORLD
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
    """One picture of all cells, inclusions in 3D shown without their matrix."""
    import pyvista as pv

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = -(-len(gallery) // columns)
    size = [480 * columns, 520 * rows]
    with pv.vtk_verbosity("error"):  # without a screen VTK warns before it finds another way
        plotter = pv.Plotter(off_screen=True, shape=(rows, columns), window_size=size, border=False)
    plotter.set_background("white")
    for k, (name, cell) in enumerate(gallery):
        plotter.subplot(k // columns, k % columns)
        picture(pv, plotter, cell)
        title = name.replace(", coated", " with interface") + f", {cell.dim}D"
        text = plotter.add_text(title, position=(0.5, 0.02), viewport=True, font_size=13, color="#222222")
        text.prop.justification_horizontal = "center"
        plotter.enable_anti_aliasing("ssaa")
    plotter.screenshot(str(path))
    plotter.close()
    return path


def picture(pv: Any, plotter: Any, cell: hmm.Cell) -> None:
    """One cell in the current subplot."""
    grid = pv.UnstructuredGrid(*vtk_mesh(cell.mesh))
    grid.cell_data["phase"] = cell.phase_tags.values - min(cell.phases.values())
    n = len(cell.phases)
    colours = GRAINS if "grain_0" in cell.phases else list(COLOURS[:n]) if n > 1 else [COLOURS[cell.dim == 3]]
    style = {"scalars": "phase", "cmap": colours, "clim": (-0.5, n - 0.5), "show_scalar_bar": False}
    flat = cell.dim == 2
    if not flat and n > 1 and "grain_0" not in cell.phases:
        plotter.add_mesh(grid.outline(), color="#888888", line_width=2)
        plotter.add_mesh(grid.extract_surface(algorithm=None), color=COLOURS[0], opacity=0.12)
        grid = grid.extract_cells(np.flatnonzero(grid.cell_data["phase"] > 0))
    surface = grid.extract_surface(algorithm=None)
    plotter.add_mesh(surface, show_edges=cell.grid is None, edge_color="#555555", line_width=0.6, edge_opacity=0.35,
                     lighting=not flat, ambient=0.35, diffuse=0.7, **style)  # fmt: skip
    if flat:
        for tag in range(n):
            part = grid.extract_cells(np.flatnonzero(grid.cell_data["phase"] == tag)).extract_surface(algorithm=None)
            border = part.extract_feature_edges(feature_angle=180, manifold_edges=False)
            plotter.add_mesh(border, color="#222222", line_width=2, lighting=False)
    plotter.enable_parallel_projection()
    plotter.view_xy() if flat else plotter.view_isometric()
    plotter.reset_camera()
    width, height = np.ptp(cell.mesh.geometry.x[:, :2], axis=0)
    plotter.camera.parallel_scale = 0.62 * max(width, height) if flat else 1.05 * plotter.camera.parallel_scale
    lift = 0.07 * plotter.camera.parallel_scale * np.array(plotter.camera.up)
    plotter.camera.focal_point, plotter.camera.position = (
        np.array(plotter.camera.focal_point) - lift,
        np.array(plotter.camera.position) - lift,
    )


if __name__ == "__main__":
    hmm.errors.run(main)
