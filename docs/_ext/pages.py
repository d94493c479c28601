"""The pages of the reference that the code describes: public names, keys of job files, the command.

Each function returns the Markdown of a page; `write` writes those that have changed.
"""

import ast
import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import public_names
from cyclopts import App

from hmm import images, jobs
from hmm.commands.application import application, epilogue
from hmm.jobs import cells as job_cells
from hmm.jobs import values
from hmm.jobs.fe2.schema import (
    AdaptiveSection,
    LoadSection,
    MaterialSection,
    MeshSection,
    ReducedSection,
    RunFile,
    RunOutput,
    SupportSection,
    TimeSection,
)
from hmm.jobs.laminate_schema import LaminateOutput, PlateLoadSection, PlySection, StackSection, StrengthSection
from hmm.jobs.load_test import LoadTestSection
from hmm.jobs.schema import HomogenizeFile, HomogenizeOutput
from hmm.jobs.sections import JobSection, keys_of, words_of

ROOT = public_names.ROOT.parent
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference" / "generated"
SHOWN = {
    ROOT / "README.md": GENERATED / "install.md",
    ROOT / "demos" / "README.md": GENERATED / "demos.md",
    ROOT / "demos" / "jobs": GENERATED / "demos.md",
}
"""Files and folders outside the docs, with the page of the site that shows them."""

MARK = "<!-- Generated from the code by docs/_ext/pages.py. -->\n\n"


def write(directory: Path) -> list[Path]:
    """Write all generated pages into a directory; unchanged ones keep their time, outdated ones are removed."""
    pages = {f"api/{package}.md": names_page(package) for package in public_names.by_package()}
    pages |= {name: relinked(text, source, directory / name) for name, (text, source) in _copies().items()}
    pages |= {"api/index.md": names_index(), "job_files.md": job_page(), "command.md": command_page()}
    pages |= {"run_files.md": run_page(), "test_files.md": test_page(), "laminate_files.md": laminate_page()}
    for old in set(directory.rglob("*.md")) - {directory / name for name in pages}:
        old.unlink()
    for name, text in pages.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != MARK + text:
            path.write_text(MARK + text, encoding="utf-8")
    return [directory / name for name in pages]


def _copies() -> dict[str, tuple[str, Path]]:
    """Pages from files outside the docs, each with its text and its source."""
    files = {"demos.md": ROOT / "demos" / "README.md", "changelog.md": ROOT / "CHANGELOG.md"}
    pages = {name: (path.read_text(encoding="utf-8"), path) for name, path in files.items()}
    readme = ROOT / "README.md"
    sections = re.compile(r"^## Install\n.*?(?=^## Features)", re.DOTALL | re.MULTILINE)
    install = sections.search(readme.read_text(encoding="utf-8"))
    return pages | {"install.md": (install[0].replace("## ", "# ", 1), readme)} if install else pages


def relinked(text: str, source: Path, page: Path) -> str:
    """The text of a file for a page elsewhere: relative links are changed, those that no page shows become text."""

    def changed(link: re.Match[str]) -> str:
        words, target, anchor = link[1], (source.parent / link[2]).resolve(), link[3] or ""
        is_page = target.suffix == ".md" and DOCS in target.parents
        if target not in SHOWN and (not target.is_file() or (target.suffix == ".md" and not is_page)):
            return words
        return f"[{words}]({os.path.relpath(SHOWN.get(target, target), page.parent)}{anchor})"

    return re.sub(r"\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)]*)?\)", changed, text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def names_table(names: Iterable[public_names.PublicName]) -> str:
    """The public names with their descriptions."""
    return table(("name", "what it is"), [(f"`{n.call}`", n.summary or of_data(n)) for n in names])


def names_list() -> str:
    """The tables of all packages, for docs/api.md."""
    groups = public_names.by_package()
    purposes = public_names.purposes()
    return "\n".join(f"## {purposes[p]}\n\nPackage `{p}`.\n\n{names_table(n)}\n" for p, n in groups.items()).rstrip()


def names_index() -> str:
    """The index of the pages of public names."""
    purposes = public_names.purposes()
    pages = "\n".join(f"{purposes[p].partition(':')[0].replace('`', '')} <{p}>" for p in public_names.by_package())
    return f"# Public names in full\n\n```{{toctree}}\n:maxdepth: 1\n\n{pages}\n```\n"


def names_page(package: str) -> str:
    """The public names of a package: a table, then the full entries."""
    names = public_names.by_package()[package]
    entries = "\n".join(_entry(name) for name in names)
    title = f"# {public_names.purposes()[package]}\n"
    text = f"Package `{package}` of the [architecture](../../../architecture.md).\n"
    return f"{title}\n{text}\n{names_table(names)}\n\n```{{eval-rst}}\n{entries}```\n"


def _entry(name: public_names.PublicName) -> str:
    if name.kind == "data":
        return f".. py:data:: {name.path}\n\n   {of_data(name)}.\n"
    lines = [f".. auto{name.kind}:: {name.path}"]
    if name.kind == "class":
        lines.append("   :members:")
    if name.aliases:
        lines += ["", f"   Also ``{'``, ``'.join(name.aliases)}``."]
    return "\n".join(lines) + "\n"


def of_data(name: public_names.PublicName) -> str:
    """The description of a constant or a type alias: the text below its definition, in Markdown."""
    home = getattr(name.value, "__module__", None) if hasattr(name.value, "__value__") else None
    files = [Path(import_module(home).__file__ or "")] if home else (public_names.ROOT / name.package).glob("*.py")
    short = name.path.rpartition(".")[2]
    for file in files:
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for statement, below in zip(body, [*body[1:], None], strict=True):
            if short in _assigned(statement):
                text = _text(below)
                return text or f"the type `{ast.unparse(statement).partition(' = ')[2]}`"
    return ""


def _assigned(statement: ast.stmt) -> list[str]:
    """The names to which a statement assigns."""
    others = [getattr(statement, name, None) for name in ("target", "name")]
    return [target.id for target in [*getattr(statement, "targets", []), *others] if isinstance(target, ast.Name)]


def _text(statement: ast.stmt | None) -> str:
    """The text, if the statement is a text."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split()).replace("``", "`").rstrip(".")
    return ""


def described(function: Callable[..., Any], section: str = "Parameters") -> dict[str, str]:
    """The description of each entry in a section of a NumPy docstring, in Markdown."""
    text = inspect.getdoc(function) or ""
    body = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    entries: dict[str, str] = {}
    for head, words in re.findall(r"^(\S.*)\n((?:[ ]+.*\n?|\n)*)", body[1] if body else "", re.MULTILINE):
        text = " ".join(words.split()).replace("``", "`").replace("|", r"\|")
        entries |= {name.strip().lstrip("*"): text for name in head.split(":")[0].split(",")}
    return entries


def _keys(
    function: Callable[..., Any],
    omitted: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
    section: str = "Parameters",
) -> str:
    """The keys that are parameters of a function or fields of a class: name, type, default and meaning."""
    words, rows = described(function, section), []
    for name, parameter in values.known_parameters(function).items():
        if name not in omitted:
            default = "required" if parameter.default is parameter.empty else _toml(parameter.default)
            key = (renamed or {}).get(name, name)
            rows.append((f"`{key}`", values.type_in_words(parameter.annotation), default, words.get(name, "")))
    return table(("key", "value", "default", "meaning"), rows)


def _toml(value: Any) -> str:
    """A default as it is written in TOML."""
    if value is None:
        return "not set"
    words = str(list(value)) if isinstance(value, tuple) else repr(value)
    return f"`{words.lower() if isinstance(value, bool) else words.replace(chr(39), chr(34))}`"


def _choices(names: Iterable[str]) -> str:
    return "one of " + ", ".join(f'`"{name}"`' for name in names)


def job_page() -> str:
    """The keys of a job file."""
    parts = [
        "# Job files\n\nThe keys of a TOML file for `hmm homogenize`. "
        "[Effective properties](../../effective.md#job-files) describes how to use it. "
        "`hmm homogenize --example` prints this one:\n",
        f"```toml\n{jobs.example().rstrip()}\n```\n",
        "## The job\n",
        _section(HomogenizeFile),
        "## `[output]`\n",
        _section(HomogenizeOutput),
        "## `[phases.NAME]`\n\n`law` is one of the [laws](../../laws.md) or the dotted path of your own; the "
        "other keys are its parameters.\n",
        "## `[cell]` from an image\n",
        _keys(images.image_cell, ("physics",), {"mesh": "elements"}),
        "## `[cell]` from a mesh file\n",
        _keys(images.mesh_cell, (), {"path": "mesh"}),
        "## `[cell]` from a generator\n\n`generator` is one of the following names. A plane cell may also have "
        "`extrude`, the height by which it is swept along z.\n",
        *_generators(),
    ]
    return "\n".join(f"{part.rstrip()}\n" for part in parts)


RUN_PARTS = {
    "": RunFile,
    "mesh": MeshSection,
    "material": MaterialSection,
    "support": SupportSection,
    "load": LoadSection,
    "time": TimeSection,
    "output": RunOutput,
    "adaptive": AdaptiveSection,
    "reduced": ReducedSection,
}
"""The sections of a job file for `hmm run`."""


def run_page() -> str:
    """The keys of a job file for `hmm run`, from its schema."""
    return _schema_page(
        "# Job files for `hmm run`\n\nThe keys of a TOML file for FE2. [FE2 from the shell](../../running_jobs.md) "
        "describes how to use it. The keys in `[material.cell]` and `[material.phases.NAME]` are those of "
        "[`[cell]` and `[phases.NAME]`](job_files.md) for `hmm homogenize`.\n",
        RUN_PARTS,
    )


def test_page() -> str:
    """The keys of a job file for `hmm test`."""
    return _schema_page(
        "# Job files for `hmm test`\n\nThe keys are those of [a job for `hmm homogenize`](job_files.md), and the "
        "following section. [Load tests](../../load_tests.md) describes how to use it. "
        "`hmm test --example` prints this one:\n\n"
        f"```toml\n{jobs.example('load_test').rstrip()}\n```\n",
        {"test": LoadTestSection},
    )


LAMINATE_PARTS = {
    "plies.NAME": PlySection,
    "plies.NAME.strength": StrengthSection,
    "laminate": StackSection,
    "load": PlateLoadSection,
    "output": LaminateOutput,
}
"""The sections of a job file for `hmm laminate`."""


def laminate_page() -> str:
    """The keys of a job file for `hmm laminate`, from its schema."""
    return _schema_page(
        "# Job files for `hmm laminate`\n\n[Laminates](../../laminates.md) describes how to use them.\n", LAMINATE_PARTS
    )


def _schema_page(head: str, sections: Mapping[str, type[JobSection]]) -> str:
    """A page with the keys of each section of a job file."""
    parts = [head]
    for name, section in sections.items():
        title = f"`[[{name}]]`" if section in (SupportSection, LoadSection) else f"`[{name}]`" if name else "The job"
        parts.append(f"## {title}\n\n{(section.__doc__ or '').strip()}\n\n{_section(section)}\n")
    return "\n".join(parts)


def _section(section: type[JobSection]) -> str:
    """The keys of a section: name, values, default and meaning."""
    rows = []
    for key, field in keys_of(section).items():
        default = "required" if field.is_required() or key in ("cell", "phases") else _toml_default(field.default)
        rows.append((f"`{key}`", words_of(field).replace("|", r"\|"), default, str(field.description)))
    return table(("key", "value", "default", "meaning"), rows)


def _toml_default(value: Any) -> str:
    return "see below" if isinstance(value, JobSection) else "none" if value == [] else _toml(value)


def _generators() -> Iterator[str]:
    for name, function in job_cells.generators().items():
        yield f"### `{name}`\n\n`hmm.cells.{name}`: {_first_line(function)}\n\n{_keys(function)}\n"


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").splitlines()[0].replace("``", "`")


def command_page() -> str:
    """The command with its subcommands, from the application that reads its arguments."""
    app = application()
    parts = [f"# The command `hmm`\n\n{app.help}\n\n```text\nhmm COMMAND\n```\n"]
    names = [name for name in app if not name.startswith("-")]
    return "\n".join(parts + [_command(name, app[name]) for name in names])


def _command(name: str, sub: App) -> str:
    """A subcommand: what it does, examples, and its arguments."""
    function = sub.default_command
    words = described(function)
    rows = []
    for argument in (a for a in sub.assemble_argument_collection() if a.show):
        names = [n for n in argument.names if not n.startswith("--no-")]
        value = f" {argument.parameter.metavar}" if argument.parameter.metavar else ""
        meaning = argument.parameter.help or words[argument.field_info.name]
        rows.append((", ".join(f"`{n}{value}`" for n in names), meaning.replace("|", r"\|")))
    examples = "\n".join(line.strip() for line in epilogue(function).splitlines()[1:])
    arguments = table(("argument", "meaning"), rows)
    return f"## `hmm {name}`\n\n{_first_line(function)}\n\n```sh\n{examples}\n```\n\n{arguments}\n"
