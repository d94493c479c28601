"""The notebooks run, and what they assert holds; IPython itself is not needed."""

import json
import sys
from pathlib import Path
from types import ModuleType

from mpi4py import MPI

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "demos").glob("*.ipynb"))

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="a notebook is one process")


def code(path: Path) -> str:
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    pytest.importorskip("pyvista")
    display = ModuleType("IPython.display")
    display.Image = lambda picture, **style: Path(picture).stat()
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)
    exec(compile(code(path), str(path), "exec"), {"__name__": "__main__"})
    assert list(tmp_path.rglob("*.png")), "no picture was drawn"
