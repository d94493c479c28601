"""The plan of docs/architecture.md: what lies in `hmm`, what packages say of themselves, names that are used once."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import hmm

ROOT = Path(hmm.__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def public(module):
    """Names of the classes, functions and type aliases that a module defines for others."""
    for node in ast.parse(module.read_text()).body:
        name = node.name.id if isinstance(node, ast.TypeAlias) else getattr(node, "name", "_")
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.TypeAlias) and not name.startswith("_"):
            yield name


def test_only_packages_and_the_command_lie_in_hmm():
    found = {path.name for path in ROOT.iterdir() if path.name != "py.typed" and path.suffix not in (".pyc", ".so")}
    assert found - {"__pycache__"} == {*PACKAGES, "__init__.py", "__main__.py", "cli.py"}


def test_no_two_public_things_share_a_name():
    where = defaultdict(list)
    for module in sorted(ROOT.rglob("*.py")):
        for name in public(module):
            where[name].append(str(module.relative_to(ROOT)))
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_what_it_is(package):
    """What lives there in the first line, what it may import, and where to begin."""
    text = " ".join(ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())).split())
    assert "mport" in text and "Begin with" in text
    architecture = ROOT.parent / "docs" / "architecture.md"
    if architecture.exists():
        assert f"| `{package}` |" in architecture.read_text()


def test_no_file_is_long():
    lengths = {str(module.relative_to(ROOT)): len(module.read_text().splitlines()) for module in ROOT.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
