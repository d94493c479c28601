"""Side-by-side timing: jobs run in turn, A B A B ..., each in a process of its own; medians and ratios are printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
BASELINE = Path(os.environ.get("HMM_BASELINE", HERE.parent.parent / "shared" / "baseline"))
"""Where the hand-written DOLFINx scripts are; set HMM_BASELINE to point elsewhere."""


def run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Standard output of a command, single-threaded; its errors are shown and stop the benchmark."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def job(name: str, *arguments: object, script: str = "jobs.py") -> dict:
    """Run ``jobs.py NAME ARGUMENTS`` in a process of its own and return the numbers it prints."""
    out = run([sys.executable, str(HERE / script), name, *map(str, arguments)])
    return json.loads(out.strip().splitlines()[-1])


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Median of each number over runs."""
    return {key: median(r[key] for r in runs) for key in runs[0] if isinstance(runs[0][key], (int, float))}


def spread(runs: Sequence[Mapping[str, float]], key: str = "seconds") -> str:
    """Median and range of one number, for a table."""
    values = [r[key] for r in runs]
    return f"{median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    out = Table(title=title, title_justify="left")
    for column in columns:
        out.add_column(column)
    for row in rows:
        out.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row))
    Console(width=150).print(out)
