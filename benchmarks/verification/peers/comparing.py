"""``python benchmarks verify-peers``: all codes on the same cells in turn, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np

from hmm.foundation.files import write_atomically

from .. import ROOT, page
from .cells import CELLS
from .problem import Problem

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PACKAGES = {"sfepy": "sfepy", "fedoo": "fedoo", "muspectre": "muSpectre"}
"""The module that each job imports, by job."""

SAME_ELEMENTS = ("sfepy", "fedoo")
TOLERANCE = 1e-8
"""Largest relative difference from codes with the same elements."""

PLURALS = {"triangle": "triangles", "tetrahedron": "tetrahedra", "hexahedron": "hexahedra"}


def main(arguments: Sequence[str]) -> int:
    """Compare and write the block of docs/verification.md; exit code 1 if a code with the same elements differs."""
    parser = argparse.ArgumentParser(
        prog="benchmarks verify-peers",
        description="Solve the same cells by hmm and by SfePy, fedoo and muSpectre, those that the interpreter has.",
    )
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter with the other codes (.venv-peers)")
    parser.add_argument("--only", action="append", choices=sorted(CELLS), help="a cell; may be repeated")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each code (default 1)")
    options = parser.parse_args(arguments)
    if not options.python.exists():
        sys.exit(f"there is no interpreter {options.python}: run 'make verify-peers', or give one with --python")
    codes = available(options.python)
    if not codes:
        sys.exit(f"{options.python} has none of {', '.join(PACKAGES.values())}: install them there with pip")
    rows, differ = [], []
    for name in options.only or CELLS:
        found, different = compare(name, options.python, codes, options.repeats)
        rows += found
        differ += different
    text = page.table(("cell", "code", "C11 (GPa)", "differs by", "CPU s", "of hmm's", "peak MB"), rows)
    print(text)
    if not options.only:
        told = f"Run on {date.today():%d %B %Y}; {options.repeats} run(s) of each code, in turn, one thread."
        path = page.DOCS / "verification.md"
        write_atomically(path, page.filled(path.read_text(encoding="utf-8"), {"peers": f"{told}\n\n{text}"}))
    for line in differ:
        print(f"differs: {line}")
    return int(bool(differ))


def available(python: Path) -> list[str]:
    """The jobs whose package the interpreter has."""
    code = "import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])"
    done = subprocess.run(
        [str(python), "-c", code, *PACKAGES.values()], capture_output=True, text=True, check=True, env=_environment()
    )
    return [job for job, module in PACKAGES.items() if module in done.stdout.split()]


def compare(name: str, python: Path, codes: Sequence[str], repeats: int) -> tuple[list[Sequence[str]], list[str]]:
    """Rows of the table for a cell, and what differs."""
    problem = CELLS[name]()
    sides = {"hmm": sys.executable} | {code: str(python) for code in codes if code != "muspectre" or problem.grid.size}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cell.npz"
        problem.write(path)
        runs: dict[str, list[dict]] = {code: [] for code in sides}
        for _ in range(repeats):
            for code, interpreter in sides.items():
                runs[code].append(job(interpreter, code, path))
    ours, C = median(r["seconds"] for r in runs["hmm"]), np.array(runs["hmm"][0]["C"])
    rows, differ = [], []
    for code, found in runs.items():
        difference = float(np.linalg.norm(np.array(found[0]["C"]) - C) / np.linalg.norm(C))
        seconds = median(r["seconds"] for r in found)
        if code in SAME_ELEMENTS and not difference <= TOLERANCE:
            differ.append(f"{found[0]['version']} on {name} by {difference:.1e}")
        numbers = (f"{found[0]['C'][0][0]:.8g}", "" if code == "hmm" else page.power(difference), f"{seconds:.2f}")
        ratio, peak = f"{seconds / ours:.2g}", f"{max(r['peak_mb'] for r in found):.0f}"
        rows.append((described(problem, name) if code == "hmm" else "", found[0]["version"], *numbers, ratio, peak))
    return rows, differ


def described(problem: Problem, name: str) -> str:
    """The cell in words."""
    return f"{CELLS[name].__doc__}: {len(problem.elements):,} {PLURALS[problem.kind]}"


def job(interpreter: str, code: str, path: Path) -> dict:
    """Run a job in a process of its own."""
    environment = _environment() if code != "hmm" else {**os.environ, **THREADS}
    command = [interpreter, str(HERE / f"{code}_job.py"), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def _environment() -> dict[str, str]:
    """That of another code: one thread, and no packages of this environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, **THREADS}
