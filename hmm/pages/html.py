"""A document as one HTML file that contains all it shows."""

from __future__ import annotations

import base64
import importlib
import re
from pathlib import Path
from typing import Any

from hmm.foundation.errors import EnvironmentMismatch
from hmm.foundation.files import require_writable, write_atomically
from hmm.pages.document import Document

KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}
"""Types of the pictures that can be embedded, by suffix."""


def write_html(path: str | Path, document: Document) -> Path:
    """Write the document as one HTML file, atomically; not collective.

    Raises
    ------
    InputError
        If the directory cannot be written to.
    EnvironmentMismatch
        If Jinja2 is not installed.
    """
    path = Path(path)
    require_writable(path.parent)
    write_atomically(path, html_of(document))
    return path


def html_of(document: Document) -> str:
    """The document as HTML. Texts are escaped; pictures are read and embedded."""
    environment = _environment()
    style, viewer = (environment.loader.get_source(environment, name)[0] for name in ("page.css", "viewer.js"))
    has_views = any(type(block).__name__ == "View" for section in document.sections for block in section.blocks)
    page = environment.get_template("page.html.j2")
    return str(page.render(document=document, style=style, viewer=viewer if has_views else ""))


def _environment() -> Any:
    try:
        jinja2 = importlib.import_module("jinja2")
    except ImportError as error:
        raise EnvironmentMismatch(f"reports need jinja2, but {error}: pip install jinja2") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hmm.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    markup = importlib.import_module("markupsafe")

    def marked(text: str) -> Any:
        """The text, escaped, with code in backquotes set as such."""
        return markup.Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(markup.escape(text))))

    environment.filters |= {
        "marked": marked,
        "embedded": _embedded,
        "kind": lambda block: type(block).__name__,
        "anchor": _anchor,
    }
    return environment


def _embedded(path: Path) -> str:
    """A picture as the address that contains it."""
    return f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
