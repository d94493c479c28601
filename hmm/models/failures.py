"""Failures of micro models: the point and the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MicroFailure:
    """A point whose micro model has no answer.

    Attributes
    ----------
    rank, point
        The rank that evaluates it (the first of its group) and its number there.
    x
        Macro coordinates.
    E
        Packed macroscopic input, in the frame of the cell.
    reason
        The reason.
    name
        Name of its micro model, if there are several.
    """

    rank: int
    point: int
    x: tuple[float, ...]
    E: tuple[float, ...]
    reason: str
    name: str = ""

    def __str__(self) -> str:
        x = ", ".join(f"{c:.4g}" for c in self.x)
        E = ", ".join(f"{c:.4g}" for c in self.E)
        what = f"RVE {self.name!r}" if self.name else "RVE"
        return f"{what} at ({x}) on rank {self.rank}, packed macro input [{E}]: {self.reason}"
