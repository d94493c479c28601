"""The strain path of a point, as variables of the point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hmm.models.points import Floats, Points, Variable

PATH, DURATIONS, STEPS = "strain path", "durations of steps", "number of steps"


class StrainPaths:
    """Packed macroscopic inputs and durations of all accepted steps of each point.

    Parameters
    ----------
    memory
        Most steps of a path.
    m
        Number of packed inputs.
    """

    def __init__(self, memory: int, m: int) -> None:
        self.memory, self.m = memory, m

    @property
    def variables(self) -> dict[str, Variable]:
        """The variables of a point."""
        shapes: dict[str, tuple[int, ...]] = {PATH: (self.memory, self.m), DURATIONS: (self.memory,), STEPS: ()}
        return {name: Variable(shape, "deferred") for name, shape in shapes.items()}

    def of(self, variables: Mapping[str, Floats], row: int) -> tuple[Floats, Floats]:
        """Inputs and durations of the steps of a row, shapes (k, m) and (k,)."""
        k = int(variables[STEPS][row])
        return variables[PATH][row, :k], variables[DURATIONS][row, :k]

    def keys(self, variables: Mapping[str, Floats], rows: Sequence[int] | None = None) -> list[bytes]:
        """For each row what identifies its path: points with the same path have the same state."""
        everyone = range(len(variables[STEPS])) if rows is None else rows
        return [b"".join(a.tobytes() for a in self.of(variables, row)) for row in everyone]

    def alike(self, variables: Mapping[str, Floats], rows: Sequence[int]) -> list[list[int]]:
        """The rows in groups whose steps have the same durations."""
        groups: dict[bytes, list[int]] = {}
        for row in rows:
            groups.setdefault(self.of(variables, row)[1].tobytes(), []).append(row)
        return list(groups.values())

    def stacked(self, variables: Mapping[str, Floats], rows: Sequence[int]) -> tuple[Floats, Floats]:
        """Paths of rows of one group of `alike`, shape (k, n, m), and the durations of their steps, shape (k,)."""
        pairs = [self.of(variables, row) for row in rows]
        return np.stack([E for E, _ in pairs], axis=1), pairs[0][1]

    def extended(self, points: Points) -> dict[str, Floats]:
        """The paths with the step that ends at the trial inputs, as new values of the variables."""
        path, durations, steps = (points.committed.variables[name].copy() for name in (PATH, DURATIONS, STEPS))
        for row in np.flatnonzero(steps == self.memory).tolist():
            _join(path[row], durations[row])
            steps[row] -= 1
        rows, last = np.arange(points.n), steps.astype(int)
        path[rows, last], durations[rows, last] = points.trial.E, points.dt
        return {PATH: path, DURATIONS: durations, STEPS: steps + 1}


def _join(path: Floats, durations: Floats) -> None:
    """Join two steps into one, where the path changes least; in place. The last place becomes free.

    The corner that is dropped lengthens the way between its neighbours least: by nothing if it lies between them.
    """
    length = np.linalg.norm(np.diff(path, axis=0), axis=1)
    detour = length[:-1] + length[1:] - np.linalg.norm(path[2:] - path[:-2], axis=1)
    k = 1 + int(np.argmin(detour))
    path[k:-1] = path[k + 1 :].copy()
    durations[k + 1] += durations[k]
    durations[k:-1] = durations[k + 1 :].copy()
