#!/usr/bin/env python3
"""Write the tables of laws, solvers and public names into the docs, from the declarations in the code.

    python scripts/docs_tables.py          # writes docs/laws.md, docs/performance.md and docs/api.md
    python scripts/docs_tables.py --check  # names the outdated page, and exits with 1

A table stands between the lines ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""

import re
import sys
from pathlib import Path

from hmm.laws.registry import LAWS, PARTS, PHYSICS, Entry
from hmm.micro.solvers.described import SOLVERS

DOCS = Path(__file__).resolve().parents[1] / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

from pages import names_list, table  # noqa: E402

PAGES = ("laws.md", "performance.md", "api.md")


def parameters(entry: Entry) -> str:
    """Parameters with their units."""
    return ", ".join(f"`{name}`" + (f" ({unit})" if unit else "") for name, unit in entry.parameters.items())


def summary(entry: Entry) -> str:
    """The description, with code in Markdown notation."""
    return entry.summary.replace("``", "`").replace("|", r"\|")


def laws() -> str:
    """The laws, by physics."""
    rows = []
    for physics, (fields, response) in PHYSICS.items():
        for e in LAWS.values():
            if e.physics == physics and not e.is_way:
                tests = ", ".join(f"`{Path(test).name}`" for test in e.tests)
                rows.append((f"`{e.name}`", summary(e), parameters(e), fields, response, tests))
    return table(("law", "what it is", "parameters (unit)", "macro input", "response", "verified in"), rows)


def ways() -> str:
    """Further constructors."""
    rows = [(f"`{e.name}`", summary(e), parameters(e)) for e in LAWS.values() if e.is_way]
    return table(("constructor", "what it makes", "parameters (unit)"), rows)


def parts() -> str:
    """Parts of laws."""
    rows = [(f"`{e.physics}={e.name}(...)`", summary(e), parameters(e)) for e in PARTS.values()]
    return table(("part", "what it adds", "parameters (unit)"), rows)


def solvers() -> str:
    """The linear solvers of a cell."""
    rows = [(f'`"{name}"`', s.method, s.cells, s.suits) for name, s in SOLVERS.items()]
    return table(("`solver=`", "what it is", "for", "best for"), rows)


TABLES = {"laws": laws, "constructors": ways, "parts": parts, "solvers": solvers, "names": names_list}


def updated(page: Path) -> str:
    """The text of a page with new tables."""
    block = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return block.sub(lambda m: f"{m[1]}\n{TABLES[m[2]]()}\n\n{m[3]}", page.read_text(encoding="utf-8"))


def main(check: bool) -> int:
    """Write the pages, or check them; returns the exit code."""
    outdated = [page for name in PAGES if (page := DOCS / name).read_text(encoding="utf-8") != updated(page)]
    for page in outdated:
        if check:
            print(f"docs/{page.name} is outdated: run 'python scripts/docs_tables.py'")
        else:
            page.write_text(updated(page), encoding="utf-8")
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
