"""A table as C source."""

from __future__ import annotations

import numpy as np

from hmm.models.table import OUTSIDE, TableModel
from hmm.umat import c_text
from hmm.umat.source import Source

TEMPERATURE = "temperature"
"""Name of the parameter that other codes know as the temperature."""


def table_source(table: TableModel) -> Source:
    """A table of one strain as C source."""
    spline, axes, names = table.grid.spline(), table.grid.axes, table.parameters_of_table
    sizes = {"AXES": len(axes), "NUMBERS": table.grid.values.shape[-1], "LINEAR": int(table.linear)}
    choices = {choice.upper(): k for k, choice in enumerate(OUTSIDE)}
    starts = np.cumsum([0, *(t.size for t in spline.t)])[:-1]
    ends = np.array([[nodes[0], nodes[-1]] for nodes in axes.values()])
    code = [
        c_text.definitions({**sizes, **choices, "OUTSIDE": table.outside.upper()}),
        c_text.array("degree", np.array(spline.k)),
        c_text.array("count", np.array(spline.c.shape[:-1])),
        c_text.array("knots_at", starts),
        c_text.array("knots", np.concatenate(spline.t)),
        c_text.array("lowest", ends[:, 0]),
        c_text.array("highest", ends[:, 1]),
        c_text.array("reference", table.tabulated[0].reference),
        c_text.array("coefficients", spline.c),
        c_text.code("table.c"),
    ]
    ranges = "; ".join(f"{name} {nodes[0]:g} to {nodes[-1]:g}" for name, nodes in axes.items())
    return Source(
        "A tabulated law",
        (f"Range: {ranges}. Estimated relative error: {table.error:.2g}.",),
        "\n".join(code),
        constants=tuple(name for name in names if name != TEMPERATURE),
        temperature=names.index(TEMPERATURE) if TEMPERATURE in names else -1,
    )
