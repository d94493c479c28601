"""What a model is as C source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A model as C source, without its interface.

    Attributes
    ----------
    title
        What it is, in one line.
    notes
        Further lines for who uses it.
    code
        C that defines ``answer``, see umat.c.
    states
        Numbers that a point remembers.
    constants
        Names of the parameters that are constants of the material.
    temperature
        Place of the temperature among all parameters, or -1.
    """

    title: str
    notes: tuple[str, ...]
    code: str
    states: int = 0
    constants: tuple[str, ...] = ()
    temperature: int = -1

    @property
    def parameters(self) -> int:
        """Number of parameters with the temperature."""
        return len(self.constants) + (self.temperature >= 0)
