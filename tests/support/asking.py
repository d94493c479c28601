"""Questions to single rows of `hmm.models.Points`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from hmm.models import MicroModel, Points
from hmm.models.asking import answer


def ask(
    model: MicroModel, points: Points, inputs: Mapping[int, ArrayLike], algorithm: str = "nested", dt: float = 0.0
) -> None:
    """Ask some rows, by their number, for the answer to a macroscopic input; the other rows are not asked."""
    E = points.trial.E.copy()
    for p, value in inputs.items():
        E[p] = value
    points.ask(E, dt, algorithm)
    points.asked = np.intersect1d(points.asked, list(inputs))
    answer(model, points)
    assert not points.failures


def converge(model: MicroModel, points: Points, p: int, E: ArrayLike, algorithm: str = "nested") -> np.ndarray:
    """Ask a row until its answer has converged; its response."""
    for _ in range(30):
        ask(model, points, {p: E}, algorithm)
        if points.converged[p]:
            return points.trial.response[p].copy()
    raise AssertionError("did not converge")


def accept(model: MicroModel, points: Points) -> None:
    """End the step: the trial state becomes the committed one."""
    model.commit(points)
    points.accept()
