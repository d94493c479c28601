"""The content of a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmm.pages.scene import Scene


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values, one a row."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Tabular:
    """A table: titles of the columns, rows of texts, and a note below it.

    Attributes
    ----------
    columns, rows
        The first column names the rows; the others are numbers, aligned to the right, unless `plain`.
    note
        Printed below it.
    plain
        Whether all columns are texts.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    plain: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture file beside the document; `width` is ``"full"``, ``"half"`` or ``"third"`` of the page."""

    title: str
    path: Path
    width: str = "full"


@dataclass(frozen=True)
class View:
    """A body that can be turned; a picture stands for it in Markdown, in print and without WebGL."""

    title: str
    scene: Scene
    instead: Path | None = None


@dataclass(frozen=True)
class Code:
    """A text shown as it is."""

    text: str


Block = Words | Facts | Tabular | Picture | View | Code


@dataclass(frozen=True)
class Section:
    """A titled part.

    Attributes
    ----------
    title
        The heading.
    blocks
        Its content.
    varies
        Whether it differs between two runs of one job, such as times; Markdown leaves it out.
    """

    title: str
    blocks: Sequence[Block]
    varies: bool = False


@dataclass(frozen=True)
class Document:
    """A titled list of sections.

    Attributes
    ----------
    title
        The heading.
    lead
        Lines below it.
    summary
        The main results, names and values, shown large.
    sections
        The parts.
    """

    title: str
    lead: Sequence[str]
    sections: Sequence[Section]
    summary: Sequence[tuple[str, str]] = ()


def sections_of(title: str, blocks: Iterable[Block | None], varies: bool = False) -> list[Section]:
    """A section of the blocks that exist; none if there are none."""
    present = [block for block in blocks if block is not None]
    return [Section(title, present, varies)] if present else []
