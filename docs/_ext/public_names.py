"""The public names of `hmm`: all names in the `__all__` of `hmm` and of its packages, each with its shortest path.

A module without `__all__` makes public what it defines without an underscore.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import hmm

ROOT = Path(hmm.__file__).parent


@dataclass(frozen=True, eq=False)
class PublicName:
    """A public name.

    Attributes
    ----------
    path
        The shortest dotted path, such as ``hmm.RVE``.
    value
        The object.
    package
        The package that defines it, one of those of docs/architecture.md.
    aliases
        Other public paths of the same object.
    """

    path: str
    value: Any
    package: str
    aliases: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind of the entry: ``class``, ``function`` or ``data``."""
        if inspect.isclass(self.value):
            return "class"
        return "function" if inspect.isfunction(self.value) else "data"

    @property
    def summary(self) -> str:
        """The first sentence of the docstring, in Markdown; empty for data."""
        if self.kind == "data":
            return ""
        paragraph = (inspect.getdoc(self.value) or "").partition("\n\n")[0]
        sentence = " ".join(paragraph.split()).replace("``", "`").replace("|", r"\|")
        return sentence.rstrip(".")

    @property
    def call(self) -> str:
        """The path, with the required arguments of a function."""
        if self.kind != "function":
            return self.path
        parameters = inspect.signature(self.value).parameters.values()
        required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        more = ["..."] if len(required) < len(parameters) else []
        return f"{self.path}({', '.join([*required, *more])})"


def of_module(module: ModuleType) -> list[str]:
    """The public names of a module."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
    ]


def _walk(module: ModuleType, path: str) -> Iterator[tuple[str, Any, str]]:
    """Path, object and defining package of all public names below a module."""
    for name in of_module(module):
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            yield from _walk(value, f"{path}.{name}")
        else:
            home = getattr(value, "__module__", None) or ""
            home = home if home.startswith("hmm.") else module.__name__
            yield f"{path}.{name}", value, home.split(".")[1]


@cache
def public_names() -> tuple[PublicName, ...]:
    """All public names, by package in the order of the layers, then by path."""
    paths: dict[int, list[tuple[str, Any, str]]] = {}
    for found in _walk(hmm, "hmm"):
        paths.setdefault(id(found[1]), []).append(found)
    names = []
    for same in paths.values():
        path, value, package = min(same, key=lambda found: (found[0].count("."), found[0]))
        names.append(PublicName(path, value, package, tuple(p for p, _, _ in same if p != path)))
    order = list(purposes())
    return tuple(sorted(names, key=lambda n: (order.index(n.package), n.path.count("."), n.path.lower())))


@cache
def purposes() -> dict[str, str]:
    """What each package is, by name: the first line of its docstring, in the order of docs/architecture.md."""
    pages = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = {path.parent.name: path for path in ROOT.glob("*/__init__.py")}
    texts = {name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for name, path in files.items()}
    order = sorted(texts, key=lambda name: pages.find(f"| `{name}` |"))
    return {name: (texts[name] or name).splitlines()[0].rstrip(".") for name in order}


def by_package() -> dict[str, list[PublicName]]:
    """The public names of each package that has some."""
    groups: dict[str, list[PublicName]] = {name: [] for name in purposes()}
    for name in public_names():
        groups[name.package].append(name)
    return {package: names for package, names in groups.items() if names}
