"""A document as Markdown, with links to its pictures."""

from __future__ import annotations

from collections.abc import Sequence

from hmm.pages.document import Block, Code, Document, Facts, Picture, Section, Tabular, View, Words


def markdown_of(document: Document) -> str:
    """The document as Markdown, without the sections that vary between two runs."""
    lines = [f"# {document.title}", "", *document.lead, *[""] * bool(document.lead)]
    for section in document.sections:
        if not section.varies:
            lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"## {section.title}", ""] if section.title else []
    for block in section.blocks:
        found = _block(block)
        lines += [*found, ""] if found else []
    return lines


def _block(block: Block) -> list[str]:
    match block:
        case Words(text):
            return [text]
        case Facts(rows):
            return _table(("", ""), rows, plain=True)
        case Tabular(columns, rows, note, plain):
            return [*_table(columns, rows, plain), *(["", note] if note else [])]
        case Picture(title, path):
            return [f"![{title}]({path.name})"]
        case View(title, _, instead):
            return [] if instead is None else [f"![{title}]({instead.name})"]
        case Code(text):
            return ["```", *text.rstrip().splitlines(), "```"]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], plain: bool) -> list[str]:
    rule = [":---", *[":---" if plain else "---:"] * (len(columns) - 1)]
    cells = [[_one_cell(text) for text in row] for row in (columns, *rows)]
    return ["| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])]


def _one_cell(text: str) -> str:
    """A text for a cell of a table: names may contain bars and line ends."""
    return " ".join(text.split()).replace("|", "\\|")
