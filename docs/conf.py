"""Sphinx configuration of the documentation site; ``make docs`` builds it."""

import os
import sys
from pathlib import Path

from mpi4py import MPI  # noqa: F401  before DOLFINx, so that the binary wheels find it

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

import pages  # noqa: E402

import hmm  # noqa: E402

project = "hmm"
author = copyright = "The hmm developers"
version = release = hmm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_codeautolink",
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",
    "links",
    "mathjax_files",
]
exclude_patterns = ["_build", "_ext"]
pages.write(pages.GENERATED)

# Python names: `links` makes a link of `hmm.RVE` in a docstring or a text
default_role = "literal"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "Floats": "Floats"}
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"
codeautolink_global_preface = "import hmm"  # examples on the pages do not repeat it

# Markdown and notebooks: the tutorials are executed, and their results are kept until they change
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_cache_path = str(DOCS / "_build" / ".jupyter_cache")
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type", "codeautolink.match_block"]  # the latter for doctest blocks

# Formulas are drawn by MathJax, which `mathjax_files` copies into the site
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"chtml": {"scale": 0.95}, "options": {"enableMenu": False}}

# Links to other projects need their inventories from the network: HMM_INTERSPHINX=1 make docs
if os.environ.get("HMM_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "dolfinx": ("https://docs.fenicsproject.org/dolfinx/v0.11.0/python", None),
        "pyvista": ("https://docs.pyvista.org", None),
    }

html_theme = "furo"
html_title = f"hmm {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#1f4e79", "color-brand-content": "#1f5f99"},
    "dark_css_variables": {"color-brand-primary": "#8fc1ee", "color-brand-content": "#8fc1ee"},
}
