"""The curve of a load test, and how it continues after an interrupt."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hmm.foundation.files import replacing, unpacked
from hmm.foundation.signals import Interrupted
from hmm.micro.response import PointState


@dataclass(eq=False)
class LoadCurve:
    """The curve of a load test.

    Attributes
    ----------
    columns
        ``step``, ``time``, the components of the strain (or deformation gradient), those of the stress, ``work``.
    driven
        Columns of the first driven component and of its stress.
    rows
        A row for each step, from the undeformed cell on.
    slope
        Stress of the first driven component per unit of it, at the start.
    """

    columns: list[str]
    driven: tuple[str, str]
    rows: list[list[float]] = field(default_factory=list)
    slope: float = math.nan

    def column(self, name: str) -> list[float]:
        """The values of a column."""
        return [row[self.columns.index(name)] for row in self.rows]

    @property
    def rounded(self) -> list[list[float]]:
        """The rows, with stresses and strains of the size of the tolerance of the solver as zeros."""
        n = (len(self.columns) - 3) // 2
        table = np.array([row[2:-1] for row in self.rows]).reshape(len(self.rows), 2, n)
        small = np.abs(table) <= 1e-6 * np.abs(table).max(axis=(0, 2), keepdims=True)
        values = np.where(small, 0.0, table).reshape(len(self.rows), -1).tolist()
        return [[*row[:2], *kept, row[-1]] for row, kept in zip(self.rows, values, strict=True)]

    @property
    def summary(self) -> dict[str, float]:
        """Slope at the start, largest and last stress, and the work per volume."""
        stress = self.column(self.driven[1])
        largest = max(stress, key=abs)
        return {
            "initial slope": self.slope,
            "largest stress": largest,
            "last stress": stress[-1],
            "work": self.rows[-1][-1],
        }

    def to_dict(self) -> dict[str, Any]:
        """The curve and its summary, as dictionaries and lists."""
        return {
            "driven": list(self.driven),
            "summary": self.summary,
            "curve": {name: self.column(name) for name in self.columns},
        }


class Halt:
    """The state that an interrupted test reached, in a file beside its curve.

    Parameters
    ----------
    path
        The ``.npz`` file.
    signature
        Hash of all that the curve depends on: a file of another test is not used.
    """

    def __init__(self, path: Path, signature: str) -> None:
        self.path, self.signature = path, signature
        self.reached: tuple[PointState, int] | None = None

    def read(self, curve: LoadCurve) -> PointState | None:
        """The state after the last step, whose curve is put into `curve`; None if there is none of this test."""
        if not self.path.is_file():
            return None
        try:
            found = unpacked(self.path, "state")
            if str(found["signature"]) != self.signature or found["rows"].shape[1] != len(curve.columns):
                return None
            state = PointState(found["z"], found["history"])
        except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile):
            return None
        curve.rows = [[int(row[0]), *map(float, row[1:])] for row in found["rows"]]
        curve.slope = float(found["slope"])
        self.reached = state, len(curve.rows)
        return state

    @contextmanager
    def kept(self, curve: LoadCurve) -> Iterator[None]:
        """Write the file if the body is interrupted, and remove it when the body is done."""
        try:
            yield
        except Interrupted:
            if self.reached is not None:
                self._write(curve, *self.reached)
            raise
        self.path.unlink(missing_ok=True)

    def _write(self, curve: LoadCurve, state: PointState, n: int) -> None:
        arrays: dict[str, Any] = {
            "z": state.z,
            "history": state.history,
            "rows": np.array(curve.rows[:n]),
            "slope": curve.slope,
        }
        with replacing(self.path) as part, part.open("wb") as file:
            np.savez(file, signature=self.signature, **arrays)
