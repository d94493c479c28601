"""Documents of tables, pictures and views, as one HTML file or as Markdown.

The content is data, and two renderers write it. The HTML file contains its pictures, its style and a small viewer of
bodies, and needs no network. May import foundation. Begin with `document`, then `html`.
"""

from hmm.pages.document import Block, Code, Document, Facts, Grid, Picture, Section, View, Words, gathered
from hmm.pages.html import as_html, write_html
from hmm.pages.markdown import as_markdown
from hmm.pages.scene import Scene, scene_of

__all__ = [
    "Block",
    "Code",
    "Document",
    "Facts",
    "Grid",
    "Picture",
    "Scene",
    "Section",
    "View",
    "Words",
    "as_html",
    "as_markdown",
    "gathered",
    "scene_of",
    "write_html",
]
