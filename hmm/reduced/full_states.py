"""Points of a full RVE at the end of strain paths, kept from step to step or worked out again."""

from __future__ import annotations

from collections.abc import Mapping

from hmm.foundation.errors import ConvergenceError
from hmm.micro.rve import RVE
from hmm.models.asking import answer, points_of
from hmm.models.points import Floats, InitialPoint, Points
from hmm.reduced.strain_path import StrainPaths


class FullStates:
    """Committed states of a full RVE by the keys of strain paths.

    Parameters
    ----------
    rve
        The RVE.
    paths
        The strain paths.

    Attributes
    ----------
    known
        Key of a path -> one row of the RVE at its end.
    """

    def __init__(self, rve: RVE, paths: StrainPaths) -> None:
        self.rve, self.paths = rve, paths
        self.known: dict[bytes, Points] = {}
        self._start: InitialPoint | None = None

    def of(self, variables: Mapping[str, Floats], row: int) -> Points:
        """The state at the end of the stored path of a row: that of the last step, or worked out from the path.

        Raises
        ------
        ConvergenceError
            If a step of the path does not converge.
        """
        key = self.paths.keys(variables, [row])[0]
        if key not in self.known:
            self.known[key] = self._replayed(*self.paths.of(variables, row))
        return self.known[key]

    def _replayed(self, E: Floats, dt: Floats) -> Points:
        if self._start is None:
            self._start = points_of(self.rve, 1).start
        one = Points(self.rve.inputs, self.rve.variables, self._start, 1)
        for number, (value, duration) in enumerate(zip(E, dt, strict=True), 1):
            one.ask(value[None], float(duration), "nested")
            answer(self.rve, one)
            if one.failures:
                raise ConvergenceError(
                    f"step {number} of {len(E)} of its strain path, solved in full: {one.failures[0]}"
                )
            self.rve.commit(one)
            one.accept()
        return one
