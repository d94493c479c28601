"""Effective properties of a cell: the data with tables, pictures and a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hmm.effective.data import EffectiveData
from hmm.effective.export import export
from hmm.effective.picture import draw_properties
from hmm.effective.table import as_html, properties_table
from hmm.effective.writing import write_report
from hmm.foundation.console import Paper


@dataclass(frozen=True, eq=False)
class EffectiveProperties(EffectiveData):
    """Effective properties of a cell, from `hmm.homogenize`.

    Attributes and derived quantities are those of `hmm.effective.EffectiveData`. This class adds tables and files.
    """

    def plot(self, path: str | Path) -> Path:
        """Draw Young's modulus (conductivity, permeability) over all directions; not collective.

        In 3D a surface whose distance from the centre is the value; in 2D a polar diagram, which for a stiffness also
        shows the shear modulus.
        """
        return draw_properties(self, Path(path))

    def report(self, directory: str | Path, *, plots: bool = True) -> Path:
        """Write a report into a directory (collective).

        ``report.html`` is one file that contains all it shows; ``report.md`` is the same for other tools. Beside them
        are ``properties.json``, which `from_json` reads, ``report.json`` (date, versions, laws) and, with `plots`,
        pictures.

        Returns
        -------
        pathlib.Path
            ``report.html``.
        """
        return write_report(self, Path(directory), plots)

    def export(
        self,
        path: str | Path,
        *,
        format: str = "abaqus",
        name: str = "EFFECTIVE",
        number: int = 1,
        units: Mapping[str, str] | None = None,
    ) -> Path:
        """Write the numbers for another code, as `hmm.effective.export` says; not collective."""
        return export(self, path, format=format, name=name, number=number, units=units)

    def print(self) -> None:
        """Print tables on rank 0."""
        if self.comm.rank == 0:
            Paper().print(properties_table(self))

    def __str__(self) -> str:
        console = Console(width=110, color_system=None)
        with console.capture() as captured:
            console.print(properties_table(self))
        return captured.get().rstrip()

    def _repr_html_(self) -> str:
        return as_html(properties_table(self))
