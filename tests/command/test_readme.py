"""The program in the README runs as it stands there."""

import pkgutil
import re
from pathlib import Path

from mpi4py import MPI

import pytest

import hmm

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "docs/tutorials/*.md", "[!.]*/README.md")
    for page in ROOT.glob(pattern)
)


@pytest.mark.mpi
def test_the_program_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(MPI.COMM_WORLD.bcast(tmp_path))
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    assert names["step"].number == 5
    assert names["problem"].reaction(names["clamp"]) == pytest.approx([0.0, 1.2 * 20.0], abs=1e-6)
    assert Path("results/mine/macro.bp").is_dir()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Links to generated pages are checked when the site is built (scripts/check_site.py)."""
    for target in re.findall(r"\]\(((?!reference/generated/)[^)#]+)\)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_names_and_files_exist(page):
    """Dotted names ``hmm.a.b``, and files of this repository by their path from its root or from the page."""
    text = (ROOT / page).read_text()
    for name in set(re.findall(r"\bhmm(?:\.[A-Za-z_]\w*)+", text)) - {"hmm.sif", "hmm.tar"}:  # docker's files
        assert _exists(name), name
    for path in set(re.findall(r"\b(?:hmm|tests|benchmarks|demos|scripts)/[\w/]+\.\w+", text)):
        assert (ROOT / path).exists() or (ROOT / page).parent.joinpath(path).exists(), path


def _exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        owner, _, last = name.rpartition(".")
        return _exists(owner) and last in getattr(pkgutil.resolve_name(owner), "__annotations__", {})
    return True


def test_every_public_name_is_in_the_list():
    text = (ROOT / "docs" / "api.md").read_text()
    missing = [name for name in hmm.__all__ if f"hmm.{name}" not in text]
    assert not missing
