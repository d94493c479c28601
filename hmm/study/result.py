"""What a study of sizes says: the table, the verdict, the picture and the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmm.foundation.console import print_table, say
from hmm.foundation.errors import collectively, writing
from hmm.foundation.files import require_writable
from hmm.foundation.html import html_table
from hmm.study.picture import draw_study
from hmm.study.statistics import SizeStatistics


@dataclass(frozen=True, eq=False)
class RepresentativeSize(SizeStatistics):
    """Apparent property as a function of size and constraint, and derived errors (see `representative_size`).

    Attributes are those of `hmm.study.statistics.SizeStatistics`.
    """

    def verdict(self, size: float | None = None, target: float = 0.01) -> str:
        """The error at a size (by default the largest studied) and the cells needed for the `target`, as a sentence."""
        size = self.sizes[-1] if size is None else size
        words = f"{self.name}, {self.constraint}: at size {size:g} the error of one realisation is "
        words += f"{_percent(self.error(size))} with 95 % confidence; "
        n = self.realisations_needed(size, target)
        words += f"{n} {'realisation' if n == 1 else 'realisations'} of size {size:g} reach {_percent(target)}"
        law = self.fits[self.constraint]
        if law is not None and law.alpha > 0:
            needed = self.size_needed(target)
            words += f", or one of size {needed:.3g}"
            words += " (beyond the sizes studied)" if needed > self.sizes[-1] else ""
        words += "."
        if size in self.sizes and size < self.sizes[-1]:
            words += f" Its mean is {_percent(self.bias(size), sign=True)} from that of the largest size."
        if size in self.sizes and len(self.samples) > 1:
            words += f" The constraints are {_percent(self.gap(size)[0])} apart."
        return words

    def table(self) -> tuple[list[str], list[list[object]]]:
        """Columns and rows of the printed table."""
        columns = ["constraint", "size", "n", "mean", "± 95 %", "std / mean", "bias", "error of one"]
        rows: list[list[object]] = []
        for name, samples in self.samples.items():
            for s in samples:
                deviation = float(np.sqrt(s.variance)) / self._magnitude
                bias = _percent(self.bias(s.size, name), sign=True)
                errors = [_percent(deviation), bias, _percent(self.error(s.size, 1, name))]
                rows.append([name, f"{s.size:g}", s.n, f"{s.mean:.4g}", f"{s.half_width:.2g}", *errors])
        return columns, rows

    def print(self) -> None:
        """Print the table, the fits and the verdict on rank 0."""
        print_table(self.comm, f"{self.name} against size", *self.table())
        for name, law in self.fits.items():
            if law is not None:
                A = "" if law.integral_range is None else f", integral range A = {law.integral_range:.4g}"
                say(self.comm, f"{name}: Var ~ V^-alpha, alpha = {law.alpha:.2f} ± {law.alpha_error:.2f}{A}")
        say(self.comm, self.verdict())

    def _repr_html_(self) -> str:
        """The table and the verdict, for a notebook."""
        return html_table(f"{self.name} against size", *self.table(), self.verdict())

    def plot(self, path: str | Path) -> Path:
        """Plot means, variances and errors over the size (collective; needs the extra ``plot``)."""
        with collectively(self.comm):
            if self.comm.rank == 0:
                draw_study(self, Path(path))
        return Path(path)

    def to_json(self, path: str | Path) -> Path:
        """Write all values and results (collective)."""
        with collectively(self.comm):
            if self.comm.rank == 0:
                require_writable(Path(path).parent)
                with writing(path):
                    Path(path).write_text(json.dumps(self._as_json(), indent=1) + "\n")
        return Path(path)

    def _as_json(self) -> dict[str, Any]:
        return {
            "property": self.name,
            "dim": self.dim,
            "effective": self.effective,
            "point_variance": self.point_variance,
            "verdict": self.verdict(),
            "fits": {name: law and vars(law) for name, law in self.fits.items()},
            "samples": {
                name: [
                    {
                        "size": s.size,
                        "mean": s.mean,
                        "variance": s.variance,
                        "interval": s.interval,
                        "values": s.values.tolist(),
                    }
                    for s in samples
                ]
                for name, samples in self.samples.items()
            },
        }


def _percent(value: float, sign: bool = False) -> str:
    return f"{100 * value:+.2g} %" if sign else f"{100 * value:.2g} %"
