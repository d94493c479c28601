"""Colours of all pictures."""

from __future__ import annotations

import colorsys

COLOURS = "viridis"
FIELD_COLOURS = "plasma"
PHASE_COLOURS = ("#c9d6e2", "#e07b39", "#6a994e", "#8e6c8a", "#d9b44a", "#5b7c99")
INK = "#222222"
NO_VALUE = "#b9b9b9"


def phase_colours(n: int) -> list[str]:
    """Colours of n phases, all different: of a few the `PHASE_COLOURS`, of more hues that neighbours do not share."""
    if n <= len(PHASE_COLOURS):
        return list(PHASE_COLOURS[:n])
    golden = 0.6180339887498949
    found = []
    for k in range(n):
        rgb = colorsys.hls_to_rgb((0.58 + k * golden) % 1.0, (0.72, 0.56, 0.64)[k % 3], (0.45, 0.5, 0.62)[k // 3 % 3])
        found.append("#" + "".join(f"{round(255 * c):02x}" for c in rgb))
    return found
