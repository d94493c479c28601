"""The tutorials are notebooks as text; they run, and what they assert holds. IPython itself is not needed."""

import re
import sys
from pathlib import Path
from types import ModuleType

from mpi4py import MPI

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
NOTEBOOKS = sorted(path for path in TUTORIALS.glob("*.md") if path.stem != "index")
CELL = re.compile(r"^```\{code-cell\}\n(?::[^\n]*\n)*(.*?)^```$", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="a notebook is one process")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    pytest.importorskip("pyvista")
    pytest.importorskip("matplotlib")
    display = ModuleType("IPython.display")
    display.Image = lambda picture, **style: Path(picture).stat()
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(CELL.findall(path.read_text(encoding="utf-8")))
    exec(compile(code, str(path), "exec"), {"__name__": "__main__"})
    assert list(tmp_path.rglob("*.png")), "no picture was drawn"


def test_every_notebook_is_in_the_index():
    text = (TUTORIALS / "index.md").read_text(encoding="utf-8")
    assert [path.stem for path in NOTEBOOKS if f"({path.name})" not in text] == []
