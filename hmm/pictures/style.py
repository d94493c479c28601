"""Colours of all pictures."""

from __future__ import annotations

COLOURS = "viridis"
PHASE_COLOURS = ("#c9d6e2", "#e07b39", "#6a994e", "#8e6c8a", "#d9b44a", "#5b7c99")
INK = "#222222"
NO_VALUE = "#b9b9b9"
