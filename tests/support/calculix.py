"""Bars of one material in CalculiX."""

import re
import shutil
import subprocess

import numpy as np
import pytest

LENGTH, WIDTH, CELLS = 4.0, 1.0, 4

needs_calculix = pytest.mark.skipif(
    shutil.which("ccx") is None, reason="CalculiX (ccx) is not installed: apt install calculix-ccx"
)

NODES = np.array(
    [(LENGTH / CELLS * i, WIDTH * j, WIDTH * k) for i in range(CELLS + 1) for j in range(2) for k in range(2)]
)
"""Of the bar along x."""

FACE = ((0, 0), (1, 0), (1, 1), (0, 1))
"""Corners (j, k) of a cross-section, as an element counts them."""


def number(i, j, k):
    return 4 * i + 2 * j + k + 1


def node_sets():
    """Text of the mesh and of the sets ALL, LEFT and RIGHT."""
    lines = ["*NODE, NSET=ALL", *(f"{n + 1}, {x:.9g}, {y:.9g}, {z:.9g}" for n, (x, y, z) in enumerate(NODES))]
    lines.append("*ELEMENT, TYPE=C3D8, ELSET=BAR")
    for i in range(CELLS):
        corners = [number(i + side, *corner) for side in (0, 1) for corner in FACE]
        lines.append(", ".join(map(str, (i + 1, *corners))))
    for name, i in (("LEFT", 0), ("RIGHT", CELLS)):
        lines += [f"*NSET, NSET={name}", ", ".join(str(number(i, *corner)) for corner in FACE)]
    return lines


def solved(folder, material, step, before=()):
    """What CalculiX prints for a bar of the material in an exported file: the rows of numbers of each table."""
    (folder / "material.inp").write_text(material.read_text())
    lines = [*node_sets(), "*INCLUDE, INPUT=material.inp", "*SOLID SECTION, ELSET=BAR, MATERIAL=EFFECTIVE", *before]
    (folder / "bar.inp").write_text("\n".join([*lines, "*STEP", *step, "*END STEP"]) + "\n")
    done = subprocess.run(["ccx", "bar"], cwd=folder, capture_output=True, text=True, timeout=60)
    printed = folder / "bar.dat"
    assert done.returncode == 0 and printed.exists() and "*ERROR" not in done.stdout, done.stdout[-2000:]
    tables, title = {}, ""
    for line in printed.read_text().splitlines():
        if re.search(r"[a-z]{3}", line):
            title = re.split(r" \(| for set", line)[0].strip()
            tables[title] = []
        elif line.strip():
            tables[title].append([float(v) for v in line.split()])
    return {name: np.array(rows) for name, rows in tables.items()}
