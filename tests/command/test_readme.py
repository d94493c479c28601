"""The program in the README runs as it stands there."""

import re
from pathlib import Path

from mpi4py import MPI

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.mpi
def test_the_program_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(MPI.COMM_WORLD.bcast(tmp_path))
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    assert names["step"].number == 5
    assert names["problem"].reaction(names["clamp"]) == pytest.approx([0.0, 1.2 * 20.0], abs=1e-6)
    assert Path("results/mine/macro.bp").is_dir()


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "demos/README.md",
        "docs/api.md",
        "docs/effective.md",
        "docs/energy.md",
        "docs/laws.md",
        "docs/theory.md",
        "CHANGELOG.md",
    ],
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_every_public_name_is_in_the_list():
    import hmm

    text = (ROOT / "docs" / "api.md").read_text()
    missing = [name for name in hmm.__all__ if f"hmm.{name}" not in text]
    assert not missing
