"""Results as tables of HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

CELL = "padding:0.15em 0.7em;text-align:right"
WORDS = "padding:0.15em 0.7em;text-align:left"


def html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> str:
    """A table with a title and a note beneath; numbers have five digits and are aligned to the right."""
    head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    head = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    below = f"<p>{escape(note)}</p>" if note else ""
    caption = f'<caption style="text-align:left;font-weight:bold;padding:0.3em 0">{escape(title)}</caption>'
    return f"<div><table>{caption}{head}<tbody>{body}</tbody></table>{below}</div>"


def html_matrix(title: str, matrix: NDArray[np.float64]) -> str:
    """A vector or matrix as a table; entries that are rounding errors are shown as 0."""
    values = np.atleast_2d(np.asarray(matrix, dtype=float))
    largest = float(np.nanmax(np.abs(values))) if values.size and not np.isnan(values).all() else 0.0
    rows = [[0.0 if abs(v) < 1e-10 * largest else float(v) for v in row] for row in values]
    return html_table(title, [""] * values.shape[1], rows)


def html_row(*parts: str) -> str:
    """Parts side by side."""
    style = "display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start"
    return f'<div style="{style}">{"".join(parts)}</div>'


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f'<td style="{CELL}">{value:.5g}</td>'
    return f'<td style="{CELL if isinstance(value, int) else WORDS}">{escape(str(value))}</td>'
