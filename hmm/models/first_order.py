"""What a point that is solved at some macro iterates of a step answers at the others, to first order, and its error."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hmm.models.points import Floats

SOLVES, DEFECT, CURVATURE, REACH = NOTES = ("solves", "defect", "curvature", "reach")
"""What is noted of each point in a step: how often it was solved; what the error of the last solve is; the error of a
first-order answer over the square of its distance; and the largest distance of which this is known."""


def own_errors(notes: Mapping[str, Floats], moved: Floats) -> Floats:
    """Estimated errors of points that answer to first order at some distance from where they were last solved."""
    error = notes[DEFECT] + notes[CURVATURE] * moved**2
    return np.where(moved <= notes[REACH], error, np.inf)


def note(
    notes: Mapping[str, Floats], rows: NDArray[np.intp], converged: NDArray[np.bool_], move: Floats, miss: Floats
) -> None:
    """Note a solve of some points: how far it is from the last one, and how far the first-order answer was off.

    As the convergence is quadratic, a row that is not converged after one Newton step is off by ``miss (miss / move)``.
    What it misses at the next solve is then the error of its own answer, and says nothing of its curvature.
    """
    ratio = np.divide(miss, move, out=np.zeros_like(miss), where=move > 0)
    exact = notes[DEFECT][rows] == 0
    bend = np.divide(ratio, move, out=np.zeros_like(miss), where=exact & (move > 0))
    longest = notes[REACH][rows]
    notes[CURVATURE][rows] = np.maximum(np.where(move < longest, notes[CURVATURE][rows], 0.0), bend)
    notes[REACH][rows] = np.maximum(longest, move)
    notes[DEFECT][rows] = np.where(converged, 0.0, miss * np.minimum(ratio, 1.0))
    notes[SOLVES][rows] += 1
