"""Documents in HTML and Markdown.

The content, tables, pictures and views, is data, and two renderers write it. The HTML file contains its pictures, its
style and a small viewer of bodies, and needs no network. May import foundation. Begin with `document`, then `html`.
"""

from hmm.pages.document import Block, Code, Document, Facts, Picture, Section, Tabular, View, Words, sections_of
from hmm.pages.html import html_of, write_html
from hmm.pages.markdown import markdown_of
from hmm.pages.scene import Scene, scene_of

__all__ = [
    "Block",
    "Code",
    "Document",
    "Facts",
    "Picture",
    "Scene",
    "Section",
    "Tabular",
    "View",
    "Words",
    "html_of",
    "markdown_of",
    "scene_of",
    "sections_of",
    "write_html",
]
