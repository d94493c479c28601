"""Links that Markdown on its own does not make: names of `hmm` in the text, and files outside the docs."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pages
import public_names
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class LinkNames(SphinxTransform):
    """Link code such as ``hmm.RVE(...)`` in the text to the entry of that name."""

    default_priority = 400
    name = re.compile(r"((?:hmm\.)?[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)(\(.*\))?$", re.DOTALL)
    passed: ClassVar = (nodes.title, nodes.reference, pending_xref)

    def apply(self, **unused: Any) -> None:
        """Wrap each such literal in a cross-reference; one that has no entry remains a literal."""
        paths = targets()
        for literal in list(self.document.findall(nodes.literal)):
            found = self.name.match(literal.astext())
            target = _target(found[1], paths) if found else None
            if target is None or any(isinstance(parent, self.passed) for parent in _parents(literal)):
                continue
            link = pending_xref("", refdomain="py", reftype="obj", reftarget=target, refdoc=self.env.docname)
            literal.replace_self(link)
            link += literal


@cache
def targets() -> dict[str, str]:
    """The path of each public name, by all its paths and, for a class, by its short name."""
    names = public_names.public_names()
    short = {name.path.rpartition(".")[2]: name.path for name in names if name.kind == "class"}
    return short | {path: name.path for name in names for path in (name.path, *name.aliases)}


def _target(text: str, paths: Mapping[str, str]) -> str | None:
    """The path of a name or of its member; None if there is no such name."""
    if text in paths:
        return paths[text]
    owner, _, member = text.rpartition(".")
    return f"{paths[owner]}.{member}" if owner in paths else None


def _parents(node: nodes.Node) -> list[nodes.Node]:
    parents = []
    while node.parent is not None:
        node = node.parent
        parents.append(node)
    return parents


def follow_outside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace links to what lies outside the docs by links to the page that shows it."""
    page = Path(app.env.doc2path(docname))
    if page.suffix == ".md":
        source[0] = pages.relinked(source[0], page, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_transform(LinkNames)
    app.connect("source-read", follow_outside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
