"""MathJax from its package, copied into the site: formulas are drawn without network."""

import shutil
from importlib.resources import files
from pathlib import Path

from sphinx.application import Sphinx

PARTS = ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2")
"""What the site needs of the folder ``es5`` of MathJax."""


def copy(app: Sphinx, error: Exception | None) -> None:
    """Copy into the static files of the finished site."""
    if error is None and app.builder.format == "html":
        source = Path(str(files("mathjax"))) / "static" / "mathjax" / "es5"
        target = Path(app.outdir) / "_static" / "mathjax"
        for part in PARTS:
            place = target / part
            place.parent.mkdir(parents=True, exist_ok=True)
            if (source / part).is_dir():
                shutil.copytree(source / part, place, dirs_exist_ok=True)
            else:
                shutil.copy2(source / part, place)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
