"""How docstrings appear in the site: short names of types, attributes of classes, docstrings of properties."""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.ext.napoleon import GoogleDocstring, NumpyDocstring
from sphinx.transforms import SphinxTransform


class ShortTypes(SphinxTransform):
    """Types of arrays and the like by their short names."""

    default_priority = 410
    modules = re.compile(r"\b(?:numpy\._typing\._array_like|numpy\.typing|collections\.abc|typing|pathlib)\.(?=[A-Z])")

    def apply(self, **unused: Any) -> None:
        """Cut the modules off."""
        for text in list(self.document.findall(nodes.Text)):
            if self.modules.search(text):
                text.parent.replace(text, nodes.Text(self.modules.sub("", text)))


def whole(docstring: NumpyDocstring) -> tuple[str, list[str]]:
    """The type and the text of a property's docstring: words before a colon are no type."""
    return "", docstring._dedent(docstring._consume_to_end())


def several(
    docstring: NumpyDocstring, parse_type: bool = True, prefer_type: bool = False, multiple: bool = True
) -> Any:
    """The entries of a section: ``fields, responses`` are two entries with one text, not a type and a name."""
    return GoogleDocstring._consume_fields(docstring, parse_type, prefer_type, multiple=True)


def escape_bars(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars of ``|Y|``, which are no substitutions."""
    lines[:] = [re.sub(r"(?<!`)\|(\w+)\|(?!`)", r"\|\1\|", line) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_transform(ShortTypes)
    app.connect("autodoc-process-docstring", escape_bars)
    NumpyDocstring._consume_inline_attribute = whole
    NumpyDocstring._consume_fields = several
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
