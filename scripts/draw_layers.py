#!/usr/bin/env python3
"""Draw the layers of the packages for docs/architecture.md, from the contract in pyproject.toml.

python scripts/draw_layers.py docs/images/layers.png
"""

import ast
import sys
import textwrap
import tomllib
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

ROOT = Path(__file__).parents[1]
COLOURS = {
    "basis": ("#e4edf5", ("foundation", "laws", "models", "pages")),
    "the cell problem": ("#fbe9da", ("cells", "images", "micro", "pictures", "reduced")),
    "two scales": ("#e3efdc", ("parallel", "fe2", "runs")),
    "what follows from them": (
        "#f0e6ef",
        (
            "checks",
            "descriptors",
            "plotting",
            "umat",
            "effective",
            "laminates",
            "study",
            "jobs",
            "sweeps",
            "reports",
            "commands",
            "cli",
        ),
    ),
}
INK, LINE = "#222222", "#8a97a3"
WIDTH, HEIGHT, GAP = 12.0, 0.86, 0.2


def layers() -> list[list[str]]:
    """The rows of packages, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rows,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip() for name in row.split("|")] for row in rows]


def purpose(package: str) -> str:
    """The first line of the package's docstring."""
    file = ROOT / "hmm" / package / "__init__.py"
    text = ast.get_docstring(ast.parse((file if file.exists() else ROOT / "hmm" / f"{package}.py").read_text()))
    return text.splitlines()[0].rstrip(".").replace("`", "")


def draw(path: Path) -> None:
    """One row of boxes for each layer, the foundation at the bottom, and an arrow for the direction of imports."""
    rows = layers()
    total = len(rows) * (HEIGHT + GAP)
    figure = Figure(figsize=(0.8 * (WIDTH + 1.2), 0.8 * (total + 0.7)))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    for k, row in enumerate(rows):
        width = (WIDTH - GAP * (len(row) - 1)) / len(row)
        for i, package in enumerate(row):
            _draw_box(axes, i * (width + GAP), total - (k + 1) * (HEIGHT + GAP), width, package)
    arrow = {"arrowstyle": "-|>", "color": LINE, "linewidth": 2.0, "mutation_scale": 20}
    axes.annotate("", (WIDTH + 0.45, 0.0), (WIDTH + 0.45, total - GAP), arrowprops=arrow)
    axes.text(WIDTH + 0.75, 0.5 * total, "may import", rotation=-90, va="center", ha="center", fontsize=11, color=INK)
    handles = [FancyBboxPatch((0, 0), 1, 1, facecolor=colour, edgecolor=LINE) for colour, _ in COLOURS.values()]
    axes.legend(handles, list(COLOURS), loc="lower center", bbox_to_anchor=(0.46, 0.0), ncols=4, frameon=False)
    axes.set_xlim(-0.1, WIDTH + 1.0)
    axes.set_ylim(-0.6, total)
    axes.set_axis_off()
    figure.savefig(path, dpi=100, facecolor="white")


def _draw_box(axes: object, x: float, y: float, width: float, package: str) -> None:
    colour = next(colour for colour, packages in COLOURS.values() if package in packages)
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch((x, y), width, HEIGHT, boxstyle=style, facecolor=colour, edgecolor=LINE))
    centre = x + 0.5 * width
    axes.text(centre, y + 0.64 * HEIGHT, package, ha="center", va="center", fontsize=13, weight="bold", color=INK)
    words = textwrap.shorten(purpose(package), int(16 * width), placeholder=" ...")
    axes.text(centre, y + 0.27 * HEIGHT, words, ha="center", va="center", fontsize=10, color=INK)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
